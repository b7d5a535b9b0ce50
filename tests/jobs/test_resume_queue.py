"""Jobs that wait on a host whose queue died: said to be so, and started again by whoever may act."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gpu_card import A100
from local_jobs import retrack

from being_remote.cli import main
from being_remote.errors import UsageError
from being_remote.jobs.dispatch import aim, send
from being_remote.jobs.follow import follow
from being_remote.pod import locks, processes, waiting_records
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.job_states import JobState
from being_remote.pod_client.runner import run_program
from being_remote.schedulers import plain_host
from being_remote.workflows.job_context import job_context
from being_remote.workflows.jobs import jobs
from being_remote.workflows.resume import resume
from being_remote.workflows.resume_all import resume_all

pytestmark = pytest.mark.usefixtures("locks_folder")


def waits(works: Any, script: str) -> str:
    """A job that waits for a GPU in use."""
    report = retrack(works.inventory, recipe="command", command=f"sh -c '{script}'", gpus=1)
    assert report.state == "waiting", report
    return str(report.job)


def kill_queue(works: Any) -> Path:
    """End the host's waiter, as a restart does; returns the folder of its records."""
    workdir = str(works.workdir)
    path = waiting_records.waiter_lock(workdir, read_boot_identity(workdir))
    works.until(lambda: bool((locks.probe(path)[2] or {}).get("waiter")))
    waiter = locks.probe(path)[2]["waiter"]  # type: ignore[index]  # it was there a moment ago
    os.kill(waiter["pid"], signal.SIGKILL)
    works.until(lambda: processes.is_alive(waiter) is False and locks.probe(path)[0] == "free")
    return Path(waiting_records.boot_folder(workdir, read_boot_identity(workdir)))


