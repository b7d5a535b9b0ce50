"""What a host offers, and what is to be fetched of it. Decides by names, sizes, times and hashes only."""

from __future__ import annotations

import builtins
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from being_remote.local_path import LIVE, PathCollisions, Tree, path_problem
from being_remote.transfer.checked_files import StoredFile
from being_remote.transfer.quarantine import QuarantinedFile

# Files with refused names, of one folder, that are named.
MAX_REFUSED = 20


@dataclass(frozen=True, eq=False)
class RemoteFolder:
    """A folder on the host, and where its files belong here. One of them for all its files.

    Attributes:
        local: the local folder, relative to the tree that files are stored in; "" is its top.
        top: the folder on the host that all folders of one download are below.
        source: the folder itself, `top` or below it.
        rank: how precious its files are: those of the lowest rank get the room on the disk first.
        wave: files of one wave are fetched together, those of the lowest first.
        is_precious: its files cannot be made again, and are of use together only: all of a rank get room
            on the disk, or none does.
    """

    local: str
    top: PurePosixPath
    source: PurePosixPath
    rank: int = 0
    wave: int = 0
    is_precious: bool = True


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a host, and its local path. There may be a hundred thousand of them.

    Attributes:
        path: its local path, relative to the tree that it is stored in.
        bytes, mtime_ns, ctime_ns, inode: as last listed.
        sha256: its hash, if the host made one of this very version.
        spelt: its name below `origin.source`, where that is not its local name.
    """

    path: str
    origin: RemoteFolder
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str | None = None
    spelt: builtins.bytes | None = None

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """What tells this version of the file from another without a hash."""
        return self.bytes, self.mtime_ns, self.ctime_ns, self.inode

    def looks_like(self, other: RemoteFile) -> bool:
        """Whether no figure tells this version of the file from the other."""
        return self.figures == other.figures

    @property
    def name(self) -> builtins.bytes:
        """Its name below `origin.source`, as the host spells it."""
        if self.spelt is not None:
            return self.spelt
        return os.fsencode(self.path[len(self.origin.local) + 1 :] if self.origin.local else self.path)


@dataclass(frozen=True)
class DownloadPlan:
    """What to fetch, and what stays where it is and why.

    `unchanged` are paths; `unhashed` those of them whose bytes the host did not hash for this sync.
    """

    wanted: tuple[RemoteFile, ...]
    unchanged: tuple[str, ...]
    unhashed: tuple[str, ...]
    refused: tuple[QuarantinedFile, ...]
    still_torn: tuple[QuarantinedFile, ...]

    @property
    def wanted_bytes(self) -> int:
        """Bytes to fetch at most; rsync may need fewer."""
        return sum(offer.bytes for offer in self.wanted)


def plan_download(
    offers: Iterable[RemoteFile],
    here: Mapping[str, StoredFile],
    torn: Mapping[str, list[QuarantinedFile]],
    *,
    refused: Iterable[QuarantinedFile] = (),
    folds: bool,
    most_bytes: Callable[[str], int | None],
) -> DownloadPlan:
    """Decide about each file.

    Args:
        here: what is live.
        torn: what lies in quarantine; not fetched again while the host's file is the same.
        refused: what the host has, too, and that cannot be fetched.
        folds: this laptop's file system takes `A` and `a` for one name.
        most_bytes: name -> how large a whole file of this name can be; None: as large as it likes.
    """
    wanted, unchanged, unhashed, still_torn, too_large = [], [], [], [], []
    taken = PathCollisions(here, folds=folds)
    accepted, bad_names = accept_names(
        sorted(offers, key=lambda o: (o.path not in here, o.path)), LIVE, taken
    )
    for offer in accepted:
        entry = here.get(offer.path)
        most = most_bytes(offer.path)
        if entry is not None and has_same_bytes(offer, entry.bytes, entry.mtime_ns, entry.sha256):
            unchanged.append(entry.path)
            if offer.sha256 is None:
                unhashed.append(entry.path)
        elif most is not None and offer.bytes > most:
            reason = f"has {offer.bytes} bytes; a whole one has at most {most}, so it is not downloaded"
            too_large.append(QuarantinedFile(offer.path, reason, None, offer.bytes, offer.mtime_ns))
        elif torn and (alike := _find_same(offer, torn.get(offer.path, ()))) is not None:
            still_torn.append(alike)
        else:
            wanted.append(offer)
    all_refused = (*refused, *bad_names, *too_large)
    return DownloadPlan(tuple(wanted), tuple(unchanged), tuple(unhashed), all_refused, tuple(still_torn))


def accept_names(
    offers: Iterable[RemoteFile], tree: Tree, taken: PathCollisions
) -> tuple[list[RemoteFile], list[QuarantinedFile]]:
    """Separate the files that may be stored in `tree` from those whose names are refused.

    Args:
        offers: files, those first that have a place already; equal paths follow one another.
        taken: the paths that have a place; those of the accepted files are added.

    Returns:
        The accepted files, and the others with the reason; of each remote folder `MAX_REFUSED` are named.
    """
    accepted: list[RemoteFile] = []
    refused: list[QuarantinedFile] = []
    counts = Counter[RemoteFolder]()
    before = None
    for offer in offers:
        why = name_refused(offer, tree) or taken.clash(offer.path)
        if why is None and offer.path == before:
            why = "another file of the host has its place already"
        if why is None:
            taken.add(offer.path)
            before = offer.path
            accepted.append(offer)
            continue
        counts[offer.origin] += 1
        if counts[offer.origin] <= MAX_REFUSED:
            refused.append(QuarantinedFile(offer.path, f"its name is refused: {why}"))
    for origin, count in counts.items():
        if count > MAX_REFUSED:
            more = f"{count - MAX_REFUSED} more files have refused names"
            refused.append(QuarantinedFile(origin.local or ".", more))
    return accepted, refused


def name_refused(offer: RemoteFile, tree: Tree = LIVE) -> str | None:
    """Why a file of this name may not be stored in `tree`; None when it may."""
    called = "" if offer.spelt is None else offer.path.rpartition("/")[2]
    return path_problem(tree, offer.name, below=offer.origin.local, called=called)


def has_same_bytes(offer: RemoteFile, size: int, mtime_ns: int, sha256: str) -> bool:
    """Whether these are the host's bytes. By hash where both sides have one; a rewrite may keep the rest."""
    if offer.sha256 is not None and sha256:
        return offer.sha256 == sha256
    return (offer.bytes, offer.mtime_ns) == (size, mtime_ns)


def _find_same(offer: RemoteFile, torn: Iterable[QuarantinedFile]) -> QuarantinedFile | None:
    return next((t for t in torn if has_same_bytes(offer, t.bytes, t.mtime_ns, t.sha256)), None)
