"""Fetching without rsync: one tar stream, unpacked here by a reader that believes nothing.

For pods that have no rsync. Only files that were asked for, and only regular ones, are taken out of
the stream; each is written aside and renamed when it is whole, so what stands under its name is
complete, and a second call asks only for the rest. Nothing is ever deleted here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import select
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO

from being_remote.errors import CommandFailed, ConnectionLost, NoSpace, ToolMissing, UnsafeFile
from being_remote.session import PARTIAL_DIR, OnProgress, Progress, Pull, Pulled, Result, Session
from being_remote.transport.framing import one_line
from being_remote.transport.rsync import check_names
from being_remote.transport.rsync_run import Complaints

_STALL_S = 60
_CHUNK = 1 << 20
# Files may grow between the listing and the transfer (logs do); a stream beyond this is no such thing.
_SLACK_BYTES = 256 << 20
_MAX_HEADER = 16 << 10  # a path has at most 4096 bytes
_END_OF_TIME_NS = 1 << 63

# posix keeps the nanoseconds; a second name of one file comes as a file, not as a link to the first.
_TAR = ("env", "LC_ALL=C", "tar", "--format=posix", "--hard-dereference")
_LIST = 'cd "$1" && exec xargs -0 stat --printf "%f %s %.9Y %n\\0" --'


def pull(request: Pull, session: Session, shell: Sequence[str], on_progress: OnProgress) -> Pulled:
    """Fetch what is not here yet of `request.names`.

    Args:
        request: see `session.Pull`.
        session: for asking what has changed.
        shell: ssh and the host, as words; the command follows as one more.
        on_progress: told the bytes so far.

    Raises:
        ConnectionLost: the link broke; what arrived whole stays.
        ToolMissing: the pod has no tar either.
        UnsafeFile: the pod sent something else than was asked for.
        NoSpace: the disk is full here.
    """
    check_names(request.names)
    wanted = _missing(request, session)
    if not wanted:
        return Pulled(0, 0, "tar")
    command = one_line(
        [*_TAR, "-C", str(request.source), "--null", "--no-recursion", "--no-unquote", "-T", "-", "-cf", "-"]
    )
    with tempfile.TemporaryFile() as names:
        # A leading ./ keeps a name that begins with a dash from being an option.
        names.write(b"".join(b"./" + name + b"\0" for name in wanted))
        names.seek(0)
        process = subprocess.Popen(
            [*shell, os.fsdecode(command)],
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdout and process.stderr
        complaints = Complaints(process.stderr)
        broken: Exception | None = None
        pulled = Pulled(0, 0, "tar")
        try:
            pulled = _unpack(_Patient(process.stdout), wanted, request, on_progress)
            process.wait(timeout=_STALL_S)
        except (tarfile.TarError, TimeoutError, subprocess.TimeoutExpired) as e:
            broken = e
        finally:
            process.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            if process.poll() is None:
                process.kill()
                process.wait()
        said = complaints.said()
    _judge(process.returncode, said, broken, session.host)
    return pulled


def _missing(request: Pull, session: Session) -> tuple[bytes, ...]:
    """The names whose files are regular, over there, and not here with the same size and second."""
    listed = session.run(
        ["sh", "-c", _LIST, "sh", str(request.source)],
        stdin=b"".join(b"./" + name + b"\0" for name in request.names),
        repeatable=True,
    )
    # xargs says 123 when stat could not find some of the files; with any other failure (a stat that
    # is not GNU's) nothing is known, and everything is fetched.
    if listed.exit_code not in (0, 123):
        return request.names
    asked, wanted = set(request.names), []
    for entry in listed.stdout.split(b"\0")[:-1]:
        try:
            mode, size, seconds, name = entry.split(b" ", 3)
            regular, length = stat.S_ISREG(int(mode, 16)), int(size)
            second = int(seconds.partition(b".")[0])  # a float would round it up
        except (ValueError, OverflowError) as e:
            raise UnsafeFile(f"stat on the host answered {entry[:80]!r}", file=str(request.source)) from e
        name = name[2:]
        here = (request.into / os.fsdecode(name), request.unless_in / os.fsdecode(name))
        if name in asked and regular and not any(_same(path, length, second) for path in here):
            wanted.append(name)
    return tuple(wanted)


def _same(path: Path, size: int, second: int) -> bool:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size and found.st_mtime_ns // 10**9 == second


def _unpack(stream: _Patient, wanted: Sequence[bytes], request: Pull, on_progress: OnProgress) -> Pulled:
    left, files, done = set(wanted), 0, 0
    allowed = 2 * request.total_bytes + _SLACK_BYTES
    aside = request.into / PARTIAL_DIR
    aside.mkdir(parents=True, exist_ok=True)
    try:
        # Names are bytes: what is not UTF-8 comes through as surrogates and goes back to the same bytes.
        with tarfile.open(  # type: ignore[call-overload]
            fileobj=stream, mode="r|", tarinfo=_Plain, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                name = member.name.encode("utf-8", "surrogateescape").removeprefix(b"./")
                if name not in left:
                    raise UnsafeFile("the host sent a file that was not asked for", file=repr(name))
                left.discard(name)
                if not member.isreg():
                    continue  # it became something else since it was listed
                if done + member.size > allowed:
                    raise UnsafeFile(f"the host sends more than {allowed} bytes", file=repr(name))
                content = archive.extractfile(member)
                assert content is not None
                for count in _keep(content, aside, request.into / os.fsdecode(name), _mtime_ns(member, name)):
                    done += count
                    on_progress(Progress(f"fetching {request.source.name}", done, request.total_bytes))
                files += 1
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                "the disk is full", file=str(request.into), hint="free some space, then again"
            ) from e
        raise
    except (ValueError, RecursionError) as e:  # tarfile lets them through
        raise UnsafeFile("the host's tar stream makes no sense", file=str(request.source)) from e
    finally:
        with contextlib.suppress(OSError):  # another pull may have its half file there
            aside.rmdir()
    return Pulled(files, done, "tar")


def _keep(content: IO[bytes], aside: Path, final: Path, mtime_ns: int) -> Iterator[int]:
    """Write one file beside its place and rename it; yields the bytes as they are written."""
    temporary = aside / secrets.token_hex(8)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            while data := content.read(_CHUNK):
                file.write(data)
                yield len(data)
        os.utime(temporary, ns=(mtime_ns, mtime_ns))
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def _mtime_ns(member: tarfile.TarInfo, name: bytes) -> int:
    """The modification time, with the digits that a float would lose."""
    try:
        nanoseconds = int(Decimal(member.pax_headers.get("mtime", member.mtime)) * 10**9)
    except (ArithmeticError, ValueError):
        nanoseconds = _END_OF_TIME_NS
    if abs(nanoseconds) >= _END_OF_TIME_NS:
        raise UnsafeFile("the host sent it with a modification time that is none", file=repr(name))
    return nanoseconds


class _Plain(tarfile.TarInfo):
    """A member as our own tar call writes them. What else tarfile knows, it reads without a bound:
    long headers and maps of sparse files into memory, unknown members to their end."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        too_long = self.size < 0 or (not self.isreg() and self.size > _MAX_HEADER)
        if too_long or self.type == tarfile.GNUTYPE_SPARSE:
            what = f"a member of type {self.type!r} and {self.size} bytes"
            raise UnsafeFile(f"the host sent {what}, which was not asked for", file="tar")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # meant to be extended
        return member

    def _no_sparse(self, *_: object) -> None:
        raise UnsafeFile("the host sent a sparse file, which was not asked for", file="tar")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _no_sparse


