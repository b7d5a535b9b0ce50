"""From a plan to a job that is on its host: written down first, then sent; sent again at any time."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from being_remote.errors import HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.bundle import build
from being_remote.jobs.ledger import Intent, Known, Ledger
from being_remote.jobs.spec import JobSpec, new_job_id
from being_remote.jobs.submit import cancel, submit
from being_remote.recipes import Plan
from being_remote.session import Session
from being_remote.workflows.tending.rows import JobRow, evidence_of
from being_remote.workflows.tending.watch import look_at

# Of a job that another laptop sent: its files lie on the host, and cannot be sent again from here.
NO_FILES = b"null"


def intent_of(plan: Plan, ledger: str) -> Intent:
    """The job that a plan would become, under a new id."""
    spec = plan.spec(new_job_id(plan.actor or plan.recipe), ledger)
    return Intent(
        job=spec.job,
        host=spec.host,
        actor=spec.actor,
        recipe=spec.recipe,
        spec=spec.as_bytes,
        spec_sha256=spec.sha256,
        parcel=_parcel(plan.files),
        key=spec.intent_key,
    )


def send(ledger: Ledger, session: Session, host: SshHost | LocalHost, known: Known) -> JobRow:
    """Put the attempt that counts on its host and see that somebody looks after it.

    Raises:
        HostError: no answer: whether it started is unknown, and asking again does no harm.
        InconsistentData: the host holds another spec under this id.
    """
    spec = JobSpec.from_bytes(known.spec)
    # What reached its host once is not put there again: a disk that does not show it is another one,
    # or was emptied, and the attempt may run, or have run, all the same.
    reached = known.state != "created" or known.parcel == NO_FILES
    try:
        done = submit(
            session,
            spec,
            b"" if reached else build(spec, _files(known.parcel)),
            workdir=host.workdir,
            python=host.python,
            attempt=known.attempt,
        )
    except HostError as e:
        ledger.record(known.job, known.attempt, "unknown", {"reason": e.what, "asked": "submit"})
        raise
    evidence = {**evidence_of(done.seen), "claim": done.claim, "supervisor": done.supervisor}
    after = ledger.record(known.job, known.attempt, "submitted", {**evidence, "volume": done.volume})
    if after.attempt == known.attempt and after.state == "cancelled":
        # Another terminal cancelled it before it had reached the host.
        cancel(session, host.workdir, host.python, known.job, ledger=spec.ledger)
    return look_at(ledger, session, host, ledger.find(known.job))


def _parcel(files: Mapping[str, bytes]) -> bytes:
    return json.dumps({n: base64.b64encode(d).decode("ascii") for n, d in sorted(files.items())}).encode()


def _files(parcel: bytes) -> dict[str, bytes]:
    return {name: base64.b64decode(data) for name, data in json.loads(parcel).items()}
