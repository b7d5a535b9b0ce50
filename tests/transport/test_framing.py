"""The marks around an answer: what a host may put there, and what counts of it."""

from __future__ import annotations

import subprocess
import threading

import pytest

from being_remote.transport.output_framing import (
    CommandInput,
    EndlessGreeting,
    MarkReader,
    Streams,
    exchange,
    quote_words,
)


def read(*chunks: bytes) -> tuple[bytes, int | None]:
    reader = MarkReader(b"MARK")
    return b"".join(map(reader.feed, chunks)), reader.exit_code


@pytest.mark.parametrize("code", [b"", b"-1", b"1e3", b"+3", b"1000", b"9" * 5000, "²".encode()])
def test_what_is_no_exit_code_leaves_the_outcome_unknown(code: bytes) -> None:
    assert read(b"MARKoutMARK" + code + b":")[1] is None
    assert read(b"MARKoutMARK255:") == (b"out", 255)


@pytest.mark.parametrize("code", [0, 1, 12, 137, 255])
def test_an_answer_that_is_cut_anywhere_gives_no_outcome_and_no_part_of_a_mark(code: int) -> None:
    whole = b"welcome!\nMARKsome outputMARK%d:" % code
    assert read(whole) == (b"some output", code)
    for cut in range(len(whole)):
        # Half of an exit code is a number, too: 13 of 137, 1 of 12.
        said, ended = read(whole[:cut])
        assert ended is None and b"some output".startswith(said), whole[:cut]
        assert read(whole[:cut], whole[cut:]) == (b"some output", code)
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == (b"some output", code)


def test_what_follows_the_closing_mark_is_not_the_commands() -> None:
    assert read(b"MARKoutMARK0:", b"MARK1:later") == (b"out", 0)


def test_what_only_begins_like_a_mark_is_the_commands_own() -> None:
    assert read(b"MARKoM", b"AR", b"xMARK9", b"99MARKS:MARK3:") == (b"oMARxMARK999MARKS:", 3)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_of_a_greeting_the_beginning_is_kept_and_all_of_it_counted(size: int) -> None:
    greeting, mark = bytes(range(97, 123)) * 8000, b"\x1e" + b"0" * 32
    for cut in (1, 32, 33, 40, 5000):
        reader = MarkReader(mark)
        whole = greeting[:size] + mark + b"out" + mark + b"0:"
        start = max(0, size - 50)
        chunks = [whole[:start], *(whole[at : at + cut] for at in range(start, len(whole), cut))]
        assert b"".join(map(reader.feed, chunks)) == b"out" and reader.exit_code == 0
        assert reader.greeting_bytes == size and reader.greeting == greeting[: min(size, 1 << 16)]


def test_a_greeting_without_end_is_refused_before_it_fills_the_memory() -> None:
    reader = MarkReader(b"MARK")
    with pytest.raises(EndlessGreeting):
        for _ in range(17):
            reader.feed(b"x" * 65_536)
    assert len(reader.greeting) == 65_536


def test_what_follows_the_closing_mark_of_stderr_is_not_the_commands() -> None:
    later_was_read = threading.Event()
    out, err = iter((b"MARKout", b"MARK0:")), iter((b"errMARK", b"later"))

    def read_out() -> bytes:
        data = next(out, b"")
        if data == b"MARK0:":
            later_was_read.wait(10)
        return data

    def read_err() -> bytes:
        data = next(err, b"")
        if not data:
            later_was_read.set()
        return data

    streams = Streams(read_out, read_err, lambda data: None, lambda: None)
    answer = exchange(streams, CommandInput(), b"MARK", limit=100, timeout_s=10)
    assert (answer.out, answer.err, answer.exit_code) == (b"out", b"err", 0)


def test_words_travel_as_one_line_of_what_all_shells_read_alike() -> None:
    words = [bytes(range(1, 256)).decode("utf-8", "surrogateescape"), "a\nb", "it's !important", r"\\x\n", ""]
    line = quote_words(["printf", r"%s\0", *words])
    assert line.isprintable() and "!" not in line and "\\\\" not in line and "\\'" not in line
    said = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert [w.decode("utf-8", "surrogateescape") for w in said.split(b"\0")] == [*words, ""]


def test_words_that_the_kernel_would_refuse_are_refused_before_they_are_sent() -> None:
    with pytest.raises(ValueError, match="too long for a command"):
        quote_words(["echo", "\n" * 40_000])
