"""A job of another laptop's ledger, or its newer attempt of ours, written down as it lies on its host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from being_remote.errors import (
    HostError,
    InconsistentData,
    InventoryError,
    NotFoundError,
    UsageError,
    as_host_error,
)
from being_remote.foreign_text import quote
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import NO_FILES
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import LAST, Intent, Ledger, LedgerJob
from being_remote.jobs.spec import MAX_SPEC_BYTES, JobSpec, is_job_id
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_states import JobState
from being_remote.pod_client.many_hosts import ask_all
from being_remote.session import Session


def find_job(
    context: JobContext,
    word: str,
    command: str,
    *,
    take_over: bool,
    recipes: Sequence[str] = (),
    dry_run: bool = False,
) -> LedgerJob:
    """The job that a word names: in the ledger or, with `take_over`, on any host.

    Args:
        word: an id, a unique beginning of one, or `last`.
        command: named in the hint.
        take_over: write down a job of another ledger, or a newer attempt of it, before it is used here.
        recipes: see `Ledger.find`.

    Raises:
        NotFoundError: no such job.
        UsageError: several begin so; or it would have to be taken over in a dry run.
        HostError: no host that answered has it, and some did not answer.
        InconsistentData: its spec is malformed.
    """
    found: LedgerJob | None = None
    try:
        found = context.ledger.find(word, recipes=recipes)
    except NotFoundError as e:
        if word == LAST or not is_job_id(word.rstrip("-")):
            raise
        if not take_over:
            hint = f"jobs --all lists them; if another laptop's ledger has it: {command} {word} --take-over"
            raise NotFoundError(e.what, where=e.where, hint=hint) from e
    if found is not None and not take_over:
        return found
    seen = _find_on_hosts(context, found.job if found is not None else word, needed=found is None)
    if seen is None or (found is not None and seen.attempt <= found.attempt):
        assert found is not None  # what is nowhere was raised
        return found
    host = context.inventory.host(seen.host)
    with context.open_session(host.name) as session:
        return take_over_job(context.inventory, context.ledger, session, host, seen.job, dry_run=dry_run)


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
    answer = look_at_host(session, host, [job])
    seen = answer.job(job)
    if seen is None:
        raise NotFoundError(f"no job {job!r}", where=host.name, hint="being-remote jobs --all")
    spec = read_spec(inventory, session, host, seen)
    if dry_run:
        raise UsageError("--take-over cannot be rehearsed", where="--dry-run")
    return write_down(ledger, host, spec, seen, answer.incarnation.volume)


def read_spec(inventory: Inventory, session: Session, host: SshHost | LocalHost, seen: JobStatus) -> JobSpec:
    """The spec of a job as it lies on the host.

    Raises:
        UsageError: the inventory does not have its actor.
        InconsistentData: it is malformed, or another job's.
        HostError: no answer.
    """
    path = JobPaths.of(host.workdir, seen.job).spec
    read = session.run(["head", "-c", str(MAX_SPEC_BYTES + 1), path], repeatable=True)
    try:
        spec = JobSpec.from_bytes(read.stdout)
    except ValueError as e:
        raise InconsistentData(f"malformed spec: {quote(str(e))}", file=f"{host.name}:{path}") from e
    if (spec.job, spec.sha256) != (seen.job, seen.spec_sha256):
        raise InconsistentData("the spec is another job's", file=f"{host.name}:{path}")
    if spec.actor is not None:
        inventory.the_actor(spec.actor)  # it names a local folder, and the spec is not trusted
    return spec


def write_down(
    ledger: Ledger, host: SshHost | LocalHost, spec: JobSpec, seen: JobStatus, volume: str | None
) -> LedgerJob:
    """Write down a job, or a newer attempt of one, as `host` shows it on its `volume`."""
    evidence = {**seen.evidence, "reason": "taken over", "from": spec.ledger, "volume": volume}
    unclear = seen.state in (JobState.UNKNOWN, JobState.CREATED)
    # Other laptops may name the host otherwise; the same settings are to attach to it from here, too.
    return ledger.take_over(
        replace(Intent.of(spec, NO_FILES), host=host.name, key=spec.intent_key_on(host.name)),
        attempt=max(1, seen.attempt),
        state=JobState.SUBMITTED if unclear else seen.state,
        evidence=evidence,
    )


def _find_on_hosts(context: JobContext, word: str, *, needed: bool) -> JobStatus | None:
    """The newest attempt that any host shows of the job; None where no host has it and it is not needed."""
    names = list(context.inventory.hosts)

    def ask(name: str) -> list[JobStatus] | HostError:
        try:
            with context.open_session(name) as session:
                seen = look_at_host(session, context.inventory.host(name))
        except (HostError, InventoryError) as e:
            return as_host_error(e, name)
        return [replace(job, host=name) for job in seen.jobs if job.job.startswith(word)]

    answers = ask_all(names, ask)
    found = [job for answer in answers if not isinstance(answer, HostError) for job in answer]
    exact = [job for job in found if job.job == word] or found
    ids = sorted({job.job for job in exact})
    if len(ids) > 1:
        raise UsageError(f"{word!r} may mean {len(ids)} jobs", hint=f"one of: {', '.join(ids[:8])}")
    if exact:
        return max(exact, key=lambda job: job.attempt)
    if not needed:
        return None
    for answer in answers:
        if isinstance(answer, HostError):
            raise HostError(
                f"no job {word!r} on the hosts that answered; no answer from this one: {answer.what}",
                host=answer.host,
                hint="give the command again once it answers",
            )
    raise NotFoundError(
        f"no job {word!r} in the ledger, nor on {', '.join(names)}", hint="being-remote jobs --all"
    )
