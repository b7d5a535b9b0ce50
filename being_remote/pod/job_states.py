"""The states of a job: the one list, for the programs on a pod and for the laptop. Stdlib, Python 3.8."""

from __future__ import annotations

from enum import Enum


class JobState(str, Enum):
    """How a job, or one attempt of it, stands; in JSON, SQL and records its value."""

    CREATED = "created"  # in the ledger; not known to have reached its host
    SUBMITTED = "submitted"  # on its host; no supervisor runs
    WAITING = "waiting"  # for a GPU, in its host's queue, or for an earlier attempt to stop
    RUNNING = "running"
    TRANSFORMING = "transforming"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # it cannot run any more, and left no exit record
    ABANDONED = "abandoned"  # given up for a later attempt
    UNKNOWN = "unknown"  # no evidence either way

    __str__ = str.__str__
    __format__ = str.__format__  # type: ignore[assignment]  # typeshed names its argument otherwise

    @property
    def started(self) -> bool:
        """Whether its process runs, as far as was seen."""
        return self in (JobState.RUNNING, JobState.TRANSFORMING)

    @property
    def active(self) -> bool:
        """Whether it is on its host and has not ended."""
        return self.started or self in (JobState.SUBMITTED, JobState.WAITING)

    @property
    def ended(self) -> bool:
        return self is JobState.SUCCEEDED or self.ended_badly

    @property
    def ended_badly(self) -> bool:
        return self in _BAD_ENDS

    def comes_after(self, earlier: JobState) -> bool:
        """Whether an attempt can go from `earlier` to this state; `unknown` is not a step on the way."""
        if self is JobState.UNKNOWN or earlier.ended:
            return False
        if self is JobState.SUBMITTED and earlier is JobState.WAITING:
            return True  # its supervisor was killed while it waited
        return self.ended or _ORDER.index(self) > _ORDER.index(earlier)


_BAD_ENDS = (JobState.FAILED, JobState.CANCELLED, JobState.LOST, JobState.ABANDONED)
_ORDER = (
    JobState.CREATED,
    JobState.SUBMITTED,
    JobState.WAITING,
    JobState.RUNNING,
    JobState.TRANSFORMING,
)
