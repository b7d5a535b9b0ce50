"""From what a pod shows to what may be said: a pure function, and no clock in it.

`lost` needs positive evidence: this very life of the pod, or another one that has the volume for
itself, and nobody who holds the lock. Everything short of that is `unknown`, and nothing
destructive may follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from being_remote.pod_client.job_answers import AttemptFacts, AttemptOwner, BootIdentity, JobFacts

State = Literal[
    "created",
    "submitted",
    "waiting",
    "running",
    "transforming",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
    "abandoned",
    "unknown",
]
ENDED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled", "lost", "abandoned"})


@dataclass(frozen=True)
class Verdict:
    """A state and why; `last_known` says what was true before it became unknown."""

    state: State
    reason: str
    last_known: State | None = None


def judge(facts: JobFacts, here: BootIdentity) -> Verdict:
    """The state of a job whose folder is there, seen from the pod's life `here`."""
    newest = facts.newest
    if facts.problem is not None:
        return Verdict("unknown", f"its folder cannot be read: {facts.problem}", "submitted")
    if newest is None:
        return _before_the_gate(facts)
    if newest.end is not None:
        return Verdict(newest.end.state, newest.end.reason)
    at_work: State = newest.progress.state if newest.progress else "running"
    if newest.problem is not None:
        return Verdict("unknown", f"attempt {newest.attempt}: {newest.problem}", at_work)
    if facts.lock == "held":
        orphaned = facts.supervised is False
        return Verdict(
            at_work, "its supervisor is gone, its payload lives" if orphaned else "its lock is held"
        )
    return _nobody_holds_it(facts, newest, here, at_work)


def judge_absent(expected_volume: str | None, here: BootIdentity, last_known: State) -> Verdict:
    """The state of a job that the ledger knows and the pod's volume does not hold.

    `expected_volume` is where it was sent; None while it never was.
    """
    if expected_volume is None and last_known == "created":
        return Verdict("created", "it was not sent yet; submit it again")
    if here.volume is None:
        return Verdict("unknown", "no job was ever put on this volume: it may be another one", last_known)
    if here.volume != expected_volume:
        return Verdict("unknown", "the pod shows another volume than the job's", last_known)
    if last_known == "created":
        return Verdict("created", "it did not reach the pod; submit it again")
    return Verdict("unknown", "the job's folder was removed from its volume", last_known)


def judge_silence(reason: str, last_known: State) -> Verdict:
    """The state of a job whose pod gave no answer: what ended stays so, the rest is unknown.

    Also what was only created: its submit may have arrived, and the answer been lost.
    """
    if last_known in ENDED:
        return Verdict(last_known, "known from before")
    return Verdict("unknown", reason, last_known)


def _before_the_gate(facts: JobFacts) -> Verdict:
    if facts.lock == "held":
        waits_for = facts.holder.waits_for if facts.holder else None
        return Verdict("waiting", waits_for or "its supervisor is at work")
    if facts.cancel is not None and facts.cancel >= max(1, facts.attempt):
        return Verdict("cancelled", "cancelled before it started")
    return Verdict("submitted", "no supervisor is at work; submitting it again starts one")


def _nobody_holds_it(facts: JobFacts, newest: AttemptFacts, here: BootIdentity, at_work: State) -> Verdict:
    who = newest.who or _who_held_last(facts, newest.attempt)
    if who is None:
        return Verdict("unknown", "it is not written who started it", at_work)
    then = who.incarnation
    if here.volume is None or then.volume != here.volume:
        return Verdict("unknown", "the volume's marker is missing or another one", at_work)
    if then.life is None or here.life is None:
        return Verdict("unknown", "this system does not tell its lives apart", at_work)
    if then.life != here.life:
        if here.alone is True:
            return Verdict("lost", "the pod was started anew since, and the volume is its alone")
        return Verdict("unknown", "another pod started it, and may still run it on the same volume", at_work)
    if facts.lock == "missing" or facts.lock_inode != who.lock_inode:
        payload = newest.progress.payload if newest.progress else None
        if who.supervisor.alive or (payload is not None and payload.alive):
            return Verdict(at_work, "its lock file was removed, its processes live")
    return Verdict("lost", "nobody holds its lock and it left no end")


def _who_held_last(facts: JobFacts, attempt: int) -> AttemptOwner | None:
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
