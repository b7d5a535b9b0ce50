"""From a plan to a job that is on its host: written down first, then sent; sent again at any time."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from being_remote.errors import HostError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.job_archive import build
from being_remote.jobs.job_status import AT_WORK, JobStatus, ended_row, evidence_of
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob
from being_remote.jobs.spec import JobSpec, new_job_id
from being_remote.jobs.status_poll import look_at
from being_remote.jobs.submit import SubmitResult, find_volume, submit
from being_remote.recipes import JobPlan
from being_remote.session import Session

# Of a job that another laptop sent: its files lie on the host, and cannot be sent again from here.
NO_FILES = b"null"
# In the story, where an attempt is made that goes on from what was put on its host before.
PUSHED = "pushed"


def intent_of(plan: JobPlan, ledger: str, job: str | None = None) -> Intent:
    """The job that a plan would become: under a new id, or the one that it moves with."""
    spec = plan.spec(job or new_job_id(plan.actor or plan.recipe), ledger)
    return Intent(
        job=spec.job,
        host=spec.host,
        actor=spec.actor,
        recipe=spec.recipe,
        spec=spec.as_bytes,
        spec_sha256=spec.sha256,
        parcel=parcel(plan.files),
        key=spec.intent_key,
    )


def send(ledger: Ledger, session: Session, host: SshHost | LocalHost, known: LedgerJob) -> JobStatus:
    """Put the attempt that counts on its host and see that somebody looks after it.

    Raises:
        UsageError: the job moved to another host meanwhile.
        HostError: no answer: whether it started is unknown, and asking again does no harm.
        InconsistentData: the host holds another spec under this id.
    """
    if known.host != host.name:
        raise UsageError(f"it belongs to {known.host} now", where=known.job, hint=f"jobs --why {known.job}")
    if known.state in AT_WORK:
        return _looked_at(ledger, session, host, known)
    spec = JobSpec.from_bytes(known.spec)
    try:
        done = _submitted(ledger, session, host, known, spec)
    except HostError as e:
        ledger.record(known.job, known.attempt, "unknown", {"reason": e.what, "asked": "submit"})
        raise
    if done is None:
        return ended_row(ledger.find(known.job), ledger.story(known.job))
    evidence = {**evidence_of(done.seen), "claim": done.claim, "supervisor": done.supervisor}
    ledger.record(known.job, known.attempt, "submitted", {**evidence, "volume": done.volume})
    return look_at(ledger, session, host, ledger.find(known.job))


def _looked_at(ledger: Ledger, session: Session, host: SshHost | LocalHost, known: LedgerJob) -> JobStatus:
    """What was seen at work needs nobody to start it: a disk that was set back would do so once more."""
    row = look_at(ledger, session, host, known)
    if row.state == "unknown" and "started" not in row.evidence:
        raise HostError(
            f"{known.job}: the attempt is not on the pod; nothing was started: {row.reason}",
            host=host.name,
            hint=f"jobs --why {known.job}; if its disk is gone for good: resume {known.job} --pod-is-gone",
        )
    return row


def _submitted(
    ledger: Ledger, session: Session, host: SshHost | LocalHost, known: LedgerJob, spec: JobSpec
) -> SubmitResult | None:
    """The submit's answer; None if another terminal ended the job before it was sent."""
    # What reached its host once is not put there again: a disk that does not show it is another one,
    # or was emptied, and the attempt may run, or have run, all the same. For the same reason what
    # may have reached it goes to no other disk than at first.
    packed, volume = b"", None
    if known.state == "created":
        volume = ledger.aim(known.job, known.attempt, find_volume(session, host.workdir, host.python))
        if volume is None:
            return None
        packed = b"" if known.parcel == NO_FILES else build(spec, files_of(known.parcel))
    return submit(
        session,
        spec,
        packed,
        workdir=host.workdir,
        python=host.python,
        volume=volume,
        attempt=known.attempt,
        pushed=pushed_for(ledger, known) if known.state == "created" else None,
    )


def pushed_for(ledger: Ledger, known: LedgerJob) -> str | None:
    """The name of what was put on the host for the attempt that counts to go on from, if anything was."""
    words = (t.evidence.get(PUSHED) for t in ledger.story(known.job) if t.attempt == known.attempt)
    return next((str(word) for word in words if word), None)


def parcel(files: Mapping[str, bytes]) -> bytes:
    """A job's own files as the ledger keeps them; `files_of` reads them."""
    return json.dumps({n: base64.b64encode(d).decode("ascii") for n, d in sorted(files.items())}).encode()


def files_of(parcel: bytes) -> dict[str, bytes]:
    """A job's own files; none of one that another laptop sent."""
    return {name: base64.b64decode(data) for name, data in (json.loads(parcel) or {}).items()}
