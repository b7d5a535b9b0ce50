"""Results of one attempt brought home as a whole: fetched aside, compared with hashes made on the host,
swapped in.

Promises: a job's folder here always holds one attempt's files, all of them checked, and changes as
a whole or not at all; a second fetch moves only what is missing. Where it brings other bytes of a file
that is here, the folder as it was is kept beside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from being_remote.durable_files import copy_apart, room_on_disk
from being_remote.errors import DataError, InconsistentData
from being_remote.inventory import Inventory
from being_remote.jobs.attempt_files import AttemptFile, AttemptFolder, SkippedFile
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.result_folder import (
    alone,
    has_hash,
    incoming,
    is_of,
    judge_file,
    keep_aside,
    keep_only,
    nothing,
    pulled,
    swap,
)
from being_remote.session import OnProgress, Pull, PullResult
from being_remote.transfer.file_check import Judge


@dataclass(frozen=True)
class ResultDownload:
    """What a fetch came to; `files` is all that lies in the folder now, by name."""

    files: Mapping[str, int]
    transferred_files: int
    transferred_bytes: int
    set_aside: tuple[SkippedFile, ...]
    changed: bool


def runs_of(inventory: Inventory, actor: str | None) -> Path:
    """The folder of the results of our own jobs; of those without an actor, beside the actors."""
    return inventory.backups / actor / "runs" if actor is not None else inventory.backups / "runs"


def folder_of(inventory: Inventory, known: LedgerJob) -> Path:
    """The folder of one job's results."""
    return runs_of(inventory, known.actor) / known.job


def bring(
    work: AttemptFolder,
    folder: Path,
    offers: Sequence[AttemptFile],
    *,
    note: Mapping[str, Any],
    aside: Sequence[SkippedFile],
    judge: Judge,
    judge_all: Callable[[Path], None],
    partial: bool,
    on_progress: OnProgress,
) -> ResultDownload:
    """Fetch `offers` from `work` into `folder`.

    Args:
        work: the attempt's folder on its host.
        folder: the job's folder here; one of another attempt is kept beside.
        offers: what `work` offered.
        note: what is written into pulled.json beside the files, and names the attempt.
        aside: what was set aside already.
        judge: says whether a file is whole.
        judge_all: called with the whole new folder before it takes its place; raises DataError.
        partial: bring what is whole although some is not; else one bad file refuses them all.
        on_progress: told how far it is.

    Raises:
        InconsistentData: a file has another hash than on the host.
        DataError: a file is torn or unsafe, or what `judge_all` said.
        UsageError: another fetch of this job is at work.
        HostError: the link failed; what arrived stays aside, and a second call goes on there.
    """
    with room_on_disk(folder), alone(folder):
        before = pulled(folder)
        earlier = before.get("files", {}) if before is not None and is_of(before, note) else {}
        stage = incoming(folder)
        keep_only(stage, {o.name for o in offers})
        whole = _whole(folder, stage, earlier)
        offers, left_out = work.fitting(offers, folder.parent, whole)
        moved = _fetch(work, folder, stage, offers, on_progress)
        # Made after the files were fetched, so that one that was written meanwhile is noticed.
        hashed = work.hashed(offers)
        # An earlier rewrite of the same size within the same second looks to rsync like what lies here.
        alike = [
            o
            for o in offers
            if o.name in whole and _is_other(stage / o.name, o, hashed, earlier[o.name]["sha256"])
        ]
        if alike:
            for offer in alike:
                (stage / offer.name).unlink(missing_ok=True)
            again = _fetch(work, folder, stage, alike, on_progress)
            moved = replace(
                moved,
                transferred_files=moved.transferred_files + again.transferred_files,
                transferred_bytes=moved.transferred_bytes + again.transferred_bytes,
            )
        found, refused, torn = {}, [*aside, *left_out], {}
        for offer in offers:
            wanted = hashed[offer.name].sha256 if offer.name in hashed else None
            reason, judged = _take(offer.name, wanted, stage, work.session.host, judge, partial=partial)
            if judged and reason is not None:
                torn[offer.name] = {"sha256": wanted, "reason": reason}
            if reason is not None:
                refused.append(SkippedFile(offer.name, reason))
                if offer.name in whole:  # what came lay over it
                    _link(folder / offer.name, stage / offer.name)
            else:
                found[offer.name] = {"bytes": (stage / offer.name).stat().st_size, "sha256": wanted}
        kept = {n: e for n, e in earlier.items() if n not in found and (stage / n).is_file()}
        document = {**note, "judged": not partial, "files": {**kept, **found}, "set_aside": torn}
        changed = before != document or whole != earlier.keys()
        if changed:
            judge_all(stage)
            replaced = [n for n in found if n in whole and found[n]["sha256"] != earlier[n]["sha256"]]
            if before is None or not is_of(before, note) or replaced:
                kept_as = keep_aside(folder)
                refused += [
                    SkippedFile(name, f"other bytes than before; those are in {kept_as}") for name in replaced
                ]
            swap(stage, folder, document)
        else:
            shutil.rmtree(stage)
        files = {name: entry["bytes"] for name, entry in document["files"].items()}
        return ResultDownload(
            files, moved.transferred_files, moved.transferred_bytes, tuple(refused), changed
        )


def _fetch(
    work: AttemptFolder, folder: Path, stage: Path, offers: Sequence[AttemptFile], on_progress: OnProgress
) -> PullResult:
    request = Pull(
        source=work.folder,
        names=tuple(os.fsencode(o.name) for o in offers),
        into=stage,
        unless_in=nothing(folder),  # what is whole lies in `stage` already
        sizes=tuple(o.size for o in offers),
    )
    return work.session.pull(request, on_progress)


def _is_other(file: Path, listed: AttemptFile, hashed: Mapping[str, AttemptFile], sha256: str) -> bool:
    """Whether the host's file, unchanged since it was listed, has other bytes than the one here.

    `sha256` is what the one here had before; where the host's is the same, nothing is read again.
    """
    now = hashed.get(listed.name)
    if now is None or now.looks != listed.looks or now.sha256 == sha256:
        return False
    return not has_hash(file, now.sha256)


def _whole(folder: Path, stage: Path, entries: Mapping[str, Any]) -> set[str]:
    """Put into the new tree what lies in the old one and still has the hash that it came with."""
    whole = {name for name, entry in entries.items() if has_hash(folder / name, entry["sha256"])}
    for name in whole:
        _link(folder / name, stage / name)
    return whole


def _take(
    name: str, wanted: str | None, stage: Path, host: str, judge: Judge, *, partial: bool
) -> tuple[str | None, bool]:
    """See that the staged file is the host's and whole.

    Returns:
        Why it is set aside, if it is; and whether it is the host's, so that its content was judged.
    """
    file, judged = stage / name, False
    try:
        if wanted is None or not has_hash(file, wanted):
            file.unlink(missing_ok=True)
            raise InconsistentData(
                f"is not the file that {host} has: it changed while it was fetched, or on the way",
                file=name,
                hint="pull again",
            )
        judged = True
        judge_file(file, judge)
    except DataError as e:
        if not partial:
            raise
        file.unlink(missing_ok=True)
        return e.what, judged
    return None, judged


def _link(source: Path, target: Path) -> None:
    """The same file in the new tree, which takes the old one's place: no second copy of it stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without them
        copy_apart(source, target)
