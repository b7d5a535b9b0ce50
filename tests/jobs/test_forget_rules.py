"""What must be local before a job is forgotten, and when a followed job is judged or submitted again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.errors import HostError, NotFoundError, UsageError
from being_remote.inventory import LocalHost
from being_remote.jobs import follow, forget
from being_remote.jobs.attempt_files import PULLED, AttemptFolder
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import Intent, Ledger
from being_remote.jobs.result_folder import note_of
from being_remote.jobs.spec import CommandStep, JobSpec
from being_remote.pod.job_states import JobState
from being_remote.pod_client.forget import ForgetAnswer
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.hash_comparison import HostFiles
from being_remote.transfer.quarantine import QuarantinedFile

JOB = "demo-a"
POD = LocalHost(name="pod", workdir="/w")
SESSION: Any = SimpleNamespace(host="pod")
SPEC = JobSpec(JOB, "ledger", "command", None, "pod", {}, (CommandStep("running", ("true",)),))
PLACE = PurePosixPath("/w/jobs")
FILE = RemoteFile("a", RemoteFolder("", PLACE, PLACE, 0, is_precious=False), 3, 1, 1, 1)


def shown(state: JobState, **more: Any) -> JobStatus:
    fields: dict[str, Any] = {"job": JOB, "host": "pod", "attempt": 1, "reason": "because", "state": state}
    fields |= {"spec_sha256": SPEC.sha256, "evidence": {"end": state.ended, "started": True}}
    return JobStatus(**{**fields, **more})


class Desk:
    """A job whose host answers as it is told to."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path / "results"
        self.folder.mkdir()
        self.ledger = Ledger(tmp_path / "ledger.sqlite")
        self.ledger.intend(Intent.of(SPEC, b"{}"))
        self.job = self.ledger.find(JOB)
        self.known, self.on_host = shown(JobState.SUCCEEDED), shown(JobState.SUCCEEDED)
        self.listed: tuple[Any, Any] = ((FILE,), ())
        self.hashed = {"a": dataclasses.replace(FILE, sha256=hashlib.sha256(b"abc").hexdigest())}
        self.forgot: list[bool] = []
        self.context: Any = SimpleNamespace(
            ledger=self.ledger,
            find_recipe=lambda _: SimpleNamespace(results=("*",), more_results=()),
            result_folder=lambda _: self.folder,
        )
        here = SimpleNamespace(job=lambda _: self.on_host, incarnation=SimpleNamespace(volume="v"))
        monkeypatch.setattr(forget, "look_at_job", lambda *_, **__: self.known)
        monkeypatch.setattr(forget, "look_at_host", lambda *_: here)
        monkeypatch.setattr(forget, "forget_on_host", self._forget)
        monkeypatch.setattr(AttemptFolder, "list_files", lambda *_: self.listed)
        monkeypatch.setattr(AttemptFolder, "hash_files", lambda *_: HostFiles(1, self.hashed))

    def _forget(self, *_: Any, dry_run: bool, **__: Any) -> ForgetAnswer:
        self.forgot.append(dry_run)
        return ForgetAnswer(forget="forgotten", bytes=3)

    def pulled(self, data: bytes = b"abc", **more: Any) -> None:
        (self.folder / "a").write_bytes(data)
        record = {**note_of(self.job), "files": {"a": {"bytes": 3, "sha256": "x"}}, **more}
        (self.folder / PULLED).write_text(json.dumps(record))

    def forget(self, *, discard_results: bool = False, dry_run: bool = False) -> Any:
        return forget.forget_job(
            self.context, SESSION, POD, self.job, discard_results=discard_results, dry_run=dry_run
        )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_job_whose_files_are_all_local_is_forgotten_and_the_ledger_says_so(desk: Desk) -> None:
    desk.pulled()
    assert desk.forget(dry_run=True).forgotten and not forget.is_forgotten(desk.ledger, desk.job)
    answer = desk.forget()
    assert (answer.forgotten, answer.freed_bytes, desk.forgot) == (True, 3, [True, False])
    assert forget.is_forgotten(desk.ledger, desk.job)
    with pytest.raises(NotFoundError, match="forgotten"):
        forget.require_not_forgotten(desk.context, desk.job)


