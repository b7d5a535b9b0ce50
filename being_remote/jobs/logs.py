"""An attempt's log, whole or followed: by byte offset, over a connection that is kept.

Promises: every byte once and in order, however often the link drops; a frozen link is noticed, since
the far side says something every few seconds. What it does not do: judge how a job stands. That the
log is over is only that there is nothing more to read.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal

from being_remote.errors import AnswerTimeout, ConnectionLost, HostError, NotFoundError, Unreachable
from being_remote.pace import SLOWEST, Pace, Rate
from being_remote.pod import job_records as records
from being_remote.session import Session, Stream

log = logging.getLogger("being_remote")

BEAT_S = 2.0
SILENCE_S = 15.0
PATIENCE_S = 600.0
MAX_WAIT_S = 10.0
MAX_LINE_BYTES = 64 << 10
_MAX_CHUNK_BYTES = 1 << 20
_HEADER = re.compile(rb"(?:(\d{1,18}) (\d{1,7})|end (\d{1,18}) (ended|all|superseded|gone|shrunk))")
_MAX_HEADER_BYTES = 60

Why = Literal["ended", "all", "superseded", "gone", "shrunk"]


@dataclass(frozen=True)
class LogChunk:
    """Some bytes of the log; none at all says that the link is well and nothing new is there."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class LogEnd:
    """There is nothing more to read: the log is `offset` bytes long."""

    offset: int
    why: Why


@dataclass(frozen=True)
class LogLine:
    """One line of a log without its end; `offset` is where it begins, in bytes."""

    offset: int
    text: str


def attempt_folder(workdir: PurePosixPath, job: str, attempt: int) -> PurePosixPath:
    """Where an attempt keeps its log."""
    return PurePosixPath(records.attempt_folder(records.job_folder(str(workdir), job), attempt))


def read(
    session: Session,
    python: str,
    folder: PurePosixPath,
    *,
    offset: int = 0,
    follow: bool = False,
    patience_s: float = PATIENCE_S,
    rate: Rate = SLOWEST,
) -> Generator[LogChunk | LogEnd, None, None]:
    """The log of the attempt in `folder` from byte `offset` on; ends with one `LogEnd`.

    Args:
        session: an open way to the host; its stream is opened again whenever the link drops.
        python: the host's Python.
        folder: see `attempt_folder`.
        offset: the first byte wanted.
        follow: wait for more until the attempt has ended.
        patience_s: how long the host may stay silent or away before that is the error.
        rate: how slow it may be where it is not followed; a job may well say nothing for hours.

    Raises:
        HostError: the host did not come back, or refused us; or what it sends is no log of ours.
        NotFoundError: there is no such job there.
    """
    heard_at, wait_s, began = time.monotonic(), 0.2, offset
    pace = None if follow else Pace(session.host, rate)
    while True:
        try:
            with _open(session, python, folder, offset, follow=follow) as stream:
                for item in _items(stream, offset, session.host):
                    heard_at, wait_s = time.monotonic(), 0.2
                    if isinstance(item, LogEnd) and item.why in ("gone", "shrunk"):
                        raise _lost_log(item, session.host, folder)
                    offset = item.offset + (len(item.data) if isinstance(item, LogChunk) else 0)
                    if pace is not None:
                        pace.report(offset - began)
                    given_at = time.monotonic()
                    yield item
                    if isinstance(item, LogEnd):
                        return
                    if pace is not None:  # whoever reads on a terminal may take their time
                        pace.pause(time.monotonic() - given_at)
        except (ConnectionLost, AnswerTimeout, Unreachable) as e:
            if pace is not None:
                pace.report(offset - began)
            if time.monotonic() + wait_s - heard_at > patience_s:
                raise
            log.info("%s: %s; following again from byte %d in %.1f s", session.host, e.what, offset, wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)


class LogLines:
    """Puts the parts of a log together to lines; what has no end after 64 KiB is cut there.

    Example:
        >>> lines = LogLines()
        >>> lines.add(LogChunk(0, b"one\\ntw"))
        [LogLine(offset=0, text='one')]
        >>> lines.add(LogChunk(6, b"o\\n")), lines.rest()
        ([LogLine(offset=4, text='two')], [])
    """

    def __init__(self) -> None:
        self._begun = bytearray()
        self._offset = 0

    def add(self, part: LogChunk) -> list[LogLine]:
        """The lines that `part` completes."""
        if not self._begun:
            self._offset = part.offset
        self._begun += part.data
        *whole, rest = bytes(self._begun).split(b"\n")
        found = [self._line(text, len(text) + 1) for text in whole]
        while len(rest) > MAX_LINE_BYTES:
            found.append(self._line(rest[:MAX_LINE_BYTES], MAX_LINE_BYTES))
            rest = rest[MAX_LINE_BYTES:]
        self._begun = bytearray(rest)
        return found

    def rest(self) -> list[LogLine]:
        """The last line, if it has no end."""
        found = [self._line(bytes(self._begun), len(self._begun))] if self._begun else []
        self._begun.clear()
        return found

    def _line(self, text: bytes, length: int) -> LogLine:
        line = LogLine(self._offset, text.decode("utf-8", "backslashreplace"))
        self._offset += length
        return line


def _open(session: Session, python: str, folder: PurePosixPath, offset: int, *, follow: bool) -> Stream:
    mode = "follow" if follow else "once"
    argv = [python, "-I", "-B", "-", str(folder), str(offset), mode, str(BEAT_S)]
    return session.stream(argv, stdin=_program())


def _items(stream: Stream, offset: int, host: str) -> Iterator[LogChunk | LogEnd]:
    """What comes over one connection, from byte `offset` on; a torn part is given as far as it came."""
    waiting, left = bytearray(), 0
    while True:
        data = stream.read(SILENCE_S)
        if not data:
            raise ConnectionLost("the log's stream ended before its end", host=host)
        waiting += data
        while waiting:
            if left:
                part = bytes(waiting[:left])
                del waiting[: len(part)]
                yield LogChunk(offset, part)
                offset, left = offset + len(part), left - len(part)
                continue
            header, found, _ = waiting.partition(b"\n")
            if not found and len(waiting) <= _MAX_HEADER_BYTES:
                break
            item = _HEADER.fullmatch(header) if found and len(header) <= _MAX_HEADER_BYTES else None
            if item is None or int(item[1] or item[3]) != offset or int(item[2] or 0) > _MAX_CHUNK_BYTES:
                raise HostError(
                    "what it sends is no log in our form",
                    host=host,
                    hint="something else than our program answered",
                )
            del waiting[: len(header) + 1]
            if item[4]:
                yield LogEnd(offset, item[4].decode())  # type: ignore[arg-type]  # one of Why, by the pattern
                return
            left = int(item[2])
            if not left:
                yield LogChunk(offset, b"")


def _lost_log(item: LogEnd, host: str, folder: PurePosixPath) -> NotFoundError | HostError:
    if item.why == "gone":
        return NotFoundError(
            f"there is no job in {str(folder.parent.parent)!r}", where=host, hint="being-remote jobs --all"
        )
    return HostError(f"the log in {str(folder)!r} is shorter than it was; another file lies there", host=host)


@cache
def _program() -> bytes:
    return resources.files("being_remote.pod").joinpath("log_stream.py").read_bytes()
