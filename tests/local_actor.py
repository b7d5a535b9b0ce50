"""An actor on this machine as a host, without a network, and its backup."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live_watcher import live_files

from being_remote.backup.history import History
from being_remote.backup_sync.sync_report import SyncReport
from being_remote.inventory import Inventory
from being_remote.workflows.sync import sync

MakeInventory = Callable[..., Inventory]
# Of the finished run that these tests share.
FRAMES = 6


class SyncedActor:
    """The actor `demo`, whose files lie in `tracker` on the host; `root` is its backup."""

    def __init__(self, tracker: Path, workdir: Path, inventory: Inventory) -> None:
        self.tracker, self.workdir, self.inventory = tracker, workdir, inventory
        self.checkpoint = tracker / "output/demo/checkpoint"
        self.log = tracker / "output/demo/train.log"
        self.root = inventory.backups / "demo"
        self.history = History(self.root)

    def sync(self, **options: Any) -> SyncReport:
        return sync(self.inventory, **options)

    def holds(self, run: Path) -> None:
        """The host has this run now, and no other."""
        shutil.rmtree(self.tracker, ignore_errors=True)
        shutil.copytree(run, self.tracker)

    def live(self) -> dict[str, bytes]:
        """Path -> contents of what is live in the backup."""
        return live_files(self.root)

    def frames(self) -> dict[str, bytes]:
        """Name -> contents of the live frames."""
        return {p.name: p.read_bytes() for p in sorted((self.root / "checkpoint").iterdir())}

    def state(self) -> list[tuple[str, int, int]]:
        """All that lies in the backup, as far as a look could change it."""
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for p in self.root.rglob("*"))


def local_actor(folder: Path, run: Path, make_inventory: MakeInventory) -> SyncedActor:
    """A copy of the run in a tracker's checkout below `folder`."""
    tracker, workdir = folder / "disk/tracker", folder / "disk/Being"
    entry = {"kind": "local", "workdir": str(workdir), "tracker": {"root": str(tracker)}}
    actors = {"demo": {"source_size": [1920, 1080], "host_backups": ["data/backup/demo"]}}
    made = SyncedActor(tracker, workdir, make_inventory({"here": entry}, actors))
    made.holds(run)
    return made