@pytest.mark.parametrize("case", ["other bytes", "other attempt", "no record", "not hashed", "not listed"])
def test_a_file_that_is_not_local_with_the_same_hash_keeps_the_job(desk: Desk, case: str) -> None:
    if case == "other bytes":
        desk.pulled(b"abX")
    elif case == "other attempt":
        desk.pulled(attempt=2)
    elif case == "no record":
        (desk.folder / "a").write_bytes(b"abc")
    elif case == "not hashed":
        desk.pulled()
        desk.hashed = {}
    else:
        desk.pulled()
        desk.listed = ((FILE,), (QuarantinedFile("b", "it is a link"),))
    answer = desk.forget()
    assert (answer.forgotten, answer.not_local, answer.exit_code, desk.forgot) == (False, 1, 6, [])
    assert desk.forget(discard_results=True).forgotten


def test_a_job_that_still_runs_on_its_host_is_kept_whatever_the_ledger_says(desk: Desk) -> None:
    desk.known, desk.on_host = shown(JobState.CANCELLED), shown(JobState.RUNNING)
    with pytest.raises(UsageError, match="it is running"):
        desk.forget(discard_results=True)
    desk.known = shown(JobState.UNKNOWN)
    with pytest.raises(HostError, match="unknown"):
        desk.forget(discard_results=True)
    assert desk.forgot == []


@pytest.mark.parametrize(("kept", "why"), [("busy", "still runs"), ("newer", "newer"), ("elsewhere", "disk")])
def test_a_folder_that_the_host_kept_is_not_noted_as_removed(
    desk: Desk, kept: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.pulled()
    monkeypatch.setattr(forget, "forget_on_host", lambda *_, **__: ForgetAnswer(forget=kept, bytes=0))
    answer = desk.forget()
    assert not answer.forgotten and why in answer.reason and answer.exit_code == 4
    assert not forget.is_forgotten(desk.ledger, desk.job)


# -- following ----------------------------------------------------------------------------------------------


def look(desk: Desk, row: JobStatus, monkeypatch: pytest.MonkeyPatch, judged: JobStatus | None) -> list[Any]:
    """What is reported of a row, and whether the job was sent; `judged`: None where nothing could."""
    said: list[Any] = []

    def judge(*_: Any) -> JobStatus:
        if judged is None:
            raise HostError("no program there", host="pod")
        return judged

    def send(*_: Any) -> JobStatus:
        said.append("sent")
        return shown(JobState.WAITING)

    monkeypatch.setattr(follow, "look_at_job", lambda *_: row)
    monkeypatch.setattr(follow, "supervise_again", judge)
    monkeypatch.setattr(follow, "send", send)
    follower = follow._JobFollower(desk.context, SESSION, POD, desk.job, said.append)
    for _ in range(2):
        follower.look()
    return [line if line == "sent" else line.state for line in said]


def test_a_lost_job_whose_files_nothing_could_judge_is_unknown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = shown(JobState.LOST, evidence={"started": True, "end": False})
    assert look(desk, lost, monkeypatch, None) == ["unknown"]
    assert look(desk, lost, monkeypatch, lost) == ["lost"]
    assert look(desk, shown(JobState.LOST), monkeypatch, None) == ["lost"]  # it has an exit record


def test_a_followed_job_that_nothing_will_start_is_sent_again_and_an_earlier_attempt_never(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unattended = shown(JobState.SUBMITTED, evidence={})
    assert look(desk, unattended, monkeypatch, None) == ["sent", "waiting", "sent"]
    earlier = dataclasses.replace(unattended, attempt=0)
    assert look(desk, earlier, monkeypatch, None) == ["submitted"]
