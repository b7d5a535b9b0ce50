"""What speaks against a stop, rule by rule: of jobs, GPUs, listings and files as a host shows them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.inventory import LocalHost
from being_remote.jobs.job_status import HostJobs, JobStatus
from being_remote.jobs.ledger import LedgerJob, StateChange
from being_remote.pod.job_states import JobState
from being_remote.pod_client.disk_survey import DiskSurvey, PathExamples
from being_remote.pod_client.job_answers import BootIdentity, LeasedGpu
from being_remote.pod_client.listing import FolderQuery, ListedFile, ListedFolder
from being_remote.safe_to_stop.active_jobs import ActiveJobs, describe_ended, judge_jobs
from being_remote.safe_to_stop.coverage import survey_limits, unlisted_reasons
from being_remote.safe_to_stop.gpu_use import gpu_reasons
from being_remote.safe_to_stop.host_files import NOT_HASHED, HostFile, add_hash, skip_by_size
from being_remote.safe_to_stop.job_results import ALL_FILES, EndedJob, JobFiles, ResultPatterns, read_job
from being_remote.safe_to_stop.local_copies import LocalResults, find_missing
from being_remote.safe_to_stop.reasons import Reason, unread_reason
from being_remote.safe_to_stop.stop_check import StopCheck, idle_seconds
from being_remote.safe_to_stop.unowned_files import AttemptWork, _attempt_of, _worth_keeping, read_unowned

HOST, JOB = "pod", "demo-a"
HERE = BootIdentity(pid_ns=4026531836, init_start=7, boot_id="b", volume="v", alone=None)
WORK = PurePosixPath("/w/jobs/demo-a/attempts/1/work")
FRAMES = ResultPatterns(("result.json",), ("output/*/checkpoint/*.frame",))


def shown(state: JobState, **more: Any) -> JobStatus:
    fields: dict[str, Any] = {"job": JOB, "host": HOST, "attempt": 1, "reason": "because", "spec_sha256": "s"}
    return JobStatus(state=state, **{**fields, **more})


def known(state: JobState, host: str = HOST, attempt: int = 1) -> LedgerJob:
    return LedgerJob(JOB, host, None, "command", b"", "s", 0, attempt, state, 0.0, None)


def judged(
    seen: JobStatus | None, job: LedgerJob | None, *changes: StateChange, problems: tuple[str, ...] = ()
) -> ActiveJobs:
    answer = HostJobs((seen,) if seen else (), (), None, HERE, problems)
    return judge_jobs(HOST, {JOB: job} if job else {}, {JOB: changes}, answer)


def verdicts(reasons: Any) -> list[str]:
    return [reason.verdict for reason in reasons]


def test_a_job_that_the_host_should_show_and_does_not_is_unknown_unless_it_was_never_sent() -> None:
    sent = StateChange(1, 0.0, JobState.CREATED, {"volume": "v"})
    for state in (JobState.RUNNING, JobState.WAITING):
        assert verdicts(judged(None, known(state), sent).reasons) == ["unknown"]
    for harmless in (known(JobState.CREATED), known(JobState.FAILED), known(JobState.RUNNING, "other")):
        assert judged(None, harmless).reasons == []
    assert verdicts(judged(None, None, problems=("a row is malformed",)).reasons) == ["unknown"]


@pytest.mark.parametrize(
    "state", [JobState.SUBMITTED, JobState.WAITING, JobState.RUNNING, JobState.TRANSFORMING]
)
@pytest.mark.parametrize("ours", [True, False])
def test_a_job_that_has_not_ended_is_at_work_whoever_made_it(state: JobState, ours: bool) -> None:
    jobs = judged(shown(state), known(state) if ours else None)
    assert (jobs.at_work, verdicts(jobs.reasons), jobs.ended) == ({JOB}, ["no"], [])


def test_what_a_moved_job_left_here_is_worth_nothing_only_while_its_new_attempt_may_succeed() -> None:
    left = shown(JobState.FAILED)
    for state in (JobState.RUNNING, JobState.SUCCEEDED, JobState.CREATED):
        jobs = judged(left, known(state, "other", 2))
        assert (jobs.reasons, len(jobs.notes), jobs.ended) == ([], 1, [])
    for state in (JobState.FAILED, JobState.LOST, JobState.CANCELLED):
        assert verdicts(judged(left, known(state, "other", 2)).reasons) == ["unknown"]
    assert judged(left, known(JobState.FAILED)).ended == [left]
    assert judged(left, None).ended == [left]


def test_an_unknown_attempt_that_was_left_has_ended_only_if_that_very_attempt_is_known_to_have() -> None:
    unknown, moved = shown(JobState.UNKNOWN), known(JobState.RUNNING, "other", 3)
    other_end = StateChange(2, 0.0, JobState.FAILED, {})
    assert verdicts(judged(unknown, moved, other_end).reasons) == ["unknown"]
    assert judged(unknown, moved, replace(other_end, attempt=1)).reasons == []


def test_a_job_under_another_spec_is_unknown_and_an_end_that_the_ledger_knows_counts() -> None:
    assert verdicts(judged(shown(JobState.SUCCEEDED, spec_sha256="x"), known(JobState.RUNNING)).reasons) == [
        "unknown"
    ]
    assert judged(shown(JobState.SUCCEEDED), known(JobState.RUNNING)).reasons == []
    assert judged(shown(JobState.SUCCEEDED, spec_sha256=None), known(JobState.RUNNING)).reasons == []
    assert len(judged(shown(JobState.UNKNOWN), known(JobState.CANCELLED)).ended) == 1


def test_the_state_of_an_ended_job_is_the_hosts_unless_the_host_does_not_know_it() -> None:
    def state(seen: JobState) -> JobState:
        job = known(JobState.LOST)
        return describe_ended(HOST, PurePosixPath("/w"), shown(seen), job, ALL_FILES).state

    assert (state(JobState.SUCCEEDED), state(JobState.UNKNOWN)) == ("succeeded", "lost")


def gpu(**more: Any) -> LeasedGpu:
    fields: dict[str, Any] = {"index": 0, "uuid": "GPU-1", "name": "A100", "memory_total_mib": 80_000}
    fields |= {"memory_used_mib": 4, "utilization_percent": 0, "busy": False, "job": None}
    return LeasedGpu(**{**fields, **more})


def test_a_gpu_speaks_against_a_stop_where_something_else_than_a_known_job_may_use_it() -> None:
    def of(*gpus: LeasedGpu, problem: str | None = None) -> list[str]:
        return verdicts(gpu_reasons(gpus, problem, {JOB}, "/w"))

    assert of(gpu()) == of(gpu(job=JOB, busy=True)) == []
    assert of(gpu(job="demo-b")) == of(gpu(job="")) == of(gpu(busy=True)) == ["no"]
    assert of(gpu(memory_used_mib=None, utilization_percent=None)) == ["unknown"]
    assert of(gpu(memory_used_mib=None)) == []
    assert of(problem="nvidia-smi ended with 9: the driver is lost") == ["unknown"]
    assert of(problem="no nvidia-smi found") == of(problem="ended with 6: No devices were found") == []


def listed(**more: Any) -> ListedFolder:
    fields: dict[str, Any] = {"exists": True, "error": None, "files": [], "skipped": []}
    return ListedFolder(**{**fields, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"error": "Permission denied"},
        {"cut": True},
        {"malformed": [(b"1.frame", "its time is impossible")], "malformed_count": 1},
        {"malformed": [], "malformed_count": 3},
    ],
)
def test_a_folder_that_was_not_listed_whole_makes_it_unknown(more: dict[str, Any]) -> None:
    query = FolderQuery(WORK, WORK, "*", recursive=True)
    assert verdicts(unlisted_reasons(query, listed(**more))) == ["unknown"]
    assert unlisted_reasons(query, listed()) == []


def survey(**more: Any) -> DiskSurvey:
    nothing = PathExamples(count=0, examples=[])
    fields: dict[str, Any] = {"now_ns": 1, "newest_ns": None, "main_walked": "L3c=", "up_s": None}
    fields |= {"folders": [], "counted": [], "others": [], "odd": [], "recipes": [], "truncated": []}
    return DiskSurvey(**{**fields, "unreadable": nothing, "outside": nothing, "away": nothing, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"truncated": ["longer than 90 s"], "folders": [{"path": "L3c=", "files": 1, "bytes": 1}]},
        {"unreadable": PathExamples(count=1, examples=["L3c="])},
    ],
)
def test_a_disk_that_was_not_surveyed_whole_makes_it_unknown(more: dict[str, Any]) -> None:
    host = LocalHost(name=HOST, workdir="/w")
    assert verdicts(survey_limits(host, survey(**more)).reasons) == ["unknown"]
    assert survey_limits(host, survey()).reasons == []


def file(path: str, data: bytes | None = b"x", **more: Any) -> HostFile:
    """A file as it was hashed on the host; without `data` the host could not read it."""
    sha256 = None if data is None else hashlib.sha256(data).hexdigest()
    return HostFile(path, WORK, path.encode(), len(data or b"x"), 0, sha256, **more)


def test_only_a_large_file_of_a_size_that_nothing_local_has_needs_no_hash() -> None:
    large = 16 << 20
    sparse, alike, small, told = (
        replace(file(name, None, size_tells=name != "told"), bytes=size)
        for name, size in (("sparse", large + 1), ("alike", large), ("small", 5), ("told", large + 1))
    )
    skipped = skip_by_size([sparse, alike, small, told], lambda: frozenset({large}))
    assert list(skipped) == [sparse.key] and skipped[sparse.key].sha256 == NOT_HASHED
    assert add_hash(sparse, skipped).sha256 == NOT_HASHED
    assert add_hash(small, skipped).sha256 is None  # the host could not read it


def test_a_file_that_the_host_could_not_read_is_unknown_also_where_it_is_the_only_one() -> None:
    assert verdicts(unread_reason("files", [file("1.frame", None)], "of demo", HOST)) == ["unknown"]
    assert unread_reason("files", [], "of demo", HOST) == []


def result_folder(
    folder: Path, here: dict[str, bytes], refused: dict[str, bytes] | None = None
) -> LocalResults:
    """A job's local results, and what was refused of them."""
    for name, data in here.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    entries = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in here.items()}
    aside = {
        n: {"sha256": hashlib.sha256(d).hexdigest(), "reason": "torn"} for n, d in (refused or {}).items()
    }
    folder.mkdir(exist_ok=True)
    (folder / "pulled.json").write_text(json.dumps({"files": entries, "set_aside": aside}))
    return LocalResults([folder])


