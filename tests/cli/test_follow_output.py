"""What Ctrl-C says of a job that is followed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
import textwrap

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


def follow_at_a_terminal(code: str, columns: int = 80) -> str:
    """What a terminal gets of a followed job, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = (
        "from being_remote.cli.follow_output import teller\n"
        "from being_remote.cli.output import Out\n"
        "from being_remote.jobs.follow import DispatchedLine, FollowedLogLine, StateLine\n"
        "from being_remote.jobs.live_download import LocalFilesLine\n"
        "from being_remote.pod.job_states import JobState\n"
        "RUNNING = JobState.RUNNING\n"
        f"with Out(follows=True) as out:\n    say = teller(out)\n{textwrap.indent(code, '    ')}"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = b""
    with contextlib.suppress(OSError):  # the last user of the terminal has closed it
        while part := os.read(ours, 4096):
            screen += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, screen
    return screen.decode()


def test_at_a_terminal_the_last_line_is_a_bar_that_log_lines_push_down() -> None:
    screen = follow_at_a_terminal(
        'say(DispatchedLine("demo-1", "a100", "metrical-tracker", "roman", ("bbox_scale 2.5 -> 3.5",), ()))\n'
        'say(StateLine("demo-1", RUNNING, "its lock is held", 0, 4, 1))\n'
        'say(FollowedLogLine("frame 0", 0, 1))\n'
        'say(StateLine("demo-1", RUNNING, "its lock is held", 2, 4, 1, 3.1, 40.0))\n'
        'say(StateLine("demo-1", JobState.SUCCEEDED, "all its steps ended with 0", 4, 4, 1))\n'
    )
    bar = "\r\x1b[Kdemo-1 running  ##########----------  2/4  3.1/min, 40 s left"
    assert bar in screen
    kept = [text for line in screen.split("\n") if (text := line.split("\x1b[K")[-1].rstrip("\r"))]
    assert kept == [
        "demo-1 on a100: metrical-tracker for roman: bbox_scale 2.5 -> 3.5",
        "demo-1, attempt 1 [running 0/4]",
        "frame 0",
        "[succeeded 4/4] all its steps ended with 0",
    ]


def test_the_bar_is_never_wider_than_the_terminal_and_gone_after_ctrl_c() -> None:
    screen = follow_at_a_terminal(
        'say(StateLine("demo-1", RUNNING, "its lock is held", 2, 4, 1, 3.1, 40.0))\n', columns=30
    )
    bar = "demo-1 running  ##########----------  2/4"[:29]
    assert f"\r\x1b[K{bar}\r\x1b[K" in screen and screen.endswith("\r\x1b[K")
