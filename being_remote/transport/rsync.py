"""rsync's command lines, and the files that it leaves here.

Names travel NUL-separated on stdin and never through a shell. Regular files arrive, with the pod's
modification times and permissions of our own. A cut transfer leaves its half file in a folder aside, where
the next call finds it. rsync deletes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from being_remote.errors import CommandFailed, NotFoundError, ToolMissing, UnsafeFile
from being_remote.local_path import is_plain
from being_remote.session import PARTIAL_DIR, OnProgress, Pull, Push, TransferResult, no_progress
from being_remote.transport.rsync_process import Outgrown, RsyncTask, run

OLDEST = (3, 2, 5)
# A file may be so much larger than it was listed, since logs grow.
GROWTH_BYTES = 16 << 20
_STALL_S = 60
_COMMON = (
    "-s",  # secluded: the folder's name travels in the protocol, never through a shell
    "--times",
    "--from0",
    "--files-from=-",
    "--no-implied-dirs",  # the sender's folders keep their own properties
    f"--timeout={_STALL_S}",
    "--stats",
    "--no-human-readable",
    "--info=progress2",  # its bounds are watched by these, also without a progress bar
    "--no-inc-recursive",
    "--outbuf=N",
)
_WRITING = re.compile(rb"\.(.+)\.[A-Za-z0-9]{6}", re.DOTALL)


@dataclass(frozen=True)
class Remote:
    """How rsync reaches the host: the remote shell as words, and its name for the host."""

    shell: Sequence[str]
    target: str


def version() -> tuple[int, int, int] | None:
    """The version of this machine's rsync; None if there is none, or another program of that name."""
    found = shutil.which("rsync")
    return _version_of(found) if found else None


@functools.cache
def _version_of(program: str) -> tuple[int, int, int] | None:
    done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    found = re.match(rb"rsync\s+version v?(\d+)\.(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def pull(
    request: Pull,
    *,
    host: str,
    remote: Remote | None,
    on_progress: OnProgress = no_progress,
) -> TransferResult:
    """Fetch `request.names`; without `remote` from this machine's own disk.

    Skips files that vanished since they were listed, and those that grew by more than `GROWTH_BYTES`;
    see `not_arrived`.

    Raises:
        Outgrown: a file grew by more than that during the transfer; those after it did not arrive.
        AnswerTimeout: see `pace`.
        ToolMissing: no rsync on the host, or none here that is new enough (host is "local").
        ConnectionLost: the link broke; a second call resumes.
        NoSpace: the local disk is full, or nearly.
        CommandFailed: any other failure of rsync.
        UnsafeFile: a name would leave the folder.
    """
    require_rsync()
    check_names(request.names)
    if not request.names:
        return TransferResult(0, 0, "rsync")
    request.into.mkdir(parents=True, exist_ok=True)
    _keep_half_files(request)
    most = max(request.sizes) + GROWTH_BYTES
    task = RsyncTask(
        host,
        f"fetching {request.source.name}",
        request.total_bytes,
        into=request.into,
        most_bytes=(request.total_bytes + GROWTH_BYTES, most),
        reads_bytes=_bases_bytes(request),
    )
    try:
        moved = run(pull_words(request, remote, most), request.names, task, on_progress)
    except (CommandFailed, Outgrown) as e:
        _keep_half_files(request)
        if _drop_outgrown(request) or isinstance(e, Outgrown):
            raise Outgrown from e
        raise
    return TransferResult(moved.files, moved.bytes, "rsync")


def not_arrived(request: Pull) -> Pull:
    """The files that a pull skipped: they vanished, or outgrew their listing."""

    def has_arrived(name: bytes, size: int) -> bool:
        if os.path.lexists(os.path.join(os.fsencode(request.into), name)):
            return True
        try:
            return os.stat(os.path.join(os.fsencode(request.unless_in), name)).st_size == size
        except OSError:
            return False

    left = [(n, s) for n, s in zip(request.names, request.sizes, strict=True) if not has_arrived(n, s)]
    return replace(request, names=tuple(n for n, _ in left), sizes=tuple(s for _, s in left))


