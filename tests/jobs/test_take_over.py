"""Jobs of another laptop, or of a lost ledger: left alone, and taken over on the user's word."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_jobs import unheard

from being_remote.demo.pod import Pod
from being_remote.errors import DuplicateJob, HostError, NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import ledger_of
from being_remote.pod.job_states import JobState
from being_remote.recipes.retrack_request import RetrackRequest
from being_remote.schedulers.registry import scheduler_of
from being_remote.transport.local_session import LocalSession
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.logs import logs
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume
from being_remote.workflows.retrack import retrack

MAKE = "echo said; echo one > one.txt"


@pytest.fixture
def theirs(works: Any) -> Inventory:
    """The same hosts from a laptop with a ledger of its own."""
    return works.inventory.model_copy(  # type: ignore[no-any-return]
        update={"state": works.folder / "other-state", "backups": works.folder / "other-backups"}
    )


@pytest.mark.parametrize(
    ("command", "ask"),
    [("cancel", cancel), ("logs", logs), ("pull", pull), ("resume", resume)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_job_that_only_jobs_lists_is_not_found_and_the_command_that_takes_it_over_is_named(
    works: Any, theirs: Inventory, command: str, ask: Any
) -> None:
    job = works.command(MAKE, follow_it=True).job
    with pytest.raises(NotFoundError) as e:
        ask(theirs, job)
    assert f"{command} {job} --take-over" in e.value.hint
    assert not theirs.state.exists()


@pytest.mark.slow
def test_the_results_and_the_log_of_another_laptops_job_are_had_by_take_over(
    works: Any, theirs: Inventory
) -> None:
    job = works.command(MAKE, follow_it=True).job
    assert [line.line for line in logs(theirs, job, take_over=True).lines] == ["said"]
    report = pull(theirs, job[:-2], all_files=True, take_over=True)
    assert (report.job, report.state, report.files) == (job, "succeeded", 1)
    assert (theirs.backups / "runs" / job / "one.txt").read_text() == "one\n"
    assert pull(theirs, "last", all_files=True).transferred_files == 0


@pytest.mark.slow
def test_another_laptops_job_is_cancelled_on_the_users_word_alone(works: Any, theirs: Inventory) -> None:
    job = works.command("sleep 60").job
    with pytest.raises(NotFoundError):
        cancel(theirs, job)
    assert [row.state for row in jobs(works.inventory).jobs] == ["running"]
    report = cancel(theirs, job, take_over=True)
    assert (report.job, report.state, report.exit_code) == (job, "cancelled", 0)
    assert [row.state for row in jobs(works.inventory).jobs] == ["cancelled"]


@pytest.mark.slow
def test_a_rehearsal_takes_nothing_over(works: Any, theirs: Inventory) -> None:
    job = works.command("sleep 60").job
    for ask in (cancel, pull):
        with pytest.raises(UsageError, match="cannot be rehearsed"):
            ask(theirs, job, take_over=True, dry_run=True)
    assert not theirs.state.exists()


@pytest.mark.slow
def test_the_same_settings_attach_to_a_job_that_was_taken_over_whatever_the_host_is_called(
    works: Any, theirs: Inventory
) -> None:
    job = works.command("sleep 60").job
    renamed = theirs.hosts["here"].model_copy(update={"name": "pod-2"})
    theirs = theirs.model_copy(update={"hosts": {"pod-2": renamed}})
    logs(theirs, job, take_over=True)
    again = retrack(theirs, RetrackRequest(recipe="command", command="sh -c 'sleep 60'", gpus=0))
    assert (again.job, again.adopted, again.host) == (job, True, "pod-2")
    assert len(ledger_of(theirs).jobs()) == 1


@pytest.mark.slow
def test_a_newer_attempt_of_our_job_is_used_on_the_users_word(works: Any, theirs: Inventory) -> None:
    job = works.command("echo from $BEING_REMOTE_ATTEMPT; exit 3", follow_it=True).job
    resume(theirs, job, take_over=True, follow=unheard)
    assert logs(works.inventory, job).attempt == 1
    assert logs(works.inventory, job, take_over=True).attempt == 2
    assert works.ledger.find(job).attempt == 2
    assert logs(works.inventory, job, take_over=True).attempt == 2  # a second time changes nothing


@pytest.mark.slow
def test_a_beginning_that_two_jobs_have_takes_neither_over(works: Any, theirs: Inventory) -> None:
    made = sorted(str(works.command("true", follow_it=True, again=True).job) for _ in range(2))
    with pytest.raises(UsageError, match="may mean 2 jobs") as e:
        logs(theirs, "command-", take_over=True)
    assert e.value.hint == f"one of: {', '.join(made)}"
    assert not theirs.state.exists()


@pytest.mark.slow
def test_a_job_that_no_host_has_is_not_found_and_unknown_where_a_host_is_silent(
    works: Any, theirs: Inventory, pod: Pod, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="nor on here"):
        logs(theirs, "nope", take_over=True)
    away = {**pod.inventory_entry(), "kind": "ssh", "port": 1, "name": "away"}
    both = type(theirs).model_validate(
        {**theirs.model_dump(), "hosts": {**theirs.model_dump()["hosts"], "away": away}}
    )
    with pytest.raises(HostError) as e:
        logs(both, "nope", take_over=True)
    assert e.value.host == "away" and e.value.exit_code == 4
    job = works.command(MAKE, follow_it=True).job
    assert logs(both, job, take_over=True).state == "succeeded"  # one that answers has it


@pytest.mark.slow
def test_an_attempt_that_another_laptop_moved_to_another_host_has_a_row_of_its_own(
    works: Any, tmp_path: Path
) -> None:
    other = {"kind": "local", "name": "other", "workdir": str(tmp_path / "Other"), "python": sys.executable}
    document = works.inventory.model_dump()
    both = Inventory.model_validate({**document, "hosts": {**document["hosts"], "other": other}})
    theirs = both.model_copy(update={"state": works.folder / "other-state"})
    job = works.command("exit 3", follow_it=True).job
    resume(theirs, job, take_over=True, host="here", follow=unheard)
    moved = tmp_path / "Other/jobs" / job
    moved.parent.mkdir(parents=True)
    (works.workdir / "jobs" / job).rename(moved)
    rows = {(row.host, row.attempt): row for row in jobs(both, all_jobs=True).jobs}
    assert rows["here", 1].ours and not rows["here", 1].superseded
    assert not rows["other", 2].superseded and not rows["other", 2].ours


SLEEP = RetrackRequest(recipe="command", command="sh -c 'sleep 60'", gpus=0)


def jobs_on_host(works: Any) -> set[str]:
    return {p.name for p in (works.workdir / "jobs").iterdir() if not p.name.startswith(".")}


@pytest.mark.slow
def test_a_second_laptop_starts_no_second_run_of_the_same_settings_unless_it_insists(
    works: Any, theirs: Inventory
) -> None:
    job = works.command("sleep 60").job
    renamed = theirs.model_copy(
        update={"hosts": {"pod-2": theirs.hosts["here"].model_copy(update={"name": "pod-2"})}}
    )
    for _ in range(2):
        with pytest.raises(DuplicateJob) as e:
            retrack(renamed, SLEEP)
        assert e.value.other == job and e.value.exit_code == 4
        assert f"logs {job} --take-over" in e.value.hint and "--again" in e.value.hint
    assert jobs_on_host(works) == {job}
    assert {j.state for j in ledger_of(renamed).jobs()} == {JobState.CANCELLED}
    another = retrack(renamed, replace(SLEEP, again=True))
    assert (another.state, another.adopted) == ("running", False)
    cancel(renamed, str(another.job))
    logs(renamed, job, take_over=True)
    attached = retrack(renamed, SLEEP)
    assert (attached.job, attached.adopted) == (job, True)


@pytest.mark.slow
def test_a_ledger_that_was_lost_starts_no_second_run_of_what_is_at_work(works: Any) -> None:
    job = works.command("sleep 60").job
    for file in works.inventory.state.glob("ledger.sqlite*"):
        file.unlink()
    with pytest.raises(DuplicateJob) as e:
        works.command("sleep 60")
    assert e.value.other == job and jobs_on_host(works) == {job}
    assert cancel(works.inventory, job, take_over=True).state == "cancelled"


@pytest.mark.slow
def test_a_job_that_has_ended_or_is_lost_or_has_other_settings_hinders_no_other_laptop(
    works: Any, theirs: Inventory
) -> None:
    cancel(works.inventory, str(works.command("sleep 60").job))
    first = retrack(theirs, SLEEP)
    assert first.state == "running"
    assert works.command("sleep 61").state == "running"
    (facts,) = (
        scheduler_of(works.inventory.host("here"))
        .look(LocalSession(works.inventory.host("here")), works.inventory.host("here"), [str(first.job)])
        .jobs
    )
    assert facts.holder is not None and facts.newest is not None and facts.newest.progress is not None
    assert facts.newest.progress.payload is not None
    os.kill(facts.holder.supervisor.pid, signal.SIGKILL)
    os.killpg(facts.newest.progress.payload.pid, signal.SIGKILL)
    works.until(lambda: jobs(theirs).jobs[0].state == "lost")
    assert works.command("sleep 60").state == "running"


def test_an_attempt_that_another_laptop_made_of_our_job_is_not_cancelled_unless_it_is_taken_over(
    works: Any, theirs: Inventory
) -> None:
    job = str(works.command("sleep 60").job)
    cancel(theirs, job, take_over=True)
    assert resume(theirs, job).attempt == 2
    with pytest.raises(UsageError) as e:
        cancel(works.inventory, job)
    assert f"cancel {job} --take-over" in e.value.hint
    assert jobs(theirs).jobs[0].state == "running"
    done = cancel(works.inventory, job, take_over=True)
    assert (done.attempt, done.state) == (2, "cancelled")


@pytest.fixture
def both(works: Any, theirs: Inventory, tmp_path: Path) -> Inventory:
    """Another laptop's inventory with a second host."""
    other = {"kind": "local", "name": "other", "workdir": str(tmp_path / "Other"), "python": sys.executable}
    document = theirs.model_dump()
    return Inventory.model_validate({**document, "hosts": {**document["hosts"], "other": other}})


