"""A job that another laptop's ledger made, written down in this one as it lies on its host."""

from __future__ import annotations

from dataclasses import replace

from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.foreign_text import quote
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.dispatch import NO_FILES
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob
from being_remote.jobs.spec import MAX_SPEC_BYTES, JobSpec, is_job_id
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_states import JobState
from being_remote.session import Session


def take_over_job(
    inventory: Inventory,
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    job: str,
    *,
    dry_run: bool,
) -> LedgerJob:
    """Write down a job that lies on the host and that another ledger made.

    Raises:
        UsageError: `job` cannot be an id; the inventory does not have its actor; or it is a dry run.
        NotFoundError: the host has no such job.
        InconsistentData: its spec is malformed, or another job's.
        HostError: no answer.
    """
    if not is_job_id(job):
        raise UsageError(f"{job!r} is not a job id", hint="being-remote jobs --all shows it in full")
    seen = look_at_host(session, host, [job]).job(job)
    if seen is None:
        raise NotFoundError(f"no job {job!r}", where=host.name, hint="being-remote jobs --all")
    path = JobPaths.of(host.workdir, job).spec
    read = session.run(["head", "-c", str(MAX_SPEC_BYTES + 1), path], repeatable=True)
    try:
        spec = JobSpec.from_bytes(read.stdout)
    except ValueError as e:
        raise InconsistentData(f"malformed spec: {quote(str(e))}", file=f"{host.name}:{path}") from e
    if (spec.job, spec.sha256) != (job, seen.spec_sha256):
        raise InconsistentData("the spec is another job's", file=f"{host.name}:{path}")
    if spec.actor is not None:
        inventory.the_actor(spec.actor)  # it names a local folder, and the spec is not trusted
    if dry_run:
        raise UsageError("--take-over cannot be rehearsed", where="--dry-run")
    evidence = {**seen.evidence, "reason": "taken over", "from": spec.ledger}
    unclear = seen.state in (JobState.UNKNOWN, JobState.CREATED)
    intent = replace(Intent.of(spec, NO_FILES), host=host.name)  # other laptops may name it otherwise
    return ledger.take_over(
        intent,
        attempt=max(1, seen.attempt),
        state=JobState.SUBMITTED if unclear else seen.state,
        evidence=evidence,
    )
