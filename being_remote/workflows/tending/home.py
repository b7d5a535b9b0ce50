"""Results of one attempt brought home: fetched aside, compared with hashes made on the host, swapped in.

Promises: a job's folder here always holds one attempt's files, all of them checked, and changes as
a whole or not at all; a second fetch moves only what is missing. Nothing from the host is followed
or trusted: regular files below the attempt's folder only, bounded in number, size and name.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from being_remote.backup.files import copy_apart, open_plain, room_on_disk, see_room, sync_files, sync_folder
from being_remote.backup.names import Taken, folds_case, refusal
from being_remote.errors import DataError, HostError, InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.session import OnProgress, Pull, Session
from being_remote.workflows.homecoming.host_files import Folder, Listed, Listing, list_files

PULLED = "pulled.json"
MAX_FILES = 200_000
MAX_BYTES = 1 << 40
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Aside:
    """A file that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Fetched:
    """What a fetch came to; `files` is all that lies in the folder now, by name."""

    files: Mapping[str, int]
    transferred_files: int
    transferred_bytes: int
    set_aside: tuple[Aside, ...]
    changed: bool


@dataclass(frozen=True)
class Offer:
    """A file of the attempt: its path below the work folder, and its bytes."""

    name: str
    size: int


def runs_of(inventory: Inventory, actor: str | None) -> Path:
    """The folder of the results of our own jobs; of those without an actor, beside the actors."""
    return inventory.backups / actor / "runs" if actor is not None else inventory.backups / "runs"


def offered(
    session: Session, python: str, work: PurePosixPath, patterns: Sequence[str], folder: Path
) -> tuple[tuple[Offer, ...], tuple[Aside, ...]]:
    """The attempt's files that fit `patterns`, and those that cannot come to lie in `folder`.

    Raises:
        NotFoundError: the attempt's folder is not there.
        HostError: the host's list cannot be believed, or is beyond all bounds.
    """
    top = Folder(work, work, "", recursive=False)
    listing = list_files(session, python, [*_folders(work, patterns), top])
    if not listing.folders.pop().exists:
        raise NotFoundError(f"there is no {str(work)!r}", where=session.host, hint="being-remote jobs --all")
    found = {name: size for name, size, _ in _entries(work, patterns, listing)}
    taken, kept = Taken([], folds=folds_case(folder)), []
    aside = [Aside(name, f"it is a {what}") for name, what in _links(work, patterns, listing)]
    for name, size in sorted(found.items()):
        why = refusal(os.fsencode(name)) or taken.clash(name)
        if why is not None or name == PULLED:
            aside.append(Aside(name, why or "the name is ours"))
            continue
        taken.add(name)
        kept.append(Offer(name, size))
    if len(kept) > MAX_FILES or sum(o.size for o in kept) > MAX_BYTES:
        raise HostError(f"offers {len(kept)} files: more than a job's results can be", host=session.host)
    return tuple(kept), tuple(aside)


def bring(
    session: Session,
    python: str,
    work: PurePosixPath,
    folder: Path,
    offers: Sequence[Offer],
    patterns: Sequence[str],
    *,
    note: Mapping[str, Any],
    aside: Sequence[Aside],
    judge_file: Any,
    judge_all: Any,
    partial: bool,
    on_progress: OnProgress,
) -> Fetched:
    """Fetch `offers` from `work` into `folder`.

    Args:
        note: what is written into pulled.json beside the files; a folder of another attempt is replaced.
        aside: what was set aside already.
        judge_file: called with each file's path; raises DataError for one that is torn or unsafe.
        judge_all: called with the whole new folder before it takes its place; raises DataError.
        partial: bring what is whole although some is not; else one bad file refuses them all.
        on_progress: told how far it is.

    Raises:
        InconsistentData: a file has another hash than on the host.
        DataError: what `judge_file` or `judge_all` said.
        HostError: the link failed; what arrived stays aside, and a second call goes on there.
    """
    with room_on_disk(folder), _alone(folder):
        before = _pulled(folder)
        same = before is not None and all(before.get(key) == value for key, value in note.items())
        stage = folder.with_name(f".{folder.name}.incoming")
        _only(stage, {o.name for o in offers})
        earlier = (before or {}).get("files", {}) if same else {}
        whole = _whole(folder, stage, earlier)
        see_room(folder.parent, [o.size for o in offers])
        moved = session.pull(
            Pull(
                source=work,
                names=tuple(os.fsencode(o.name) for o in offers),
                into=stage,
                unless_in=folder.with_name(f".{folder.name}.none"),  # what is whole lies in `stage` already
                total_bytes=sum(o.size for o in offers),
            ),
            on_progress,
        )
        hashes = _hashes(session, python, work, patterns, sum(o.size for o in offers))
        found, refused = {}, list(aside)
        for offer in offers:
            wanted = hashes.get(offer.name)
            reason = _take(offer.name, wanted, stage, session.host, judge_file, partial)
            if reason is not None:
                refused.append(Aside(offer.name, reason))
            else:
                found[offer.name] = {"bytes": (stage / offer.name).stat().st_size, "sha256": wanted}
        kept = {n: e for n, e in earlier.items() if n not in found and (stage / n).is_file()}
        document = {**note, "files": {**kept, **found}}
        changed = before != document or whole != earlier.keys()
        if changed:
            judge_all(stage)
            _swap(stage, folder, document)
        else:
            shutil.rmtree(stage)
        files = {name: entry["bytes"] for name, entry in document["files"].items()}
        return Fetched(files, moved.transferred_files, moved.transferred_bytes, tuple(refused), changed)


