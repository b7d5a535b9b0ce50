"""`cancel`: in every state, twice, and for a job that never left."""

from __future__ import annotations

import json
from typing import Any

import pytest
from local_jobs import killed_once_aimed

from being_remote.errors import NotFoundError
from being_remote.jobs import dispatch
from being_remote.jobs.submit import SubmitResult, submit
from being_remote.transport import open_session
from being_remote.workflows.cancel import cancel, cancel_all


@pytest.mark.slow
def test_a_running_job_is_ended_with_its_children(works: Any) -> None:
    job = works.command("sleep 60 & echo $! > child; sleep 60").job
    child = works.attempt(job) / "work" / "child"
    works.until(lambda: child.exists() and child.read_text().strip() != "")
    report = cancel(works.inventory, "last")
    assert (report.job, report.state, report.was_ended, report.exit_code) == (job, "cancelled", False, 0)
    pid = int(child.read_text())
    works.until(lambda: _gone(pid))
    assert json.loads((works.attempt(job) / "end.json").read_text())["state"] == "cancelled"


def _gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_a_second_cancel_says_that_it_was_ended(works: Any) -> None:
    job = works.command("sleep 60").job
    cancel(works.inventory, job)
    again = cancel(works.inventory, job)
    assert (again.state, again.was_ended, again.exit_code) == ("cancelled", True, 0)


def test_an_ended_job_keeps_its_end(works: Any) -> None:
    works.command("true", follow_it=True)
    report = cancel(works.inventory, "last")
    assert (report.state, report.was_ended) == ("succeeded", True)


@pytest.mark.slow
def test_one_that_ended_meanwhile_keeps_its_end_too(works: Any) -> None:
    job = works.command("true").job
    works.until((works.attempt(job) / "end.json").exists)
    assert cancel(works.inventory, job).state == "succeeded"


def test_a_job_that_was_never_sent_is_cancelled_here_and_does_not_start_later(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "submit", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            works.command("sleep 60")
    job = works.ledger.find("last").job
    assert cancel(works.inventory, job).state == "cancelled"
    assert not works.workdir.exists()  # nobody was asked
    assert works.command("sleep 60").job != job
    assert not works.attempt(job).exists()


@pytest.mark.parametrize("cancelled", ["before it arrives", "after"])
def test_a_job_that_may_be_on_its_way_is_cancelled_for_good(
    works: Any, monkeypatch: pytest.MonkeyPatch, cancelled: str
) -> None:
    late: list[Any] = []  # a submit that another process has sent, and that arrives when it likes
    real = dispatch.aim

    def on_its_way(*args: Any) -> None:
        late.extend(real(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "aim", on_its_way)
        with pytest.raises(KeyboardInterrupt):
            works.command("touch ../ran; sleep 60")
    job = works.ledger.find("last").job
    host = works.inventory.host("here")
    with open_session(host, works.inventory) as session:
        if cancelled == "after":
            submit(session, host, lambda _: late)
            works.until((works.attempt(job) / "ran").exists)
        report = cancel(works.inventory, job)
        assert (report.state, report.was_ended, report.exit_code) == ("cancelled", False, 0)
        if cancelled == "before it arrives":
            assert "keeps it from starting" in report.reason
            arrived = submit(session, host, lambda _: late)[job]
            assert isinstance(arrived, SubmitResult)
            assert (arrived.supervisor, arrived.status.state) == ("cancelled", "cancelled")
            assert not works.attempt(job).exists()
    assert works.ledger.find(job).state == "cancelled"


def test_a_job_that_may_have_reached_another_disk_stays_unknown(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "aim", killed_once_aimed)
        with pytest.raises(KeyboardInterrupt):
            works.command("sleep 60")
    (works.workdir / "jobs").rename(works.folder / "the first disk")
    report = cancel(works.inventory, "last")
    assert (report.state, report.exit_code) == ("unknown", 4)
    assert not (works.workdir / "jobs").exists()
    (works.folder / "the first disk").rename(works.workdir / "jobs")


def test_a_cancel_in_another_terminal_while_it_is_sent_keeps_it_from_starting(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dispatch.aim

    def meanwhile(*args: Any) -> Any:
        requests = real(*args)
        assert cancel(works.inventory, "last").state == "cancelled"
        return requests

    monkeypatch.setattr(dispatch, "aim", meanwhile)
    report = works.command("sleep 60")
    assert report.state == "cancelled"
    assert (works.workdir / "jobs" / str(report.job)).exists()
    assert not works.attempt(str(report.job)).exists()


def test_a_dry_run_cancels_nothing(works: Any) -> None:
    job = works.command("sleep 60").job
    report = cancel(works.inventory, job, dry_run=True)
    assert (report.dry_run, report.exit_code, report.state) == (True, 0, "running")
    assert not (works.workdir / "jobs" / job / "cancel").exists()


def test_an_unknown_job_is_not_found(works: Any) -> None:
    with pytest.raises(NotFoundError):
        cancel(works.inventory, "nope")


@pytest.mark.slow
def test_an_abandoned_job_that_runs_after_all_is_ended_and_stays_abandoned(works: Any) -> None:
    jobs = [str(works.command(f"sleep 60; : {n}").job) for n in range(2)]
    for job in jobs:
        works.until((works.attempt(job) / "progress.json").exists)
        works.ledger.record(job, 1, "abandoned", {"reason": "the user's word"})
    assert cancel(works.inventory, jobs[0], dry_run=True).state == "running"
    one = cancel(works.inventory, jobs[0])
    rest = cancel_all(works.inventory).jobs
    assert (one.state, one.was_ended) == ("cancelled", False)
    assert [(r.job, r.state, r.was_ended) for r in rest] == [(jobs[1], "cancelled", False)]
    assert all((works.attempt(job) / "end.json").exists() for job in jobs)
    assert {works.ledger.find(job).state for job in jobs} == {"abandoned"}
    assert cancel(works.inventory, jobs[0]).was_ended and cancel_all(works.inventory).jobs == ()
