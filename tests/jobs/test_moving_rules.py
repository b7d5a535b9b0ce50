"""A job that leaves its host: what it takes along, when it may go, and which attempt there is cancelled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.errors import DuplicateJob, HostError, Unreachable, UsageError
from being_remote.inventory import LocalHost
from being_remote.jobs import cancel, dispatch, move_permission, resume
from being_remote.jobs import move as moving
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob
from being_remote.jobs.move_permission import MovePermission, permit_move
from being_remote.jobs.recipe import CarriedFiles, JobPlan, JobRequest
from being_remote.jobs.resume import ResumeChoice, open_or_abandon, resume_on_host
from being_remote.jobs.spec import CommandStep, JobSpec
from being_remote.pod.job_states import JobState
from being_remote.session import no_progress
from being_remote.transport.local_session import LocalSession

JOB = "demo-a"
STEPS = (CommandStep("running", ("true",)),)
PLAN = JobPlan("command", None, "new", {"words": ["true"]}, STEPS, gpus=0)
FAILED = MovePermission(JobState.FAILED, "it failed", None)


class Carrying:
    """A recipe whose next attempt continues from one local file."""

    name, unit = "command", "files"

    def __init__(self, folder: Path) -> None:
        (folder / "a").mkdir(parents=True)
        (folder / "a/one.frame").write_bytes(b"a frame")
        note = json.dumps({"files": 1}).encode()
        self.carried = CarriedFiles(folder, ("a/one.frame",), 7, 1, note, "there are no more")

    def look(self, *_: Any) -> None:
        """Nothing needs to be known."""

    def needs_input(self, _: Any) -> None:
        """It uses none."""

    def repeat(self, _: Any, __: Any, host: LocalHost, actor: None) -> JobRequest:
        return JobRequest(host, None, actor)

    def plan(self, *_: Any) -> JobPlan:
        return PLAN

    def find_resumable(self, *_: Any) -> CarriedFiles:
        return self.carried


class Place:
    """A ledger with one job on `old`, and this machine as `new`."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger.sqlite")
        spec = JobSpec(JOB, self.ledger.uuid, "command", None, "old", {"words": ["true"]}, STEPS)
        self.ledger.intend(Intent.of(spec, b"{}"))
        self.new = LocalHost(name="new", workdir=folder / "new")
        self.recipe = Carrying(folder / "carried")
        self.context: Any = SimpleNamespace(
            ledger=self.ledger,
            inventory=SimpleNamespace(hosts={"old": None, "new": self.new}, host=lambda _: self.new),
            find_recipe=lambda _: self.recipe,
            preflight=SimpleNamespace(check=lambda *_, **__: None),
            result_folder=lambda job: folder / "runs" / job.job,
            again=True,
            pull_words=lambda job, _: f"pull {job}",
        )

    @property
    def job(self) -> LedgerJob:
        return self.ledger.find(JOB)

    def status(self, state: JobState, attempt: int = 1, **more: Any) -> JobStatus:
        return JobStatus(job=JOB, host="old", attempt=attempt, state=state, reason="because", **more)

    def move(self, **more: Any) -> Any:
        with LocalSession(self.new) as session:
            return moving.move(
                self.context, session, self.new, self.job, FAILED, on_progress=no_progress, **more
            )

    @property
    def uploads(self) -> Path:
        return Path(self.new.workdir) / "jobs/.pushed"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "new").mkdir()
    made = Place(tmp_path)
    made.ledger.record(JOB, 1, JobState.FAILED, {})
    return made


def test_a_job_that_moves_has_its_files_on_the_new_host_under_the_next_attempts_name(place: Place) -> None:
    moved = place.move(dry_run=False)
    (upload,) = place.uploads.iterdir()
    assert upload.name == f"{JOB}.2.{hashlib.sha256(place.recipe.carried.note).hexdigest()}"
    assert (upload / "pushed.json").read_bytes() == place.recipe.carried.note
    assert (upload / "a/one.frame").read_bytes() == b"a frame"
    assert (place.job.host, place.job.attempt, place.job.state) == ("new", 2, "created")
    assert JobSpec.from_bytes(place.job.spec).host == "new"
    assert dispatch.pushed_for(place.ledger, place.job) == upload.name
    assert (moved.from_host, moved.frames_kept, moved.transferred_files) == ("old", 1, 1)


def test_a_rehearsed_move_uploads_and_writes_down_nothing(place: Place) -> None:
    story = place.ledger.history(JOB)
    assert place.move(dry_run=True).transferred_files == 1
    assert not place.uploads.exists() and place.ledger.history(JOB) == story


