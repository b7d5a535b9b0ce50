"""Syncs a folder into a backup, without tracker or network; also run in processes that get killed."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from being_remote.backup.history import History
from being_remote.backup.incoming import keep_arrived
from being_remote.backup.live_tree import scan
from being_remote.backup.new_snapshot import Arrival, BackupTarget, download_changed
from being_remote.backup.reconcile import ReconcileResult, settle
from being_remote.errors import TornFile
from being_remote.inventory import LocalHost
from being_remote.session import Session, no_progress
from being_remote.transfer.checked_files import Judge
from being_remote.transfer.download_plan import DownloadPlan, RemoteFile, RemoteFolder, plan_download
from being_remote.transfer.hash_comparison import HashQueries, HostFiles
from being_remote.transfer.quarantine import quarantine_of
from being_remote.transport.local_session import LocalSession

FOLDERS = ("checkpoint", "run/logs", "")


def _must_end(name: str, data: bytes) -> None:
    if not data.endswith(b"END"):
        raise TornFile("it does not end with END", file=name)


judge = Judge(lambda name: 1 << 22 if name.endswith(".frame") else None, _must_end)


class FolderHost:
    """`folder` is what the host has, laid out as in the backup; `root` is the backup."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.history = History(root)
        self._meanwhile: list[Callable[[], object]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, path: str, text: str, mtime_s: float = 1_700_000_000) -> None:
        write(self.folder / path, text, mtime_s)

    def hand(self, path: str, text: str, mtime_s: float = 1_600_000_000) -> None:
        write(self.root / path, text, mtime_s)

    def at_next_question(self, do: Callable[[], object]) -> None:
        """Do this on the host when it is next asked for hashes: after the files came."""
        self._meanwhile.append(do)

    def offers(self, *, hashed: bool = False) -> list[RemoteFile]:
        found = []
        for home in FOLDERS:
            folder = self.folder / home
            for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
                at = os.lstat(folder / name)
                if stat.S_ISREG(at.st_mode):
                    path = f"{home}/{name}" if home else name
                    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest() if hashed else None
                    origin = RemoteFolder(home, PurePosixPath(self.folder), PurePosixPath(folder))
                    figures = (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
                    found.append(RemoteFile(path, origin, *figures, sha256))
        return found

    def ask(self, wanted: Sequence[tuple[RemoteFile, int]]) -> HostFiles:
        """What the host would say of its files now."""
        for do in (self._meanwhile.pop() for _ in range(len(self._meanwhile))):
            do()
        told = {}
        for offer, size in wanted:
            file = self.folder / offer.path
            if file.is_file():
                at, sha256 = file.lstat(), hashlib.sha256(file.read_bytes()[:size]).hexdigest()
                figures = (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
                told[offer.path] = RemoteFile(offer.path, offer.origin, *figures, sha256)
        return HostFiles(time.time_ns(), told)

    def sync(
        self,
        *,
        session: Session | None = None,
        offers: list[RemoteFile] | None = None,
        deep: bool = False,
        folds: bool = False,
    ) -> tuple[ReconcileResult, DownloadPlan, Arrival]:
        history = self.history
        with history.lock():
            settled = settle(history, judge, deep=deep)
            live = keep_arrived(history, judge, settled.manifest, self._other_box)
            offers = self.offers(hashed=deep) if offers is None else offers
            here, torn = live.files if live else {}, quarantine_of(history).read()
            planned = plan_download(offers, here, torn, folds=folds, most_bytes=judge.most_bytes)
            arrival = download_changed(
                session or LocalSession(LocalHost(name="here", workdir=PurePosixPath("/"))),
                BackupTarget(history, live, judge, self._other_box, incarnation=None),
                planned,
                HashQueries(self.ask, lambda: self._still_has(offers), time.time_ns()),
                no_progress,
            )
        return settled, planned, arrival

    def _still_has(self, offers: Sequence[RemoteFile]) -> bool:
        now = {o.path: o for o in self.offers()}
        return now.keys() == {o.path for o in offers} and all(now[o.path].looks_like(o) for o in offers)

    def settle(self) -> ReconcileResult:
        with self.history.lock():
            return settle(self.history, judge)

    def live(self) -> dict[str, str]:
        return {path: (self.root / path).read_text() for path in scan(self.root)}

    def contents(self) -> set[bytes]:
        """All that lies anywhere below the backup."""
        return {Path(folder, n).read_bytes() for folder, _, names in os.walk(self.root) for n in names}

    def _other_box(self, arrived: Mapping[str, Path]) -> str | None:
        ours, new = self.root / "bbox.pt", arrived.get("bbox.pt")
        return "another box" if new and ours.exists() and new.read_text() != ours.read_text() else None


def write(path: Path, text: str, mtime_s: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    mtime_ns = int(mtime_s * 10) * 100_000_000
    os.utime(path, ns=(mtime_ns, mtime_ns))


@contextmanager
def counted(root: Path, kill_at: int | None):  # type: ignore[no-untyped-def]  # used by the killed process only
    """Count what this process changes below `root`; die by SIGKILL at the `kill_at`-th change.

    An open for writing dies just after it made or emptied the file, everything else just before.
    """
    import signal
    import sys

    seen = [0]
    inside = os.fsencode(root)
    changing = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.truncate"}

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            flags = args[2]
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in changing:
            return
        words = args[: 1 if event == "open" else 2]
        paths = [os.fsencode(w) for w in words if isinstance(w, str | bytes | os.PathLike)]
        # rmtree works relative to an open folder: such names count as well, they are ours.
        if not any(p.startswith(inside) or not p.startswith(b"/") for p in paths):
            return
        seen[0] += 1
        if seen[0] == kill_at:
            try:
                if event == "open" and b"/lock" not in paths[0]:
                    os.close(os.open(paths[0], flags & ~os.O_EXCL, 0o644))
            finally:  # a file without a name is opened by its folder's, which cannot be made
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    yield seen
