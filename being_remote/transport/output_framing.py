"""A command between two marks, so that its own answer is told from all that a login prints around it.

The opening mark says that the host listens: nothing is sent on stdin before it, since until then login files,
or a gateway's shell, read what is sent. The closing mark carries the exit code and ends the answer, on stdout
and on stderr, whatever still holds these open. Where it is missing, the outcome is unknown: sshd reports a
killed command and a broken link in the same way.
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

# "$@" instead of pasted words: nothing in them can become an assignment, a keyword or a pattern. The brackets
# keep `exit` from ending the shell before the closing mark. With stdin, a first line starts the command: one
# that was given up is never started with an input that is empty.
_SCRIPT = 'm=$1; shift; printf %s "$m"; {wait}("$@"); printf %s%d: "$m" $?; printf %s "$m" >&2'
_WAIT = "read -r go || exit; "
GO = b"\n"
# Printable text has no such character, so a stream of it is never held back for a mark that may have begun.
_MARK_START = "\x1e"
# Login shells differ in quotes, but for these. The kernel takes 128 KiB for one word, and the remote side
# gets our whole command as one.
_NOT_ALIKE = re.compile(rb"[^ -~]|['\\!]")
_UNPACK = 'sh -c \'eval "exec $(printf %b "$1")"\' sh \''
_MAX_COMMAND_BYTES = 100_000
_MAX_WORD_BYTES = (128 << 10) - 1
LONGEST_LOGIN_S = 55.0
LAST_ERR_S = 1.0
_LAST_WORDS_S = 5.0  # how long a login that started no command has to end
_MAX_GREETING = 1 << 20
_KEPT_GREETING = 64 << 10


class TooMuchOutput(Exception):
    """The answer is longer than the caller allowed."""


class EndlessGreeting(TooMuchOutput):
    """A login prints without end before the opening mark."""


@dataclass(frozen=True)
class MarkedCommand:
    """The words that run a command between marks."""

    argv: tuple[str, ...]
    mark: bytes


def frame_command(argv: Sequence[str], *, has_input: bool) -> MarkedCommand:
    """`argv` between marks; with `has_input` it starts when it is sent `GO`.

    Raises:
        ValueError: a word holds a NUL byte, or all of them are too long for one command.

    Example:
        >>> frame_command(["tail", "-f", "a b"], has_input=False).argv[5:]
        ('tail', '-f', 'a b')
    """
    if not argv or any("\0" in word for word in argv):
        raise ValueError(f"not a command: {argv!r}")
    if sum(len(os.fsencode(word)) for word in argv) > _MAX_COMMAND_BYTES:
        raise ValueError("too long for a command; send it on stdin")
    mark = _MARK_START + secrets.token_hex(16)
    script = _SCRIPT.format(wait=_WAIT if has_input else "")
    return MarkedCommand(("sh", "-c", script, "sh", mark, *argv), mark.encode())


def quote_words(words: Sequence[str]) -> str:
    """The words as one line for any login shell; names keep their bytes.

    csh takes no line break in quotes and replaces `!` in all of them, fish has backslashes of its own. So
    what shells do not read alike is spelled in octal, which the host's `sh` reads.

    Raises:
        ValueError: they are too long for one command.

    Example:
        >>> quote_words(["echo", "why!"]).partition(" sh ")[2]
        "'echo \\\\0047why\\\\0041\\\\0047'"
    """
    text = os.fsencode(shlex.join(words))
    spelt = _NOT_ALIKE.sub(lambda found: b"\\0%03o" % found[0][0], text)
    line = f"{_UNPACK}{spelt.decode('ascii')}'"
    if len(line) > _MAX_WORD_BYTES:
        raise ValueError("too long for a command; send it on stdin")
    return line


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


@dataclass(frozen=True)
class CommandInput:
    """What a command is sent: `stdin`, then what `reply` makes of the first line that it prints."""

    stdin: bytes = b""
    reply: Callable[[bytes], bytes] | None = None

    @property
    def is_empty(self) -> bool:
        return not self.stdin and self.reply is None


class MarkReader:
    """Tells a command's own stdout from what stands before and behind its marks.

    Attributes:
        greeting: the beginning of what came before the opening mark.
        greeting_bytes: how much that was.
        is_open: the opening mark was read.
        exit_code: from the closing mark; None until it was read.

    Example:
        >>> reader = MarkReader(b"M")
        >>> reader.feed(b"welcome!\\nMhel"), reader.feed(b"loM"), reader.feed(b"3:M and more")
        (b'hel', b'lo', b'')
        >>> reader.greeting, reader.exit_code
        (b'welcome!\\n', 3)
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        # The host knows the mark, too: what follows it may be anything.
        self._closing = re.compile(re.escape(mark) + rb"(\d{1,3}):")
        self._unfinished = re.compile(re.escape(mark) + rb"\d{0,3}")
        self._held = b""
        self.greeting = b""
        self.greeting_bytes = 0
        self.is_open = False
        self.exit_code: int | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what was read next; returns what of it is the command's own.

        Raises:
            EndlessGreeting: too much came before the opening mark.
        """
        if self.exit_code is not None:
            return b""
        if not self.is_open:
            data = self._skip_greeting(data)
            if not self.is_open:
                return b""
        data, self._held = self._held + data, b""
        closing = self._closing.search(data) if self._mark in data else None  # `in` is several times as fast
        if closing is not None:
            self.exit_code = int(closing[1])
            return data[: closing.start()]
        whole = self._whole(data)
        data, self._held = data[:whole], data[whole:]
        return data

    def _skip_greeting(self, data: bytes) -> bytes:
        """Look for the opening mark; returns what follows it."""
        looked = len(self._held)  # the end of the greeting so far, where the mark may have begun
        before, found, data = (self._held + data).partition(self._mark)
        self.greeting_bytes += len(before) - looked
        kept = min(self.greeting_bytes, _KEPT_GREETING)
        self.greeting = (self.greeting + before[looked:])[:kept]
        if self.greeting_bytes > _MAX_GREETING:
            raise EndlessGreeting
        self.is_open = bool(found)
        self._held = b"" if found else before[max(0, len(before) - len(self._mark) + 1) :]
        return data

    def _whole(self, data: bytes) -> int:
        """How many of the bytes cannot be the beginning of a closing mark."""
        start = max(0, len(data) - len(self._mark) - len(b"255"))
        while (start := data.find(self._mark[:1], start)) >= 0:
            rest = data[start:]
            if self._mark.startswith(rest) or self._unfinished.fullmatch(rest):
                return start
            start += 1
        return len(data)


@dataclass
class CommandAnswer:
    """What came back from a command.

    Attributes:
        exit_code: None without the closing mark.
        greeting: the beginning of what its login printed before.
        greeting_bytes: how much that was.
        listens: the opening mark came.
        was_fed: and it was sent its input.
        given_up_s: it was sent the end of its input instead, after so long, so it did not run.
    """

    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    greeting: bytes = b""
    greeting_bytes: int = 0
    listens: bool = False
    was_fed: bool = False
    given_up_s: float | None = None


def exchange(
    streams: Streams, given: CommandInput, mark: bytes, *, limit: int, timeout_s: float
) -> CommandAnswer:
    """Read both streams to their closing marks, or their ends, and send the input once the command listens.

    A command that does not listen until shortly before the time is up, or for `LONGEST_LOGIN_S`, is sent
    nothing but the end of its input. The caller must stop the command in any case; that ends the threads
    here.

    Raises:
        TimeoutError: the answer was not whole in time.
        TooMuchOutput: more than `limit` bytes of it arrived; EndlessGreeting: or of what came before it.
    """
    # One thread a stream: reading one to its end first would block a command that fills the other.
    chunks: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    over = threading.Event()

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
                while (data := orders.get()) is not None:
                    streams.write_in(data)
            finally:
                streams.close_in()
        except (OSError, EOFError):
            pass  # a command need not read its input to the end

    out = (pump, ("out", streams.read_out, streams.done_out))
    err = (pump, ("err", streams.read_err, streams.done_err))
    for target, args in (out, err, (feed, ())):
        threading.Thread(target=target, args=args, daemon=True).start()
    try:
        return _Conversation(given, mark, orders).read(chunks, limit=limit, timeout_s=timeout_s)
    finally:
        over.set()
        orders.put(None)  # a feeder that still waits ends


class _Conversation:
    """One command's answer as it comes, and what is sent because of it."""

    def __init__(self, given: CommandInput, mark: bytes, orders: queue.SimpleQueue[bytes | None]) -> None:
        self._given, self._mark, self._orders = given, mark, orders
        self._reader, self._answer = MarkReader(mark), CommandAnswer()
        self._open = {"out", "err"}
        self._waits_for_mark = not given.is_empty
        self._reply = given.reply
        if given.is_empty:
            orders.put(None)

    def read(
        self, chunks: queue.SimpleQueue[tuple[str, bytes]], *, limit: int, timeout_s: float
    ) -> CommandAnswer:
        """Read to the end; see `exchange`."""
        started = time.monotonic()
        deadline = started + timeout_s
        login_s = min(max(timeout_s / 2, timeout_s - _LAST_WORDS_S), LONGEST_LOGIN_S)
        give_up = started + login_s
        while self._open:
            until = give_up if self._waits_for_mark else deadline
            try:
                name, data = chunks.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                if self._waits_for_mark:
                    self._waits_for_mark, self._answer.given_up_s = False, login_s
                    self._orders.put(None)
                    continue
                if "out" in self._open:
                    raise TimeoutError from None
                break
            if name == "err":
                self._take_err(data)
            else:
                self._take_out(data)
                if "out" not in self._open:  # what is left of stderr is on its way
                    deadline = min(deadline, time.monotonic() + LAST_ERR_S)
            if len(self._answer.out) + len(self._answer.err) > limit:
                raise TooMuchOutput
        reader, answer = self._reader, self._answer
        answer.exit_code, answer.listens = reader.exit_code, reader.is_open
        answer.greeting, answer.greeting_bytes = reader.greeting, reader.greeting_bytes
        return answer

    def _take_out(self, data: bytes) -> None:
        answer = self._answer
        answer.out += self._reader.feed(data)
        if self._reader.is_open and self._waits_for_mark:
            self._waits_for_mark, answer.was_fed = False, True
            self._orders.put(GO + self._given.stdin)
            if self._reply is None:
                self._orders.put(None)
        if self._reply is not None and answer.was_fed and b"\n" in answer.out:
            self._orders.put(self._reply(bytes(answer.out.partition(b"\n")[0])))
            self._orders.put(None)
            self._reply = None
        if not data or self._reader.exit_code is not None:
            self._open.discard("out")
            self._waits_for_mark = False

    def _take_err(self, data: bytes) -> None:
        if "err" not in self._open:  # a process that the login left may still write
            return
        err = self._answer.err
        before = max(0, len(err) - len(self._mark))
        err += data
        end = err.find(self._mark, before)
        if end >= 0:
            del err[end:]
        if end >= 0 or not data:
            self._open.discard("err")
