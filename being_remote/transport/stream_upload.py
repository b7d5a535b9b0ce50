"""Sending without rsync: one stream of files, taken by a small Python program over there.

For pods that have no rsync. What is there with the same size and time is not sent again, each file is
written aside and renamed when it is whole, and after a cut the next call goes on in the middle of it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from being_remote.errors import CommandFailed, ConnectionLost, HostError, NoSpace, NotFoundError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.pace import SLOWEST, Pace, Rate
from being_remote.session import OnProgress, Push, Pushed, Result, Session, TransferProgress
from being_remote.transport.output_framing import one_line
from being_remote.transport.rsync import check_names
from being_remote.transport.rsync_process import SAYS_FULL, StderrHead

_STALL_S = 60
_CHUNK = 1 << 20
_MAX_ANSWER = 64 << 20
_HELD = TypeAdapter(Annotated[list[int | None], Field(max_length=500_000)])


@dataclass(frozen=True)
class _File:
    path: Path
    name: bytes
    size: int
    mtime_ns: int
    mode: int


def push(
    request: Push,
    session: Session,
    python: str,
    shell: Sequence[str],
    on_progress: OnProgress,
    rate: Rate = SLOWEST,
) -> Pushed:
    """Send what is not there yet of `request.names`.

    Args:
        request: see `session.Push`.
        session: for asking what is there already.
        python: the host's Python, 3.8 or newer.
        shell: ssh and the host, as words; the command follows as one more.
        on_progress: told the bytes so far.
        rate: how slow it may be.

    Raises:
        ConnectionLost: the link broke; what arrived stays.
        AnswerTimeout: it went more slowly than `rate`.
        ToolMissing: the pod has no such Python either.
        NotFoundError: a file is not here (any more).
        NoSpace: the disk is full over there.
        CommandFailed: the program over there ended with an error.
    """
    check_names(request.names)
    files = [_file(request.source, name) for name in request.names]
    wanted = _missing(files, request, session, python)
    if not wanted:
        return Pushed(0, 0, "stream")
    command = one_line(_words(python, "take", request))
    process = subprocess.Popen(
        [*shell, os.fsdecode(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin and process.stderr
    complaints = StderrHead(process.stderr)
    broken: Exception | None = None
    sent = 0
    try:
        pipe = _TimedPipe(process.stdin.fileno(), Pace(session.host, rate))
        for file, offset in wanted:
            sent = _send(file, offset, pipe, sent, request, on_progress)
        process.stdin.close()
        process.wait(timeout=_STALL_S)
    except (BrokenPipeError, TimeoutError, subprocess.TimeoutExpired) as e:
        broken = e
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        if process.poll() is None:
            process.kill()
            process.wait()
    _judge(process.returncode, complaints.said(), broken, session.host, python, request)
    return Pushed(len(wanted), sent, "stream")


def _words(python: str, do: str, request: Push) -> list[str]:
    program = resources.files("being_remote.pod").joinpath("receive.py").read_text(encoding="utf-8")
    into = base64.b64encode(os.fsencode(str(request.into))).decode("ascii")
    return [python, "-I", "-B", "-c", program, json.dumps({"do": do, "into": into})]


def _file(source: Path, name: bytes) -> _File:
    path = source / os.fsdecode(name)
    if not path.is_file():
        raise NotFoundError("cannot be sent: there is no such file", where=repr(str(path)))
    found = path.stat()
    return _File(path, name, found.st_size, found.st_mtime_ns, 0o755 if found.st_mode & 0o100 else 0o644)


def _missing(files: Sequence[_File], request: Push, session: Session, python: str) -> list[tuple[_File, int]]:
    """The files that are not whole over there, each with how much of it is."""
    rows = [[base64.b64encode(f.name).decode("ascii"), f.size, f.mtime_ns] for f in files]
    result = session.run(
        _words(python, "look", request),
        stdin=json.dumps(rows).encode("ascii"),
        repeatable=True,
        max_output_bytes=_MAX_ANSWER,
    )
    _judge(result.exit_code, result.stderr, None, session.host, python, request)
    try:
        held = _HELD.validate_json(result.stdout, strict=True)
    except ValidationError as e:
        raise HostError("its list of what is there is not in our form", host=session.host) from e
    if len(held) != len(files) or any(
        h is not None and not 0 <= h <= f.size for h, f in zip(held, files, strict=True)
    ):
        raise HostError("its list of what is there makes no sense", host=session.host)
    return [(file, offset) for file, offset in zip(files, held, strict=True) if offset is not None]


def _send(
    file: _File, offset: int, pipe: _TimedPipe, sent: int, request: Push, on_progress: OnProgress
) -> int:
    """Write one file's header and the rest of its bytes; returns what was sent so far in all."""
    name = base64.b64encode(file.name).decode("ascii")
    pipe.write(json.dumps([name, file.size, file.mtime_ns, file.mode, offset]).encode("ascii") + b"\n")
    left = file.size - offset
    with file.path.open("rb") as f:
        f.seek(offset)
        while left:
            data = f.read(min(left, _CHUNK))
            if not data:
                raise NotFoundError("became shorter while it was sent", where=str(file.path))
            pipe.write(data)
            left, sent = left - len(data), sent + len(data)
            on_progress(TransferProgress("sending", sent, request.total_bytes))
    return sent


class _TimedPipe:
    """A pipe whose writes wait, but not for ever."""

    def __init__(self, fd: int, pace: Pace) -> None:
        self._fd, self._pace, self._written = fd, pace, 0
        os.set_blocking(fd, False)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self._fd], [], _STALL_S)[1]:
                raise TimeoutError(f"nothing was taken for {_STALL_S} s")
            written = os.write(self._fd, view)
            view, self._written = view[written:], self._written + written
            self._pace.came(self._written)


def _judge(code: int, said: bytes, broken: Exception | None, host: str, python: str, request: Push) -> None:
    """Raise unless the program over there ended well."""
    if code == 0 and broken is None:
        return
    if code in (126, 127):
        raise ToolMissing(host=host, tool=f"rsync or {python}", hint="apt-get install rsync on the host")
    if SAYS_FULL.search(said):
        raise NoSpace(
            f"the disk over there is full, it says: {quote(said)}",
            file=f"{host}:{request.into}",
            hint="free some space on that disk, then call it again: it goes on",
        )
    if code == 1 and said.strip() != b"cut short":
        result = Result(host, (python,), code, b"", said, 0.0)
        raise CommandFailed(f"files could not be taken: {quote(said)}", host=host, result=result) from broken
    raise ConnectionLost(
        f"the stream broke off: {quote(said) if said.strip() else broken or f'ssh exited with {code}'}",
        host=host,
        hint="call it again: what arrived stays, and it goes on",
    ) from broken
