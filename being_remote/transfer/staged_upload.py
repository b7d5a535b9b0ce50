"""Files of this laptop put into a folder of a host: staged, hashed over there, renamed into place.

Promises: what stands under its name over there is whole and has the hash made here; another file is
never overwritten, and then nothing is changed at all; what is there already is not sent; a push that
was cut, killed or stopped at any moment is completed by the next one, which sends only what is missing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from being_remote.errors import InconsistentData, NoSpace, NotFoundError, UnsafeFile
from being_remote.inventory import LocalHost, SshHost
from being_remote.local_path import name_problem
from being_remote.pod_client.placement import STAGE, PlacementStatus, UploadFile, ask_place
from being_remote.scratch import temporary_folder
from being_remote.session import OnProgress, Push, Session, TransferProgress, no_progress

EXAMPLES = 5
_CHUNK = 1 << 20
_INSTEAD = {
    "different": "is another file there",
    "link": "is a link there",
    "folder": "is a folder there",
    "special": "is a device or pipe there",
    "behind": "lies behind a link or a file there",
}


@dataclass(frozen=True)
class UploadResult:
    """What a push of files came to.

    Attributes:
        into: the folder on the host.
        files, bytes: all that were to be there, and are; in a dry run, that would be.
        already: of the files, those that were there before.
        to_send_files, to_send_bytes: the others, before anything was sent.
        transferred_files, transferred_bytes: what travelled in this call; less than that when an earlier,
            broken push had sent some.
        method: "rsync" or "stream"; None where nothing had to be sent.
        beside: for each name asked about, how many files are there that are none of ours.
        notes: what a person should know.
    """

    into: PurePosixPath
    files: int
    bytes: int
    already: int
    to_send_files: int
    to_send_bytes: int
    transferred_files: int = 0
    transferred_bytes: int = 0
    method: str | None = None
    beside: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def push_files(
    session: Session,
    host: SshHost | LocalHost,
    files: Mapping[str, Path],
    into: PurePosixPath,
    *,
    beside: Sequence[str] = (),
    alone: Sequence[str] = (),
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> UploadResult:
    """Put `files` below the folder `into`, which is made if need be and may be a link.

    Args:
        session: an open way to the host.
        host: the host as the inventory describes it.
        files: path below `into` (`/` between parts) -> the file here; a link here is followed.
        into: an absolute folder on the host.
        beside: names below `into` of which is told how many files of others they hold.
        alone: folders below `into` that may hold nothing but what is pushed.
        dry_run: look only.
        on_progress: told how far it is.

    Raises:
        NotFoundError: a file is not here.
        UnsafeFile: a name leaves the folder.
        InconsistentData: something else stands at a place over there, which is left as it is; or a file
            changed here while it was sent.
        NoSpace: it does not fit there.
        HostError: no answer, or the disk over there refused; the next push goes on.
    """
    for name in files:
        if (why := name_problem(os.fsencode(name))) is not None or PurePosixPath(name).parts[0] == STAGE:
            raise UnsafeFile(f"cannot be pushed: {why or 'the name is ours'}", file=repr(name))
    wanted = _hashed(files, on_progress)
    asked = (*beside, *alone)
    on_progress(TransferProgress("looking there", 0, None, "files"))
    before = ask_place(session, host.python, "look", into, wanted, asked)
    where = f"{session.host}:{into}"
    _see_nothing_in_the_way(wanted, before, where)
    _see_alone(alone, before.beside[len(beside) :], where)
    absent = [w for w, state in zip(wanted, before.files, strict=True) if state == "absent"]
    to_send = sum(w.size for w in absent)
    found = UploadResult(
        into=into,
        files=len(wanted),
        bytes=sum(w.size for w in wanted),
        already=len(wanted) - len(absent),
        to_send_files=len(absent),
        to_send_bytes=to_send,
        beside=dict(zip(beside, before.beside, strict=False)),
    )
    if to_send - before.staged_bytes > before.free_bytes:
        raise NoSpace(
            f"the disk over there is full: {to_send / 1e6:.1f} MB are needed,"
            f" {before.free_bytes / 1e6:.1f} MB are free",
            file=where,
            hint="free some space there, then push again",
        )
    if dry_run or not absent:
        return found
    return _sent(session, host, files, wanted, absent, found, where, asked, on_progress)


def _sent(
    session: Session,
    host: SshHost | LocalHost,
    files: Mapping[str, Path],
    wanted: Sequence[UploadFile],
    absent: Sequence[UploadFile],
    found: UploadResult,
    where: str,
    asked: Sequence[str],
    on_progress: OnProgress,
) -> UploadResult:
    """Send, have it hashed and placed, and see that all of it is."""
    with temporary_folder() as folder:
        # A file is staged under its hash: what was staged of another version is never taken for it.
        for each in {w.sha256: w for w in absent}.values():
            os.symlink(os.path.abspath(files[os.fsdecode(each.name)]), os.path.join(folder, each.sha256))
        names = tuple(sorted({w.sha256.encode() for w in absent}))
        request = Push(folder, names, found.into / STAGE, found.to_send_bytes)
        # A second time for what was spoilt on the way, or lay spoilt in the stage.
        for _ in range(2):
            moved = session.push(request, on_progress)
            found = replace(
                found,
                transferred_files=found.transferred_files + moved.transferred_files,
                transferred_bytes=found.transferred_bytes + moved.transferred_bytes,
                method=moved.method,
            )
            on_progress(TransferProgress("comparing hashes", 0, None, "files"))
            after = ask_place(session, host.python, "place", found.into, wanted, asked)
            _see_nothing_in_the_way(wanted, after, where)
            missing = [w for w, state in zip(wanted, after.files, strict=True) if state != "same"]
            if not missing:
                return replace(found, notes=_left_over(after, where))
    raise InconsistentData(
        f"{_named(missing)} did not arrive as hashed here; nothing was put into its place",
        file=where,
        hint="did it change here meanwhile? then push again; else look at the disks, here and there",
    )


def _left_over(standing: PlacementStatus, where: str) -> tuple[str, ...]:
    if not standing.left_over_bytes:
        return ()
    return (
        f"{standing.left_over_bytes / 1e6:.1f} MB of other pushes that are not completed lie in"
        f" {where}/{STAGE}; remove them by hand if nobody means to complete those",
    )


def _hashed(files: Mapping[str, Path], on_progress: OnProgress) -> list[UploadFile]:
    """Size, hash and executable bit of each, as it is here now."""
    wanted, done = [], 0
    for name, path in sorted(files.items()):
        if not path.is_file():  # a pipe of that name would wait for its writer
            raise NotFoundError("there is no such file here", where=str(path))
        digest, size = hashlib.sha256(), 0
        with path.open("rb", buffering=0) as f:
            executable = bool(os.fstat(f.fileno()).st_mode & stat.S_IXUSR)
            while chunk := f.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                on_progress(TransferProgress("hashing", done + size))
        done += size
        wanted.append(UploadFile(os.fsencode(name), size, digest.hexdigest(), executable))
    return wanted


def _see_nothing_in_the_way(wanted: Sequence[UploadFile], standing: PlacementStatus, where: str) -> None:
    odd = [(w, s) for w, s in zip(wanted, standing.files, strict=True) if s not in ("same", "absent")]
    if not odd:
        return
    counts = Counter(state for _, state in odd)
    shown = "; ".join(f"{os.fsdecode(w.name)!r} {_INSTEAD[s]}" for w, s in odd[:EXAMPLES])
    more = f" (and {len(odd) - EXAMPLES} more)" if len(odd) > EXAMPLES else ""
    raise InconsistentData(
        f"{shown}{more}; nothing was changed",
        file=where,
        hint="what is there is never overwritten: move it away by hand if it is not wanted"
        if counts["different"]
        else "look at it over there, and move it away by hand if it is not wanted",
    )


def _see_alone(alone: Sequence[str], counts: Sequence[int], where: str) -> None:
    for name, count in zip(alone, counts, strict=True):
        if count:
            raise InconsistentData(
                f"{name!r} holds {count} other files there, and would mix with them; nothing was changed",
                file=where,
                hint="move that folder away by hand if it is not wanted",
            )


def _named(wanted: Sequence[UploadFile]) -> str:
    shown = ", ".join(repr(os.fsdecode(w.name)) for w in wanted[:EXAMPLES])
    return shown if len(wanted) <= EXAMPLES else f"{shown} and {len(wanted) - EXAMPLES} more"