def test_a_result_is_local_under_its_name_with_its_bytes_while_its_file_is_there(tmp_path: Path) -> None:
    local = result_folder(tmp_path, {"a": b"x", "b": b"y"})
    assert local.holds(file("a", b"x")) and not local.holds(file("a", b"y"))
    assert not local.holds(file("c", b"x")) and not local.holds(file("a", None))
    (tmp_path / "a").write_bytes(b"longer")
    (tmp_path / "b").unlink()
    assert not any(
        LocalResults([tmp_path]).holds(file(name, data)) for name, data in (("a", b"x"), ("b", b"y"))
    )


def snapshots_of(folder: Path, path: str, data: bytes) -> Any:
    """A history of one snapshot."""
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / sha256).write_bytes(data)
    entry = SimpleNamespace(sha256=sha256, bytes=len(data))
    return SimpleNamespace(
        snapshot_numbers=lambda: [0],
        readable=lambda: [SimpleNamespace(files={path: entry})],
        object=lambda name: folder / name,
    )


def test_a_file_is_in_a_backup_only_while_its_contents_are_there_whole(tmp_path: Path) -> None:
    history, wanted = snapshots_of(tmp_path, "bbox.pt", b"the box"), file("bbox.pt", b"the box")
    assert find_missing(history, [wanted], by_path=True) == []
    other = file("other.pt", b"the box")
    assert find_missing(history, [other], by_path=False) == []
    assert find_missing(history, [other], by_path=True) == [other]
    (tmp_path / str(wanted.sha256)).write_bytes(b"cut")
    assert find_missing(history, [wanted], by_path=True) == [wanted]


