"""Is what a host holds of an actor at home? The same files that `sync` looks at, hashed over there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from being_remote.backup.history import History
from being_remote.errors import InconsistentData
from being_remote.local_path import PathCollisions, folds_case
from being_remote.safe_to_stop.local_copies import lacking
from being_remote.safe_to_stop.reasons import NotLocal, Reason, RequiredFile, named, not_home
from being_remote.safe_to_stop.remote_contents import HostFile
from being_remote.sync.remote_files import ActorSync
from being_remote.transfer.download_plan import RemoteFile, name_refused
from being_remote.transfer.hash_comparison import SETTLE_NS
from being_remote.transfer.known_hashes import fact, recall
from being_remote.transfer.quarantine import kept
from being_remote.transfer.stored_file import StoredFile


@dataclass(frozen=True)
class ActorRow:
    """What the host holds of one actor, and what of it is not at home."""

    actor: str
    files: int
    bytes: int
    not_home: NotLocal


def known_already(task: ActorSync, offers: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The offers, with the hash of those that look as they did when a sync had them hashed over there."""
    history = History(task.root)
    facts, here = recall(history, task.host.name), _newest(history)

    def known(offer: RemoteFile) -> RemoteFile:
        entry = here.get(offer.path)
        same = entry is not None and fact(offer, entry.sha256) in facts
        return replace(offer, sha256=entry.sha256) if entry is not None and same else offer

    return [known(offer) for offer in offers]


def there(offer: RemoteFile) -> HostFile:
    """Where an offered file lies."""
    return HostFile(offer.path, offer.origin.source, offer.name, offer.bytes, offer.mtime_ns)


def actor_reasons(
    task: ActorSync, offers: Sequence[RemoteFile], files: Sequence[RequiredFile], now_ns: int
) -> tuple[ActorRow, list[Reason]]:
    """Compare with what is at home.

    Args:
        task: whose files.
        offers: what the host has of them.
        files: the same with their hashes, in the same order.
        now_ns: the host's own clock.
    """
    name, host, history = task.actor.name, task.host.name, History(task.root)
    unread = [file for file in files if file.sha256 is None]
    left = lacking(history, [file for file in files if file.sha256 is not None], by_path=True)
    why_not = _refused(task, offers, _newest(history))
    quarantine = {(path, a.sha256) for path, asides in kept(history).items() for a in asides}
    refused = [file for file in left if file.path in why_not]
    torn = [f for f in left if (f.path, f.sha256) in quarantine and f not in refused]
    young = [file for file in torn if now_ns - file.mtime_ns < SETTLE_NS]
    rest = [file for file in left if file not in refused and file not in torn]
    sync = f"sync --actor {name} --host {host}"
    reasons = []
    if rest:
        what = f"{named(rest)} of {name} not at home with the bytes that {host} has now"
        reasons.append(Reason("files", "no", what, sync))
    if young:
        what = f"{named(young)} of {name} being written just now"
        reasons.append(Reason("files", "no", what, f"wait a little, then {sync}"))
    if old := [file for file in torn if file not in young]:
        what = f"{named(old)} of {name} torn on {host}, too; the very same bytes are kept here, set aside"
        next_step = f"track them again; or remove them on {host} if nothing there can mend them"
        reasons.append(Reason("files", "no", what, next_step))
    if refused:
        what = f"{named(refused)} of {name} not at home: its name is refused: {why_not[refused[0].path]}"
        reasons.append(Reason("files", "no", what, f"rename it on {host}, then {sync}"))
    if unread:
        what = f"{named(unread)} of {name} could not be read on {host}, or changed while we looked"
        reasons.append(Reason("files", "unknown", what, f"look at them on {host}, then try again"))
    row = ActorRow(name, len(files), sum(file.bytes for file in files), not_home([*left, *unread]))
    return row, reasons


def link_reasons(task: ActorSync, links: Sequence[PurePosixPath]) -> list[Reason]:
    """Results that are links to somewhere else."""
    if not links:
        return []
    what = f"{str(links[0])!r} is a link, which is never followed ({len(links)} of {task.actor.name})"
    next_step = "see where it leads, and put the file itself in its place"
    return [Reason("files", "no", what, next_step)]


def _refused(task: ActorSync, offers: Sequence[RemoteFile], here: Mapping[str, StoredFile]) -> dict[str, str]:
    """The files that cannot come to lie at home, by path, and why."""
    taken, why_not = PathCollisions(here, folds=folds_case(task.root)), {}
    for offer in sorted(offers, key=lambda o: (o.path not in here, o.path)):
        why = name_refused(offer) or taken.clash(offer.path)
        if why is None:
            taken.add(offer.path)
        else:
            why_not[offer.path] = why
    return why_not


def _newest(history: History) -> Mapping[str, StoredFile]:
    """What is live; nothing where that cannot be said just now, so that nothing is taken for known."""
    try:
        newest = history.newest()
    except (FileNotFoundError, InconsistentData):
        return {}
    return newest.files if newest is not None else {}
