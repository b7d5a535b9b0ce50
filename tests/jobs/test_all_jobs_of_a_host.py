"""`cancel --all` and `resume --all`: every job of a host, and one never hides another."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from being_remote.errors import HostError
from being_remote.workflows import job_context
from being_remote.workflows.cancel import cancel, cancel_all
from being_remote.workflows.jobs import jobs
from being_remote.workflows.resume_all import resume_all

WAITS = "touch ../up; while [ ! -e ../go ]; do sleep 0.02; done"


def start(works: Any, name: str) -> str:
    job = str(works.command(f": {name}; {WAITS}").job)
    works.until((works.attempt(job) / "up").exists)
    return job


@pytest.mark.slow
def test_all_jobs_of_a_host_are_cancelled_and_ended_ones_are_left(works: Any) -> None:
    ended = works.command("true", follow_it=True).job
    running = {start(works, "a"), start(works, "b")}
    would = cancel_all(works.inventory, host="here", dry_run=True)
    assert {job.job for job in would.jobs} == running and would.exit_code == 0
    assert {row.state for row in jobs(works.inventory).jobs if row.job in running} == {"running"}
    report = cancel_all(works.inventory, host="here")
    assert {(job.job, str(job.state)) for job in report.jobs} == {(job, "cancelled") for job in running}
    assert (report.host, report.exit_code) == ("here", 0)
    assert works.ledger.find(ended).state == "succeeded"
    assert cancel_all(works.inventory).jobs == ()


@pytest.mark.slow
def test_all_jobs_of_a_host_that_gives_no_answer_are_unknown_or_abandoned_on_the_users_word(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = {start(works, "a"), start(works, "b")}
    asked: list[str] = []

    def away(host: str) -> Any:
        asked.append(host)
        raise HostError("no route", host=host)

    with monkeypatch.context() as patched:
        patched.setattr(job_context, "session_opener", lambda *_, **__: away)
        report = cancel_all(works.inventory, host="here")
        assert {job.job for job in report.jobs} == started
        assert ({str(job.state) for job in report.jobs}, report.exit_code) == ({"unknown"}, 4)
        assert asked == ["here"]  # not once for each job
        abandoned = cancel_all(works.inventory, host="here", pod_is_gone=True)
    assert ({str(job.state) for job in abandoned.jobs}, abandoned.exit_code) == ({"abandoned"}, 0)
    for job in started:
        (works.attempt(job) / "go").touch()


@pytest.mark.slow
def test_a_host_is_connected_to_once_for_all_of_its_jobs(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = {start(works, "a"), start(works, "b")}
    opened: list[str] = []
    real = job_context.session_opener

    def counted(*args: Any, **more: Any) -> Any:
        opener = real(*args, **more)
        return lambda host: opened.append(host) or opener(host)  # type: ignore[func-returns-value]  # None, then it

    monkeypatch.setattr(job_context, "session_opener", counted)
    assert {job.job for job in cancel_all(works.inventory, host="here").jobs} == started
    assert opened == ["here"]


@pytest.mark.slow
def test_what_is_to_be_done_about_a_silent_host_is_said_once_for_each_job(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = {start(works, "a"), start(works, "b")}
    with monkeypatch.context() as patched:
        patched.setattr(job_context, "session_opener", lambda *_, **__: _away)
        for job in cancel_all(works.inventory, host="here").jobs:
            assert job.reason.count("--pod-is-gone") == 1 and f"cancel {job.job} --pod-is-gone" in job.reason
    for job in started:
        (works.attempt(job) / "go").touch()


def test_a_rehearsal_of_giving_a_pod_up_says_which_attempts_would_be_abandoned_and_why(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(works, "a")
    answers = cancel(works.inventory, job, pod_is_gone=True, dry_run=True)
    assert (answers.state, answers.reason) == ("running", "a cancel would be sent to here")
    history = works.ledger.history(job)
    with monkeypatch.context() as patched:
        patched.setattr(job_context, "session_opener", lambda *_, **__: _away)
        silent = cancel(works.inventory, job, pod_is_gone=True, dry_run=True)
    assert silent.reason == "its attempt would be abandoned because no route"
    unnamed = works.inventory.model_copy(update={"hosts": {}})
    assert "does not name this host" in cancel(unnamed, job, pod_is_gone=True, dry_run=True).reason
    assert works.ledger.history(job) == history and silent.exit_code == 0
    (works.attempt(job) / "go").touch()


def _away(host: str) -> Any:
    raise HostError("no route", host=host)


def kill_supervisor(works: Any, job: str) -> None:
    who = json.loads((works.attempt(job) / "who.json").read_text())
    os.kill(who["supervisor"]["pid"], signal.SIGKILL)


@pytest.mark.slow
def test_all_jobs_of_a_host_that_lost_their_supervisors_get_others_or_are_judged_and_none_starts_again(
    works: Any,
) -> None:
    looked_after, orphan, lost, cancelled = (start(works, name) for name in "abcd")
    for job in (orphan, lost):
        kill_supervisor(works, job)
    (works.attempt(lost) / "go").touch()
    cancel(works.inventory, cancelled)
    works.until(lambda: {row.job: row.state for row in jobs(works.inventory).jobs}[lost] == "lost")
    would = resume_all(works.inventory, host="here", dry_run=True)
    assert {job.job for job in would.jobs} == {orphan, lost} and would.exit_code == 0
    report = resume_all(works.inventory, host="here")
    made = {job.job: (job.attempt, str(job.state)) for job in report.jobs}
    assert made == {orphan: (1, "running"), lost: (1, "lost")}
    assert report.exit_code == 5
    rows = {row.job: row for row in jobs(works.inventory).jobs}
    assert rows[orphan].evidence["supervised"] is True
    assert works.ledger.find(looked_after).attempt == 1 and not works.attempt(lost, 2).exists()
    assert resume_all(works.inventory, host="here").jobs == ()  # the lost one has its record now
