"""`pull --all-jobs`: the results of every job, whatever became of one of them or of its host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from being_remote.pod_client.runner import run_program
from being_remote.schedulers import plain_host
from being_remote.workflows.forget import forget
from being_remote.workflows.pull import NotPulled, PullReport, pull_all_jobs

MAKE = "echo one > one.txt"


@pytest.mark.slow
def test_every_finished_job_is_pulled_and_what_runs_or_has_nothing_is_left_out(works: Any) -> None:
    first = works.command(MAKE, follow_it=True).job
    second = works.command("echo two > two.txt", follow_it=True).job
    failed = works.command("echo three > three.txt; exit 3", follow_it=True).job
    works.command("sleep 60")
    assert pull_all_jobs(works.inventory).jobs == ()  # the results of a command are had with --all
    rehearsed = pull_all_jobs(works.inventory, all_files=True, dry_run=True)
    assert [job.job for job in rehearsed.jobs] == [failed, second, first]
    assert not (works.inventory.backups / "runs").exists()
    report = pull_all_jobs(works.inventory, all_files=True)
    assert [(job.job, job.transferred_files) for job in report.jobs if isinstance(job, PullReport)] == [
        (failed, 1),
        (second, 1),
        (first, 1),
    ]
    assert report.exit_code == 0  # that a job had failed is no news
    again = pull_all_jobs(works.inventory, all_files=True)
    assert sum(job.transferred_files for job in again.jobs if isinstance(job, PullReport)) == 0


@pytest.mark.slow
def test_a_job_that_cannot_be_pulled_keeps_no_other_from_it(works: Any) -> None:
    good = works.command(MAKE, follow_it=True).job
    bad = works.command("echo two > two.txt", follow_it=True).job
    shutil.rmtree(works.attempt(bad) / "work")
    report = pull_all_jobs(works.inventory, all_files=True)
    assert {job.job: type(job) for job in report.jobs} == {good: PullReport, bad: NotPulled}
    assert report.exit_code == 3


@pytest.mark.slow
def test_all_jobs_of_a_host_are_looked_at_once(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        works.command(f"echo {number} > one.txt", follow_it=True)
    asked: list[str] = []

    def count(session: Any, program: Any, *args: Any, **more: Any) -> bytes:
        asked.append(program)
        return run_program(session, program, *args, **more)

    monkeypatch.setattr(plain_host, "run_program", count)
    assert len(pull_all_jobs(works.inventory, all_files=True).jobs) == 3 and asked == ["status"]


@pytest.mark.slow
def test_what_is_local_already_is_no_fault_when_its_host_has_it_no_more(works: Any) -> None:
    kept = works.command(MAKE, follow_it=True).job
    pull_all_jobs(works.inventory, all_files=True)
    (works.workdir / "jobs" / kept).rename(works.folder / "another disk")
    (job,) = pull_all_jobs(works.inventory, all_files=True).jobs
    assert isinstance(job, NotPulled) and job.is_local and job.exit_code == 0
    gone = works.inventory.model_copy(update={"hosts": {}})
    report = pull_all_jobs(gone, all_files=True)
    assert [type(job) for job in report.jobs] == [NotPulled] and report.exit_code == 0
    (works.folder / "another disk").rename(works.workdir / "jobs" / kept)
    forget(works.inventory, kept)
    assert pull_all_jobs(works.inventory, all_files=True).jobs == ()


@pytest.mark.slow
def test_the_command_prints_a_list_and_takes_a_job_or_all_of_them(works: Any) -> None:
    job = works.command(MAKE, follow_it=True).job

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "being_remote", "pull", *words, f"--inventory={works.inventory.path}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    done = run("--all-jobs", "--all", "--json")
    assert [row["job"] for row in json.loads(done.stdout)["jobs"]] == [job] and done.returncode == 0
    assert run(str(job), "--all-jobs").returncode == 2 and run("--json").returncode == 2
