"""What a host's answer about a job means beside the ledger, and what is sent again because of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.errors import (
    ConnectionLost,
    DuplicateJob,
    HostError,
    HostNotReady,
    InconsistentData,
    MalformedAnswer,
    NotFoundError,
    UsageError,
)
from being_remote.inventory import LocalHost
from being_remote.jobs import dispatch, forget, orphaned_jobs, status_poll, take_over
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.forget import ForgottenJob
from being_remote.jobs.job_archive import job_files
from being_remote.jobs.job_status import HostJobs, JobStatus, ended_status, status_of
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob, StateChange
from being_remote.jobs.logs import read
from being_remote.jobs.preflight import Preflight
from being_remote.jobs.result_folder import ResultFolder, is_of, read_record
from being_remote.jobs.same_intent import find_duplicates
from being_remote.jobs.spec import CommandStep, JobSpec, is_job_id
from being_remote.jobs.submit import SubmitResult, _read
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import BootIdentity, SubmittedJob
from being_remote.pod_client.listing import ContainerStart, ListedFolder, Listing
from being_remote.session import Result
from being_remote.transfer.hash_comparison import HostFiles

JOB = "demo-a"
STEPS = (CommandStep("running", ("true",)),)
POD = LocalHost(name="pod", workdir="/w")
BOOT = BootIdentity(pid_ns=4026531836, init_start=7, boot_id="b", volume="v", alone=None)
SESSION: Any = SimpleNamespace(host="pod")
ORPHANED = {"started": True, "end": False, "supervised": False, "lock": "held"}


def spec_of(job: str = JOB, **more: Any) -> JobSpec:
    return JobSpec(job, "ledger", "command", None, "pod", {"words": ["true"]}, STEPS, **more)


def known(state: JobState, attempt: int = 1) -> LedgerJob:
    spec = spec_of()
    return LedgerJob(JOB, "pod", None, "command", spec.as_bytes, spec.sha256, 0, attempt, state, 0.0, None)


def shown(state: JobState, **more: Any) -> JobStatus:
    fields: dict[str, Any] = {"job": JOB, "host": "pod", "attempt": 1, "reason": "because"}
    fields |= {"spec_sha256": spec_of().sha256, "evidence": {"end": state.ended, "started": True}}
    return JobStatus(state=state, **{**fields, **more})


def answer(*jobs: JobStatus) -> HostJobs:
    return HostJobs(jobs, (), None, BOOT)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.sqlite")
    made.intend(Intent.of(spec_of(), b"{}"))
    return made


def test_another_spec_under_the_same_id_says_nothing_about_a_job() -> None:
    seen = status_of(known(JobState.RUNNING), (), answer(shown(JobState.SUCCEEDED, spec_sha256="other")))
    assert (seen.state, seen.last_known) == ("unknown", "running")
    assert status_of(known(JobState.RUNNING), (), answer(shown(JobState.SUCCEEDED))).state == "succeeded"


def test_a_disk_that_shows_an_earlier_attempt_is_an_older_one_where_the_newer_attempt_ran() -> None:
    earlier = answer(shown(JobState.FAILED))
    assert status_of(known(JobState.RUNNING, 2), (), earlier).state == "unknown"
    assert status_of(known(JobState.CREATED, 2), (), earlier).state == "created"
    assert status_of(known(JobState.SUCCEEDED, 2), (), earlier).state == "succeeded"


def test_a_newer_attempt_of_another_laptop_is_not_taken_for_ours() -> None:
    seen = status_of(known(JobState.RUNNING), (), answer(shown(JobState.FAILED, attempt=2)))
    assert seen.state == "unknown" and "another laptop made attempt 2" in seen.reason


def test_a_loss_in_the_ledger_is_corrected_only_by_an_exit_record() -> None:
    lost = known(JobState.LOST)
    assert status_of(lost, (), answer(shown(JobState.SUCCEEDED))).state == "succeeded"
    assert status_of(lost, (), answer(shown(JobState.RUNNING))).state == "lost"
    without = shown(JobState.LOST, evidence={"end": False}, exit_code=3)
    assert status_of(lost, (), answer(without)).exit_code is None  # as the ledger has it
    recorded = shown(JobState.LOST, evidence={"end": True}, exit_code=3)
    assert status_of(lost, (), answer(recorded)).exit_code == 3


def test_an_ended_job_says_why_by_the_last_word_about_its_end() -> None:
    words = [StateChange(n, 0.0, JobState.FAILED, {"reason": f"reason {n}"}) for n in (1, 2)]
    assert ended_status(known(JobState.FAILED, 2), words).reason == "reason 2"


@pytest.mark.parametrize(
    ("state", "kept", "expected"),
    [
        (JobState.WAITING, True, False),
        (JobState.WAITING, False, True),
        (JobState.SUBMITTED, True, True),
        (JobState.RUNNING, False, False),
    ],
)
def test_only_a_job_that_nothing_will_start_is_unattended(
    state: JobState, kept: bool, expected: bool
) -> None:
    assert shown(state, evidence={"queue": {"number": 1, "kept": kept}}).is_unattended is expected


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.TRANSFORMING, JobState.LOST])
def test_an_attempt_that_was_seen_at_work_is_looked_at_and_never_submitted(
    state: JobState, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record(JOB, 1, state, {})
    gone = shown(JobState.UNKNOWN, evidence={"reason": "not there"})
    monkeypatch.setattr(dispatch, "look_at_jobs", lambda *_: (gone,))
    monkeypatch.setattr(dispatch, "submit", lambda *_: pytest.fail("it was submitted"))
    with pytest.raises(HostError, match="nothing was started"):
        dispatch.send(ledger, SESSION, POD, ledger.find(JOB))


def test_a_job_that_is_on_another_host_by_now_is_not_sent(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="it is on pod now"):
        dispatch.send(ledger, SESSION, LocalHost(name="other", workdir="/w"), ledger.find(JOB))


def test_what_is_sent_again_goes_to_the_first_disk_and_with_its_files_only_until_it_was_seen(
    ledger: Ledger,
) -> None:
    (first,) = dispatch.aim(ledger, [ledger.find(JOB)], "first disk")
    (again,) = dispatch.aim(ledger, [ledger.find(JOB)], "second disk")
    assert (first.volume, again.volume, list(again.files)) == ("first disk", "first disk", ["spec.json"])
    assert again.unless_same
    ledger.record(JOB, 1, JobState.SUBMITTED, {})
    (seen,) = dispatch.aim(ledger, [ledger.find(JOB)], "second disk")
    assert (seen.volume, seen.files, seen.attempt) == (None, {}, 1)


def test_what_ended_or_moved_meanwhile_is_not_sent(ledger: Ledger) -> None:
    created = ledger.find(JOB)
    running = ledger.record(JOB, 1, JobState.SUBMITTED, {})
    ledger.record(JOB, 1, JobState.FAILED, {})
    assert dispatch.aim(ledger, [created], "a disk") == dispatch.aim(ledger, [running], "a disk") == []
    ledger.next_attempt(JOB, 1, {})
    assert dispatch.aim(ledger, [created], "a disk") == dispatch.aim(ledger, [running], "a disk") == []
    second = ledger.record(JOB, 2, JobState.SUBMITTED, {})
    assert len(dispatch.aim(ledger, [second], "a disk")) == 1
    assert dispatch.aim(ledger, [replace(second, host="other")], "a disk") == []


def test_a_job_that_is_wanted_beside_another_one_is_started_all_the_same(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "other.sqlite")
    ledger.intend(Intent.of(spec_of(), b"{}"), again=True)
    (request,) = dispatch.aim(ledger, [ledger.find(JOB)], "a disk")
    assert not request.unless_same
    context: Any = SimpleNamespace(ledger=ledger, again=False)
    assert find_duplicates(context, SESSION, POD, [spec_of()]) == ()


def test_only_the_upload_of_the_attempt_that_counts_is_what_it_continues_from(ledger: Ledger) -> None:
    ledger.next_attempt(JOB, 1, {dispatch.PUSHED: "upload for 2"})
    assert dispatch.pushed_for(ledger, ledger.find(JOB)) == "upload for 2"
    ledger.next_attempt(JOB, 2, {})
    assert dispatch.pushed_for(ledger, ledger.find(JOB)) is None


def test_a_submit_without_an_answer_leaves_every_job_unknown(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> Any:
        raise ConnectionLost("the link broke", host="pod")

    monkeypatch.setattr(dispatch, "submit", silent)
    with pytest.raises(ConnectionLost):
        dispatch.send(ledger, SESSION, POD, ledger.find(JOB))
    last = ledger.history(JOB)[-1]
    assert (last.state, last.evidence["reason"]) == ("unknown", "the link broke")


def submitted(**more: Any) -> SubmittedJob:
    fields: dict[str, Any] = {
        "job": JOB,
        "claim": "made",
        "supervisor": "started",
        "reason": None,
        "seen": None,
    }
    facts = {"job": JOB, "lock": "free", "asked": 1, "attempts": []}
    return SubmittedJob.model_validate({**fields, "seen": facts, **more})


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"claim": "refused", "seen": None}, InconsistentData, "another spec"),
        ({"claim": "same", "reason": "demo-b", "seen": None}, DuplicateJob, "demo-b"),
        ({"claim": "same", "reason": "$(reboot)", "seen": None}, MalformedAnswer, "names no job"),
        ({"claim": "torn", "seen": None}, HostError, "arrived damaged; nothing was started"),
        ({"claim": "forgotten", "seen": None}, HostError, "was forgotten"),
        ({"supervisor": "error", "reason": "no rights"}, HostError, "no supervisor could start: 'no rights'"),
        ({"seen": None}, MalformedAnswer, "whether demo-a started is unknown"),
    ],
)
def test_each_refusal_of_a_submit_is_said(more: dict[str, Any], kind: type[Exception], words: str) -> None:
    found = _read(SESSION, POD, submitted(**more), BOOT)
    assert isinstance(found, kind) and words in str(found)


def test_a_supervisor_that_is_silent_is_no_refusal() -> None:
    found = _read(SESSION, POD, submitted(supervisor="silent"), BOOT)
    assert isinstance(found, SubmitResult) and (found.supervisor, found.volume) == ("silent", "v")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"end": True}, False),
        ({"started": False}, False),
        ({"supervised": True}, False),
        ({"supervised": None}, False),
        ({"supervised": None, "lock": "free"}, True),
    ],
)
def test_a_running_attempt_lacks_a_supervisor_only_where_its_host_shows_that(
    more: dict[str, Any], expected: bool
) -> None:
    status = shown(JobState.RUNNING, evidence={**ORPHANED, **more})
    assert orphaned_jobs.lacks_supervisor(status) is expected


def test_the_files_of_a_lost_attempt_are_judged_before_it_counts_as_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[set[str]] = []
    succeeded = shown(JobState.SUCCEEDED)
    monkeypatch.setattr(orphaned_jobs, "submit", lambda *_: {JOB: None})
    monkeypatch.setattr(orphaned_jobs, "_await_verdicts", lambda *a: waited.append(set(a[2])) or set())
    monkeypatch.setattr(orphaned_jobs, "look_at_jobs", lambda *_: (succeeded,))
    lost = shown(JobState.LOST, evidence={**ORPHANED, "lock": "free"})
    job = ledger.find(JOB)
    assert orphaned_jobs.supervise_again(ledger, SESSION, POD, job, lost) == succeeded
    assert waited == [{JOB}]


def test_a_look_that_is_no_news_is_not_written_down(ledger: Ledger) -> None:
    story = ledger.history(JOB)
    missing = answer()
    assert status_poll.record_answer(ledger, ledger.find(JOB), missing).state == "created"
    assert ledger.history(JOB) == story
    ledger.record(JOB, 1, JobState.FAILED, {})
    story = ledger.history(JOB)
    assert (
        status_poll.record_answer(ledger, ledger.find(JOB), answer(shown(JobState.FAILED))).state == "failed"
    )
    assert ledger.history(JOB) == story


def test_an_answer_about_an_attempt_that_does_not_count_any_more_is_unknown(ledger: Ledger) -> None:
    before = ledger.find(JOB)
    ledger.next_attempt(JOB, 1, {})
    seen = status_poll.record_answer(ledger, before, answer(shown(JobState.RUNNING)))
    assert (seen.state, seen.last_known) == ("unknown", "running") and "attempt 2" in seen.reason
    with pytest.raises(UsageError, match="attempt 2 on pod counts now, not that on other"):
        other = LocalHost(name="other", workdir="/w")
        status_poll.look_at_job(ledger, SESSION, other, ledger.find(JOB))


def session_with(spec: bytes) -> Any:
    return SimpleNamespace(host="pod", run=lambda *_, **__: Result("pod", (), 0, spec, b"", 0.0))


def the_actor(name: str) -> None:
    raise UsageError(f"no actor {name}")


@pytest.mark.parametrize("harm", ["another job's", "another hash", "an actor that only the host names"])
def test_a_spec_that_is_not_the_shown_jobs_is_not_taken_over(harm: str) -> None:
    seen = shown(JobState.RUNNING)
    spec = spec_of()
    if harm == "another job's":
        spec = replace(spec, job="demo-b")
        seen = replace(seen, spec_sha256=spec.sha256)
    if harm == "another hash":
        spec = replace(spec, gpus=1)
    if harm.startswith("an actor"):
        spec = replace(spec, actor="../somebody")
        seen = replace(seen, spec_sha256=spec.sha256)
    inventory: Any = SimpleNamespace(the_actor=the_actor)
    with pytest.raises((InconsistentData, UsageError)):
        take_over.read_spec(inventory, session_with(spec.as_bytes), POD, seen)
    whole = take_over.read_spec(inventory, session_with(spec_of().as_bytes), POD, shown(JobState.RUNNING))
    assert whole == spec_of()


def test_a_taken_over_job_has_the_attempt_that_its_host_shows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "other.sqlite")
    job = take_over.write_down(ledger, POD, spec_of(), shown(JobState.RUNNING, attempt=3), "v")
    assert (job.attempt, job.state, job.host) == (3, "running", "pod")
    unclear = take_over.write_down(ledger, POD, spec_of(JOB + "-2"), shown(JobState.UNKNOWN, attempt=0), "v")
    assert (unclear.attempt, unclear.state) == (1, "submitted")


def hosts_that_show(monkeypatch: pytest.MonkeyPatch, **attempts: int) -> Any:
    def open_session(name: str) -> Any:
        session: Any = SimpleNamespace(host=name, __enter__=None)
        return _Opened(session)

    def look(session: Any, *_: Any) -> HostJobs:
        return answer(shown(JobState.RUNNING, host=session.host, attempt=attempts[session.host]))

    monkeypatch.setattr(take_over, "look_at_host", look)
    inventory = SimpleNamespace(hosts=attempts, host=lambda name: LocalHost(name=name, workdir="/w"))
    return SimpleNamespace(inventory=inventory, open_session=open_session)


class _Opened:
    def __init__(self, session: Any) -> None:
        self.session = session

    def __enter__(self) -> Any:
        return self.session

    def __exit__(self, *_: object) -> None: ...


def test_of_a_job_on_several_hosts_the_newest_attempt_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    found = take_over._find_on_hosts(hosts_that_show(monkeypatch, a=1, b=3, c=2), JOB, needed=True)
    assert found is not None and (found.host, found.attempt) == ("b", 3)


def test_a_rehearsed_take_over_writes_nothing_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "other.sqlite")
    monkeypatch.setattr(take_over, "look_at_host", lambda *_: answer(shown(JobState.RUNNING)))
    inventory: Any = None
    with pytest.raises(UsageError, match="cannot be rehearsed"):
        session = session_with(spec_of().as_bytes)
        take_over.take_over_job(inventory, ledger, session, POD, JOB, dry_run=True)
    assert ledger.jobs() == ()


def test_forgetting_exits_with_6_for_results_that_are_not_local_and_4_for_what_is_unknown() -> None:
    kept = ForgottenJob(JOB, "pod", 1, JobState.FAILED, False, "because")
    codes = [kept.exit_code, replace(kept, not_local=2).exit_code, replace(kept, forgotten=True).exit_code]
    assert codes == [4, 6, 0]


@pytest.mark.parametrize(
    ("state", "error"), [(JobState.UNKNOWN, HostError), (JobState.RUNNING, UsageError), (JobState.LOST, None)]
)
def test_only_a_job_that_has_ended_for_certain_is_forgotten(
    state: JobState, error: type[Exception] | None
) -> None:
    if error is None:
        forget._require_end(shown(state))
        return
    with pytest.raises(error):
        forget._require_end(shown(state))


def test_a_host_that_cannot_list_its_files_has_none_to_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ContainerStart(boot_id=None, pid_namespace=None)
    whole = ListedFolder(True, None, [], [])
    broken = ListedFolder(True, "Input/output error", [], [])
    for folders, error in (
        ([broken, whole], HostError),
        ([whole, replace(whole, exists=False)], NotFoundError),
    ):
        listing = Listing(start, 0, folders, "digest")
        monkeypatch.setattr("being_remote.jobs.attempt_files.list_files", lambda *_, found=listing: found)
        with pytest.raises(error):
            AttemptFolder(SESSION, "python3", POD.workdir / "a", ("*.txt",)).list_files(Path("/nowhere"))


def test_a_file_that_the_host_cannot_hash_has_no_hash_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {name: SimpleNamespace(sha256=sha256) for name, sha256 in (("read", "a" * 64), ("refused", None))}
    now: Any = HostFiles(0, files)  # type: ignore[arg-type]  # nothing else of them is read
    monkeypatch.setattr("being_remote.jobs.attempt_files.ask_hashes", lambda *_, **__: now)
    folder = AttemptFolder(SESSION, "python3", POD.workdir / "a", ("*",))
    assert list(folder.hash_files([]).files) == ["read"]


def test_a_host_must_have_the_gpus_of_the_job_that_needs_most() -> None:
    asked: list[int] = []

    def find_obstacles(*_: Any, gpus: int, tools: Sequence[str]) -> list[str]:
        asked.append(gpus)
        return ["too few GPUs"]

    recipe: Any = SimpleNamespace(tools=lambda _: ())
    with pytest.raises(HostNotReady):
        Preflight(lambda _: recipe, find_obstacles).check(SESSION, POD, spec_of(gpus=1), spec_of(gpus=4))
    assert asked == [4]


def test_a_log_of_a_host_that_stays_away_is_given_up_when_the_patience_is_over() -> None:
    def stream(*_: Any, **__: Any) -> Any:
        raise ConnectionLost("gone", host="pod")

    session: Any = SimpleNamespace(host="pod", stream=stream)
    started = time.monotonic()
    with pytest.raises(ConnectionLost):
        list(read(session, "python3", POD.workdir / "a", follow=True, patience_s=0.1))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("text", ["demo-a\n", "demo-a/..", "-demo", "demo-a\0", "a" * 81])
def test_what_only_begins_like_a_job_id_is_none(text: str) -> None:
    assert is_job_id("demo-a") and not is_job_id(text)


def test_a_limit_of_no_wait_at_all_is_part_of_a_spec() -> None:
    assert JobSpec.from_bytes(spec_of(wait_s=0.0).as_bytes).wait_s == 0.0
    assert spec_of(wait_s=0.0).sha256 != spec_of().sha256


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", "a\0b"])
def test_no_file_of_a_job_leaves_its_folder(name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        job_files(spec_of(), {name: b""})


def entries(**files: bytes) -> dict[str, Any]:
    return {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in files.items()}


@pytest.fixture
def results(tmp_path: Path) -> ResultFolder:
    folder = ResultFolder(tmp_path / JOB)
    folder.path.mkdir()
    (folder.path / "a.frame").write_bytes(b"old")
    folder.write_record({"job": JOB, "attempt": 1, "files": entries(**{"a.frame": b"old"})})
    return folder


def test_a_swap_that_was_cut_short_is_undone_or_completed_by_what_lies_there(results: ResultFolder) -> None:
    old = results.path.with_name(f".{JOB}.old")
    results.path.rename(old)
    with results.lock():
        assert (results.path / "a.frame").read_bytes() == b"old" and not old.exists()
    old.mkdir()
    (old / "a.frame").write_bytes(b"older")
    with results.lock():
        assert (results.path / "a.frame").read_bytes() == b"old" and not old.exists()


def test_folders_that_are_kept_aside_never_take_each_others_place(results: ResultFolder) -> None:
    kept = []
    for number in range(3):
        results.path.mkdir(exist_ok=True)
        (results.path / "number").write_text(str(number))
        results.write_record({"attempt": 1})
        kept.append(results.keep_aside())
    assert [k and k.name for k in kept] == [f"{JOB}.attempt-1", f"{JOB}.attempt-1.2", f"{JOB}.attempt-1.3"]
    assert [k and (k / "number").read_text() for k in kept] == ["0", "1", "2"]


def test_only_a_whole_frame_is_kept_when_other_bytes_replace_it(results: ResultFolder) -> None:
    record = read_record(results.path)
    assert record is not None
    (results.path / "a.frame").write_bytes(b"rotten")
    results.keep_replaced(record["files"], ["a.frame", "b.frame"])
    assert not results.replaced.exists()
    (results.path / "a.frame").write_bytes(b"old")
    results.keep_replaced(record["files"], ["a.frame"])
    (kept,) = results.replaced.iterdir()
    assert kept.read_bytes() == b"old"


def test_a_link_in_the_stage_is_no_file_of_a_download(results: ResultFolder, tmp_path: Path) -> None:
    results.stage.mkdir()
    (results.stage / "a.frame").symlink_to(tmp_path / "elsewhere")
    (results.stage / "b.frame").write_bytes(b"b")
    results.clean_stage(["a.frame", "b.frame"])
    assert [path.name for path in results.stage.iterdir()] == ["b.frame"]


def test_a_record_is_an_attempts_only_if_all_that_names_it_is_the_same() -> None:
    note = {"job": JOB, "host": "pod", "attempt": 2, "spec_sha256": "s"}
    assert is_of({**note, "files": {}}, note)
    assert not any(is_of({**note, key: "other"}, note) for key in note) and not is_of(None, note)


def test_a_record_reads_back_and_what_is_none_names_no_attempt(results: ResultFolder) -> None:
    results.write_record({"attempt": 3})
    assert read_record(results.path) == {"attempt": 3}
    (results.path / "pulled.json").write_text(json.dumps([1]))
    assert read_record(results.path) is None