def run(*words: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def row(works: Any, job: str) -> Any:
    return next(row for row in jobs(works.inventory).jobs if row.job == job)


@pytest.fixture
def busy(card: Any) -> Any:
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    return card


def free(card: Any) -> None:
    card.says(A100.format(i=0, u=0, used=4, use=0))


@pytest.mark.slow
def test_after_a_restart_a_look_says_that_nothing_keeps_the_queue_and_resume_starts_the_same_attempt(
    works: Any, busy: Any
) -> None:
    job = waits(works, "true")
    kill_queue(works).rename(works.workdir / "jobs/.waiting/0123456789abcdef")
    free(busy)
    seen = row(works, job)
    starts = f"resume {job} starts it"
    assert seen.state == "waiting" and starts in seen.reason and "queue" in seen.reason, seen
    assert replace(row(works, job), as_of=seen.as_of) == seen  # a look starts nothing
    dry = resume(works.inventory, job, dry_run=True)
    assert (dry.attempt, dry.state) == (1, "waiting") and row(works, job).state == "waiting"
    report = resume(works.inventory, job)
    assert report.attempt == 1 and report.previous_state == "waiting"
    works.until(lambda: row(works, job).state == "succeeded")
    assert works.ledger.find(job).attempt == 1


@pytest.mark.slow
def test_resume_all_starts_what_waits_on_a_host_in_its_order(
    works: Any, busy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [waits(works, f"echo {n} >> {tmp_path}/order") for n in range(3)]
    kill_queue(works).rename(works.workdir / "jobs/.waiting/0123456789abcdef")
    inventory = ["--inventory", str(tmp_path / "inventory.yaml"), "--json"]
    assert run("resume", "--all", "--host", "here", "--dry-run", *inventory) == 0
    assert [job["job"] for job in json.loads(capsys.readouterr().out)["jobs"]] == made
    assert run("resume", "--all", "--host", "here", *inventory) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(job["job"], job["state"]) for job in document["jobs"]] == [(job, "waiting") for job in made]
    assert row(works, made[2]).reason == "waits for a GPU; 2 before it"
    assert not (works.workdir / "jobs/.waiting/0123456789abcdef").is_dir() or not os.listdir(
        works.workdir / "jobs/.waiting/0123456789abcdef"
    )
    free(busy)
    works.until(lambda: row(works, made[2]).state == "succeeded")
    assert (tmp_path / "order").read_text().split() == ["0", "1", "2"]


@pytest.mark.slow
def test_what_waited_waits_again_in_its_order_by_one_submit(
    works: Any, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [waits(works, f"true {n}") for n in range(12)]
    kill_queue(works).rename(works.workdir / "jobs/.waiting/0123456789abcdef")
    asked: list[str] = []

    def count(session: Any, program: Any, *args: Any, **more: Any) -> bytes:
        asked.append(program)
        return run_program(session, program, *args, **more)

    monkeypatch.setattr(plain_host, "run_program", count)
    report = resume_all(works.inventory, host="here")
    assert asked == ["status", "offer"]
    assert [(job.job, job.state) for job in report.jobs] == [(job, "waiting") for job in made]
    rows = {row.job: row.evidence["queue"]["number"] for row in jobs(works.inventory).jobs}
    assert sorted(made, key=rows.__getitem__) == made


def test_resume_all_takes_no_job_and_resume_needs_one(works: Any, tmp_path: Path) -> None:
    inventory = ["--inventory", str(tmp_path / "inventory.yaml")]
    assert run("resume", "last", "--all", *inventory) == 2
    assert run("resume", *inventory) == 2


@pytest.mark.slow
def test_a_follower_starts_a_job_whose_queue_no_process_keeps(works: Any, busy: Any) -> None:
    job = waits(works, "echo done")
    kill_queue(works)
    free(busy)
    context = job_context(works.inventory)
    with context.open_session("here") as session:
        said: list[Any] = []
        result = follow(context, session, works.inventory.host("here"), works.ledger.find(job), said.append)
    assert result.row.state == "succeeded" and result.row.attempt == 1


@pytest.mark.slow
def test_a_job_that_waited_and_has_no_supervisor_any_more_is_submitted_and_not_called_waiting(
    works: Any, busy: Any
) -> None:
    """As version 0.1.0 leaves it after a restart: it recorded no places."""
    job = waits(works, "true")
    for record in kill_queue(works).glob("0*"):
        record.unlink()
    seen = row(works, job)
    assert (seen.state, seen.reason) == ("submitted", f"no supervisor runs; resume {job} starts one")
    assert works.ledger.find(job).state == "submitted"
    free(busy)
    assert resume(works.inventory, job).attempt == 1
    works.until(lambda: row(works, job).state == "succeeded")


@pytest.mark.slow
def test_a_resumed_attempt_that_waits_is_shown_as_waiting(works: Any, card: Any) -> None:
    job = str(retrack(works.inventory, recipe="command", command="false", gpus=1).job)
    works.until(lambda: row(works, job).state == "failed")
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    report = resume(works.inventory, job)
    seen = row(works, job)
    assert (report.attempt, report.state) == (2, "waiting"), report
    assert (seen.attempt, seen.state) == (2, "waiting") and "GPU" in seen.reason, seen
    free(card)
    works.until(lambda: row(works, job).state == "failed")


def test_a_waiting_attempt_that_another_command_replaced_meanwhile_is_not_sent_again(
    works: Any, busy: Any
) -> None:
    job = waits(works, "true")
    kill_queue(works)
    read_before = works.ledger.find(job)
    works.ledger.record(job, 1, JobState.ABANDONED, {"reason": "another command"})
    assert aim(works.ledger, [read_before], "volume") == []
    works.ledger.next_attempt(job, 1, {"reason": "another command"})
    assert aim(works.ledger, [read_before], "volume") == []
    context = job_context(works.inventory)
    with context.open_session("here") as session, pytest.raises(UsageError, match="made attempt 2 of it"):
        send(works.ledger, session, works.inventory.host("here"), read_before)


def test_the_log_of_a_job_that_waits_is_not_shown_as_an_empty_one(
    works: Any, busy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = waits(works, "true")
    assert run("logs", job, "--inventory", str(tmp_path / "inventory.yaml")) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and f"no log: {job}: waiting: waits for 1 of 1 GPU" in printed.err


@pytest.mark.slow
def test_a_dry_run_of_a_job_that_is_there_already_plans_nothing(
    works: Any, busy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = ["--inventory", str(tmp_path / "inventory.yaml"), "--host", "here", "--recipe", "command"]
    job = waits(works, "echo planned")
    words = ["retrack", *inventory, "--gpus", "1", "--command", "sh -c 'echo planned'", "--dry-run"]
    assert run(*words) == 0
    assert job in (printed := capsys.readouterr().out) and "would run" not in printed
    assert run(*words, "--again") == 0
    assert "would run" in capsys.readouterr().out
