"""`logs` and what follows: lines once and in order through broken links, JSON Lines, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy
from local_jobs import retrack, supervisors_of

from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory
from being_remote.jobs import follow
from being_remote.jobs.follow import FollowedLogLine, StateLine
from being_remote.workflows.cancel import cancel
from being_remote.workflows.job_context import job_context
from being_remote.workflows.logs import logs


def test_a_log_that_is_only_read_is_whole_and_0_whatever_became_of_the_job(works: Any) -> None:
    works.command("printf 'a\\nb\\nno end'; exit 2", follow_it=True)
    report = logs(works.inventory, "last")
    assert [(line.line, line.offset) for line in report.lines] == [("a", 0), ("b", 2), ("no end", 4)]
    assert (report.exit_code, report.state, report.payload_exit_code) == (0, "failed", 2)


@pytest.mark.slow
def test_following_a_job_that_is_cancelled_before_it_begins_ends(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "QUIET_S", 0.1)
    job = works.command("sleep 60").job
    said: list[Any] = []

    def say(line: FollowedLogLine | StateLine) -> None:
        said.append(line)
        if isinstance(line, StateLine) and line.state == "running":
            threading.Thread(target=cancel, args=(works.inventory, job), daemon=True).start()

    report = logs(works.inventory, job, follow_it=True, say=say)
    assert (report.state, report.exit_code) == ("cancelled", 5)


@pytest.mark.slow
def test_a_job_that_ends_while_its_log_still_arrives_loses_no_line_of_it(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.command("seq 40000", follow_it=True)
    monkeypatch.setattr(follow, "BUSY_S", 0.0)
    said: list[str] = []

    def say(line: FollowedLogLine | StateLine) -> None:
        if isinstance(line, FollowedLogLine):
            said.append(line.line)

    assert logs(works.inventory, "last", follow_it=True, say=say).state == "succeeded"
    assert said == [str(number) for number in range(1, 40_001)]


@pytest.mark.slow
def test_a_job_whose_supervisor_and_payload_were_killed_is_followed_to_lost(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "QUIET_S", 0.1)
    job = works.command("echo begun; sleep 60").job
    said: list[str] = []

    def kill() -> None:
        for pid in supervisors_of(works.workdir / "jobs" / job):
            os.kill(pid, 9)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "cwd").startswith(str(works.attempt(job))):
                    os.kill(int(process.name), 9)

    def say(line: FollowedLogLine | StateLine) -> None:
        said.append(line.line if isinstance(line, FollowedLogLine) else line.state)
        if said[-1] == "begun":
            kill()

    report = logs(works.inventory, job, follow_it=True, say=say)
    assert (report.state, report.exit_code) == ("lost", 5)
    assert said[-1] == "lost"


@pytest.mark.slow
def test_every_line_comes_once_though_the_link_is_cut_again_and_again(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    with FaultProxy((pod.address, pod.port)) as proxy:
        inventory = make_inventory(
            {"pod": {**pod.inventory_entry(), "port": proxy.port, "workdir": str(tmp_path / "w")}}
        )
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
        go = tmp_path / "go"
        count = "i=0; while test $i -lt 300; do echo line $i; i=$((i+1)); sleep 0.01; done"
        script = f"{count}; while ! test -e {go}; do sleep 0.05; done"
        words = f"sh -c '{script}'"
        lines: list[str] = []

        def say(line: FollowedLogLine | StateLine) -> None:
            if isinstance(line, FollowedLogLine):
                lines.append(line.line)
                if len(lines) in (20, 120, 220):
                    proxy.cut()
                if len(lines) == 300:
                    go.touch()

        report = retrack(inventory, recipe="command", command=words, gpus=0, follow_it=True, say=say)
        assert report.state == "succeeded"
        assert lines == [f"line {n}" for n in range(300)]
        assert proxy.connections >= 4


def _run(works: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "being_remote", *words, f"--inventory={works.inventory.path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_what_follows_writes_json_lines_and_the_last_is_the_result(works: Any) -> None:
    words = ("retrack", "--recipe=command", "--gpus=0", "--command=sh -c 'echo one; echo two; exit 3'")
    done = _run(works, *words, "--follow", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 5
    assert [line["line"] for line in lines if "line" in line] == ["one", "two"]
    assert (lines[-1]["state"], lines[-1]["host"]) == ("failed", "here")
    assert {"job", "host", "state", "gpu", "spec_sha256"} <= lines[-1].keys()
    again = _run(works, "logs", "last", "--json")
    assert [line["line"] for line in json.loads(again.stdout)["lines"]] == ["one", "two"]
    assert again.returncode == 0


@pytest.mark.slow
def test_what_a_host_wrote_reaches_no_terminal_unescaped(works: Any) -> None:
    words = ("retrack", "--recipe=command", "--gpus=0", r"--command=printf '\033[31mred\007\n'")
    done = _run(works, *words, "--follow")
    assert done.returncode == 0, done.stderr
    assert "\\x1b[31mred\\x07" in done.stdout and "\x1b" not in done.stdout


@pytest.mark.slow
def test_the_commands_of_a_job_answer_with_its_fields(works: Any) -> None:
    job = json.loads(
        _run(works, "retrack", "--recipe=command", "--gpus=0", "--command=sleep 60", "--json").stdout
    )["job"]
    (row,) = json.loads(_run(works, "jobs", "--json").stdout)["jobs"]
    wanted = {"job", "host", "state", "exit_code", "gpu", "frames_done", "frames_total", "since", "evidence"}
    assert wanted <= row.keys() and row["job"] == job
    assert "running" in _run(works, "jobs").stdout
    assert json.loads(_run(works, "cancel", "last", "--json").stdout)["state"] == "cancelled"
    assert "cancelled" in _run(works, "jobs", "--why", "last").stdout
    assert _run(works, "pull", "last").returncode == 5
    assert _run(works, "logs", "nope").returncode == 3
    assert "bbox_scale: 3.5" in _run(works, "retrack", "--show-preset=gaussiantalker-round2").stdout
    assert _run(works, "retrack", "--show-preset=nope").returncode == 2


@pytest.mark.slow
def test_a_job_that_its_host_cannot_tell_of_is_not_followed_for_ever(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = works.command("echo $PPID > supervisor; echo $$ > payload; exec sleep 60").job
    work = works.attempt(job) / "work"
    works.until(lambda: (work / "payload").exists() and (work / "payload").read_text().endswith("\n"))
    (works.workdir / "jobs" / ".volume").unlink()
    for name in ("supervisor", "payload"):
        os.kill(int((work / name).read_text()), signal.SIGKILL)
    monkeypatch.setattr(follow, "QUIET_S", 0.1)
    (host,) = works.inventory.hosts.values()
    context = job_context(works.inventory)
    with context.open_session(host.name) as session:
        known = works.ledger.find(job)
        row = follow.follow(context, session, host, known, lambda _: None, patience_s=0.3).row
    assert (row.state, row.last_known) == ("unknown", "running")
    assert works.ledger.find(job).state == "running"
