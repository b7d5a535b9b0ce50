"""A job goes on on another host: what is home of it is put there, then the next attempt is made.

The order makes it safe to be killed anywhere and to be asked again: what the attempt goes on from lies
on the new host, hashed there, before the ledger says that the job moved; the ledger says so before the
job is sent. Who may leave a host is for `leaving`; nothing here asks the old one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.dispatch import PUSHED, files_of, intent_of, pushed_for
from being_remote.jobs.host_jobs import SeenJob
from being_remote.jobs.ledger import Intent, Ledger, LedgerJob
from being_remote.jobs.recipe import CarriedFiles, JobRequest, Recipe
from being_remote.jobs.result_download import folder_of
from being_remote.jobs.spec import JobSpec
from being_remote.jobs.status_poll import look
from being_remote.pod import job_records as records
from being_remote.push.actor_input import push_actor
from being_remote.recipes.registry import find_recipe
from being_remote.scratch import temporary_folder
from being_remote.session import OnProgress, Session, no_progress
from being_remote.transfer.staged_upload import UploadResult, push_files


@dataclass(frozen=True)
class Move:
    """What a job takes along. In a dry run, what it would.

    Attributes:
        from_host: the host that it left.
        frames_kept: frames that the new attempt need not make again.
        files, bytes: of the actor's input and of what is gone on from, all that are to be there.
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
    inventory: Inventory,
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: LedgerJob,
    *,
    why: str,
    word: Mapping[str, Any] | None,
    dry_run: bool,
    on_progress: OnProgress,
) -> Move:
    """Make the next attempt of `known` on `host`; it is yet to be sent.

    Args:
        inventory, ledger: who is who, and where the job is written down.
        session: an open way to `host`.
        host: where the job goes on.
        known: the job, on the host that it leaves.
        why: what stands in the story.
        word: the evidence by which the attempt that counts is given up; None: it has ended.
        dry_run: nothing is changed, here or there.
        on_progress: told how far it is.

    Raises:
        UsageError: another terminal was faster, or it has succeeded meanwhile; or it cannot run there.
        NotFoundError: the tracker, the video or the identity is not there, nor here.
        DataError: the input there is another one than ours, or another job lies there under this id.
        HostError: no answer; nothing was started.
    """
    kind = find_recipe(known.recipe)
    notes: list[str] = []
    seen = look(session, host, [known.job]).job(known.job)
    wish = _wish(inventory, host, known, kind)
    there = _input_there(
        inventory, session, host, kind, wish, notes, dry_run=dry_run, on_progress=on_progress
    )
    if there is not None and dry_run and there.to_send_files:
        files, intent = files_of(known.parcel), None  # what it would be planned from is not there yet
    else:
        intent = _moved(inventory, ledger, session, host, known, kind, seen)
        files = files_of(intent.parcel)
    carried = None
    if seen is None or known.attempt not in seen.attempts:  # else one disk, where it lies already
        carried = kind.find_resumable(files, homes_of(inventory, known))
        notes.append(_carried_note(carried))
        if dry_run and known.ended:
            notes.append(f"what {known.host} has that is not home: pull {known.job} --all, before it moves")
    placed, name = None, None
    if carried is not None:
        placed, name = push_carried(
            session, host, known.job, known.attempt + 1, carried, dry_run=dry_run, on_progress=on_progress
        )
    if intent is not None and not dry_run:
        if word is not None:
            ledger.record(known.job, known.attempt, "abandoned", word)
        kept = {"frames_kept": carried.done} if carried is not None else {}
        ledger.next_attempt(known.job, known.attempt, {"reason": why, PUSHED: name, **kept}, moved=intent)
    parts = [part for part in (there, placed) if part is not None]
    return Move(
        from_host=known.host,
        frames_kept=carried.done if carried is not None else 0,
        files=sum(p.files for p in parts),
        bytes=sum(p.bytes for p in parts),
        transferred_files=sum(p.to_send_files if dry_run else p.transferred_files for p in parts),
        transferred_bytes=sum(p.to_send_bytes if dry_run else p.transferred_bytes for p in parts),
        notes=tuple(notes),
    )


def rehearse(
    inventory: Inventory, session: Session, host: SshHost | LocalHost, kind: Recipe, request: JobRequest
) -> tuple[str, ...]:
    """See whether a job could go on on `host`, which is left as it is; what a person should know of it.

    Args:
        inventory: who is who.
        session: an open way to `host`.
        host: where it may have to go on.
        kind, request: the job, for that host.

    Raises:
        UsageError, NotFoundError, DataError: it could not.
        HostError: no answer.
    """
    notes: list[str] = []
    there = _input_there(
        inventory, session, host, kind, request, notes, dry_run=True, on_progress=no_progress
    )
    if there is None or not there.to_send_files:  # else what it would be planned from is not there yet
        kind.plan(request, kind.look(session, request, inventory))
    return (*notes, *there.notes) if there is not None else tuple(notes)


