"""From what a host shows to the state of a job: pure, and without a clock.

`lost` needs positive evidence: the pod has not restarted, or has the volume for itself, and the job's
lock is free. Everything short of that is `unknown`, and nothing destructive may follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import (
    AttemptFacts,
    AttemptOwner,
    BootIdentity,
    JobFacts,
    WaitingPlace,
)

AT_WORK = "its lock is held"  # why a job is running, where nothing else is to be said of it


def describe_state(state: JobState | None, reason: str) -> str:
    """A state and why; of a job that simply runs, the state says it all.

    Example:
        >>> describe_state(JobState.RUNNING, AT_WORK), describe_state(JobState.FAILED, "sh ended with 3")
        ('running', 'failed: sh ended with 3')
    """
    return str(state) if reason == AT_WORK else f"{state}: {reason}"


@dataclass(frozen=True)
class Verdict:
    """A state and why; `last_known` is the state before it became unknown."""

    state: JobState
    reason: str
    last_known: JobState | None = None


def judge(facts: JobFacts, here: BootIdentity) -> Verdict:
    """The state of a job whose folder is on the host that answered as `here`."""
    newest = facts.newest
    if facts.problem is not None:
        return _unknown(f"its folder cannot be read: {facts.problem}", JobState.SUBMITTED)
    if newest is None:
        return _judge_before_start(facts, here)
    if newest.end is not None:
        return Verdict(newest.end.state, newest.end.reason)
    running = newest.progress.state if newest.progress else JobState.RUNNING
    if newest.problem is not None:
        return _unknown(f"attempt {newest.attempt}: {newest.problem}", running)
    if facts.lock == "held":
        return Verdict(running, _supervision(facts))
    return _judge_free_lock(facts, newest, here, running)


def _supervision(facts: JobFacts) -> str:
    """How an attempt that runs is looked after."""
    if facts.supervised is False:
        return f"its supervisor died; its process still runs; resume {facts.job} puts another one over it"
    if facts.holder is not None and facts.holder.supervisor.alive is False:
        return "its supervisor died; another one looks after it"
    return AT_WORK


def judge_missing(expected_volume: str | None, here: BootIdentity, last_known: JobState) -> Verdict:
    """The state of a job that is in the ledger and not on the host's volume.

    `expected_volume` is where it was sent; None while it never was.
    """
    if expected_volume is None and last_known is JobState.CREATED:
        return Verdict(JobState.CREATED, "it was not sent yet; submit it again")
    if here.volume is None:
        return _unknown("the host's volume never held a job: it may be another one", last_known)
    if here.volume != expected_volume:
        return _unknown("the host has another volume than the job's", last_known)
    if last_known is JobState.CREATED:
        return Verdict(JobState.CREATED, "it did not reach the host; submit it again")
    return _unknown("the job's folder was removed from its volume", last_known)


def judge_no_answer(reason: str, last_known: JobState) -> Verdict:
    """The state of a job whose host gave no answer: what ended stays so, the rest is unknown.

    Also what was only created: its submit may have arrived, and the answer been lost.
    """
    return Verdict(last_known, "known from before") if last_known.ended else _unknown(reason, last_known)


def _unknown(reason: str, last_known: JobState) -> Verdict:
    return Verdict(JobState.UNKNOWN, reason, last_known)


def _judge_before_start(facts: JobFacts, here: BootIdentity) -> Verdict:
    if facts.lock == "held":
        waits_for = facts.holder.waits_for if facts.holder else None
        return Verdict(JobState.WAITING, waits_for or "its supervisor is starting it")
    if facts.cancel is not None and facts.cancel >= max(1, facts.attempt):
        return Verdict(JobState.CANCELLED, "cancelled before it started")
    if facts.waiting is not None:
        return Verdict(JobState.WAITING, _waiting_reason(facts.waiting, facts.job, here))
    return Verdict(JobState.SUBMITTED, f"no supervisor runs; resume {facts.job} starts one")


def _waiting_reason(waiting: WaitingPlace, job: str, here: BootIdentity) -> str:
    starts = f"resume {job} starts it"
    if not waiting.this_boot and here.alone is not True:
        return f"it waits in a queue of this disk from another pod, or from before a restart; {starts} here"
    if not waiting.this_boot:
        return f"nothing on the host keeps the queue since its restart; {starts}"
    if not waiting.kept:
        return f"nothing on the host keeps the queue: its waiting process died; {starts}"
    if waiting.before:
        return f"waits for a GPU; {waiting.before} before it"
    return waiting.reason or "waits for a GPU"


def _judge_free_lock(facts: JobFacts, newest: AttemptFacts, here: BootIdentity, running: JobState) -> Verdict:
    who = newest.who or _last_holder(facts, newest.attempt)
    if who is None:
        return _unknown("no record says which pod started it", running)
    then = who.incarnation
    if here.volume is None or then.volume != here.volume:
        return _unknown("the volume's marker is missing or another one", running)
    if then.boot is None or here.boot is None:
        return _unknown("cannot tell whether the pod restarted: no boot id", running)
    if then.boot != here.boot:
        if here.alone is True:
            return Verdict(JobState.LOST, "the pod restarted; no other pod mounts its disk")
        return _unknown("another pod started it, and may still run it on the same volume", running)
    payload = newest.progress.payload if newest.progress else None
    if who.supervisor.alive or (payload is not None and payload.alive):
        removed = facts.lock == "missing" or facts.lock_inode != who.lock_inode
        return Verdict(
            running, f"its lock {'file was removed' if removed else 'is free'}; its processes still run"
        )
    return Verdict(
        JobState.LOST, f"lock free and no exit record; resume {facts.job} first verifies its files"
    )


def _last_holder(facts: JobFacts, attempt: int) -> AttemptOwner | None:
    """Killed between the gate and who.json: the lock's own record names the same supervisor."""
    holder = facts.holder
    if holder is None or holder.attempt != attempt or facts.lock_inode is None:
        return None
    return AttemptOwner(
        incarnation=holder.incarnation,
        supervisor=holder.supervisor,
        gpus=(),
        lock_path="",
        lock_inode=facts.lock_inode,
    )