def ended(state: JobState, patterns: ResultPatterns = FRAMES) -> EndedJob:
    return EndedJob(JOB, 1, state, True, None, WORK, patterns, "pull", "pull --all")


def test_a_result_that_was_refused_here_is_worth_nothing_unless_its_job_succeeded(tmp_path: Path) -> None:
    local = result_folder(tmp_path, {"a": b"old"}, {"b": b"torn"})
    torn, changed = file("b", b"torn"), file("a", b"new")

    def reasons(state: JobState, *files: HostFile) -> list[str]:
        return verdicts(JobFiles(ended(state), HOST, local, files, ()).compare(files).reasons)

    assert reasons(JobState.FAILED, torn) == []
    assert reasons(JobState.SUCCEEDED, torn) == ["no"]
    assert reasons(JobState.SUCCEEDED, changed) == ["no"]  # another file was pulled under its name
    assert reasons(JobState.SUCCEEDED, file("a", None)) == ["unknown"]


@pytest.mark.parametrize(
    ("state", "names", "counted"),
    [
        (JobState.SUCCEEDED, ("result.json",), 1),
        (JobState.FAILED, ("result.json",), 0),
        (JobState.FAILED, ("result.json", "output/a/checkpoint/1.frame"), 2),
    ],
)
def test_what_a_tracking_without_frames_left_counts_only_if_it_succeeded(
    state: JobState, names: tuple[str, ...], counted: int, tmp_path: Path
) -> None:
    local: Any = SimpleNamespace(results_of=lambda *_: result_folder(tmp_path, {}, {"result.json": b"torn"}))
    files = [ListedFile(name.encode(), 1, 0, 0, 0, None) for name in names]
    listing: Any = SimpleNamespace(folders=[listed(files=files)])
    found = read_job(ended(state), HOST, local, listing).files
    assert len(found) == counted
    # Of a file that was refused here the size is not kept, so its size proves nothing.
    assert [one.path for one in found if not one.size_tells] == ["result.json"][:counted]
    plain = read_job(ended(JobState.FAILED, ALL_FILES), HOST, local, listing)
    assert len(plain.files) == len(names)  # a command makes no frames


