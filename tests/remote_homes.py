"""An actor on a pod behind a link that can be harmed, its backup here, and what is true of both."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from faults import FaultProxy
from live_watcher import LiveWatcher, live_files

from being_remote.backup.history import History
from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory
from being_remote.workflows.sync import SyncReport, sync

QUICK: dict[str, Any] = {"connect_timeout_s": 2.0, "answer_timeout_s": 10.0}


class Homes:
    """One actor, `demo`, whose files lie in `tracker` on the pod; `root` is its backup.

    `whole` holds every contents that the pod ever had as a whole file: nothing else may be live.
    """

    def __init__(self, tracker: Path, inventory: Inventory, proxy: FaultProxy | None = None) -> None:
        self.tracker, self.inventory, self._proxy = tracker, inventory, proxy
        self.root = inventory.backups / "demo"
        self.checkpoint = tracker / "output/demo/checkpoint"
        self.log = tracker / "output/demo/train.log"
        self.whole: set[bytes] = set()
        self.known()

    @property
    def proxy(self) -> FaultProxy:
        assert self._proxy is not None
        return self._proxy

    @property
    def history(self) -> History:
        return History(self.root)

    def known(self) -> None:
        """What the pod has now may be seen at home."""
        self.whole |= {p.read_bytes() for p in self.tracker.rglob("*") if p.is_file() and not p.is_symlink()}

    def sync(self, **options: Any) -> SyncReport:
        return sync(self.inventory, **options)

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """`being-remote sync` as a person starts it."""
        argv = [
            sys.executable,
            "-m",
            "being_remote",
            "sync",
            "--inventory",
            str(self.inventory.path),
            "--json",
        ]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*argv, *words], text=True, **(streams | more))

    def watched(self) -> LiveWatcher:
        return LiveWatcher(self.root, lambda _, data: data in self.whole)

    def live(self) -> dict[str, bytes]:
        return live_files(self.root)

    def frames(self) -> set[str]:
        """The names of the live frames."""
        return {p.name for p in (self.root / "checkpoint").iterdir()}

    def forget(self) -> None:
        """As before the first sync."""
        shutil.rmtree(self.root, ignore_errors=True)

    def contents(self) -> set[bytes]:
        """All that lies anywhere below the backup, but what a killed stream was at."""
        found = set()
        for folder, _, names in os.walk(self.root):
            for name in names:
                # The rsync of a killed sync may still be renaming its own.
                with suppress(FileNotFoundError):
                    if not name.startswith(".being-remote-"):
                        found.add(Path(folder, name).read_bytes())
        return found

    def missing_bytes(self, expected: dict[str, bytes]) -> int:
        """How much of what is expected is nowhere here as a whole file."""
        here = self.contents()
        return sum(len(data) for data in expected.values() if data not in here)

    def check_history(self) -> None:
        """Every contents that a snapshot names is there and is what its name says."""
        for number in self.history.snapshot_numbers():
            for entry in self.history.read(number).files.values():
                data = self.history.object(entry.sha256).read_bytes()
                assert hashlib.sha256(data).hexdigest() == entry.sha256, (number, entry.path)


def homes_on(
    pod: Pod, actor: Path, make_inventory: Callable[..., Inventory], proxy: FaultProxy | None = None
) -> Homes:
    """The actor's files on the pod's disk, and an inventory that reaches it, if need be by the proxy."""
    tracker = pod.root / "metrical-tracker"
    shutil.copytree(actor, tracker, dirs_exist_ok=True)
    port = {"port": proxy.port} if proxy is not None else {}
    inventory = make_inventory({"pod": {**pod.inventory_entry(), **QUICK, **port}})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    line = proxy.known_host(pod) if proxy is not None else f"[{pod.address}]:{pod.port} {pod.host_key_line}\n"
    (inventory.state / "known_hosts").write_text(line)
    return Homes(tracker, inventory, proxy)


def empty(tracker: Path) -> None:
    """The pod's disk as a fresh pod has it."""
    for child in tracker.iterdir():
        shutil.rmtree(child)


def told(process: subprocess.Popen[str], timeout_s: float = 60) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON document (empty where there is none) and stderr of a sync that ended."""
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, json.loads(out) if out.strip() else {}, err