def push(
    request: Push,
    *,
    host: str,
    remote: Remote | None,
    on_progress: OnProgress = no_progress,
) -> TransferResult:
    """Upload `request.names` into a folder that exists; without `remote` on this machine's own disk.

    Raises:
        ToolMissing, ConnectionLost, AnswerTimeout, UnsafeFile, CommandFailed: see `pull`.
        NotFoundError: a local file is missing.
        NoSpace: the remote disk is full.
    """
    require_rsync()
    check_names(request.names)
    if not request.names:
        return TransferResult(0, 0, "rsync")
    for name in request.names:
        if not (path := request.source / os.fsdecode(name)).is_file():
            raise NotFoundError("cannot be sent: no such file", where=repr(str(path)))
    task = RsyncTask(
        host,
        "sending",
        request.total_bytes,
        remote_place=f"{host}:{request.into}",
        reads_bytes=request.total_bytes,
    )
    moved = run(push_words(request, remote), request.names, task, on_progress)
    return TransferResult(moved.files, moved.bytes, "rsync")


def require_rsync() -> None:
    """Raise ToolMissing where this machine's rsync is so old that it accepts files beyond the request."""
    found = version()
    if found is None or found < OLDEST:
        needed, have = ".".join(map(str, OLDEST)), ".".join(map(str, found or ()))
        raise ToolMissing(
            host="local",
            tool=f"rsync >= {needed}" + (f" (found {have})" if have else ""),
            hint="apt-get install rsync; on macOS: brew install rsync",
        )


def check_names(names: Iterable[bytes]) -> None:
    """Refuse names that lead out of a folder. Raises UnsafeFile."""
    for name in names:
        if not is_plain(name):
            raise UnsafeFile("is not a path below the folder it was listed in", file=repr(name))


def _keep_half_files(request: Pull) -> None:
    """Put what a killed rsync was writing (`.NAME.xxxxxx`) where the next one looks for half files."""
    into, wanted = os.fsencode(request.into), set(request.names)
    for folder, _, names in os.walk(into):
        for name in names:
            half = _WRITING.fullmatch(name)
            path = os.path.join(folder, name)
            if half is not None and os.path.relpath(path, into) not in wanted:
                kept = os.path.join(folder, os.fsencode(PARTIAL_DIR), half[1])
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                os.replace(path, kept)


def _half_of(request: Pull, name: bytes) -> bytes:
    """Where rsync keeps a file that arrived in part."""
    folder, _, last = name.rpartition(b"/")
    return os.path.join(os.fsencode(request.into), folder, os.fsencode(PARTIAL_DIR), last)


def _bases_bytes(request: Pull) -> int:
    """The bytes here that rsync compares with the host's."""
    size = 0
    for name in request.names:
        for base in (_half_of(request, name), os.path.join(os.fsencode(request.unless_in), name)):
            with contextlib.suppress(OSError):
                size += os.lstat(base).st_size
    return size


def _drop_outgrown(request: Pull) -> bool:
    """Remove half files that are larger than the file was when it was listed; whether there were any."""
    into, names, found = os.fsencode(request.into), set(request.names), False
    for name, size in zip(request.names, request.sizes, strict=True):
        half = _half_of(request, name)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if half[len(into) + 1 :] not in names and os.lstat(half).st_size > size:
                os.unlink(half)
                found = True
    return found


def pull_words(request: Pull, remote: Remote | None, most_bytes: int) -> list[str]:
    argv = [
        "rsync",
        *_COMMON,
        "--ignore-missing-args",
        "--no-links",
        "--no-devices",
        "--no-specials",
        "--chmod=D755,F644",  # a backup must be readable here
        f"--partial-dir={PARTIAL_DIR}",
        f"--max-size={most_bytes}",  # a file that outgrew its listing must not keep others away
    ]
    if request.unless_in.is_dir():
        argv.append(f"--compare-dest={request.unless_in.resolve()}")
    source = _spell_remote(f"{request.source}/", remote, argv)
    return [*argv, "--", source, f"{request.into.resolve()}/"]


def push_words(request: Push, remote: Remote | None) -> list[str]:
    argv = [
        "rsync",
        *_COMMON,
        "--copy-links",
        "--perms",  # ours, whatever the host's umask
        "--chmod=Du=rwx,Dgo=rx,Fu=rwX,Fgo=rX",
        # After a silent cut the remote rsync lives on for a while and does not publish what it has,
        # unless it writes in place: so the next call resumes where this one was stopped.
        "--inplace",
    ]
    into = _spell_remote(f"{request.into}/", remote, argv)
    return [*argv, "--", f"{request.source.resolve()}/", into]


def _spell_remote(folder: str, remote: Remote | None, argv: list[str]) -> str:
    """The remote folder as rsync spells it; adds the remote shell to `argv`."""
    if remote is None:
        return folder
    argv += ["-e", " ".join(remote.shell)]
    return f"{remote.target}:{folder}"
