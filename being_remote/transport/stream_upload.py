"""Uploads to a pod without rsync: one stream of files, received by a small Python program on the pod.

A file that is there with the same size and time is not sent again; each is written aside and renamed when
it is whole; after a cut the next call resumes in the middle of a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from being_remote.errors import CommandFailed, ConnectionLost, HostError, NotFoundError, ToolMissing
from being_remote.foreign_text import quote
from being_remote.pace import Pace
from being_remote.pod_client.encoded_names import encode
from being_remote.pod_client.refusal import find_error
from being_remote.pod_client.runner import malformed_answer, program_stdin, run_program, start_words
from being_remote.session import OnProgress, Push, Result, Session, TransferProgress, TransferResult
from being_remote.strict_model import first_problem
from being_remote.transport.output_framing import quote_words
from being_remote.transport.rsync import check_names
from being_remote.transport.rsync_process import StderrHead

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
    shell: Sequence[str],
    on_progress: OnProgress,
) -> TransferResult:
    """Send the files of `request` that the host lacks.

    Args:
        session: asks which files the host has.
        python: the host's Python, 3.8 or newer.
        shell: ssh and the host, as words; the command follows as one more.

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
    command = quote_words(start_words("receive", _ask(request, "take"), python))
    process = subprocess.Popen(
        [*shell, os.fsdecode(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin and process.stderr
    stderr = StderrHead(process.stderr)
    broken: Exception | None = None
    sent = 0
    try:
        pipe = _TimedPipe(process.stdin.fileno(), Pace(session.host))
        pipe.write(program_stdin("receive"))
        for file, offset in missing:
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
    _require_success(process.returncode, stderr.read(), broken, session.host, python, request)
    return TransferResult(len(missing), sent, "stream")


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


def _require_success(
    code: int, message: bytes, broken: Exception | None, host: str, python: str, request: Push
) -> None:
    """Raise unless the program on the host succeeded."""
    if code == 0 and broken is None:
        return
    if code in (126, 127):
        raise _no_tool(host, python)
    result = Result(host, (python,), code, b"", message, 0.0)
    refused = find_error(result, "receiving files", python)
    if refused is not None:
        raise refused from broken
    if code == 1 and message.strip() != b"cut short":
        raise CommandFailed(
            f"files could not be received: {quote(message)}", host=host, result=result
        ) from broken
    raise ConnectionLost(
        f"the stream broke off: {quote(message) if message.strip() else broken or f'ssh exited with {code}'}",
        host=host,
        hint="run the command again: it resumes",
    ) from broken
