"""An attempt's log, read once or followed: by byte offset, over a connection that stays open.

Promises: every byte once and in order, however often the link drops; a frozen link is noticed, since the
host sends a heartbeat every few seconds. The end of a log says nothing about how the job stands.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from being_remote.errors import AnswerTimeout, ConnectionLost, HostError, NotFoundError, Unreachable
from being_remote.pace import SLOWEST, Pace, Rate
from being_remote.pod.job_paths import JobPaths
from being_remote.pod_client.runner import program_stdin, start_words
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
    """Some bytes of the log; an empty one is a heartbeat."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class LogEnd:
    """Nothing more can be read: the log is `offset` bytes long."""

    offset: int
    why: Why


@dataclass(frozen=True)
class LogLine:
    """One line of a log without its end; `offset` is where it begins, in bytes."""

    offset: int
    text: str


def attempt_folder(workdir: PurePosixPath, job: str, attempt: int) -> PurePosixPath:
    """Where an attempt keeps its log."""
    return PurePosixPath(JobPaths.of(workdir, job).attempt(attempt).folder)


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
    """Read the log of the attempt in `folder` from byte `offset` on; yields one `LogEnd` at the end.

    Args:
        session: its stream is opened again whenever the link drops.
        folder: see `attempt_folder`.
        follow: wait for more until the attempt has ended.
        patience_s: how long the host may stay silent or away.
        rate: the slowest rate where the log is not followed; a job may print nothing for hours.

    Raises:
        HostError: the host stayed away, or refused us, or sent something else than a log.
        NotFoundError: the host does not have the job.
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
                    if pace is not None:  # a terminal may take its time
                        pace.pause(time.monotonic() - given_at)
        except (ConnectionLost, AnswerTimeout, Unreachable) as e:
            if pace is not None:
                pace.report(offset - began)
            if time.monotonic() + wait_s - heard_at > patience_s:
                raise
            log.info("%s: %s; retrying from byte %d in %.1f s", session.host, e.what, offset, wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)


class LogLines:
    """Joins the chunks of a log to lines; a line longer than 64 KiB is cut.

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

    def add(self, chunk: LogChunk) -> list[LogLine]:
        """The lines that `chunk` completes."""
        if not self._begun:
            self._offset = chunk.offset
        self._begun += chunk.data
        *whole, rest = bytes(self._begun).split(b"\n")
        found = [self._line(text, len(text) + 1) for text in whole]
        while len(rest) > MAX_LINE_BYTES:
            found.append(self._line(rest[:MAX_LINE_BYTES], MAX_LINE_BYTES))
            rest = rest[MAX_LINE_BYTES:]
        self._begun = bytearray(rest)
        return found

    def rest(self) -> list[LogLine]:
        """The last line, if it is incomplete."""
        found = [self._line(bytes(self._begun), len(self._begun))] if self._begun else []
        self._begun.clear()
        return found

    def _line(self, text: bytes, length: int) -> LogLine:
        line = LogLine(self._offset, text.decode("utf-8", "backslashreplace"))
        self._offset += length
        return line


def _open(session: Session, python: str, folder: PurePosixPath, offset: int, *, follow: bool) -> Stream:
    request = {"folder": str(folder), "offset": offset, "follow": follow, "beat_s": BEAT_S}
    return session.stream(start_words("log_stream", request, python), stdin=program_stdin("log_stream"))


def _items(stream: Stream, offset: int, host: str) -> Iterator[LogChunk | LogEnd]:
    """The items of one connection, from byte `offset` on; a chunk that breaks off is given in part."""
    waiting, left = bytearray(), 0
    while True:
        data = stream.read(SILENCE_S)
        if not data:
            raise ConnectionLost("the log broke off", host=host)
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
                raise HostError("malformed log: another program than ours answered", host=host)
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
            f"no job in {str(folder.parent.parent)!r}", where=host, hint="being-remote jobs --all"
        )
    return HostError(f"the log in {str(folder)!r} became shorter: another file lies there", host=host)
