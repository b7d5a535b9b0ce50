"""What `pod/status.py`, `pod/claim.py` and `pod/cancel.py` say, field by field.

Records on a pod can be anybody's: strict types, bounded sizes, nothing more, and nothing missing but
nulls where a thousand of them would be sent.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from being_remote.foreign_text import printable
from being_remote.pod.job_paths import JOB_ID
from being_remote.pod.job_states import JobState
from being_remote.pod_client.refusal import SystemRefusal
from being_remote.pod_client.runner import ProgramName, malformed_answer
from being_remote.strict_model import StrictModel, first_problem

MAX_STATUS_BYTES = 32 << 20
MOST_LETTERS = 2000
MOST_ROWS = 20_000


def _one_line(value: Any) -> Any:
    """A pod's text on one line; anything else, or too much of it, is left for the field to refuse."""
    if isinstance(value, str) and len(value) <= MOST_LETTERS:
        return printable(value)[:MOST_LETTERS]
    return value


def _one_of(fits: Callable[[JobState], bool]) -> Callable[[JobState], JobState]:
    def check(state: JobState) -> JobState:
        if not fits(state):
            raise ValueError(f"{state} is not a state that this record can hold")
        return state

    return check


Lock = Literal["held", "free", "missing"]
Running = Annotated[JobState, Field(strict=False), AfterValidator(_one_of(lambda state: state.started))]
Ended = Annotated[JobState, Field(strict=False), AfterValidator(_one_of(lambda state: state.ended))]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Number = Annotated[int, Field(ge=1, le=9999)]
JobId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,80}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=200)]
Text = Annotated[str, BeforeValidator(_one_line), Field(max_length=MOST_LETTERS)]
Uuid = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,80}$")]
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Uuids = Annotated[tuple[Uuid, ...], Field(max_length=64, strict=False)]


class BootIdentity(StrictModel):
    """One boot of a pod. Two boots differ in at least one of the first three.

    `volume` names the disk that holds the jobs; `alone` is True only where no other pod can see it.
    """

    pid_ns: Count | None
    init_start: Count | None
    boot_id: Word | None
    volume: Word | None
    alone: bool | None

    @property
    def boot(self) -> tuple[int, int, str] | None:
        """What tells this boot from others; None where the system does not say."""
        if self.pid_ns is None or self.init_start is None or self.boot_id is None:
            return None
        return self.pid_ns, self.init_start, self.boot_id


class Process(StrictModel):
    """A process by id and start time; `alive` is None where that cannot be seen."""

    pid: Count
    start: Count | None
    alive: bool | None


class AttemptOwner(StrictModel):
    """Who runs an attempt, written before its payload starts."""

    incarnation: BootIdentity
    supervisor: Process
    gpus: Uuids
    lock_path: Text
    lock_inode: Count


class Heartbeat(StrictModel):
    """The supervisor's last sign of life: a counter, not a time."""

    beat: Count
    state: Running
    frames_done: Count | None
    frames_total: Count | None
    payload: Process | None


class ExitRecord(StrictModel):
    """How an attempt ended."""

    state: Ended
    exit_code: Annotated[int, Field(ge=-255, le=255)] | None
    reason: Text
    elapsed_s: Seconds
    frames_done: Count | None
    frames_total: Count | None
    gpus: Uuids


class AttemptFacts(StrictModel):
    """One attempt's folder: what of it is there and can be read."""

    attempt: Number
    who: AttemptOwner | None = None
    progress: Heartbeat | None = None
    end: ExitRecord | None = None
    problem: Text | None = None


class LockHolder(StrictModel):
    """Who took the job's lock last; a waiting supervisor is known by nothing else."""

    attempt: Number
    incarnation: BootIdentity
    supervisor: Process
    waits_for: Text | None
    problem: SystemRefusal | None = None


class WaitingPlace(StrictModel):
    """The place of an attempt that no process of its own waits for.

    `before` counts those before it; `kept`: a waiter keeps the order; `this_boot`: it was recorded since the
    host started, and by this pod. `reason` is the waiter's, for the first one.
    """

    attempt: Number
    number: Count
    before: Count
    kept: bool
    this_boot: bool
    reason: Text | None = None