def test_frames_outside_a_jobs_results_count_by_attempt() -> None:
    paths = ("1.frame", "2.frame", "bbox.pt")
    files = [file(path) for path in paths]
    below = "output/demo/checkpoint"

    def kept(number: int, state: JobState) -> list[str]:
        job = JobFiles(ended(state), HOST, LocalResults([]), [file(f"{below}/1.frame")], ())
        job = replace(job, job=replace(job.job, attempt=2))
        return [one.path for one in _worth_keeping(AttemptWork(JOB, number, below), files, job)]

    assert kept(2, JobState.SUCCEEDED) == kept(2, JobState.FAILED) == ["1.frame", "2.frame"]
    assert kept(1, JobState.FAILED) == ["2.frame"]  # the newest attempt has the other one
    assert kept(1, JobState.SUCCEEDED) == []


def test_results_of_a_job_that_nobody_knows_count(tmp_path: Path) -> None:
    host, local = LocalHost(name=HOST, workdir="/w"), SimpleNamespace()
    folder = WORK / "output/demo/checkpoint"
    assert _attempt_of(PurePosixPath("/w"), folder) == AttemptWork(JOB, 1, "output/demo/checkpoint")
    found = survey(
        folders=[
            {
                "path": "L3cvam9icy9kZW1vLWEvYXR0ZW1wdHMvMS93b3JrL291dHB1dC9kZW1vL2NoZWNrcG9pbnQ=",
                "files": 1,
                "bytes": 1,
            }
        ]
    )
    assert found.folders[0].folder == folder
    content = [listed(files=[ListedFile(b"1.frame", 1, 0, 0, 0, None)])]

    def unowned(*judged_jobs: str) -> int:
        return len(read_unowned(host, local, found, content, (), {}, judged_jobs))  # type: ignore[arg-type]  # is not asked

    assert (unowned(), unowned("demo-b"), unowned(JOB)) == (1, 1, 0)


def check(*reasons: Reason) -> StopCheck:
    inventory: Any = None
    host = LocalHost(name=HOST, workdir="/w")
    return StopCheck(inventory, host, lambda _: ALL_FILES, reasons=list(reasons))


def test_the_verdict_is_yes_only_where_nothing_speaks_against_it_and_nothing_is_unknown() -> None:
    no, unknown = (Reason("files", verdict, "what", "next") for verdict in ("no", "unknown"))
    found = [check(*reasons).report() for reasons in ((), (unknown,), (no,), (unknown, no))]
    assert [(r.safe, r.verdict, r.exit_code) for r in found] == [
        (True, "yes", 0),
        (None, "unknown", 4),
        (False, "no", 6),
        (False, "no", 6),
    ]
    assert found[3].reasons == (no, unknown)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((shown(JobState.SUCCEEDED),), []),
        ((shown(JobState.FAILED),), ["unknown"]),
        ((shown(JobState.SUCCEEDED, attempt=2),), ["unknown"]),
        ((shown(JobState.SUCCEEDED), shown(JobState.RUNNING, job="demo-b")), ["unknown"]),
    ],
)
def test_a_job_that_changed_during_the_check_makes_it_unknown(
    now: tuple[JobStatus, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(HostJobs(jobs, (), None, HERE) for jobs in ((shown(JobState.SUCCEEDED),), now))
    monkeypatch.setattr("being_remote.safe_to_stop.stop_check.look_at_host", lambda *_: next(answers))
    monkeypatch.setattr(StopCheck, "_check", lambda *_: None)
    session: Any = SimpleNamespace(round_trips=0)
    found = check()
    found.run(session, look_again=True)
    assert verdicts(found.reasons) == expected


def test_a_file_from_the_hosts_future_does_not_tell_how_long_it_was_idle() -> None:
    assert (idle_seconds(2_000_000_000, 1_000_000_000), idle_seconds(5, 5), idle_seconds(5, 6)) == (
        1.0,
        0.0,
        None,
    )
