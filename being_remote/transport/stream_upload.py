"""Uploads to a pod without rsync: one stream of files, received by a small Python program on the pod.

A file that is there with the same size and time is not sent again; each is written aside and renamed when
it is whole; after a cut the next call resumes in the middle of a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from being_remote.errors import (
    AnswerTimeout,
    CommandFailed,
    ConnectionLost,
    HostError,
    NotFoundError,
    ToolMissing,
)
from being_remote.foreign_text import quote
from being_remote.pace import Pace
from being_remote.pod_client.encoded_names import encode
from being_remote.pod_client.runner import malformed_answer, program_stdin, run_program, start_words
from being_remote.session import OnProgress, Push, Session, TransferProgress, TransferResult
from being_remote.strict_model import first_problem
from being_remote.transport.process_stream import ProcessStream
from being_remote.transport.rsync import check_names

_STALL_S = 60
_CHUNK = 1 << 20
_OFFSETS = TypeAdapter(Annotated[list[int | None], Field(max_length=500_000)])


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
    start: Callable[[Sequence[str]], ProcessStream],
    on_progress: OnProgress,
) -> TransferResult:
    """Send the files of `request` that the host lacks.

    Args:
        session: asks which files the host has.
        python: the host's Python, 3.8 or newer.
        start: starts a command there and leaves its stdin to the caller.

    Raises:
        ConnectionLost: the link broke; a second call resumes.
        AnswerTimeout: see `pace`.
        ToolMissing: the pod has no such Python either.
        NotFoundError: a local file is missing, or became shorter.
        NoSpace: the remote disk is full.
        CommandFailed: the program on the host failed.
    """
    check_names(request.names)
    files = [_file(request.source, name) for name in request.names]
    missing = _find_missing(files, request, session, python)
    if not missing:
        return TransferResult(0, 0, "stream")
    try:
        with start(start_words("receive", _ask(request, "take"), python)) as stream:
            sent = _send_all(missing, stream, Pace(session.host), request, on_progress)
            _wait_for_end(stream)
    except ToolMissing as e:
        raise _no_tool(session.host, python) from e
    except CommandFailed as e:
        if e.result.exit_code != 1:
            raise
        said = e.result.stderr
        if said.strip() == b"cut short":
            raise _broken_off(quote(said), session.host) from e
        raise CommandFailed(
            f"files could not be received: {quote(said)}", host=session.host, result=e.result
        ) from e
    except TimeoutError as e:
        raise _broken_off(str(e), session.host) from e
    return TransferResult(len(missing), sent, "stream")


def _send_all(
    missing: Sequence[tuple[_File, int]],
    stream: ProcessStream,
    pace: Pace,
    request: Push,
    on_progress: OnProgress,
) -> int:
    """Send the program and the files; returns the bytes of the files."""
    with _answer_in_time():
        descriptor = stream.open_input(_STALL_S)
    pipe, sent = _TimedPipe(descriptor, pace), 0
    with contextlib.suppress(BrokenPipeError):  # it ended; why is read next
        pipe.write(program_stdin("receive"))
        for file, offset in missing:
            sent = _send(file, offset, pipe, sent, request, on_progress)
    stream.close_input()
    return sent


def _wait_for_end(stream: ProcessStream) -> None:
    with _answer_in_time():
        while stream.read(_STALL_S):
            pass


@contextlib.contextmanager
def _answer_in_time() -> Iterator[None]:
    """Raise the AnswerTimeout of a stream as TimeoutError, as a pipe that takes nothing does."""
    try:
        yield
    except AnswerTimeout as e:
        raise TimeoutError(e.what) from e


def _ask(request: Push, do: str) -> dict[str, str]:
    return {"do": do, "into": encode(request.into)}


def _file(source: Path, name: bytes) -> _File:
    path = source / os.fsdecode(name)
    if not path.is_file():
        raise NotFoundError("cannot be sent: no such file", where=repr(str(path)))
    found = path.stat()
    return _File(path, name, found.st_size, found.st_mtime_ns, 0o755 if found.st_mode & 0o100 else 0o644)


def _find_missing(
    files: Sequence[_File], request: Push, session: Session, python: str
) -> list[tuple[_File, int]]:
    """The files that are not whole on the host, each with the bytes that it has."""
    rows = [[encode(f.name), f.size, f.mtime_ns] for f in files]
    payload = json.dumps(rows).encode("ascii")
    try:
        said = run_program(session, "receive", _ask(request, "look"), python=python, payload=payload)
    except ToolMissing as e:
        raise _no_tool(session.host, python) from e
    try:
        offsets = _OFFSETS.validate_json(said, strict=True)
    except ValidationError as e:
        raise malformed_answer(session.host, "receive", first_problem(e)) from e
    if len(offsets) != len(files) or any(
        o is not None and not 0 <= o <= f.size for o, f in zip(offsets, files, strict=True)
    ):
        raise HostError("its list of the files that it has contradicts the question", host=session.host)
    return [(file, offset) for file, offset in zip(files, offsets, strict=True) if offset is not None]


def _send(
    file: _File, offset: int, pipe: _TimedPipe, sent: int, request: Push, on_progress: OnProgress
) -> int:
    """Write one file's header and the rest of its bytes; returns all bytes sent so far."""
    name = encode(file.name)
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
    """A pipe whose writes have a time-out."""

    def __init__(self, fd: int, pace: Pace) -> None:
        self._fd, self._pace, self._written = fd, pace, 0
        os.set_blocking(fd, False)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self._fd], [], _STALL_S)[1]:
                raise TimeoutError(f"the host took nothing for {_STALL_S} s")
            written = os.write(self._fd, view)
            view, self._written = view[written:], self._written + written
            self._pace.report(self._written)


def _no_tool(host: str, python: str) -> ToolMissing:
    return ToolMissing(host=host, tool=f"rsync or {python}", hint="apt-get install rsync on the host")


def _broken_off(why: str, host: str) -> ConnectionLost:
    return ConnectionLost(f"the stream broke off: {why}", host=host, hint="run the command again: it resumes")
