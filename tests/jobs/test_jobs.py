"""`jobs`: what is unknown is said to be unknown; looking starts nothing; the story is whole."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy
from local_jobs import killed_once_aimed, retrack

from being_remote.cli.job_tables import show_jobs
from being_remote.cli.streams import stdout
from being_remote.demo.pod import Pod
from being_remote.errors import HostError, NotFoundError, UsageError
from being_remote.inventory import Inventory, SshHost
from being_remote.jobs import dispatch
from being_remote.jobs.ledger import Ledger
from being_remote.workflows import cancel
from being_remote.workflows import jobs as workflow
from being_remote.workflows.forget import forget
from being_remote.workflows.jobs import jobs, why
from being_remote.workflows.logs import logs
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume


@pytest.mark.slow
def test_each_job_is_one_row_and_a_host_is_asked_once(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = works.command("true", follow_it=True).job
    failed = works.command("exit 3", follow_it=True).job
    running = works.command("sleep 60").job
    asked: list[str] = []
    real = workflow.look_at_host
    monkeypatch.setattr(workflow, "look_at_host", lambda s, h: asked.append(h.name) or real(s, h))
    report = jobs(works.inventory)
    assert [(r.job, r.state, r.exit_code) for r in report.jobs] == [
        (running, "running", None),
        (failed, "failed", 3),
        (done, "succeeded", 0),
    ]
    assert asked == ["here"]
    assert report.exit_code == 0  # how jobs ended is not how the look went
    assert all(r.since and r.ours and r.evidence["lock"] for r in report.jobs)


@pytest.mark.slow
def test_a_host_whose_entry_cannot_be_used_hides_no_job_of_another_host(works: Any) -> None:
    job = works.command("true", follow_it=True).job
    entry = {"name": "bad", "address": "127.0.0.1", "workdir": "/w", "identity_file": "/nosuch/key"}
    hosts = {**works.inventory.hosts, "bad": SshHost.model_validate(entry)}
    inventory = works.inventory.model_copy(update={"hosts": hosts})
    report = jobs(inventory)
    assert [row.job for row in report.jobs] == [job] and report.exit_code == 4
    assert [h.reachable for h in report.hosts] == [True, False]
    assert "no such file: /nosuch/key" in (report.hosts[1].error or "")

    theirs = inventory.model_copy(update={"state": works.folder / "other-state"})
    assert logs(theirs, job, take_over=True).job == job  # every host is asked for it
    assert cancel.cancel(inventory, job).was_ended
    with sqlite3.connect(works.ledger.path) as db:
        db.execute("UPDATE jobs SET host = 'bad', state = 'running'")
    assert cancel.cancel(inventory, job, pod_is_gone=True).state == "abandoned"


@pytest.mark.slow
def test_a_job_whose_records_make_no_sense_is_unknown_and_keeps_no_other_away(works: Any) -> None:
    good = works.command("echo hello", follow_it=True).job
    odd = works.command("echo again", follow_it=True).job
    end = works.workdir / "jobs" / odd / "attempts/1/end.json"
    record = json.loads(end.read_text())
    end.write_text(json.dumps({**record, "frames_done": "\ud800", "reason": "a\n  next: b \ud800"}))
    fresh = works.inventory.model_copy(update={"state": works.folder / "other-state"})  # it knows no end
    report = jobs(fresh, all_jobs=True)
    assert {row.job: row.state for row in report.jobs} == {good: "succeeded", odd: "unknown"}
    assert report.exit_code == 4 and report.hosts[0].error is None
    reasons = {row.job: row.reason for row in report.jobs}
    assert "frames_done" in reasons[odd] and reasons[odd].isprintable()
    end.write_text(json.dumps({**record, "reason": "a\n  next: b \ud800"}))  # only words: they are escaped
    rows = {row.job: row for row in jobs(fresh, all_jobs=True).jobs}
    assert (rows[odd].state, rows[odd].reason) == ("succeeded", "a\\n  next: b \\ud800")
    report = logs(works.inventory, good)
    assert [line.line for line in report.lines] == ["hello"] and report.exit_code == 0


def test_rows_that_name_no_job_make_the_look_incomplete_and_are_said(
    works: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = works.command("true", follow_it=True).job
    real = workflow.look_at_host
    problem = "1 of its 2 rows about jobs make no sense"
    monkeypatch.setattr(
        workflow, "look_at_host", lambda s, h: dataclasses.replace(real(s, h), problems=(problem,))
    )
    report = jobs(works.inventory)
    assert [row.job for row in report.jobs] == [job] and report.exit_code == 4
    show_jobs(stdout(), report)
    assert f"here: jobs may be missing: {problem}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_look_writes_down_the_states_of_all_jobs_in_one_transaction(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        works.command(f"sleep 6{n}")
    written: list[sqlite3.Connection] = []
    real = Ledger._writing

    @contextmanager
    def counted(ledger: Ledger) -> Iterator[sqlite3.Connection]:
        with real(ledger) as db:
            written.append(db)
            yield db

    monkeypatch.setattr(Ledger, "_writing", counted)
    assert [row.state for row in jobs(works.inventory).jobs] == ["running"] * 3
    assert len(written) == 1


def test_looking_starts_nothing(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "aim", killed_once_aimed)
    with pytest.raises(KeyboardInterrupt):
        works.command("touch ran")
    (row,) = jobs(works.inventory).jobs
    assert row.state == "created"
    assert os.listdir(works.workdir / "jobs") == [".volume"]


@pytest.mark.slow
def test_old_ends_are_hidden_until_all_are_asked_for(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "NEWEST", 1)
    for n in range(3):
        works.command(f"true {n}", follow_it=True)
    report = jobs(works.inventory)
    assert (len(report.jobs), report.hidden) == (1, 2)
    assert len(jobs(works.inventory, all_jobs=True).jobs) == 3


@pytest.fixture
def far(pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path) -> Any:
    """A pod behind a proxy, with its own workdir."""
    with FaultProxy((pod.address, pod.port)) as proxy:
        entry = {
            **pod.inventory_entry(),
            "port": proxy.port,
            "workdir": str(tmp_path / "w"),
            "connect_timeout_s": 2.0,
            "answer_timeout_s": 10.0,
        }
        inventory = make_inventory({"pod": entry})
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
        yield inventory, proxy
        proxy.mode = "ok"
        for row in jobs(inventory).jobs:
            if row.ours and row.state not in ("succeeded", "failed", "cancelled", "lost", "abandoned"):
                cancel.cancel(inventory, row.job)


def sleeper(inventory: Inventory) -> str:
    return str(retrack(inventory, recipe="command", command="sleep 60", gpus=0).job)


@pytest.mark.slow
def test_a_host_that_is_away_makes_its_jobs_unknown_and_nothing_follows(far: Any) -> None:
    inventory, proxy = far
    job = sleeper(inventory)
    proxy.mode = "refuse"
    report = jobs(inventory)
    (row,) = report.jobs
    assert (row.state, row.last_known, report.exit_code) == ("unknown", "running", 4)
    assert row.as_of and "hung up" in row.reason
    with pytest.raises(HostError):
        cancel.cancel(inventory, job)
    with pytest.raises(HostError):
        resume(inventory, job)
    with pytest.raises(HostError):
        resume(inventory, job, pod_is_gone=True, dry_run=True)
    with pytest.raises(HostError):
        pull(inventory, job)
    again = why(inventory, job)
    assert (again.exit_code, again.jobs[0].state) == (4, "unknown")
    assert again.error is not None and [s.state for s in again.story][-1] == "unknown"
    proxy.mode = "ok"
    (row,) = jobs(inventory).jobs
    assert (row.state, row.attempt) == ("running", 1)


@pytest.mark.slow
def test_the_users_word_abandons_the_attempt_of_a_host_that_is_gone_and_the_next_one_fences_it(
    far: Any,
) -> None:
    inventory, proxy = far
    job = sleeper(inventory)
    proxy.mode = "refuse"
    with pytest.raises(HostError, match="is abandoned, as you confirmed"):
        resume(inventory, job, pod_is_gone=True)
    assert jobs(inventory, all_jobs=True).jobs[0].state == "abandoned"
    proxy.mode = "ok"
    report = resume(inventory, job)
    assert (report.attempt, report.previous_state) == (2, "abandoned")
    cancel.cancel(inventory, job)


@pytest.mark.slow
def test_one_dead_host_does_not_hide_another(works: Any, far: Any) -> None:
    inventory, proxy = far
    both = inventory.model_copy(update={"hosts": {**inventory.hosts, **works.inventory.hosts}})
    here = retrack(both, host="here", recipe="command", command="sleep 60", gpus=0).job
    there = retrack(both, host="pod", recipe="command", command="sleep 60", gpus=0).job
    proxy.mode = "refuse"
    report = jobs(both)
    assert {r.job: r.state for r in report.jobs} == {here: "running", there: "unknown"}
    assert {h.host: h.reachable for h in report.hosts} == {"here": True, "pod": False}
    assert report.exit_code == 4
    cancel.cancel(both, str(here))


def test_a_job_of_another_laptop_is_shown_as_such_and_left_alone(works: Any) -> None:
    job = works.command("sleep 60").job
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    (row,) = jobs(theirs).jobs
    assert (row.job, row.ours, row.state) == (job, False, "running")
    with pytest.raises(NotFoundError):
        cancel.cancel(theirs, str(job))


def test_the_story_tells_each_step_with_its_evidence(works: Any) -> None:
    job = works.command("exit 4", follow_it=True).job
    report = why(works.inventory, str(job)[:-1])
    assert (report.story[0].state, report.story[-1].state) == ("created", "failed")
    assert report.story[-1].evidence["exit_code"] == 4
    assert report.story[-1].evidence["incarnation"]["volume"]
    assert all(s.at and s.attempt == 1 for s in report.story)
    assert (report.jobs[0].state, report.exit_code) == ("failed", 0)


def test_a_job_on_a_host_that_left_the_inventory_is_unknown(works: Any) -> None:
    works.command("sleep 60")
    other = {"kind": "local", "name": "new", "workdir": str(works.folder / "n"), "python": sys.executable}
    lean = Inventory.model_validate({**works.inventory.model_dump(), "hosts": {"new": other}})
    (row,) = jobs(lean).jobs
    assert (row.state, row.reason) == ("unknown", "the inventory does not name this host any more")


@pytest.mark.slow
def test_what_to_do_about_a_job_is_said_where_the_inventory_does_not_name_its_host_any_more(
    works: Any,
) -> None:
    running = str(works.command("sleep 60").job)
    failed = str(works.command("exit 3", follow_it=True).job)
    unnamed = works.inventory.model_copy(update={"hosts": {}})
    for ask in (logs, pull, cancel.cancel, resume, forget):
        with pytest.raises(UsageError, match=f"{running} is on here, which the inventory does not") as e:
            ask(unnamed, running)
        assert f"cancel {running} --pod-is-gone" in e.value.hint and "name here in the" in e.value.hint
    with pytest.raises(UsageError) as e:
        resume(unnamed, failed)
    assert f"resume {failed} --host OTHER" in e.value.hint and "--pod-is-gone" not in e.value.hint