class JobFacts(StrictModel):
    """One job's folder and its lock. `attempts` holds the newest ones, in order."""

    job: JobId
    spec_sha256: Sha256 | None = None
    ledger: Word | None = None
    lock: Lock
    lock_inode: Count | None = None
    holder: LockHolder | None = None
    cancel: Count | None = None
    waiting: WaitingPlace | None = None
    disk: SystemRefusal | None = None
    asked: Count
    attempts: Annotated[tuple[AttemptFacts, ...], Field(max_length=16, strict=False)]
    problem: Text | None = None

    @property
    def newest(self) -> AttemptFacts | None:
        """The newest attempt, if its folder was made already."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.attempt >= self.asked else None

    @property
    def attempt(self) -> int:
        """The newest attempt's number, made or asked for; 0: none."""
        return max([self.asked, *(a.attempt for a in self.attempts)])

    @property
    def supervised(self) -> bool | None:
        """Whether a supervisor looks after the job; None: that is unknown, or the lock is free and none does.

        One that was put back holds no lock before the payload has ended.
        """
        newest = self.newest
        if newest is not None and newest.end is None and newest.who and newest.who.supervisor.alive:
            return True
        if self.lock != "held" or self.holder is None:
            return None
        return self.holder.supervisor.alive

    @property
    def refusal(self) -> SystemRefusal | None:
        """What the system refuses the job at the moment: its supervisor says so, or its disk is full."""
        said = self.holder.problem if self.lock == "held" and self.holder is not None else None
        return self.disk or said

    @property
    def gpus(self) -> tuple[str, ...]:
        newest = self.newest
        if newest is None:
            return ()
        if newest.who is not None:
            return newest.who.gpus
        return newest.end.gpus if newest.end else ()


class GpuFacts(StrictModel):
    """One GPU, or one MIG instance of one; None: not measured. `broken` is why it must not be used."""

    index: Count
    uuid: Uuid
    name: Annotated[Word, BeforeValidator(_one_line)]
    memory_total_mib: Count | None
    memory_used_mib: Count | None
    utilization_percent: Count | None
    busy: bool
    broken: Text | None = None


class LeasedGpu(GpuFacts):
    """A GPU and its lease; `job` is who leases it, "" if the lease does not say who."""

    job: Annotated[str, Field(max_length=80)] | None


def _or_a_problem(value: Any, handler: ValidatorFunctionWrapHandler) -> JobFacts:
    """One job's facts; those that make no sense say so, and hide no other job."""
    try:
        return handler(value)  # type: ignore[no-any-return]  # the handler of a JobFacts
    except ValidationError as e:
        return JobFacts(
            job=str(value.get("job") if isinstance(value, dict) else None),
            lock="free",
            asked=0,
            attempts=(),
            problem=f"its record is malformed: {first_problem(e)}",
        )


OneJob = Annotated[JobFacts, WrapValidator(_or_a_problem)]


class StatusAnswer(StrictModel):
    """All that one host said of its jobs. `problems`: what of it could not be shown, one line each."""

    incarnation: BootIdentity
    problems: Annotated[tuple[Text, ...], Field(max_length=16, strict=False)] = ()
    jobs: Annotated[tuple[OneJob, ...], Field(max_length=MOST_ROWS, strict=False)]
    gpus: Annotated[tuple[LeasedGpu, ...], Field(max_length=64, strict=False)]
    gpu_problem: Text | None


class HostOffer(StrictModel):
    """What a host says before a job is sent: its volume, and whether it has the programs already."""

    volume: Word | None
    has_programs: bool


class SubmittedJob(StrictModel):
    """What a claim and ensure came to. `seen` is null unless the claim stands."""

    job: JobId
    claim: Literal[
        "made", "there", "refused", "absent", "torn", "elsewhere", "unpushed", "forgotten", "same", "failed"
    ]
    supervisor: (
        Literal["started", "waiting", "held", "ended", "lost", "overtaken", "cancelled", "error", "silent"]
        | None
    )
    reason: Text | None
    problem: SystemRefusal | None = None
    seen: OneJob | None


