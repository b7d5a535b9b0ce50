"""A job whose supervisor was killed: `resume`, the same `retrack` and a follower give it another one."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from local_jobs import unheard
from two_pods import FRAMES, TwoPods

from being_remote.errors import HostError
from being_remote.jobs import follow, logs, orphaned_jobs
from being_remote.jobs.status_poll import look_at_host
from being_remote.workflows.cancel import cancel
from being_remote.workflows.job_context import job_context
from being_remote.workflows.jobs import jobs
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume
from being_remote.workflows.resume_all import resume_all

WAITS = "touch ../up; while [ ! -e ../go ]; do sleep 0.02; done"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "QUIET_S", 0.5)
    monkeypatch.setattr(logs, "BEAT_S", 0.3)


def kill_supervisor(attempt: Path) -> None:
    pid = json.loads((attempt / "who.json").read_text())["supervisor"]["pid"]
    os.kill(pid, signal.SIGKILL)


def start_orphan(works: Any) -> tuple[str, Path]:
    job = works.command(WAITS).job
    folder = works.attempt(job)
    works.until((folder / "up").exists)
    kill_supervisor(folder)
    works.until(lambda: jobs(works.inventory).jobs[0].evidence["supervised"] is False)
    return job, folder


def start_tracking(two_pods: TwoPods) -> tuple[str, Path]:
    """A tracking whose supervisor is killed after its first frames."""
    two_pods.misbehave("a", FRAME_S="0.2")
    job = str(two_pods.track().job)
    frames, attempt = two_pods.checkpoints("a", job, 1), two_pods.attempt("a", job, 1)
    two_pods.until(lambda: len(list(frames.glob("*.frame"))) >= 2)
    kill_supervisor(attempt)
    return job, frames


def all_tracked(two_pods: TwoPods, job: str, frames: Path) -> None:
    two_pods.until(lambda: len(list(frames.glob("*.frame"))) == FRAMES)
    two_pods.until(lambda: jobs(two_pods.inventory, hosts=["a"]).jobs[0].state != "running")


def test_a_tracking_that_ended_after_its_supervisor_died_is_a_success_and_no_attempt_is_made(
    two_pods: TwoPods,
) -> None:
    job, frames = start_tracking(two_pods)
    all_tracked(two_pods, job, frames)
    (row,) = jobs(two_pods.inventory, hosts=["a"]).jobs
    assert (row.state, row.done) == ("lost", FRAMES)
    assert f"resume {job}" in row.reason
    report = resume(two_pods.inventory, job)
    assert (report.attempt, report.previous_state, report.state, report.exit_code) == (
        1,
        "lost",
        "succeeded",
        0,
    )
    assert two_pods.known(job).state == "succeeded"
    assert pull(two_pods.inventory, job).exit_code == 0
    assert not two_pods.attempt("a", job, 2).exists()


@pytest.mark.slow
def test_a_tracking_with_a_frame_missing_is_lost_and_the_next_attempt_continues(two_pods: TwoPods) -> None:
    job, frames = start_tracking(two_pods)
    all_tracked(two_pods, job, frames)
    (frames / f"{FRAMES - 1:05d}.frame").unlink()
    report = resume(two_pods.inventory, job, follow=unheard)
    assert (report.attempt, report.previous_state, report.state) == (2, "lost", "succeeded")
    end = json.loads((two_pods.attempt("a", job, 1) / "end.json").read_text())
    assert (end["state"], end["frames_done"]) == ("lost", FRAMES - 1)


@pytest.mark.slow
def test_a_follower_puts_a_supervisor_back_and_follows_the_job_to_its_success(two_pods: TwoPods) -> None:
    job, _ = start_tracking(two_pods)
    said: list[Any] = []
    report = resume(two_pods.inventory, job, follow=said.append)
    assert (report.attempt, report.state) == (1, "succeeded")
    assert "lost" not in {str(getattr(line, "state", "")) for line in said}


@pytest.mark.slow
def test_a_job_that_is_followed_when_its_supervisor_dies_is_not_called_lost(two_pods: TwoPods) -> None:
    two_pods.misbehave("a", FRAME_S="0.2")
    reports: list[Any] = []
    follower = threading.Thread(target=lambda: reports.append(two_pods.track(follow_it=True)))
    follower.start()
    two_pods.until(lambda: two_pods.ledger.jobs() != ())
    job = two_pods.ledger.find("last").job
    frames = two_pods.checkpoints("a", job, 1)
    two_pods.until(lambda: len(list(frames.glob("*.frame"))) >= 2)
    kill_supervisor(two_pods.attempt("a", job, 1))
    follower.join(100)
    assert (reports[0].state, reports[0].jobs[0].attempt) == ("succeeded", 1)
    assert "lost" not in {str(change.state) for change in two_pods.ledger.history(job)}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resume", "retrack"])
def test_a_running_job_without_a_supervisor_gets_another_one_and_keeps_its_attempt(
    works: Any, how: str
) -> None:
    job, folder = start_orphan(works)
    report = resume(works.inventory, job) if how == "resume" else works.command(WAITS)
    assert (report.job, report.state, report.exit_code) == (job, "running", 0)
    (row,) = jobs(works.inventory).jobs
    assert (row.evidence["supervised"], row.reason) == (
        True,
        "its supervisor died; another one looks after it",
    )
    assert works.ledger.find(job).attempt == 1
    assert cancel(works.inventory, job).state == "cancelled"
    assert json.loads((folder / "end.json").read_text())["reason"] == "cancelled"


@pytest.mark.slow
def test_a_dry_run_puts_no_supervisor_back(works: Any) -> None:
    job, _ = start_orphan(works)
    assert resume(works.inventory, job, dry_run=True).state == "running"
    assert jobs(works.inventory).jobs[0].evidence["supervised"] is False


@pytest.mark.slow
def test_a_job_whose_files_nothing_verifies_is_lost_and_resumed(works: Any) -> None:
    job, folder = start_orphan(works)
    (folder / "go").touch()
    works.until(lambda: jobs(works.inventory).jobs[0].state == "lost")
    report = resume(works.inventory, job)
    assert (report.attempt, report.previous_state) == (2, "lost")
    assert json.loads((folder / "end.json").read_text())["state"] == "lost"


@pytest.mark.slow
@pytest.mark.parametrize("why", ["no supervisor could start", "its files are still being verified"])
def test_no_attempt_is_made_after_one_of_which_it_is_unknown_whether_it_is_lost(
    works: Any, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    job, folder = start_orphan(works)
    (folder / "go").touch()
    works.until(lambda: jobs(works.inventory).jobs[0].state == "lost")
    if why == "no supervisor could start":
        error = HostError(why, host="here")
        monkeypatch.setattr(orphaned_jobs, "submit", lambda *_: {job: error})
    else:
        seen = jobs(works.inventory).jobs[0]
        verified = replace(seen, evidence={**seen.evidence, "supervised": True})
        monkeypatch.setattr(orphaned_jobs, "VERIFY_S", 0.0)
        monkeypatch.setattr(orphaned_jobs, "submit", lambda *_: {})
        shown = SimpleNamespace(job=lambda _: verified)
        monkeypatch.setattr(orphaned_jobs, "look_at_host", lambda *_: shown)
    with pytest.raises(HostError, match=why):
        resume(works.inventory, job)
    assert works.ledger.find(job).attempt == 1 and not works.attempt(job, 2).exists()


@pytest.mark.slow
def test_the_same_command_after_a_loss_offers_resume_before_it_starts_from_the_beginning(works: Any) -> None:
    job, folder = start_orphan(works)
    (folder / "go").touch()
    works.until(lambda: jobs(works.inventory).jobs[0].state == "lost")
    would = works.command(WAITS, dry_run=True).jobs[0]
    assert (would.job, would.adopted) == (job, True) and f"resume {job}" in would.reason
    report = works.command(WAITS)
    (same,) = report.jobs
    assert (same.job, same.state, same.adopted, report.exit_code) == (job, "lost", True, 5)
    assert f"resume {job} continues" in same.reason and "--again" in same.reason
    assert not works.attempt(job, 2).exists()
    assert works.command(WAITS, again=True).job != job


@pytest.mark.slow
def test_the_same_command_after_a_loss_finds_the_success_that_its_files_show(two_pods: TwoPods) -> None:
    job, frames = start_tracking(two_pods)
    all_tracked(two_pods, job, frames)
    report = two_pods.track()
    (same,) = report.jobs
    assert (same.job, same.state, same.reason) == (job, "succeeded", "done already; --again makes another")
    assert (report.exit_code, two_pods.known(job).state) == (0, "succeeded")


@pytest.mark.slow
def test_a_follower_calls_a_job_unknown_whose_host_can_start_nothing_that_judges_it(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, folder = start_orphan(works)
    (folder / "go").touch()
    works.until(lambda: jobs(works.inventory).jobs[0].state == "lost")
    error = HostError("no supervisor could start", host="here")
    monkeypatch.setattr(orphaned_jobs, "submit", lambda *_: {job: error})
    said: list[Any] = []
    context, host = job_context(works.inventory), works.inventory.host("here")
    with context.open_session("here") as session:
        ended = follow.follow(context, session, host, works.ledger.find(job), said.append, patience_s=1.0)
    assert (ended.row.state, ended.row.reason) == ("unknown", "no supervisor could start")


@pytest.mark.slow
def test_resume_all_judges_a_job_that_was_given_up_and_lists_it_no_more(works: Any) -> None:
    job, folder = start_orphan(works)
    works.ledger.record(job, 1, "abandoned", {"reason": "its pod was taken for gone"})
    (folder / "go").touch()
    with job_context(works.inventory).open_session("here") as session:
        host = works.inventory.host("here")
        works.until(lambda: look_at_host(session, host, [job]).jobs[0].state == "lost")
    (judged,) = resume_all(works.inventory, host="here").jobs
    assert judged.job == job
    assert resume_all(works.inventory, host="here").jobs == ()
