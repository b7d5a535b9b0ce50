"""`resume`: attempt n + 1 of what is known to be ended, and of nothing else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import Any

import pytest
from local_jobs import unheard

from being_remote.errors import HostError, InconsistentData, NotFoundError, UsageError
from being_remote.jobs.spec import JobSpec
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.resume import resume

ONCE = "test -e ../../../go || exit 3"


@pytest.mark.slow
def test_a_failed_job_gets_a_next_attempt_with_the_same_spec(works: Any) -> None:
    first = works.command(ONCE, follow_it=True)
    (works.workdir / "jobs" / first.job / "go").touch()
    report = resume(works.inventory, "last", follow=unheard)
    assert (report.job, report.attempt, report.previous_state, report.state) == (
        first.job,
        2,
        "failed",
        "succeeded",
    )
    assert report.spec_sha256 == first.spec_sha256
    made = [
        (t.attempt, t.evidence.get("reason")) for t in works.ledger.history(first.job) if t.state == "created"
    ]
    assert made == [(1, None), (1, "about to be sent"), (2, "resumed after failed"), (2, "about to be sent")]


@pytest.mark.slow
def test_a_cancelled_job_can_go_on_and_be_cancelled_again(works: Any) -> None:
    job = works.command("sleep 60").job
    cancel(works.inventory, job)
    assert (resume(works.inventory, job).state, cancel(works.inventory, job).attempt) == ("running", 2)


@pytest.mark.parametrize("word", [{}, {"pod_is_gone": True}])
def test_what_runs_is_never_started_again(works: Any, word: dict[str, bool]) -> None:
    job = works.command("sleep 60").job
    with pytest.raises(UsageError, match="it is running"):
        resume(works.inventory, job, **word)
    assert works.ledger.find(job).attempt == 1


@pytest.mark.slow
def test_what_succeeded_is_not_resumed(works: Any) -> None:
    works.command("true", follow_it=True)
    with pytest.raises(UsageError, match="it has succeeded"):
        resume(works.inventory, "last")


@pytest.mark.slow
def test_unknown_is_resumed_only_on_the_users_word(works: Any) -> None:
    go = works.folder / "go"
    job = works.command(f"until test -e '{go}'; do sleep 0.02; done").job
    go.touch()  # it ends only now, so that the ledger's last word is that it runs
    works.until((works.attempt(job) / "end.json").exists)
    kept = works.workdir / "jobs" / job
    moved = kept.with_name(f".{job}")
    shutil.move(kept, moved)  # the volume shows no such job any more
    with pytest.raises(HostError, match="is unknown"):
        resume(works.inventory, job)
    assert works.ledger.find(job).attempt == 1
    report = resume(works.inventory, job, pod_is_gone=True)
    assert (report.attempt, report.previous_state, report.state) == (2, "unknown", report.state)
    assert report.state in ("running", "succeeded")
    assert works.attempt(job, 2).is_dir() and not works.attempt(job, 1).exists()
    states = [(t.attempt, t.state) for t in works.ledger.history(job)]
    assert (1, "abandoned") in states and (2, "created") in states


@pytest.mark.slow
def test_an_attempt_that_was_seen_at_work_is_not_started_again_on_a_disk_that_was_set_back(
    works: Any,
) -> None:
    starts, go = works.folder / "starts", works.folder / "go"
    script = f"echo >> '{starts}'; until test -e '{go}'; do sleep 0.02; done; exit 3"
    job = works.command(script).job
    works.until(lambda: starts.exists() and jobs(works.inventory).jobs[0].state == "running")
    folder = works.workdir / "jobs" / job / "attempts"
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()  # as it was before the attempt was asked for
    assert [row.state for row in jobs(works.inventory).jobs] == ["unknown"]
    with pytest.raises(HostError, match="its disk was restored"):
        resume(works.inventory, job)
    with pytest.raises(HostError, match="nothing was started"):
        works.command(script)
    assert starts.read_text() == "\n" and not list(folder.iterdir())
    folder.rmdir()
    kept.rename(folder)
    go.touch()
    works.until(lambda: jobs(works.inventory).jobs[0].state == "failed")


@pytest.mark.slow
def test_a_dry_run_writes_nothing_down(works: Any) -> None:
    job = works.command("false").job
    works.until((works.attempt(job) / "end.json").exists)
    story = works.ledger.history(job)
    assert resume(works.inventory, job, dry_run=True).previous_state == "failed"
    assert works.ledger.history(job) == story


@pytest.mark.slow
def test_a_dry_run_makes_no_attempt(works: Any) -> None:
    job = works.command("exit 1", follow_it=True).job
    report = resume(works.inventory, job, dry_run=True)
    assert (report.attempt, report.dry_run, report.exit_code) == (2, True, 0)
    assert works.ledger.find(job).attempt == 1
    assert not works.attempt(job, 2).exists()


@pytest.mark.slow
def test_another_laptop_takes_over_only_when_told_and_the_first_one_notices(works: Any) -> None:
    job = works.command("exit 1", follow_it=True).job
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    with pytest.raises(NotFoundError):
        resume(theirs, job)
    report = resume(theirs, job, take_over=True)
    assert (report.attempt, report.took_over, report.spec_sha256) == (
        2,
        True,
        works.ledger.find(job).spec_sha256,
    )
    assert [r.ours for r in jobs(theirs).jobs] == [True]
    # Our ledger's attempt 1 stays as it ended; attempt 2 is theirs.
    (row,) = jobs(works.inventory).jobs
    assert (row.attempt, row.state) == (1, "failed")
    with pytest.raises(UsageError, match="another laptop made attempt 2"):
        resume(works.inventory, job)
    works.until(lambda: jobs(theirs).jobs[0].state == "failed")
    assert resume(works.inventory, job, take_over=True).attempt == 3
    with pytest.raises(UsageError, match="another laptop made attempt 3"):
        resume(theirs, job)


@pytest.mark.slow
def test_a_running_job_that_is_taken_over_is_only_written_down(works: Any) -> None:
    job = works.command("sleep 60").job
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    report = resume(theirs, job, take_over=True)
    assert (report.attempt, report.state, report.took_over) == (1, "running", True)
    assert cancel(theirs, job).state == "cancelled"


def test_a_spec_that_was_forged_on_the_host_is_not_taken_over(works: Any) -> None:
    job = works.command("exit 1", follow_it=True).job
    spec = works.workdir / "jobs" / job / "spec.json"
    spec.write_bytes(spec.read_bytes().replace(b"exit 1", b"exit 2"))
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    with pytest.raises((InconsistentData, HostError)):
        resume(theirs, job, take_over=True)
    assert not theirs.state.exists()


def test_an_actor_that_only_the_host_names_becomes_no_folder_here(works: Any) -> None:
    job = works.command("exit 1", follow_it=True).job
    file = works.workdir / "jobs" / job / "spec.json"
    spec = dataclasses.replace(JobSpec.from_bytes(file.read_bytes()), actor="../../elsewhere")
    file.write_bytes(spec.as_bytes)
    end = works.attempt(job) / "end.json"
    end.write_text(json.dumps({**json.loads(end.read_text()), "spec_sha256": spec.sha256}))
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    with pytest.raises(UsageError, match="no actor named"):
        resume(theirs, job, take_over=True)
    assert not theirs.state.exists()
