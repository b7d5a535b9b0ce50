"""The exit code inside the output: what a host may put there, and what is believed of it."""

from __future__ import annotations

import pytest

from being_remote.transport.output_framing import unframe_output


@pytest.mark.parametrize("code", [b"", b"-1", b"1e3", b"+3", b"1000", b"9" * 5000, "²".encode()])
def test_what_is_no_exit_code_leaves_the_outcome_unknown(code: bytes) -> None:
    assert unframe_output(b"MoutM" + code + b":", b"M") is None
    assert unframe_output(b"MoutM255:", b"M") == (255, b"out")


@pytest.mark.parametrize("code", [0, 1, 12, 137, 255])
def test_an_answer_that_is_cut_anywhere_gives_no_outcome(code: int) -> None:
    whole = b"welcome!\nMARKsome outputMARK%d:" % code
    assert unframe_output(whole, b"MARK") == (code, b"some output")
    for cut in range(len(whole)):
        # Half of an exit code is a number, too: 13 of 137, 1 of 12.
        assert unframe_output(whole[:cut], b"MARK") is None, whole[:cut]