def pulled(folder: Path) -> dict[str, Any] | None:
    """What pulled.json in a job's folder says; None while nothing was pulled."""
    return _pulled(folder)


# -- the host's side -------------------------------------------------------------------------------


def _folders(work: PurePosixPath, patterns: Sequence[str]) -> list[Folder]:
    """Where to list: each distinct fixed beginning of the patterns, once, with all below it."""
    return [Folder(work, work / top, "*", True) for top in _tops(patterns)]


def _tops(patterns: Sequence[str]) -> list[str]:
    tops = set()
    for pattern in patterns:
        fixed = []
        for part in pattern.split("/")[:-1]:
            if any(c in part for c in "*?["):
                break
            fixed.append(part)
        tops.add("/".join(fixed))
    return ["."] if "" in tops else sorted(t for t in tops if not any(t.startswith(f"{o}/") for o in tops))


def fits(name: str, pattern: str) -> bool:
    """Whether a path fits a glob, part by part; `**` stands for any number of them.

    Example:
        >>> fits("output/a/checkpoint/1.frame", "output/*/checkpoint/*.frame"), fits("a/b", "*")
        (True, False)
        >>> fits("a/b", "**"), fits("a", "**")
        (True, True)
    """
    if pattern == "**":
        return True
    parts, globs = name.split("/"), pattern.split("/")
    return len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))


def _entries(
    work: PurePosixPath, patterns: Sequence[str], listing: Listing
) -> Iterator[tuple[str, int, str | None]]:
    for folder, listed in _listed(work, patterns, listing):
        for raw, size, _, sha256 in listed.files:
            name = _name(work, folder, raw)
            if any(fits(name, pattern) for pattern in patterns):
                yield name, size, sha256


def _links(work: PurePosixPath, patterns: Sequence[str], listing: Listing) -> Iterator[tuple[str, str]]:
    for folder, listed in _listed(work, patterns, listing):
        for raw, what in listed.skipped:
            name = _name(work, folder, raw)
            if any(fits(name, pattern) for pattern in patterns):
                yield name, what


def _listed(
    work: PurePosixPath, patterns: Sequence[str], listing: Listing
) -> Iterator[tuple[Folder, Listed]]:
    return zip(_folders(work, patterns), listing.folders, strict=True)


def _name(work: PurePosixPath, folder: Folder, raw: bytes) -> str:
    below = folder.path.relative_to(work).as_posix()
    return os.fsdecode(raw) if below == "." else f"{below}/{os.fsdecode(raw)}"


def _hashes(
    session: Session, python: str, work: PurePosixPath, patterns: Sequence[str], hash_bytes: int
) -> dict[str, str | None]:
    """Made after the files were fetched, so that one that was written meanwhile is noticed."""
    listing = list_files(session, python, _folders(work, patterns), hash_bytes=hash_bytes)
    return {name: sha256 for name, _, sha256 in _entries(work, patterns, listing)}


# -- this side -------------------------------------------------------------------------------------


def _whole(folder: Path, stage: Path, entries: Mapping[str, Any]) -> set[str]:
    """Put into the new tree what lies in the old one and still has the hash that it came with."""
    whole = set()
    for name, entry in entries.items():
        try:
            if _sha256(folder / name) == entry["sha256"]:
                _link(folder / name, stage / name)
                whole.add(name)
        except (FileNotFoundError, InconsistentData):
            continue  # it is fetched again
    return whole


def _take(
    name: str, wanted: str | None, stage: Path, host: str, judge_file: Any, partial: bool
) -> str | None:
    """See that the staged file is the host's and whole; the reason why it is set aside, if it is."""
    file = stage / name
    try:
        if wanted is None or not os.path.lexists(file) or _sha256(file) != wanted:
            file.unlink(missing_ok=True)
            raise InconsistentData(
                f"is not the file that {host} has: it changed while it was fetched, or on the way",
                file=name,
                hint="pull again",
            )
        judge_file(file)
    except DataError as e:
        if not partial:
            raise
        file.unlink(missing_ok=True)
        return e.what
    return None


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open_plain(file) as (descriptor, _):
        while data := os.read(descriptor, _CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    """The same file in the new tree, which takes the old one's place: no second copy of it stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without them
        copy_apart(source, target)


def _only(stage: Path, names: set[str]) -> None:
    """Keep of an earlier, broken fetch what may still be wanted."""
    if stage.is_symlink():
        stage.unlink()
    stage.mkdir(parents=True, exist_ok=True)
    for path in sorted(stage.rglob("*"), reverse=True):
        if stat.S_ISDIR(path.lstat().st_mode):
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(stage).as_posix() not in names or not path.is_file() or path.is_symlink():
            path.unlink()


def _swap(stage: Path, folder: Path, document: Mapping[str, Any]) -> None:
    (stage / PULLED).unlink(missing_ok=True)
    (stage / PULLED).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sync_files(stage, [p for p in stage.rglob("*") if p.is_file()])
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        os.rename(folder, old)
    os.rename(stage, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _pulled(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / PULLED).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One fetch of a job at a time; a swap that was broken off is undone first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another pull of this job is at work", where=str(folder), hint="wait for it"
            ) from None
        old = folder.with_name(f".{folder.name}.old")
        if old.exists():
            if folder.exists():
                shutil.rmtree(old)
            else:
                os.rename(old, folder)
        yield
    finally:
        os.close(lock)