@pytest.fixture
def at_work_elsewhere(both: Inventory) -> Iterator[str]:
    """A job of a third laptop on the second host."""
    third = both.model_copy(update={"state": both.state.with_name("third-state")})
    job = str(retrack(third, replace(SLEEP, host="other")).job)
    yield job
    cancel(third, job)


@pytest.mark.slow
def test_a_rehearsal_says_that_another_laptops_job_of_the_same_settings_is_at_work(
    works: Any, theirs: Inventory
) -> None:
    job = works.command("sleep 60").job
    report = retrack(theirs, SLEEP, dry_run=True)
    (obstacle,) = report.obstacles
    assert f"logs {job} --take-over" in obstacle and "--again" in obstacle and report.exit_code == 4
    again = retrack(theirs, replace(SLEEP, again=True), dry_run=True)
    assert (again.obstacles, again.exit_code) == ((), 0)
    assert jobs_on_host(works) == {job} and not theirs.state.exists()


def test_a_rehearsal_takes_no_job_of_this_ledger_for_another_laptops(works: Any) -> None:
    """Nor does the submit: a ledger that was put back from a copy lacks its newest jobs."""
    works.command("sleep 60")
    with closing(sqlite3.connect(works.ledger.path)) as db, db:
        db.execute("UPDATE jobs SET intent_key = 'of something else'")
    report = retrack(works.inventory, SLEEP, dry_run=True)
    assert (report.obstacles, report.exit_code) == ((), 0)


