"""`sync` and `sync --watch`: download what a host holds of an actor, verified, without losing older files."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from being_remote.backup.history import History
from being_remote.backup_sync.remote_files import ActorSync, list_actor_files, require_folders
from being_remote.backup_sync.sync_pass import SyncPass, preview_sync, repair_backup, report_without_host
from being_remote.backup_sync.sync_report import FailedSync, SyncReport, SyncsReport
from being_remote.backup_sync.watch import EVERY_S, ActorWatch, OnWatch, WatchReport
from being_remote.durable_files import room_on_disk
from being_remote.errors import BeingRemoteError, HostError, Interrupted, UsageError
from being_remote.inventory import Inventory, LocalHost
from being_remote.local_lock import AT_ONCE, LockRequest
from being_remote.session import NO_FEEDBACK, Feedback, Session
from being_remote.tracker.layout import KINDS, places_of
from being_remote.weak_disk import describe_weakness


def sync(
    inventory: Inventory,
    *,
    actor: str | None = None,
    host: str | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
    verify: bool = False,
    feedback: Feedback = NO_FEEDBACK,
    lock: LockRequest = AT_ONCE,
) -> SyncReport:
    """Download an actor's files from a host into its backup.

    Args:
        actor: its name; default: the only one.
        host: its name; default: the only one.
        only: kinds of files (`KINDS`); default: all but `sources`.
        dry_run: look at both sides and write nothing.
        verify: read every byte again on both sides, of all snapshots here, and compare; what differs is
            downloaded, what is corrupt is repaired. The local part is done without the host, too.
        feedback: is told, too, once the frames are safe, where the rest takes long.
        lock: how long to wait for another command that holds the backup.

    Raises:
        UsageError: unknown names or kinds; the host has no tracker.
        Busy: another command holds the backup.
        NotFoundError: the host has nothing of this actor.
        HostError: no answer, or the link failed; what arrived whole is kept.
        DataError: the disk here is full; a link lies in the backup; another run while `only` is given.
    """
    from being_remote.transport import open_session

    task = choose_files(inventory, actor, host, only)
    history, started = History(task.root), time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(room_on_disk(task.root))
        first = not history.history_folder.is_dir()  # read once: another first sync may make it meanwhile
        if not dry_run and not first:
            stack.enter_context(history.lock(lock))  # first of all, so that a second sync ends at once
        try:
            session = stack.enter_context(open_session(task.host, inventory, remember=not dry_run))
        except HostError as e:
            if dry_run or first or not verify:
                raise
            backup = repair_backup(task, history, verify=True, on_progress=feedback.on_progress)
            report = report_without_host(task, history, backup, e)
            return replace(report, seconds=time.monotonic() - started)
        if dry_run:
            report = preview_sync(task, session, history, verify=verify, on_progress=feedback.on_progress)
        else:
            found = None
            if first:
                found = list_actor_files(task, session)  # an actor without files gets no backup folder
                stack.enter_context(history.lock(lock))
            this_machine = stack.enter_context(_open_this_machine(inventory))
            one = SyncPass(task, session, this_machine, history, verify, bool(only), feedback)
            report = one.run(found)
            if (weakness := describe_weakness(history.root)) is not None:
                report = replace(report, warnings=(*report.warnings, weakness))
        return replace(report, seconds=time.monotonic() - started, round_trips=session.round_trips)


def sync_each(
    inventory: Inventory,
    actors: Sequence[str],
    hosts: Sequence[str],
    *,
    only: Sequence[str] = (),
    dry_run: bool = False,
    verify: bool = False,
    feedback: Feedback = NO_FEEDBACK,
    lock: LockRequest = AT_ONCE,
) -> SyncsReport:
    """Download the files of several actors from several hosts, one after the other; see `sync`.

    What fails stops none of the others.

    Raises:
        UsageError: unknown names or kinds, or a host without tracker; nothing was downloaded.
    """
    pairs = [
        (inventory.the_actor(actor).name, inventory.the_host(host).name)
        for actor in dict.fromkeys(actors or (None,))
        for host in dict.fromkeys(hosts or (None,))
    ]
    for actor, host in pairs:
        require_folders(choose_files(inventory, actor, host, only))
    done, failed = list[SyncReport](), list[FailedSync]()
    for actor, host in pairs:
        try:
            report = sync(
                inventory,
                actor=actor,
                host=host,
                only=only,
                dry_run=dry_run,
                verify=verify,
                feedback=replace(feedback, say=functools.partial(_say_of, feedback.say, actor)),
                lock=lock,
            )
        except Interrupted:
            raise
        except BeingRemoteError as e:
            failed.append(FailedSync(host, actor, e.what, type(e).__name__, e.hint or None, e.exit_code))
        else:
            done.append(report)
    return SyncsReport(tuple(done), tuple(failed))


def _say_of(say: Callable[[str], object], actor: str, text: str) -> None:
    say(f"{actor}: {text}")


def watch(
    inventory: Inventory,
    *,
    actor: str | None = None,
    host: str | None = None,
    only: Sequence[str] = (),
    every_s: float = EVERY_S,
    say: OnWatch = lambda _: None,
) -> WatchReport:
    """Sync again and again until Ctrl-C.

    Args:
        actor, host, only: as for `sync`.
        every_s: from the beginning of one round to that of the next, in seconds.
        say: called with each round that has news, and with why the watch waits.

    Raises:
        UsageError: unknown names or kinds; the host has no tracker.
        HostError: its key is not trusted, it refused the login, or its answer is invalid.
        DataError: a link lies in the backup; another run while `only` is given.
    """
    from being_remote.transport import open_session

    task = choose_files(inventory, actor, host, only)
    with _open_this_machine(inventory) as this_machine:
        watched = ActorWatch(
            task, lambda: open_session(task.host, inventory), this_machine, say, partial=bool(only)
        )
        try:
            watched.run(every_s)
        except KeyboardInterrupt:
            return watched.report()
        finally:
            watched.close()


def choose_files(inventory: Inventory, actor: str | None, host: str | None, only: Sequence[str]) -> ActorSync:
    """The files that these names mean.

    Raises:
        UsageError: unknown names or kinds, or several to choose from.
    """
    chosen, where = inventory.the_actor(actor), inventory.the_host(host)
    for kind in only:
        if kind not in KINDS:
            hint = f"known kinds: {', '.join(KINDS)}"
            raise UsageError(f"unknown kind of files: {kind!r}", where="--only", hint=hint)
    return ActorSync(chosen, where, inventory.backup_of(chosen), places_of(only))


def _open_this_machine(inventory: Inventory) -> Session:
    from being_remote.transport import open_session

    return open_session(LocalHost.model_validate({"name": "this-machine", "workdir": "/"}), inventory)
