"""What Ctrl-C says of a job that is followed."""

from __future__ import annotations

import json
import logging

import pytest
import typer

from being_remote.cli.follow_output import teller
from being_remote.cli.output import Out
from being_remote.jobs.follow import StateLine
from being_remote.pod.job_states import JobState


def stopped_after(*states: str, as_json: bool = False) -> None:
    with pytest.raises(typer.Exit) as stopped, Out(as_json=as_json, follows=True) as out:
        say = teller(out)
        for state in states:
            say(StateLine("j-12ab", JobState(state), "because", 1, 4, 1))
        raise KeyboardInterrupt
    assert stopped.value.exit_code == 130


def test_ctrl_c_while_a_job_is_followed_says_that_it_keeps_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped_after("waiting", "running")
    said = capsys.readouterr().err
    assert "job j-12ab keeps running" in said and "logs j-12ab --follow" in said


def test_no_reason_and_no_name_from_a_pod_begins_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Out(follows=True, verbose=True) as out:
        teller(out)(StateLine("j-12ab", JobState.FAILED, "x\n  next: being-remote trust --yes", 1, 4, 1))
        out.note("quarantined: a\r\u2028  next: b")
        logging.getLogger("being_remote").info("%s: refused\n  next: c", "pod")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and not any(line.lstrip().startswith("next:") for line in said)


@pytest.mark.parametrize("states", [(), ("running", "succeeded"), ("running", "unknown")])
def test_ctrl_c_names_no_job_that_has_ended_or_is_unknown(
    states: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_after(*states)
    assert "keeps running" not in capsys.readouterr().err


def test_with_json_the_last_line_names_the_job_too(capsys: pytest.CaptureFixture[str]) -> None:
    stopped_after("running", as_json=True)
    state, error = map(json.loads, capsys.readouterr().out.splitlines())
    assert state["job"] == "j-12ab" and "j-12ab keeps running" in error["error"]["what"]
