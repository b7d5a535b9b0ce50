"""Download the results of one attempt as a whole, and swap them in.

Promises: a job's folder here always holds one attempt's files, all of them checked, and changes as
a whole or not at all; a second download moves only what is missing. Where it brings other bytes of a
file that is here, the folder as it was is kept beside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from being_remote.backup_paths import RUNS, BackupPaths
from being_remote.durable_files import copy_apart, room_on_disk
from being_remote.errors import DataError, InconsistentData
from being_remote.inventory import Inventory
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.ledger import LedgerJob
from being_remote.jobs.result_folder import ResultFolder, ResultStage, is_of, read_record
from being_remote.session import OnProgress
from being_remote.transfer.checked_files import Judge, has_hash
from being_remote.transfer.download import download
from being_remote.transfer.download_plan import RemoteFile
from being_remote.transfer.hash_comparison import Arrivals, HashQueries, HostFiles
from being_remote.transfer.quarantine import QuarantinedFile


@dataclass(frozen=True)
class ResultDownload:
    """What a download changed; `files` is all that lies in the folder now, by name."""

    files: Mapping[str, int]
    transferred_files: int
    transferred_bytes: int
    set_aside: tuple[QuarantinedFile, ...]
    changed: bool


@dataclass(frozen=True)
class ResultChecks:
    """How results are checked before they take their place.

    Attributes:
        judge_all: called with the whole new folder; raises DataError.
        partial: take what is whole although some is not; else one bad file refuses them all.
    """

    judge: Judge
    judge_all: Callable[[Path], None]
    partial: bool


def runs_of(inventory: Inventory, actor: str | None) -> Path:
    """The folder of the results of our own jobs; of those without an actor, beside the actors."""
    return BackupPaths(inventory.backups / actor).runs if actor is not None else inventory.backups / RUNS


def folder_of(inventory: Inventory, job: LedgerJob) -> Path:
    """The folder of one job's results."""
    return runs_of(inventory, job.actor) / job.job


def download_results(
    attempt: AttemptFolder,
    path: Path,
    listed: tuple[Sequence[RemoteFile], Sequence[QuarantinedFile]],
    note: Mapping[str, Any],
    checks: ResultChecks,
    on_progress: OnProgress,
) -> ResultDownload:
    """Download an attempt's files into a job's folder.

    Args:
        path: the job's folder here; one of another attempt is kept beside.
        listed: what `attempt.list_files` returned: the files, and what was skipped.
        note: names the attempt in pulled.json.

    Raises:
        InconsistentData: a file has another hash than on the host.
        DataError: a file is torn or unsafe, or what `judge_all` raised.
        Busy: another process downloads this job.
        HostError: the link failed; what arrived stays in the stage, and a second call continues there.
    """
    offers, skipped = listed
    folder = ResultFolder(path)
    with room_on_disk(path), folder.lock():
        before = read_record(path)
        same_attempt = is_of(before, note)
        entries = before.get("files", {}) if before is not None else {}
        earlier = entries if same_attempt else {}
        folder.clean_stage({o.path for o in offers})
        whole = {name for name, entry in entries.items() if has_hash(path / name, entry["sha256"])}
        unchanged = _find_unchanged(attempt, [o for o in offers if o.path in whole], entries)
        if not same_attempt:
            whole &= unchanged
        changed_here = {o.path for o in offers} - unchanged
        for name in whole - changed_here:
            _reuse(path / name, folder.stage / name, link=same_attempt)
        # Only now: copies from an earlier attempt take room, too.
        fit, left_out = folder.share_room([o for o in offers if o.path not in unchanged])
        got = _download(attempt, folder, fit, checks, on_progress)
        refused, torn = _quarantine_refused(folder, got, attempt.session.host)
        if refused and not checks.partial:
            raise refused[min(refused)]
        for name in whole & changed_here - got.good.keys():
            _reuse(path / name, folder.stage / name, link=True)
        found = {name: {"bytes": f.bytes, "sha256": f.sha256} for name, f in got.good.items()}
        kept = {name: entries[name] for name in whole - got.good.keys()}
        set_aside = {name: {"sha256": file.sha256, "reason": file.reason} for name, file in torn.items()}
        record = {**note, "judged": not checks.partial, "files": {**kept, **found}, "set_aside": set_aside}
        not_taken = [*skipped, *left_out]
        not_taken += (torn.get(name) or QuarantinedFile(name, e.what) for name, e in refused.items())
        changed = before != record or whole != earlier.keys()
        if changed:
            checks.judge_all(folder.stage)
            replaced = [n for n in whole & found.keys() if found[n]["sha256"] != entries[n]["sha256"]]
            if not same_attempt or replaced:
                kept_as = folder.keep_aside()
                not_taken += [
                    QuarantinedFile(name, f"other bytes than before; those are in {kept_as}")
                    for name in sorted(replaced)
                ]
            folder.swap(record)
        else:
            shutil.rmtree(folder.stage)
        sizes = {name: entry["bytes"] for name, entry in record["files"].items()}
        return ResultDownload(sizes, got.transferred_files, got.transferred_bytes, tuple(not_taken), changed)


def _find_unchanged(
    attempt: AttemptFolder, offers: Sequence[RemoteFile], entries: Mapping[str, Any]
) -> set[str]:
    """Those of the files that are whole here which the host has with the same hash."""
    if not offers:
        return set()
    hashed = attempt.hash_files(offers).files
    return {name for name, file in hashed.items() if file.sha256 == entries[name]["sha256"]}


def _download(
    attempt: AttemptFolder,
    folder: ResultFolder,
    wanted: Sequence[RemoteFile],
    checks: ResultChecks,
    on_progress: OnProgress,
) -> Arrivals:
    """Fetch and compare; only files that the host still has count."""
    if not wanted:
        return Arrivals()

    def ask(files: Sequence[tuple[RemoteFile, int]]) -> HostFiles:
        return attempt.hash_files([offer for offer, _ in files])

    asking = HashQueries(ask, lambda: False, clock_ns=0, settle_ns=0)
    stage = ResultStage(attempt, folder)
    got = download(attempt.session, stage, wanted, checks.judge, asking, on_progress)
    if got.failure is not None:
        raise got.failure
    got.drop_good([path for path in got.missing if path in got.good])
    return got


def _quarantine_refused(
    folder: ResultFolder, got: Arrivals, host: str
) -> tuple[dict[str, DataError], dict[str, QuarantinedFile]]:
    """(Why files are refused, by name; those of them that have the host's bytes, in quarantine now)."""
    refused: dict[str, DataError] = {}
    for name in (*got.missing, *got.being_written, *(offer.path for offer, _ in got.differing)):
        refused[name] = InconsistentData(
            f"is not the file that {host} has: it changed while it was fetched, or on the way",
            file=name,
            hint="pull again",
        )
    torn = {}
    for checked, offer in got.torn:
        kept = folder.quarantine.keep(checked, offer.mtime_ns)
        if checked.error is not None and checked.path not in refused:
            torn[checked.path] = kept
            what, hint = f"{kept.reason}; quarantined as {kept.kept_as}", checked.error.hint
            refused[checked.path] = type(checked.error)(what, file=checked.path, hint=hint)
    return refused, torn


def _reuse(source: Path, target: Path, *, link: bool) -> None:
    """Put a file of the old folder into the new one.

    A link where the old folder goes away, so that no second copy stays; never for a file that is fetched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if link:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError:  # a file system without them
            pass
        else:
            return
    copy_apart(source, target)
