"""A command's exit code carried inside its own output, and its streams read to the end.

sshd reports a killed command and a broken link in the same way, so the code that it reports is no
evidence. Ours is printed after the output by the remote shell: where the closing mark is missing, the
outcome is unknown. The opening mark cuts off what a login shell prints first.
"""

from __future__ import annotations

import os
import queue
import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# "$@" instead of pasted words: nothing in them can become an assignment, a keyword or a pattern.
# The brackets keep `exit` from ending the shell before the closing mark.
_BETWEEN_MARKS = 'm=$1; shift; printf %s "$m"; ("$@"); printf %s%d: "$m" $?'
# A stream has an end of its own; exec, so that closing the stream reaches the command.
_AFTER_MARK = 'm=$1; shift; printf %s "$m"; exec "$@"'
# The kernel takes 128 KiB for one word, and the remote side gets our whole command as one.
_MAX_COMMAND_BYTES = 100_000


class TooMuchOutput(Exception):
    """The answer is longer than the caller allowed."""


@dataclass(frozen=True)
class MarkedCommand:
    """The words that run a command behind a mark."""

    argv: tuple[str, ...]
    mark: bytes


def frame_command(argv: Sequence[str], *, closing: bool) -> MarkedCommand:
    """`argv` behind an opening mark and, with `closing`, before a closing one with its exit code.

    Raises:
        ValueError: a word holds a NUL byte, or all of them are too long for one command.

    Example:
        >>> frame_command(["tail", "-f", "a b"], closing=False).argv[3:][2:]
        ('tail', '-f', 'a b')
    """
    if not argv or any("\0" in word for word in argv):
        raise ValueError(f"not a command: {argv!r}")
    if sum(len(os.fsencode(word)) for word in argv) > _MAX_COMMAND_BYTES:
        raise ValueError("too long for a command; send it on stdin")
    mark = secrets.token_hex(16)
    script = _BETWEEN_MARKS if closing else _AFTER_MARK
    return MarkedCommand(("sh", "-c", script, "sh", mark, *argv), mark.encode())


def quote_words(words: Sequence[str]) -> bytes:
    """The words quoted for any login shell; names keep their bytes.

    Example:
        >>> quote_words(["printf", "%s", "$(date) it's"])
        b'printf %s \\'$(date) it\\'"\\'"\\'s\\''
    """
    return os.fsencode(shlex.join(words))


def unframe_output(out: bytes, mark: bytes) -> tuple[int, bytes] | None:
    """(exit code, output) from between the marks; None without the closing mark.

    Example:
        >>> unframe_output(b"welcome!\\nMhelloM3:", b"M")
        (3, b'hello')
        >>> unframe_output(b"welcome!\\nMhel", b"M") is None
        True
    """
    begin, end = out.find(mark), out.rfind(mark)
    code, colon, _ = out[end + len(mark) :].partition(b":")
    # The host knows the mark: what follows may be anything, and int() refuses long numbers.
    if begin == end or not colon or not re.fullmatch(rb"\d{1,3}", code):
        return None
    return int(code), out[begin + len(mark) : end]


@dataclass(frozen=True)
class Streams:
    """Four blocking calls on a running command; the reading ones return b"" at the end.

    The reading threads call `done_out` and `done_err` themselves when they stop: to close a descriptor
    under another thread's read would let it read from whatever is opened next.
    """

    read_out: Callable[[], bytes]
    read_err: Callable[[], bytes]
    write_in: Callable[[bytes], None]
    close_in: Callable[[], None]
    done_out: Callable[[], None] = lambda: None
    done_err: Callable[[], None] = lambda: None


@dataclass
class FramedOutput:
    """What was read so far, and which streams have not ended."""

    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    open: set[str] = field(default_factory=lambda: {"out", "err"})


@dataclass(frozen=True)
class CommandInput:
    """What a command is sent: `stdin`, then what `reply` makes of the first line that it prints."""

    stdin: bytes = b""
    reply: Callable[[bytes], bytes] | None = None


def exchange(
    streams: Streams, given: CommandInput, mark: bytes, *, limit: int, timeout_s: float
) -> FramedOutput:
    """Feed what is given and read both streams at once until both end; `mark` opens the output.

    One thread a stream: reading one to its end first would block a command that fills the other.
    On an exception, also one of the reply, the caller must stop the command; that ends the threads.

    Raises:
        TimeoutError: the streams did not end in time.
        TooMuchOutput: more than `limit` bytes arrived.
    """
    chunks: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    answer, over = FramedOutput(), threading.Event()

    def pump(name: str, read: Callable[[], bytes], done: Callable[[], None]) -> None:
        try:
            while not over.is_set() and (data := read()):
                chunks.put((name, data))
        except OSError:
            pass  # the command was stopped, or the link broke; the closing mark shows which
        finally:
            done()
        chunks.put((name, b""))

    def feed() -> None:
        try:
            try:
                streams.write_in(given.stdin)
                if given.reply is not None:
                    streams.write_in(replies.get())
            finally:
                streams.close_in()
        except (OSError, EOFError):
            pass  # a command need not read its input to the end

    out = (pump, ("out", streams.read_out, streams.done_out))
    err = (pump, ("err", streams.read_err, streams.done_err))
    for target, args in (out, err, (feed, ())):
        threading.Thread(target=target, args=args, daemon=True).start()
    try:
        deadline = time.monotonic() + timeout_s
        if given.reply is not None:
            line = _collect(chunks, answer, limit=limit, deadline=deadline, until=mark)
            if line is None:
                return answer
            replies.put(given.reply(line))
        _collect(chunks, answer, limit=limit, deadline=deadline)
    finally:
        over.set()
        replies.put(b"")  # a feeder that still waits ends
    return answer


def _collect(
    chunks: queue.SimpleQueue[tuple[str, bytes]],
    answer: FramedOutput,
    *,
    limit: int,
    deadline: float,
    until: bytes | None = None,
) -> bytes | None:
    """Read to the end of both streams, or to the first line behind the mark `until`, which is returned."""
    while answer.open:
        if until is not None and (line := _first_line(answer.out, until)) is not None:
            return line
        try:
            name, data = chunks.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if not data:
            answer.open.discard(name)
        (answer.out if name == "out" else answer.err).extend(data)
        if len(answer.out) + len(answer.err) > limit:
            raise TooMuchOutput
    return None


def _first_line(out: bytearray, mark: bytes) -> bytes | None:
    """The first whole line behind the mark, without its end.

    Example:
        >>> _first_line(bytearray(b"welcome!\\nMone\\ntw"), b"M")
        b'one'
    """
    start = out.find(mark)
    end = out.find(b"\n", start + len(mark)) if start >= 0 else -1
    return bytes(out[start + len(mark) : end]) if end >= 0 else None
