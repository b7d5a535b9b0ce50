"""One run of rsync: fed its names, watched, ended with all its processes, its end turned into an error."""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from being_remote.disk import no_space, require_writable_room, room_bytes
from being_remote.errors import CommandFailed, ConnectionLost, HostDiskFull, ToolMissing
from being_remote.foreign_text import quote
from being_remote.pace import Pace
from being_remote.session import OnProgress, Result, TransferProgress

# What a pod says of its own disk; never of ours.
_FULL = re.compile(rb"No space left on device|(Disk quota exceeded)")
# A disk that refuses times or rights; the files themselves arrived.
_ATTRIBUTE = rb"rsync: (?:\[\w+\] )?failed to set (?:times|permissions) on .* \((?:1|22|38|45|95|102)\)"
# A file that became shorter while it was sent: rsync sends it again, or leaves it out.
_SHRANK = rb"rsync: (?:\[\w+\] )?read errors mapping .*: No data available \(61\)"
_HARMLESS = re.compile(_ATTRIBUTE + rb"|" + _SHRANK)
_SOME_FAILED = 23
_AGAIN = "run the command again: it resumes"
_KEPT_BYTES = 64 << 10
_END_S = 10.0
_LOOK_S = 1.0
_BLOCK_BYTES = 512  # of ulimit -f in a POSIX shell

# rsync(1), "EXIT VALUES": codes that can only come from a link that broke or fell silent.
_LINK = {
    10: "the link broke",
    12: "the link broke in the middle",
    30: "nothing arrived for too long",
    35: "the other side did not answer",
    255: "ssh lost the connection",
}
_WORDS = {
    1: "it did not understand its own options",
    2: "the two rsyncs do not understand each other",
    3: "a folder cannot be read or entered",
    5: "the other side refused to start",
    11: "a file could not be read or written",
    13: "it could not report",
    14: "it could not talk to its own processes",
    20: "it was stopped",
    22: "it ran out of memory",
    23: "some files could not be transferred",
}


@dataclass(frozen=True)
class RsyncTask:
    """What one run of rsync is for, and its bounds."""

    host: str  # the pod
    # for progress
    what: str
    total_bytes: int
    into: Path | None = None  # the local folder that it writes into; None for an upload
    remote_place: str = ""  # the folder on the pod that it writes into, as "host:folder"
    # how much it may write here in all, and to one file; None for an upload
    most_bytes: tuple[int, int] | None = None
    reads_bytes: int = 0  # what it may have to read for comparison before anything moves


class Garbled(ConnectionLost):
    """Something else than an rsync that ours understands answered."""


class Outgrown(Exception):
    """More arrived than was listed; rsync was stopped."""


@dataclass(frozen=True)
class RsyncTotals:
    """The whole files that rsync transferred, and the bytes that travelled."""

    files: int
    bytes: int


def run(argv: Sequence[str], names: Iterable[bytes], task: RsyncTask, on_progress: OnProgress) -> RsyncTotals:
    """Run rsync with `names` on its stdin.

    Raises:
        ToolMissing, ConnectionLost, CommandFailed: as it ended.
        AnswerTimeout: see `pace`.
        NoSpace: the local disk is full, as we see it, or the remote one, as rsync says.
        Outgrown: a file, or all of them, became larger than `task.most_bytes`.
    """
    with tempfile.TemporaryFile() as given:
        # A leading ./ keeps a name that begins with # or ; from being a comment.
        given.write(b"".join(b"./" + name + b"\0" for name in names))
        given.seek(0)
        with _ProcessesEnded() as ended:
            process = subprocess.Popen(
                _bounded(argv, task),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[ended.mark],
                env={**os.environ, "LC_ALL": "C"},
            )
            assert process.stdout and process.stderr
            stderr = StderrHead(process.stderr)
            try:
                stats = _watch(process.stdout, task, on_progress)
                code = process.wait()
            finally:
                _stop(process)
        message = stderr.read()
    if code not in (0, 24) and not _is_harmless(code, message):
        _fail(code, message, argv, task, has_moved="done" in stats)
    return RsyncTotals(stats.get("transferred", 0), stats.get("literal", 0))


