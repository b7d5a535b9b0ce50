"""What is printed of a job that moves: what it took along, who still works, what it may cost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from console_text import console_text

from being_remote.cli import main
from being_remote.cli.follow_output import teller
from being_remote.cli.job_tables import next_step, show_jobs, show_resume
from being_remote.cli.output import Out
from being_remote.jobs.follow import MovedLine, StayedLine
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.move import Move
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import LeasedGpu
from being_remote.workflows.jobs import JobsReport
from being_remote.workflows.resume import ResumeReport

MOVE = Move("a100", 412, 413, 96_000_000, 13, 3_000_000, ("the input on b is not compared with ours",))


def resumed(**more: Any) -> ResumeReport:
    values: dict[str, Any] = {"job": "j-12ab", "host": "b", "attempt": 2, "previous_state": JobState.UNKNOWN}
    values |= {"state": JobState.RUNNING, "gpu": (), "spec_sha256": "0" * 64, "reason": "its lock is held"}
    values |= {"took_over": False, "followed": False, "dry_run": False, "moved": MOVE}
    return ResumeReport(**{**values, **more})


def test_the_files_of_a_moved_job_are_printed_with_counts_and_bytes() -> None:
    assert console_text(show_resume, resumed()) == (
        "  moved from a100; uploaded 13 of 413 files, 3.0 MB; 412 frames are kept\n"
        "  note: the input on b is not compared with ours\n"
        "j-12ab on b, attempt 2: running\n"
        "  next: logs j-12ab --follow, then pull j-12ab\n"
    )
    assert console_text(show_resume, resumed(dry_run=True)) == (
        "j-12ab is unknown: would start attempt 2 on b\n"
        "  would upload 13 of 413 files, 3.0 MB; 412 frames are kept\n"
        "  note: the input on b is not compared with ours\n"
    )


@pytest.mark.parametrize(
    ("state", "has_gpu", "expected"),
    [
        ("created", True, "jobs --why j; the same command again starts it"),
        ("submitted", True, "jobs --why j; the same command again starts it"),
        ("waiting", True, "logs j --follow, then pull j"),
        ("running", True, "logs j --follow, then pull j"),
        ("transforming", True, "logs j --follow, then pull j"),
        ("succeeded", True, "pull j"),
        ("failed", True, "jobs --why j; logs j; resume j"),
        ("failed", False, "jobs --why j; doctor --host h; then resume j, or resume j --host OTHER"),
        ("lost", True, "jobs --why j; logs j; resume j"),
        ("cancelled", True, "jobs --why j; logs j; resume j"),
        ("abandoned", True, "jobs --why j; logs j; resume j"),
        ("unknown", True, "jobs --why j; logs j"),
    ],
)
def test_the_next_step_fits_the_state_and_pull_is_advised_only_where_there_is_or_will_be_something(
    state: str, has_gpu: bool, expected: str
) -> None:
    assert next_step("j", "h", JobState(state), has_gpu=has_gpu) == expected


@pytest.mark.parametrize("state", ["succeeded", "running", "waiting"])
def test_a_job_whose_recipe_names_no_results_is_pulled_with_all(state: str) -> None:
    assert next_step("j", "h", JobState(state), has_results=False).endswith("pull j --all")


def row(job: str, host: str, state: JobState, reason: str, **more: Any) -> JobStatus:
    values = {"since": "2026-11-29T02:28:00Z", "ours": True, "attempt": 1, **more}
    return JobStatus(job=job, host=host, state=state, reason=reason, **values)


def test_the_jobs_fit_on_80_columns_with_no_word_broken_and_no_id_cut() -> None:
    rows = (
        row(
            "roman-k3x7a2bq",
            "a100-frankfurt",
            JobState.TRANSFORMING,
            "its lock is held",
            done=1412,
            total=1412,
        ),
        row(
            "command-7buapfle",
            "a100",
            JobState.LOST,
            "lock free and no exit record; resume command-7buapfle first verifies its files",
            exit_code=-15,
            gpu=("GPU-1e0f4a77-0000",),
        ),
        row("anna-aaaaaaaa", "b", JobState.CANCELLED, "cancelled"),
    )
    shown = console_text(show_jobs, JobsReport(rows, (), 0), width=80)
    assert all(len(line) <= 80 for line in shown.splitlines()), shown
    assert shown.splitlines()[1].split()[:3] == ["roman-k3x7a2bq", "a100-frankfurt", "transforming"]
    words = set(shown.split())
    assert {word for job in rows for word in (job.job, job.host)} <= words
    assert set(rows[1].reason.split()) <= words and "held" not in words
    assert shown.splitlines()[-1].split() == ["anna-aaaaaaaa", "b", "cancelled", "11-29", "02:28"]
    wide = console_text(show_jobs, JobsReport(rows, (), 0), width=200).splitlines()
    assert len(wide) == 4 and wide[2].rstrip().endswith("first verifies its files")


def test_a_job_that_runs_is_shown_with_its_pace_the_time_left_and_its_gpu() -> None:
    gpu = {"index": 0, "uuid": "GPU-1e0f4a77", "name": "H200", "busy": True, "job": "roman-k3x7a2bq"}
    load = {"memory_total_mib": 143_771, "memory_used_mib": 21_504, "utilization_percent": 97}
    job = row(
        "roman-k3x7a2bq",
        "a100",
        JobState.RUNNING,
        "its lock is held",
        done=214,
        total=838,
        frames_per_minute=3.12,
        seconds_left=12_000,
        gpus=(LeasedGpu(**gpu, **load),),
    )
    shown = console_text(show_jobs, JobsReport((job,), (), 0), width=80)
    assert "running  214/838" in shown
    assert "3.1/min, 3 h 20 min left; GPU 0 97 %, 21 of 140 GiB\n" in shown


@pytest.mark.parametrize(("zone", "shown"), [("UTC0", "11-29 02:28"), ("XYZ-3", "11-29 05:28")])
def test_times_are_this_laptops_own(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        text = console_text(show_jobs, JobsReport((row("j", "h", JobState.RUNNING, "x"),), (), 0))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown in text


def test_an_attempt_that_was_left_is_shown_with_the_way_to_end_it() -> None:
    why = "attempt 1 still runs on a100; attempt 2 on b counts: cancel j-12ab --host a100"
    row = JobStatus(
        job="j-12ab",
        host="a100",
        actor="roman",
        recipe="metrical-tracker",
        attempt=1,
        state=JobState.RUNNING,
        last_known=None,
        as_of=None,
        reason=why,
        exit_code=None,
        gpu=(),
        done=None,
        total=None,
        since=None,
        spec_sha256=None,
        ours=True,
        evidence={},
        superseded=True,
    )
    assert why in console_text(show_jobs, JobsReport((row,), (), 0))


def test_a_move_is_announced_with_what_it_may_cost(capsys: pytest.CaptureFixture[str]) -> None:
    line = MovedLine("j-12ab", 1, "a100", "b", "unknown", "no answer")
    with Out(follows=True) as out:
        teller(out)(line)
    assert capsys.readouterr().err == (
        "MOVING to b: attempt 1 of j-12ab on a100 is abandoned: unknown: no answer; if it still runs you pay"
        " twice; end it: cancel j-12ab --host a100\n"
    )
    with Out(as_json=True, follows=True) as out:
        teller(out)(line)
    said = json.loads(capsys.readouterr().out)
    assert (said["to_host"], said["moving"]) == ("b", True)


def test_a_move_that_failed_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    with Out(follows=True) as out:
        teller(out)(stayed := StayedLine("j-12ab", 1, "a100", "b", "cannot be reached"))
    assert capsys.readouterr().err == (
        "NOT MOVED: b does not answer: cannot be reached; asking a100 and b again for as long as --after"
        " says\n"
    )
    with Out(as_json=True, follows=True) as out:
        teller(out)(stayed)
    assert json.loads(capsys.readouterr().out)["moving"] is False


@pytest.mark.parametrize(
    "words",
    [["--after", "20m"], ["--failover", "b", "--after", "20"], ["--failover", "b", "--after", "soon"]],
)
def test_invalid_options_are_2(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inventory.yaml").write_text("hosts: {a: {kind: local, workdir: /w}}\nactors: {roman: }\n")
    with pytest.raises(SystemExit) as ended:
        main(["retrack", "--inventory", "inventory.yaml", *words])
    assert ended.value.code == 2
    assert "--after" in capsys.readouterr().err
