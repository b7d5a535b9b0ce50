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
from being_remote.pace import Pace
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
_HEADER = re.compile(
    rb"(?:(?P<chunk>\d{1,18}) (?P<length>\d{1,7})|skip (?P<skip>\d{1,18}) (?P<to>\d{1,18})"
    rb"|end (?P<end>\d{1,18}) (?P<why>ended|all|superseded|gone|shrunk|untimed))"
)
_MAX_HEADER_BYTES = 60

Why = Literal["ended", "all", "superseded", "gone", "shrunk", "untimed"]


@dataclass(frozen=True)
class LogChunk:
    """Some bytes of the log; an empty one is a heartbeat. Between two chunks bytes may be left out."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class LogEnd:
    """Nothing more can be read: the log is `offset` bytes long."""

    offset: int
    why: Why


@dataclass(frozen=True)
class LogStart:
    """Where to begin: with the last `tail` lines, with what was written in the last `since_s`, or both."""

    tail: int | None = None
    since_s: float | None = None


WHOLE = LogStart()


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
    start: LogStart = WHOLE,
    follow: bool = False,
    patience_s: float = PATIENCE_S,
) -> Generator[LogChunk | LogEnd, None, None]:
    """Read the log of the attempt in `folder` from byte `offset` on; yields one `LogEnd` at the end.

    Args:
        session: its stream is opened again whenever the link drops.
        folder: see `attempt_folder`.
        start: leave out what was written before.
        follow: wait for more until the attempt has ended.
        patience_s: how long the host may stay silent or away.

    Raises:
        HostError: the host stayed away, or refused us, or sent something else than a log.
        NotFoundError: the host does not have the job, or no times of its log.
    """
    heard_at, wait_s, began = time.monotonic(), 0.2, offset
    pace = None if follow else Pace(session.host)  # a job may print nothing for hours
    while True:
        try:
            with _open(session, python, folder, offset, start, follow=follow) as stream:
                for item in _items(stream, offset, session.host):
                    heard_at, wait_s = time.monotonic(), 0.2
                    if isinstance(item, LogEnd) and item.why in ("gone", "shrunk", "untimed"):
                        raise _lost_log(item, session.host, folder)
                    offset = item.offset + (len(item.data) if isinstance(item, LogChunk) else 0)
                    if start is not WHOLE:
                        began, start = offset, WHOLE
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
        self._next: int | None = None

    def add(self, chunk: LogChunk) -> list[LogLine]:
        """The lines that `chunk` completes; where bytes are left out before it, a line says so."""
        if self._next is not None and chunk.offset != self._next:
            return [*self.rest(), self._left_out(chunk.offset - self._next), *self.add(chunk)]
        self._next = chunk.offset + len(chunk.data)
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

    def _left_out(self, amount: int) -> LogLine:
        assert self._next is not None
        line = LogLine(self._next, f"[... {amount} bytes are left out here, the log has a bound ...]")
        self._next += amount
        return line

    def _line(self, text: bytes, length: int) -> LogLine:
        line = LogLine(self._offset, text.decode("utf-8", "backslashreplace"))
        self._offset += length
        return line


def _open(
    session: Session, python: str, folder: PurePosixPath, offset: int, start: LogStart, *, follow: bool
) -> Stream:
    request = {
        "folder": str(folder),
        "offset": offset,
        "tail": start.tail,
        "since_s": start.since_s,
        "follow": follow,
        "beat_s": BEAT_S,
    }
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
            if item is None or not _follows(item, offset):
                raise HostError("malformed log: another program than ours answered", host=host)
            del waiting[: len(header) + 1]
            if item["why"]:
                yield LogEnd(offset, item["why"].decode())  # type: ignore[arg-type]  # one of Why, by the pattern
                return
            offset, left = int(item["to"] or offset), int(item["length"] or 0)
            if not left:
                yield LogChunk(offset, b"")


def _follows(header: re.Match[bytes], offset: int) -> bool:
    """Whether a header can come at this byte."""
    if int(header["chunk"] or header["skip"] or header["end"]) != offset:
        return False
    return int(header["length"] or 0) <= _MAX_CHUNK_BYTES and int(header["to"] or offset) >= offset


def _lost_log(item: LogEnd, host: str, folder: PurePosixPath) -> NotFoundError | HostError:
    if item.why == "gone":
        return NotFoundError(
            f"no job in {str(folder.parent.parent)!r}", where=host, hint="being-remote jobs --all"
        )
    if item.why == "untimed":
        return NotFoundError(
            f"the log in {str(folder)!r} has no times: an earlier version wrote it",
            where=host,
            hint="--tail N shows its last lines",
        )
    return HostError(f"the log in {str(folder)!r} became shorter: another file lies there", host=host)