def _judge(code: int, said: bytes, broken: Exception | None, host: str) -> None:
    """Raise unless the stream ended well."""
    text = said.decode("utf-8", "backslashreplace").strip()[-600:]
    lines = said.decode("utf-8", "backslashreplace").splitlines()
    if code == 127:
        raise ToolMissing(host=host, tool="rsync or tar", hint="apt-get install rsync on the host")
    if broken is None and (code == 0 or (code in (1, 2) and all(map(_HARMLESS.search, lines)))):
        return
    if code in (1, 2) or (code == 0 and isinstance(broken, tarfile.TarError)):
        raise CommandFailed(
            f"tar failed: {text or broken}", host=host, result=Result(host, ("tar",), code, b"", said, 0.0)
        ) from broken
    raise ConnectionLost(
        f"the tar stream broke off: {text or broken or f'ssh exited with {code}'}",
        host=host,
        hint="call it again: what arrived whole stays, and it goes on",
    ) from broken


# A file that vanished since it was listed is no failure, nor is one that grew while it was read.
_HARMLESS = re.compile("No such file or directory|Exiting with failure status|changed as we read it")


class _Patient:
    """A pipe whose reads wait, but not for ever."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._fd = pipe.fileno()

    def read(self, size: int) -> bytes:
        if not select.select([self._fd], [], [], _STALL_S)[0]:
            raise TimeoutError(f"nothing came for {_STALL_S} s")
        return os.read(self._fd, size)