def _bounded(argv: Sequence[str], task: RsyncTask) -> Sequence[str]:
    """`argv` with the kernel's bound on the size of each file that it writes.

    rsync's own --max-size looks at the sizes that the pod lists, not at what it sends. Beyond this bound
    a write fails ("File too large"), and the half file stays.
    """
    if task.most_bytes is None:
        return argv
    blocks = -(-task.most_bytes[1] // _BLOCK_BYTES)
    return ["sh", "-c", 'trap "" XFSZ; ulimit -S -f "$0"; exec "$@"', str(blocks), *argv]


class StderrHead:
    """The beginning of a program's stderr; the rest is dropped, since a host may write without end.

    Args:
        mark: what ends it, if it comes; then its children may keep the pipe open.
    """

    def __init__(self, pipe: IO[bytes], mark: bytes = b"") -> None:
        self._kept, self._mark = bytearray(), mark
        self._ended = threading.Event()
        threading.Thread(target=self._read, args=(pipe,), daemon=True).start()

    def _read(self, pipe: IO[bytes]) -> None:
        last = b""
        try:
            with pipe:
                while data := os.read(pipe.fileno(), 65536):
                    if not self._ended.is_set():
                        self._kept += data[: _KEPT_BYTES - len(self._kept)]
                    last += data
                    if self._mark and self._mark in last:
                        self._ended.set()
                    last = last[-len(self._mark) :] if self._mark else b""
        finally:
            self._ended.set()

    def read(self) -> bytes:
        """What was read so far, once the program has ended; its own children may keep the pipe open."""
        self._ended.wait(timeout=1)
        kept = bytes(self._kept)
        return kept.partition(self._mark)[0] if self._mark else kept


class _ProcessesEnded:
    """Waits, when it is left, for the last of rsync's processes on this machine.

    rsync is two or three processes, and the first does not wait for the others when it gives up: for a
    moment they still write where the next call would. Each inherits the pipe's end `mark`; ssh closes
    what it inherits, so a shared connection does not count.
    """

    def __init__(self) -> None:
        self._end, self.mark = os.pipe()

    def __enter__(self) -> _ProcessesEnded:
        return self

    def __exit__(self, *exc: object) -> None:
        """Wait, within reason: a process may hang in a disk."""
        os.close(self.mark)
        select.select([self._end], [], [], _END_S)
        os.close(self._end)


def _watch(out: IO[bytes], task: RsyncTask, on_progress: OnProgress) -> dict[str, int]:
    """Read rsync's output to its end and report progress; returns the figures of --stats.

    Raises:
        AnswerTimeout, NoSpace, Outgrown: see `run`; rsync still runs then.
    """
    stats: dict[str, int] = {}
    pace, done = Pace(task.host, reads_bytes=task.reads_bytes), 0
    for line in _lines(out.fileno()):
        if step := re.match(rb"\s*(\d{1,18})\s+\d+%\s", line):
            done = max(done, int(step[1]))
            stats["done"] = done
            on_progress(TransferProgress(task.what, done, task.total_bytes))
        elif found := re.match(rb"Number of regular files transferred: (\d{1,18})", line):
            stats["transferred"] = int(found[1])
        elif found := re.match(rb"Literal data: (\d{1,18}) bytes", line):
            stats["literal"] = int(found[1])
        pace.report(done)
        if task.most_bytes is not None and done > task.most_bytes[0]:
            raise Outgrown
        if task.into is not None and room_bytes(task.into) < 0:
            raise no_space(task.into)
    return stats


def _lines(fd: int) -> Iterable[bytes]:
    """Lines as they arrive, and an empty one whenever nothing arrived for a while."""
    rest = b""
    while True:
        if not select.select([fd], [], [], _LOOK_S)[0]:
            yield b""
            continue
        data = os.read(fd, 65536)
        if not data:
            break
        *whole, rest = re.split(rb"[\r\n]", rest + data)  # a line of progress ends with a carriage return
        # A pod may send a line without an end.
        rest = rest[-4096:]
        yield from whole
    yield rest


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End rsync if it still runs (Ctrl-C); on SIGTERM it keeps its half file."""
    if process.stdout:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_harmless(code: int, message: bytes) -> bool:
    """Whether all that rsync says is that a disk refused the times or the rights of files, or that files
    changed meanwhile.

    What arrived is compared by hash, not by time.
    """
    errors = [line for line in message.splitlines() if line.startswith((b"rsync: ", b"ERROR"))]
    if len(message) == _KEPT_BYTES:
        errors = errors[:-1]  # cut short
    return code == _SOME_FAILED and bool(errors) and all(map(_HARMLESS.fullmatch, errors))


def _fail(code: int, message: bytes, argv: Sequence[str], task: RsyncTask, *, has_moved: bool) -> None:
    # The remote shell's 127 reaches us as 127 or as 12, depending on which side notices first.
    if re.search(rb"rsync: (command )?not found|rsync: No such file", message) and code in (12, 127, 255):
        raise ToolMissing(host=task.host, tool="rsync", hint="apt-get install rsync on the host")
    if task.into is not None:
        require_writable_room(task.into)
    else:  # only the pod's disk is written to
        require_remote_space(message, task.remote_place)
    # A remote rsync that gives up looks like a broken link from here; the codes in its messages show which.
    codes = {code, *(int(found) for found in re.findall(rb"\(code (\d{1,3})\)", message))}
    if codes <= {2, 12} and (2 in codes or not has_moved):
        raise Garbled(f"rsync: {_WORDS[2]}: {quote(message)}", host=task.host, hint=_AGAIN)
    if codes <= _LINK.keys():
        raise ConnectionLost(
            f"rsync: {_LINK[code]}: {quote(message)}",
            host=task.host,
            hint=_AGAIN,
        )
    raise CommandFailed(
        f"rsync: {_WORDS.get(min(codes - _LINK.keys()), 'it failed')}: {quote(message)}",
        host=task.host,
        result=Result(task.host, tuple(argv), code, b"", message, 0.0),
    )


def require_remote_space(message: bytes, place: str) -> None:
    """Raise HostDiskFull where a program that wrote to `place` ("host:folder") printed that it is."""
    if found := _FULL.search(message):
        host, _, path = place.partition(":")
        what = "quota exceeded" if found[1] else "disk full"
        raise HostDiskFull(f"{what} on {host} ({path}), it says: {quote(message)}", host=host, path=path)
