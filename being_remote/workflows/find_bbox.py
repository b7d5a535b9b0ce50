"""`find-bbox`: search the hosts and this laptop for the crop box.

Nothing is changed, except that `fetch` downloads the best box to the actor's backup, never over a
different one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from being_remote.bbox_search.box_choice import ChosenBox, choose, ways_of_recovery, with_equals
from being_remote.bbox_search.host_search import HostRow, plan_searches, search_hosts
from being_remote.errors import BeingRemoteError, HostError, InconsistentData, NotFoundError
from being_remote.inventory import LOCAL, Actor, Inventory
from being_remote.jobs.ledger import ledger_of
from being_remote.session import OnProgress, no_progress
from being_remote.tracker.layout import BBOX


@dataclass(frozen=True)
class DownloadedBox:
    """What became of `fetch`: `done` when the box is in the actor's backup, `what` in words."""

    path: str
    done: bool
    what: str


@dataclass(frozen=True)
class FindReport:
    """All hosts' rows, this laptop's last (`host: local`), and what follows from them."""

    actor: str
    results: tuple[HostRow, ...]
    best: ChosenBox | None
    why_no_best: str | None
    recovery: tuple[str, ...]
    fetched: DownloadedBox | None

    @property
    def exit_code(self) -> int:
        """0 found; 3 not found; 4 not found, and not everything was searched; 6 fetch was refused."""
        if any(c.may_serve(self.actor) for row in self.results for c in row.candidates):
            return InconsistentData.exit_code if self.fetched is not None and self.best is None else 0
        return HostError.exit_code if any(row.unseen for row in self.results) else NotFoundError.exit_code


def find_bbox(
    inventory: Inventory,
    *,
    actor: str | None = None,
    hosts: Sequence[str] = (),
    fetch: bool = False,
    search_time_s: float | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = no_progress,
) -> FindReport:
    """Search hosts and this laptop for an actor's bbox.pt, and check all that is found.

    Args:
        actor: its name; default: the only one.
        hosts: their names; default: all. This laptop is always searched.
        fetch: download the best one to `<backups>/<actor>/bbox.pt`.
        search_time_s: seconds after which each host's search ends; default: half of the host's
            `answer_timeout_s`.
        dry_run: with `fetch`, only say what would be done.
        on_progress: counts the seconds of each pending search.

    Raises:
        UsageError: an unknown or ambiguous name; nothing was contacted.
        InconsistentData: `fetch`, and a different bbox.pt is in the backup.
    """
    from being_remote.transport import open_session

    wanted = _with_size(inventory.the_actor(actor))
    searches = plan_searches(
        inventory,
        wanted,
        [inventory.host(name) for name in dict.fromkeys(hosts or inventory.hosts)],
        known_jobs={job.job for job in ledger_of(inventory).jobs()},
        search_time_s=search_time_s,
    )
    found, contents = search_hosts(
        searches, lambda host: open_session(host, inventory, remember=not dry_run), on_progress
    )
    rows = with_equals(found)
    best, why_no_best = choose(wanted.name, rows)
    report = FindReport(wanted.name, rows, best, why_no_best, ways_of_recovery(rows), fetched=None)
    if not fetch:
        return report
    return replace(report, fetched=_fetch(inventory, wanted, report, contents, dry_run=dry_run))


def _with_size(actor: Actor) -> Actor:
    """Return the actor with its video's size, where the inventory names only the video."""
    if actor.source_size is not None or actor.video is None:
        return actor
    from being_remote.media.video import open_source

    try:
        with open_source(actor.video) as source:
            return actor.model_copy(update={"source_size": source.size_wh})
    except BeingRemoteError as e:
        # The search goes on without it: each candidate says that its place in the frame was not checked.
        logging.getLogger("being_remote").info("%s", e)
        return actor


def _fetch(
    inventory: Inventory, actor: Actor, report: FindReport, contents: Mapping[str, bytes], *, dry_run: bool
) -> DownloadedBox:
    backup, best = inventory.backup_of(actor), report.best
    path = str(backup / BBOX)
    if best is None:
        return DownloadedBox(path, done=False, what=f"nothing to fetch: {report.why_no_best}")
    local = [c for row in report.results if row.host == LOCAL for c in row.candidates]
    if any(c.path == path and c.bbox == best.bbox for c in local):
        return DownloadedBox(path, done=True, what="it is in the backup already")
    data = contents[best.sha256]
    source = f"{len(data)} bytes from {best.host}:{best.path!r}"
    if dry_run:
        refused = os.path.lexists(path)
        what = "would be refused: a different one is in the backup" if refused else f"would download {source}"
        return DownloadedBox(path, done=False, what=what)
    from being_remote.backup.put_file import put_file

    put_file(backup, BBOX, data, host=best.host)
    return DownloadedBox(path, done=True, what=f"downloaded {source}")
