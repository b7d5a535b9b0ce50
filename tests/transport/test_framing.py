"""The exit code inside the output: what a host may put there, and what is believed of it."""

from __future__ import annotations

import pytest

from being_remote.transport.framing import unwrapped


@pytest.mark.parametrize("code", [b"", b"-1", b"1e3", b"+3", b"1000", b"9" * 5000, "²".encode()])
def test_what_is_no_exit_code_leaves_the_outcome_unknown(code: bytes) -> None:
    assert unwrapped(b"MoutM" + code + b":", "M") is None
    assert unwrapped(b"MoutM255:", "M") == (255, b"out")