def push_again(
    inventory: Inventory,
    session: Session,
    host: SshHost | LocalHost,
    ledger: Ledger,
    known: LedgerJob,
    on_progress: OnProgress,
) -> None:
    """See that what the attempt that counts goes on from is on its host, if it was not sent yet."""
    name = pushed_for(ledger, known)
    if name is None:
        return
    carried = find_recipe(known.recipe).find_resumable(files_of(known.parcel), homes_of(inventory, known))
    if carried is not None and _name(known.job, known.attempt, carried) == name:
        push_carried(session, host, known.job, known.attempt, carried, dry_run=False, on_progress=on_progress)


def push_carried(
    session: Session,
    host: SshHost | LocalHost,
    job: str,
    attempt: int,
    carried: CarriedFiles,
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> tuple[UploadResult, str]:
    """Put what an attempt goes on from onto its host, the note last; what came of it, and its name.

    The folder is named after the note's hash: what was pushed of another state of home is no part of it.
    """
    name = _name(job, attempt, carried)
    into = PurePosixPath(records.pushed_folder(records.job_folder(str(host.workdir), job), name))
    files = {path: carried.folder / path for path in carried.names}
    placed = push_files(session, host, files, into, dry_run=dry_run, on_progress=on_progress)
    with temporary_folder() as folder:
        note = folder / records.PUSHED_NOTE
        note.write_bytes(carried.note)
        if not dry_run:
            push_files(session, host, {note.name: note}, into)
    return placed, name


def homes_of(inventory: Inventory, known: LedgerJob) -> list[Path]:
    """Where attempts of a job lie here, the newest first."""
    folder = folder_of(inventory, known)
    earlier = {}
    for path in folder.parent.glob(f"{folder.name}.attempt-*"):
        if found := re.fullmatch(r".*-([1-9][0-9]{0,3})(?:\.([1-9][0-9]{0,3}))?", path.name):
            earlier[int(found[1]), int(found[2] or 1)] = path
    return [p for p in (folder, *(earlier[n] for n in sorted(earlier, reverse=True))) if p.is_dir()]


def _name(job: str, attempt: int, carried: CarriedFiles) -> str:
    return f"{job}.{attempt}.{hashlib.sha256(carried.note).hexdigest()}"


def _wish(inventory: Inventory, host: SshHost | LocalHost, known: LedgerJob, kind: Recipe) -> JobRequest:
    """The very same job on `host`."""
    spec = JobSpec.from_bytes(known.spec)
    actor = inventory.the_actor(spec.actor) if spec.actor is not None else None
    return kind.repeat(spec, files_of(known.parcel), host, actor)


def _input_there(
    inventory: Inventory,
    session: Session,
    host: SshHost | LocalHost,
    kind: Recipe,
    request: JobRequest,
    notes: list[str],
    *,
    dry_run: bool,
    on_progress: OnProgress,
) -> UploadResult | None:
    """See that the actor's input is there and is ours; None where nothing has to be put there."""
    wanted = kind.needs_input(kind.look(session, request, inventory))
    if wanted is None or request.actor is None:
        return None
    if wanted:
        return push_actor(session, host, inventory, request.actor, dry_run=dry_run, on_progress=on_progress)
    try:
        push_actor(session, host, inventory, request.actor, dry_run=True, on_progress=on_progress)
    except NotFoundError as e:
        notes.append(f"the input on {host.name} is not compared with ours: {e.what}")
    return None


def _moved(
    inventory: Inventory,
    ledger: Ledger,
    session: Session,
    host: SshHost | LocalHost,
    known: LedgerJob,
    kind: Recipe,
    seen: SeenJob | None,
) -> Intent:
    """The job as it is to be on `host`: planned anew, or as it lies there from before."""
    if seen is not None:
        if seen.attempt > known.attempt:
            raise UsageError(
                f"another laptop made attempt {seen.attempt} of it on {host.name}, which is {seen.state}",
                where=known.job,
                hint=f"--take-over --host {host.name}, if it is yours from now on",
            )
        ours = [(known.spec, known.spec_sha256, known.parcel, JobSpec.from_bytes(known.spec).intent_key)]
        ours += [(left.spec, left.spec_sha256, left.parcel, left.key) for left in ledger.left(known.job)]
        for spec, spec_sha256, parcel, key in ours:
            if spec_sha256 == seen.spec_sha256:
                return Intent(known.job, host.name, known.actor, known.recipe, spec, spec_sha256, parcel, key)
        raise InconsistentData(
            "another spec lies there under this id",
            file=f"{host.name}:{records.job_folder(str(host.workdir), known.job)}",
            hint="ids are never used twice: move that folder away if it is nobody's",
        )
    request = _wish(inventory, host, known, kind)
    return intent_of(kind.plan(request, kind.look(session, request, inventory)), ledger.uuid, known.job)


def _carried_note(carried: CarriedFiles | None) -> str:
    if carried is None:
        return "nothing is home that it could go on from: it starts from scratch"
    if not carried.done:
        return f"it starts from its first frame, with the box that is home: {carried.why}"
    return f"it goes on after {carried.done} frames that are home ({carried.why})"
