"""The next attempt of a job on another host.

The order makes it safe to be killed at any point and to be repeated: the files from which the attempt
resumes lie on the new host, verified by hash, before the ledger says that the job moved, and the ledger
says so before the job is sent. Whether a job may leave its host is for `move_permission`; nothing here
asks the old host.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.dispatch import PUSHED, files_of, intent_of, pushed_for
from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.ledger import AGAIN, Intent, LedgerJob
from being_remote.jobs.move_permission import MovePermission
from being_remote.jobs.recipe import CarriedFiles, JobRequest, Recipe, plan_job
from being_remote.jobs.same_intent import refuse_duplicate
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod.job_paths import PUSHED_NOTE, JobPaths
from being_remote.pod.job_states import JobState
from being_remote.scratch import temporary_folder
from being_remote.session import OnProgress, Session, no_progress
from being_remote.transfer.staged_upload import UploadResult, push_files


@dataclass(frozen=True)
class Move:
    """What a job takes along; in a dry run, what it would.

    Attributes:
        from_host: the host that it left.
        frames_kept: frames that the new attempt need not track again.
        files, bytes: the actor's input and the files from which the attempt resumes.
        transferred_files, transferred_bytes: of these, what was sent now; in a dry run, what would be.
        notes: what a person should know.
    """

    from_host: str
    frames_kept: int
    files: int
    bytes: int
    transferred_files: int
    transferred_bytes: int
    notes: tuple[str, ...]


def move(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    permission: MovePermission,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> Move:
    """Make the next attempt of `job` on `host`, and upload what it needs; sending it is up to the caller.

    Args:
        session, host: where the job resumes.
        job: the job as the ledger has it, on the host that it leaves.
        permission: how the attempt on the old host stands.

    Raises:
        UsageError: another terminal was faster, or the job cannot run on `host`.
        DuplicateJob: another ledger's job of the same intent may be at work there.
        NotFoundError: the tracker, the video or the identity is missing, on the host and locally.
        DataError: the host has another input than ours, or another job under this id.
        HostNotReady: the host lacks what the job needs; nothing was started.
        HostError: no answer; nothing was started.
    """
    target, recipe = (
        _MoveTarget(context, session, host, dry_run, on_progress),
        context.find_recipe(job.recipe),
    )
    context.preflight.check(session, host, JobSpec.from_bytes(job.spec))
    seen = look_at_host(session, host, [job.job]).job(job.job)
    uploaded_input = target.upload_input(recipe, _request_on(context, host, job, recipe))
    intent = None
    if not (dry_run and uploaded_input is not None and uploaded_input.to_send_files):
        intent = target.plan(job, recipe, seen)  # else the input from which it is planned is not there yet
    files = files_of(intent.parcel if intent is not None else context.ledger.parcel_of(job.job))
    carried, uploaded_carried, name = None, None, None
    if seen is None or job.attempt not in seen.attempts:  # else both hosts share the disk where it lies
        carried = recipe.find_resumable(files, attempt_folders(context, job))
        target.notes.append(_carried_note(carried))
        if dry_run and job.ended:
            target.notes.append(f"to keep what only {job.host} has: pull {job.job} --all, before it moves")
    refuse_duplicate(
        context, session, host, JobSpec.from_bytes(intent.spec if intent is not None else job.spec)
    )
    if carried is not None:
        uploaded_carried, name = target.upload_carried(job.job, job.attempt + 1, carried)
    if intent is not None and not dry_run:
        if permission.word is not None:
            context.ledger.record(job.job, job.attempt, JobState.ABANDONED, permission.word)
        kept: dict[str, Any] = {"frames_kept": carried.done} if carried is not None else {}
        kept |= {AGAIN: True} if context.again else {}
        evidence = {"reason": f"moved to {host.name} after {permission.state}", PUSHED: name, **kept}
        context.ledger.next_attempt(job.job, job.attempt, evidence, moved=intent)
    uploads = [upload for upload in (uploaded_input, uploaded_carried) if upload is not None]
    return Move(
        from_host=job.host,
        frames_kept=carried.done if carried is not None else 0,
        files=sum(u.files for u in uploads),
        bytes=sum(u.bytes for u in uploads),
        transferred_files=sum(u.to_send_files if dry_run else u.transferred_files for u in uploads),
        transferred_bytes=sum(u.to_send_bytes if dry_run else u.transferred_bytes for u in uploads),
        notes=tuple(target.notes),
    )


def rehearse_move(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    recipe: Recipe,
    request: JobRequest,
    spec: JobSpec,
) -> tuple[str, ...]:
    """Check whether a job could resume on `host`, without changing the host; returns notes for a person.

    Args:
        session, host: where it may have to resume.
        recipe, request: the job, for that host.
        spec: the job, as it is planned for its own host.

    Raises:
        HostNotReady: the host lacks what the job needs.
        DuplicateJob: another ledger's job of the same intent may be at work there.
        UsageError, NotFoundError, DataError: it could not.
        HostError: no answer.
    """
    target = _MoveTarget(context, session, host, dry_run=True, on_progress=no_progress)
    uploaded = target.upload_input(recipe, request)
    if uploaded is None or not uploaded.to_send_files:  # else the input from which it is planned is missing
        plan = plan_job(recipe, session, request, context.inventory)
        spec = plan.spec(spec.job, spec.ledger)
    context.preflight.check(session, host, spec)
    refuse_duplicate(context, session, host, spec)
    return (*target.notes, *uploaded.notes) if uploaded is not None else tuple(target.notes)


def upload_carried_again(
    context: JobContext,
    session: Session,
    host: SshHost | LocalHost,
    job: LedgerJob,
    on_progress: OnProgress,
) -> None:
    """Complete the upload from which the current attempt resumes, if the attempt was not sent yet."""
    name = pushed_for(context.ledger, job)
    if name is None:
        return
    carried = context.find_recipe(job.recipe).find_resumable(
        files_of(context.ledger.parcel_of(job.job)), attempt_folders(context, job)
    )
    if carried is not None and _upload_name(job.job, job.attempt, carried) == name:
        target = _MoveTarget(context, session, host, dry_run=False, on_progress=on_progress)
        target.upload_carried(job.job, job.attempt, carried)


def attempt_folders(context: JobContext, job: LedgerJob) -> list[Path]:
    """The local folders that hold files of the job's attempts, the newest first."""
    folder = context.result_folder(job)
    earlier = {}
    for path in folder.parent.glob(f"{folder.name}.attempt-*"):
        if found := re.fullmatch(r".*-([1-9][0-9]{0,3})(?:\.([1-9][0-9]{0,3}))?", path.name):
            earlier[int(found[1]), int(found[2] or 1)] = path
    return [p for p in (folder, *(earlier[n] for n in sorted(earlier, reverse=True))) if p.is_dir()]