@pytest.mark.slow
def test_no_attempt_is_made_beside_another_laptops_job_of_the_same_settings(
    works: Any, theirs: Inventory
) -> None:
    job = str(retrack(theirs, SLEEP).job)
    cancel(theirs, job)
    at_work = works.command("sleep 60").job
    with pytest.raises(DuplicateJob) as e:
        resume(theirs, job)
    assert e.value.other == at_work and ledger_of(theirs).find(job).attempt == 1
    assert resume(theirs, job, again=True).attempt == 2
    cancel(theirs, job)


@pytest.mark.slow
def test_a_job_moves_to_no_host_where_another_laptops_job_of_the_same_settings_is_at_work(
    both: Inventory, at_work_elsewhere: str
) -> None:
    job = str(retrack(both, replace(SLEEP, host="here")).job)
    cancel(both, job)
    for dry_run in (True, False):
        with pytest.raises(DuplicateJob) as e:
            resume(both, job, host="other", dry_run=dry_run)
        assert e.value.other == at_work_elsewhere
    after = ledger_of(both).find(job)
    assert (after.host, after.attempt, after.state) == ("here", 1, "cancelled")
    assert resume(both, job, host="other", again=True).attempt == 2
    cancel(both, job)


def test_no_job_is_sent_whose_failover_host_has_another_laptops_job_of_the_same_settings(
    both: Inventory, at_work_elsewhere: str
) -> None:
    with pytest.raises(DuplicateJob) as e:
        retrack(both, replace(SLEEP, host="here"), failover="other")
    assert e.value.other == at_work_elsewhere and ledger_of(both).jobs() == ()
