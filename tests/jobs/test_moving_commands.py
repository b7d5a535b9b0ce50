"""Commands that move: planned anew, from scratch; and two hosts that share a disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_jobs import killed, killed_once_aimed, retrack, unheard

from being_remote.errors import InconsistentData, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs import dispatch
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.status_poll import look_at_host, look_at_job, record_answer
from being_remote.transport import open_session
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.resume import resume


@pytest.fixture
def three(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Inventory]:
    """This machine as `x`, as `y` with the same disk, and as `z` with another one."""
    hosts = {
        name: {"kind": "local", "workdir": str(tmp_path / disk), "python": sys.executable}
        for name, disk in (("x", "disk"), ("y", "disk"), ("z", "other"))
    }
    inventory = make_inventory(hosts)
    yield inventory
    for known in ledger_of(inventory).jobs():
        if not known.ended:
            cancel(inventory, known.job)


def command(inventory: Inventory, script: str, **more: Any) -> str:
    report = retrack(inventory, host="x", recipe="command", command=f"sh -c '{script}'", gpus=0, **more)
    return str(report.job)


@pytest.mark.slow
def test_a_command_starts_from_scratch_on_another_disk(three: Inventory, tmp_path: Path) -> None:
    job = command(three, f"test -e {tmp_path}/go || exit 3", follow_it=True)
    (tmp_path / "go").touch()
    before = ledger_of(three).find(job)
    report = resume(three, job, host="z", follow=unheard)
    assert (report.host, report.attempt, report.state) == ("z", 2, "succeeded")
    assert report.moved is not None and report.moved.files == 0
    assert (tmp_path / "other/jobs" / job / "attempts/2/end.json").exists()
    after = ledger_of(three).find(job)
    assert (after.host, after.attempt) == ("z", 2) and after.spec_sha256 != before.spec_sha256


@pytest.mark.slow
def test_on_one_disk_the_job_goes_on_as_it_lies_there(three: Inventory, tmp_path: Path) -> None:
    job = command(three, f"test -e {tmp_path}/go || exit 3", follow_it=True)
    (tmp_path / "go").touch()
    before = ledger_of(three).find(job)
    report = resume(three, job, host="y", follow=unheard)
    assert (report.host, report.attempt, report.state) == ("y", 2, "succeeded")
    assert (report.spec_sha256, ledger_of(three).find(job).host) == (before.spec_sha256, "y")
    assert not (tmp_path / "disk/jobs/.pushed").exists()
    (row,) = jobs(three, all_jobs=True).jobs  # x shows it as well, and it is the same attempt
    assert (row.host, row.attempt, row.superseded) == ("y", 2, False)
    with pytest.raises(UsageError, match="share a disk"):
        cancel(three, job, host="x")


@pytest.mark.slow
def test_another_spec_under_the_same_id_is_not_touched(three: Inventory, tmp_path: Path) -> None:
    job = command(three, "exit 3", follow_it=True)
    there = tmp_path / "other/jobs" / job
    there.mkdir(parents=True)
    (there / "spec.json").write_text("{}")
    with pytest.raises(InconsistentData, match="holds another spec under this id"):
        resume(three, job, host="z")
    assert ledger_of(three).find(job).attempt == 1


@pytest.mark.slow
def test_what_was_never_sent_is_moved_without_a_word_and_what_may_be_on_its_way_is_not(
    three: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("submit", "aim"):
        with monkeypatch.context() as patched:
            patched.setattr(dispatch, step, killed_once_aimed if step == "aim" else killed)
            with pytest.raises(KeyboardInterrupt):
                command(three, "sleep 60", again=True)
        if step == "submit":
            story = ledger_of(three).history(ledger_of(three).find("last").job)
            dry = resume(three, "last", host="z", dry_run=True)
            assert (dry.attempt, dry.previous_state) == (2, "created")
            assert ledger_of(three).history(dry.job) == story
            assert resume(three, "last", host="z").state == "running"
        else:
            with pytest.raises(UsageError, match="may be on its way"):
                resume(three, "last", host="z", pod_is_gone=True)
            cancel(three, "last")
            assert resume(three, "last", host="z").state == "running"


@pytest.mark.slow
def test_a_late_answer_of_the_old_host_is_no_news(three: Inventory, tmp_path: Path) -> None:
    job = command(three, f"until test -e {tmp_path}/go; do sleep 0.02; done; exit 3")
    ledger, x = ledger_of(three), three.host("x")
    with open_session(x, three) as session:
        before, answer = ledger.find(job), look_at_host(session, x, [job])
        (tmp_path / "go").touch()
        while answer.jobs[0].state != "failed":
            answer = look_at_host(session, x, [job])
        ledger.record(job, 1, "abandoned", {"reason": "a word"})
        resume(three, job, host="z", follow=unheard)
        story = ledger.history(job)
        row = record_answer(ledger, before, answer)
        assert (row.state, row.last_known) == ("unknown", "failed")
        assert row.reason == "attempt 2 on z counts now"
        with pytest.raises(UsageError, match="attempt 2 on z counts now, not that on x"):
            look_at_job(ledger, session, x, ledger.find(job))
        assert ledger.history(job) == story


@pytest.mark.slow
def test_another_laptop_takes_over_a_job_where_it_is_now(three: Inventory, tmp_path: Path) -> None:
    job = command(three, "exit 3", follow_it=True)
    theirs = three.model_copy(update={"state": tmp_path / "other-state"})
    resume(theirs, job, take_over=True, host="x")
    resume(three, job, take_over=True)  # ours again: attempt 3
    for inventory in (three, theirs):
        while any(row.state == "running" for row in jobs(inventory).jobs):
            pass
    resume(theirs, job, take_over=True, follow=unheard)
    moved = resume(theirs, job, host="z", follow=unheard)
    assert moved.state == "failed"
    taken = resume(three, job, take_over=True, host="z", follow=unheard)
    assert (taken.host, taken.attempt, taken.took_over) == ("z", moved.attempt + 1, True)
    assert ledger_of(three).find(job).host == "z"