@dataclass
class _MoveTarget:
    """The host where a job resumes; `notes` collects what a person should know."""

    context: JobContext
    session: Session
    host: SshHost | LocalHost
    dry_run: bool
    on_progress: OnProgress
    notes: list[str] = field(default_factory=list)

    def upload_input(self, recipe: Recipe, request: JobRequest) -> UploadResult | None:
        """Upload the actor's input, or compare it with ours; None where nothing has to be uploaded."""
        needed, actor = (
            recipe.needs_input(recipe.look(self.session, request, self.context.inventory)),
            request.actor,
        )
        if needed is None or actor is None:
            return None
        upload = functools.partial(
            self.context.upload_input, self.session, self.host, actor, on_progress=self.on_progress
        )
        if needed:
            return upload(dry_run=self.dry_run)
        try:
            upload(dry_run=True)
        except NotFoundError as e:
            self.notes.append(f"the input on {self.host.name} is not compared with ours: {e.what}")
        return None

    def upload_carried(self, job: str, attempt: int, carried: CarriedFiles) -> tuple[UploadResult, str]:
        """Upload the files from which an attempt resumes, the note last; returns also the folder's name.

        The folder is named after the note's hash, so files of another local state never mix with these.
        """
        name = _upload_name(job, attempt, carried)
        into = PurePosixPath(JobPaths.of(self.host.workdir, job).pushed(name))
        files = {path: carried.folder / path for path in carried.names}
        uploaded = push_files(
            self.session, self.host, files, into, dry_run=self.dry_run, on_progress=self.on_progress
        )
        if not self.dry_run:
            with temporary_folder() as folder:
                note = folder / PUSHED_NOTE
                note.write_bytes(carried.note)
                push_files(self.session, self.host, {note.name: note}, into)
        return uploaded, name

    def plan(self, job: LedgerJob, recipe: Recipe, seen: JobStatus | None) -> Intent:
        """The job for this host: planned again, or as it lies there from an earlier attempt."""
        name = self.host.name
        if seen is None:
            request = _request_on(self.context, self.host, job, recipe)
            plan = plan_job(recipe, self.session, request, self.context.inventory)
            return intent_of(plan, self.context.ledger.uuid, job.job)
        if seen.attempt > job.attempt:
            raise UsageError(
                f"another laptop made attempt {seen.attempt} of it on {name}, which is {seen.state}",
                where=job.job,
                hint=f"--take-over --host {name}, if it is yours from now on",
            )
        parcel = self.context.ledger.parcel_of(job.job)
        ours = [(job.spec, job.spec_sha256, parcel, JobSpec.from_bytes(job.spec).intent_key)]
        ours += [
            (former.spec, former.spec_sha256, former.parcel, former.key)
            for former in self.context.ledger.former_hosts(job.job)
        ]
        for spec, spec_sha256, parcel, key in ours:
            if spec_sha256 == seen.spec_sha256:
                return Intent(job.job, name, job.actor, job.recipe, spec, spec_sha256, parcel, key)
        raise InconsistentData(
            "the host holds another spec under this id",
            file=f"{name}:{JobPaths.of(self.host.workdir, job.job).folder}",
            hint="ids are never used twice: move that folder away if it is not needed",
        )


def _upload_name(job: str, attempt: int, carried: CarriedFiles) -> str:
    return f"{job}.{attempt}.{hashlib.sha256(carried.note).hexdigest()}"


def _request_on(context: JobContext, host: SshHost | LocalHost, job: LedgerJob, recipe: Recipe) -> JobRequest:
    """The same job, for `host`."""
    spec = JobSpec.from_bytes(job.spec)
    actor = context.inventory.the_actor(spec.actor) if spec.actor is not None else None
    files = files_of(context.ledger.parcel_of(job.job))
    return replace(recipe.repeat(spec, files, host, actor), wait_s=spec.wait_s)


def _carried_note(carried: CarriedFiles | None) -> str:
    if carried is None:
        return "no local files to resume from: it starts from scratch"
    if not carried.done:
        return f"it starts at its first frame, with the local box: {carried.why}"
    return f"it resumes after {carried.done} local frames ({carried.why})"
