"""On a terminal, text for people is cut between words; what is copied is left whole."""

from __future__ import annotations

import os
import sys

import pytest

from being_remote.cli.output import Out, show_error
from being_remote.errors import NotFoundError


def make_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stderr a terminal of 40 columns."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))


def test_a_note_and_an_error_break_no_word_and_a_next_step_stays_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_narrow(monkeypatch)
    hint = "run: being-remote resume demo-k3x7a2bq --host b200 --again"
    with Out() as out:
        out.note("note: the frame cuts that crop at the top: a quarter of it is black")
    show_error(
        NotFoundError("the job has no results and never ran on it", where="pod", hint=hint),
        as_json=False,
        one_line=False,
    )
    assert capsys.readouterr().err.splitlines() == [
        "note: the frame cuts that crop at the",
        "  top: a quarter of it is black",
        "error: pod: the job has no results and",
        "  never ran on it",
        f"  next: {hint}",
    ]


def test_a_path_that_does_not_fit_is_left_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_narrow(monkeypatch)
    text = "note: kept in /a/very/long/path/to/a/folder/of/the/backup of the actor"
    Out().note(text)
    assert capsys.readouterr().err == text + "\n"