class SubmitAnswer(StrictModel):
    """What became of the jobs that one submit sent, in their order."""

    incarnation: BootIdentity
    jobs: Annotated[tuple[SubmittedJob, ...], Field(max_length=MOST_ROWS, strict=False)]


class SameIntents(StrictModel):
    """Of each spec, another ledger's job of the same intent that may be at work."""

    same: Annotated[
        tuple[Annotated[str, Field(pattern=f"^(?:{JOB_ID.pattern})$")] | None, ...], Field(strict=False)
    ]


class CancelAnswer(StrictModel):
    """What a cancel came to."""

    cancel: Literal["absent", "marked", "ended", "asked", "foreign"]
    incarnation: BootIdentity
    seen: OneJob | None


Answer = TypeVar("Answer", bound=StrictModel)


def parse_answer(kind: type[Answer], program: ProgramName, said: bytes, host: str) -> Answer:
    """The answer of a program.

    Raises:
        MalformedAnswer: it is not; nothing of it is quoted.
    """
    return _validate(kind, program, _read_json(program, said, host), host)


def parse_status(said: bytes, host: str) -> StatusAnswer:
    """The status program's answer, once `inflate_status` unpacked it.

    A malformed row about a job or a GPU hides no other: the job's row says so; rows that name no job are
    counted in `problems`, and rows that are no GPU in `gpu_problem`.

    Raises:
        MalformedAnswer: the rest of it is malformed; nothing of it is quoted.
    """
    document = _read_json("status", said, host)
    if not isinstance(document, dict):
        raise malformed_answer(host, "status", "no object")
    bad_jobs, bad_gpus = _drop_rows(document, "jobs", _names_a_job), _drop_rows(document, "gpus", _is_a_gpu)
    answer = _validate(StatusAnswer, "status", document, host)
    if bad_jobs is not None:
        answer = answer.model_copy(update={"problems": (*answer.problems, bad_jobs)})
    return answer.model_copy(update={"gpu_problem": bad_gpus}) if bad_gpus is not None else answer


def inflate_status(said: bytes, host: str) -> bytes:
    """Unpack the status program's output.

    Raises:
        MalformedAnswer: it is cut short, unpacks to too much, or is not deflated.
    """
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(said, MAX_STATUS_BYTES)
    except zlib.error as e:
        raise malformed_answer(host, "status", "not deflated") from e
    if not unpacker.eof or unpacker.unused_data:
        raise malformed_answer(host, "status", "cut short, or larger than allowed")
    return text


def _drop_rows(document: dict[str, Any], name: str, is_row: Callable[[Any], bool]) -> str | None:
    """Drop the malformed rows of a list; says how many there were."""
    rows = document.get(name)
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        return None
    document[name] = [row for row in rows if is_row(row)]
    dropped = len(rows) - len(document[name])
    return f"{dropped} of its {len(rows)} rows about {name} are malformed" if dropped else None


def _read_json(program: ProgramName, said: bytes, host: str) -> Any:
    """The JSON in an answer. Python's own reader: pydantic's refuses all of it for half a surrogate pair."""
    try:
        return json.loads(said, parse_int=_bounded_int)
    except (ValueError, RecursionError):
        raise malformed_answer(host, program, "no JSON") from None


def _bounded_int(digits: str) -> int | str:
    """A number of JSON; one that is too long for any field stays text, which no such field takes."""
    return int(digits) if len(digits) <= 20 else digits


def _validate(kind: type[Answer], program: ProgramName, document: Any, host: str) -> Answer:
    try:
        return kind.model_validate(document)
    except ValidationError as e:
        raise malformed_answer(host, program, first_problem(e)) from None


def _names_a_job(row: Any) -> bool:
    name = row.get("job") if isinstance(row, dict) else None
    return isinstance(name, str) and JOB_ID.fullmatch(name) is not None


def _is_a_gpu(row: Any) -> bool:
    try:
        LeasedGpu.model_validate(row)
    except ValidationError:
        return False
    return True