def test_a_host_that_shares_the_disk_of_the_last_attempt_needs_no_upload(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = replace(place.status(JobState.FAILED), spec_sha256=place.job.spec_sha256, attempts=(1,))
    answer = SimpleNamespace(job=lambda _: seen)
    monkeypatch.setattr(moving, "look_at_host", lambda *_: answer)
    before = place.job
    assert place.move(dry_run=False).transferred_files == 0 and not place.uploads.exists()
    assert (place.job.attempt, place.job.spec_sha256) == (2, before.spec_sha256)


def test_an_upload_is_completed_only_with_the_files_that_it_was_begun_with(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(moving, "push_files", lambda *a, **_: sent.append((a[3].name, sorted(a[2]))))
    name = f"{JOB}.2.{hashlib.sha256(place.recipe.carried.note).hexdigest()}"
    place.ledger.next_attempt(JOB, 1, {dispatch.PUSHED: name})
    session: Any = SimpleNamespace(host="new")
    whole, place.recipe.carried = place.recipe.carried, replace(place.recipe.carried, note=b"other")
    moving.upload_carried_again(place.context, session, place.new, place.job, no_progress)
    assert sent == []
    place.recipe.carried = whole
    moving.upload_carried_again(place.context, session, place.new, place.job, no_progress)
    assert sent == [(name, ["a/one.frame"]), (name, ["pushed.json"])]  # the note comes last


def test_the_local_folders_of_a_job_are_tried_from_the_newest_attempt_on(
    place: Place, tmp_path: Path
) -> None:
    names = [JOB, f"{JOB}.attempt-10", f"{JOB}.attempt-9.2", f"{JOB}.attempt-9", f"{JOB}.attempt-1"]
    for name in reversed(names):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert [folder.name for folder in moving.attempt_folders(place.context, place.job)] == names


def test_an_attempt_that_may_run_is_left_only_on_the_users_word(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = place.status(JobState.UNKNOWN)
    monkeypatch.setattr(move_permission, "_status", lambda *_, **__: unknown)
    with pytest.raises(HostError, match="whether attempt 1 still runs is unknown"):
        permit_move(place.context, place.job, pod_is_gone=False, dry_run=False)
    permission = permit_move(place.context, place.job, pod_is_gone=True, dry_run=False)
    assert permission.word is not None and permission.word["because"] == "because"
    created = place.status(JobState.CREATED)
    monkeypatch.setattr(move_permission, "_status", lambda *_, **__: created)
    with pytest.raises(UsageError, match="may be on its way to old"):
        permit_move(place.context, place.job, pod_is_gone=True, dry_run=False)


@pytest.mark.parametrize("dry_run", [True, False])
def test_only_an_attempt_that_was_never_aimed_at_a_disk_is_left_unasked(
    place: Place, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(move_permission, "_status", lambda *_, **__: place.status(JobState.CREATED))
    place.ledger.next_attempt(JOB, 1, {})
    assert (
        permit_move(place.context, place.job, pod_is_gone=False, dry_run=True).reason
        == "given up before it was sent"
    )
    assert place.job.state == "created"
    place.ledger.record_volume(JOB, 2, "a disk")
    with pytest.raises(UsageError, match="may be on its way"):
        permit_move(place.context, place.job, pod_is_gone=False, dry_run=dry_run)


@pytest.mark.parametrize("word", [True, False])
def test_a_silent_host_has_its_attempt_abandoned_only_on_the_users_word(place: Place, word: bool) -> None:
    place.ledger.next_attempt(JOB, 1, {})
    place.ledger.record(JOB, 2, JobState.RUNNING, {})

    def open_session(_: str) -> Any:
        raise Unreachable("gone", host="old")

    place.context.open_session = open_session
    choice = ResumeChoice(pod_is_gone=word, take_over=False, repeated=False, dry_run=False)
    with pytest.raises(Unreachable) as raised:
        open_or_abandon(place.context, "old", place.job, choice)
    assert place.job.state == ("abandoned" if word else "running")
    assert ("is abandoned, as you confirmed" if word else "--pod-is-gone") in raised.value.hint


def test_an_attempt_whose_files_show_a_success_is_not_resumed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = {"started": True, "end": False, "supervised": None, "lock": "free"}
    lost = place.status(JobState.LOST, evidence=evidence)
    succeeded = place.status(JobState.SUCCEEDED)
    answer = SimpleNamespace(job=lambda _: lost)
    monkeypatch.setattr(resume, "look_at_host", lambda *_: answer)
    monkeypatch.setattr(resume, "look_at_job", lambda *_, **__: lost)
    monkeypatch.setattr(resume, "supervise_again", lambda *_: succeeded)
    choice = ResumeChoice(pod_is_gone=False, take_over=False, repeated=False, dry_run=False)
    session: Any = SimpleNamespace(host="old")
    found = resume_on_host(place.context, session, place.new, JOB, place.job, choice)
    assert (found.before.state, found.after.state) == ("lost", "succeeded")
    assert place.job.attempt == 1


@contextmanager
def seen_on_host(monkeypatch: pytest.MonkeyPatch, status: JobStatus | None) -> Iterator[list[Any]]:
    """The host shows this, and what is cancelled there is collected."""
    sent: list[Any] = []

    def cancel_attempt(*arguments: Any) -> cancel.CancelResult:
        sent.append(arguments[3:])
        return cancel.CancelResult("asked", status)

    monkeypatch.setattr(cancel, "look_at_host", lambda *_: SimpleNamespace(job=lambda _: status))
    monkeypatch.setattr(cancel, "_cancel_attempt", cancel_attempt)
    yield sent


def moved_twice(place: Place) -> None:
    """Attempts 1 and 3 on `old`, 2 and 4 on `new`."""
    for attempt, host in ((1, "new"), (2, "old"), (3, "new")):
        spec = JobSpec(JOB, place.ledger.uuid, "command", None, host, {}, STEPS)
        place.ledger.next_attempt(JOB, attempt, {}, moved=Intent.of(spec, b"{}"))


def test_the_attempt_that_is_cancelled_on_a_host_that_was_left_is_the_newest_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved_twice(place)
    assert cancel.former_attempt(place.ledger, place.job, "old") == 3
    with pytest.raises(UsageError, match="never was on third"):
        cancel.former_attempt(place.ledger, place.job, "third")
    old = LocalHost(name="old", workdir="/w")
    session: Any = SimpleNamespace(host="old")
    with seen_on_host(monkeypatch, place.status(JobState.RUNNING, attempt=3)) as sent:
        report = cancel.cancel_former(place.ledger, session, old, place.job, dry_run=False)
    assert (report.attempt, report.state, [attempt for attempt, _ in sent]) == (3, "running", [3])


def test_on_a_disk_that_both_hosts_share_the_attempt_that_counts_is_not_cancelled_as_a_former_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved_twice(place)
    old = LocalHost(name="old", workdir="/w")
    session: Any = SimpleNamespace(host="old")
    with (
        seen_on_host(monkeypatch, place.status(JobState.RUNNING, attempt=4)) as sent,
        pytest.raises(UsageError, match="share a disk"),
    ):
        cancel.cancel_former(place.ledger, session, old, place.job, dry_run=False)
    assert sent == []


@pytest.mark.parametrize(("attempt", "expected"), [(1, [1]), (2, [])])
def test_of_an_abandoned_job_only_the_attempt_of_this_ledger_is_cancelled(
    place: Place, monkeypatch: pytest.MonkeyPatch, attempt: int, expected: list[int]
) -> None:
    session: Any = SimpleNamespace(host="old")
    with seen_on_host(monkeypatch, place.status(JobState.RUNNING, attempt=attempt)) as sent:
        cancel.cancel_abandoned(session, place.new, place.job, dry_run=False)
    assert [number for number, _ in sent] == expected


def test_a_newer_attempt_of_another_laptop_is_not_cancelled(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    session: Any = SimpleNamespace(host="old")
    with (
        seen_on_host(monkeypatch, place.status(JobState.RUNNING, attempt=2)) as sent,
        pytest.raises(UsageError, match="another laptop made attempt 2"),
    ):
        cancel.cancel_current(place.ledger, session, place.new, place.job)
    assert sent == []


def test_a_duplicate_that_was_not_stored_is_cancelled_on_the_disk_where_it_may_still_arrive(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.ledger.next_attempt(JOB, 1, {})
    place.ledger.record_volume(JOB, 2, "its disk")
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(dispatch, "cancel", lambda *_, **how: asked.append(how))
    session: Any = SimpleNamespace(host="old")
    dispatch._withdraw(place.ledger, session, place.new, place.job, DuplicateJob(host="old", other="demo-b"))
    assert asked == [{"attempt": 2, "volume": "its disk"}] and place.job.state == "cancelled"


def test_cancels_exit_with_4_while_an_end_is_not_known() -> None:
    running = cancel.CancelReport(JOB, "old", 1, JobState.RUNNING, "because", was_ended=False)
    ended = replace(running, state=JobState.CANCELLED)
    assert (running.exit_code, ended.exit_code, replace(running, dry_run=True).exit_code) == (4, 0, 0)
    assert cancel.CancelAllReport("old", (ended, running, ended)).exit_code == 4
