"""Upload files into a folder of a host: staged, hashed there, renamed into place.

Promises: a remote file under its name is whole and has the hash made here; another file is never
overwritten, and then nothing is changed at all; what is there already is not sent; an upload that was
cut, killed or stopped at any moment is completed by the next one, which sends only what is missing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from being_remote.durable_files import CHUNK_BYTES
from being_remote.errors import InconsistentData, NoSpace, NotFoundError, UnsafeFile
from being_remote.inventory import LocalHost, SshHost
from being_remote.local_path import name_problem
from being_remote.pod_client.placement import STAGE, PlacementStatus, UploadFile, ask_place
from being_remote.scratch import temporary_folder
from being_remote.session import OnProgress, Push, Session, TransferProgress, no_progress
from being_remote.wording import describe_files, list_some, size_words

_OBSTACLES = {
    "different": "is another file there",
    "link": "is a link there",
    "folder": "is a folder there",
    "special": "is a device or pipe there",
    "behind": "lies behind a link or a file there",
}


@dataclass(frozen=True)
class UploadResult:
    """What an upload changed.

    Attributes:
        files, bytes: all files asked for, which are there now; in a dry run, would be.
        already: of the files, those that were there before.
        to_send_files, to_send_bytes: the others, before anything was sent.
        transferred_files, transferred_bytes: what this call sent; less than that when an earlier, broken
            upload had sent some.
        method: "rsync" or "stream"; None where nothing had to be sent.
        beside: for each name asked about, how many other files it holds.
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
    """Upload `files` below the folder `into`, which is made if need be and may be a link.

    Args:
        files: path below `into` (`/` between parts) -> the local file; a local link is followed.
        beside: names below `into` whose other files are counted.
        alone: folders below `into` that may hold no other files.

    Raises:
        NotFoundError: a local file is missing.
        UnsafeFile: a name leaves the folder.
        InconsistentData: something else has a file's place on the host, and is left as it is; or a local
            file changed while it was sent.
        NoSpace: it does not fit there.
        HostError: no answer, or the host's disk refused; the next upload continues.
    """
    for name in files:
        if (why := name_problem(os.fsencode(name))) is not None or PurePosixPath(name).parts[0] == STAGE:
            raise UnsafeFile(f"cannot be uploaded: {why or 'the name is ours'}", file=repr(name))
    wanted = _hash_files(files, on_progress)
    asked = (*beside, *alone)
    on_progress(TransferProgress("looking at the host", 0, None, "files"))
    before = ask_place(session, host.python, "look", into, wanted, asked)
    where = f"{session.host}:{into}"
    _require_free_places(wanted, before, where)
    _require_alone(alone, before.beside[len(beside) :], where)
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
            f"the host's disk is full: {size_words(to_send)} are needed,"
            f" {size_words(before.free_bytes)} are free",
            file=where,
            hint="free some space there, then push again",
        )
    if dry_run or not absent:
        return found
    sources = {w.sha256: files[os.fsdecode(w.name)] for w in absent}
    return _send(session, host.python, wanted, sources, asked, found, on_progress)


def _send(
    session: Session,
    python: str,
    wanted: Sequence[UploadFile],
    sources: Mapping[str, Path],
    asked: Sequence[str],
    found: UploadResult,
    on_progress: OnProgress,
) -> UploadResult:
    """Send the files of these hashes into the stage, and have all of them verified and placed."""
    where = f"{session.host}:{found.into}"
    with temporary_folder() as folder:
        # A file is staged under its hash: what was staged of another version is never taken for it.
        for sha256, path in sources.items():
            os.symlink(os.path.abspath(path), os.path.join(folder, sha256))
        names = tuple(sorted(map(str.encode, sources)))
        request = Push(folder, names, found.into / STAGE, found.to_send_bytes)
        # A second time for what was damaged on the way, or lay damaged in the stage.
        for _ in range(2):
            moved = session.push(request, on_progress)
            found = replace(
                found,
                transferred_files=found.transferred_files + moved.transferred_files,
                transferred_bytes=found.transferred_bytes + moved.transferred_bytes,
                method=moved.method,
            )
            on_progress(TransferProgress("comparing hashes", 0, None, "files"))
            after = ask_place(session, python, "place", found.into, wanted, asked)
            _require_free_places(wanted, after, where)
            missing = [w for w, state in zip(wanted, after.files, strict=True) if state != "same"]
            if not missing:
                return replace(found, notes=_notes(after, where))
    raise InconsistentData(
        f"{describe_files([os.fsdecode(w.name) for w in missing])} did not arrive as hashed here;"
        " nothing was put into its place",
        file=where,
        hint="if the file changed meanwhile, push again; else check the disks, here and on the host",
    )


def _notes(status: PlacementStatus, where: str) -> tuple[str, ...]:
    if not status.left_over_bytes:
        return ()
    return (
        f"{size_words(status.left_over_bytes)} of other, incomplete pushes lie in {where}/{STAGE};"
        " remove them by hand unless they are to be completed",
    )


def _hash_files(files: Mapping[str, Path], on_progress: OnProgress) -> list[UploadFile]:
    """Size, hash and executable bit of each local file."""
    wanted, done = [], 0
    for name, path in sorted(files.items()):
        if not path.is_file():  # a pipe of that name would wait for its writer
            raise NotFoundError("the local file is missing", where=str(path))
        digest, size = hashlib.sha256(), 0
        with path.open("rb", buffering=0) as f:
            executable = bool(os.fstat(f.fileno()).st_mode & stat.S_IXUSR)
            while chunk := f.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                on_progress(TransferProgress("hashing", done + size))
        done += size
        wanted.append(UploadFile(os.fsencode(name), size, digest.hexdigest(), executable))
    return wanted


def _require_free_places(wanted: Sequence[UploadFile], status: PlacementStatus, where: str) -> None:
    taken = [(w, s) for w, s in zip(wanted, status.files, strict=True) if s not in ("same", "absent")]
    if not taken:
        return
    counts = Counter(state for _, state in taken)
    shown = list_some([f"{os.fsdecode(w.name)!r} {_OBSTACLES[s]}" for w, s in taken], between="; ")
    raise InconsistentData(
        f"{shown}; nothing was changed",
        file=where,
        hint="remote files are never overwritten: move it away by hand if it is not wanted"
        if counts["different"]
        else "look at it on the host, and move it away by hand if it is not wanted",
    )


def _require_alone(alone: Sequence[str], counts: Sequence[int], where: str) -> None:
    for name, count in zip(alone, counts, strict=True):
        if count:
            raise InconsistentData(
                f"{name!r} holds {count} other files there, and would mix with them; nothing was changed",
                file=where,
                hint="move that folder away by hand if it is not wanted",
            )
