"""What `sync` reports, and the sentences in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from being_remote.backup.manifest import Manifest
from being_remote.backup.new_snapshot import Arrival
from being_remote.backup.reconcile import ReconcileResult, Replacement
from being_remote.backup.verification import CorruptObject, Inspection
from being_remote.backup_sync.remote_files import ActorListing, ActorSync
from being_remote.errors import NotFoundError
from being_remote.local_path import shown_path
from being_remote.transfer.download_plan import DownloadPlan
from being_remote.transfer.quarantine import QuarantinedFile, QuarantineRow, quarantine_row
from being_remote.wording import EXAMPLES, NO_FILES, FileExamples, describe_files, examples_of

_FAULTS = {"missing": "missing", "rotten": "corrupt"}  # of a content, in words


@dataclass(frozen=True)
class CorruptContent:
    """A content of the history that is corrupt or missing; `path` and `generation` are the newest.

    `repaired_from` is "here" (the live file), "host", or None: lost, or only inspected by a dry run.
    `kept_as` is where the corrupt bytes are kept.
    """

    path: str
    generation: int
    sha256: str
    fault: str
    repaired_from: str | None
    kept_as: Path | None


@dataclass(frozen=True)
class SyncReport:
    """What a sync did, or with `dry_run` would do.

    Attributes:
        files, bytes: what the host has of the kinds asked for.
        transferred_files, transferred_bytes: what was downloaded; with `dry_run` what would be, at most.
        quarantined: files that did not become live, each with its reason.
        verified: how many files here, read again, have the hash made on the host; None: not asked.
        mismatched: files that differ after a second download, too; they change on the host. The earlier
            local files stay.
        being_written: torn, because the host is writing them; they are downloaded by the next sync.
        rotten: corrupt contents of any snapshot (with `verify`).
        damaged: manifests that cannot be read (with `verify` all, else those newer than the newest
            readable one).
        host_error: why the host gave no answer; with `verify` the backup was checked alone.
        snapshot: the one that is live now; None where no backup exists.
        vanished, shrunk: missing or smaller on the host; the earlier versions stay here.
        adopted: files put or changed here by hand, now in the history.
        new_run: why the live tree was replaced as a whole; None: files were added to it.
        replaced: what replaced it, and how to restore what was live before.
        camera_changed: frames with another camera than before; the earlier version stays in the history.
        unsound: invalid live files that nothing could replace.
        method: "rsync", "stream" or "rsync, stream"; None: nothing was downloaded.
        phases_s: seconds spent on the listing, the transfer and the check.
    """

    host: str
    actor: str
    folder: Path
    files: int = 0
    bytes: int = 0
    transferred_files: int = 0
    transferred_bytes: int = 0
    quarantined: tuple[QuarantineRow, ...] = ()
    verified: int | None = None
    snapshot: int | None = None
    dry_run: bool = False
    mismatched: FileExamples = NO_FILES
    being_written: FileExamples = NO_FILES
    rotten: tuple[CorruptContent, ...] = ()
    damaged: tuple[Path, ...] = ()
    host_error: str | None = None
    vanished: FileExamples = NO_FILES
    shrunk: FileExamples = NO_FILES
    adopted: FileExamples = NO_FILES
    new_run: str | None = None
    replaced: Replacement | None = None
    camera_changed: FileExamples = NO_FILES
    unsound: FileExamples = NO_FILES
    warnings: tuple[str, ...] = ()
    method: str | None = None
    seconds: float = 0.0
    round_trips: int = 0
    phases_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """4: the host gave no answer; 6: a file was quarantined, stayed different or is lost, or an invalid
        one was found where all was read."""
        if self.host_error is not None:
            return 4
        lost = self.damaged or any(content.repaired_from is None for content in self.rotten)
        unsound = self.verified is not None and self.unsound.count
        bad = self.quarantined or self.mismatched.count or lost or unsound
        return 6 if not self.dry_run and bad else 0


@dataclass(frozen=True)
class FailedSync:
    """An actor's files on a host that could not be downloaded, and why; `next`: what to do."""

    host: str
    actor: str
    error: str
    error_class: str
    next: str | None
    exit_code: int


@dataclass(frozen=True)
class SyncsReport:
    """What syncs of several actors or hosts did, in the order of the names."""

    syncs: tuple[SyncReport, ...]
    failed: tuple[FailedSync, ...]

    @property
    def exit_code(self) -> int:
        """4 if any is 4, else that of a failed sync, else 6. An actor is missing if no host has it."""
        found = {report.actor for report in self.syncs}
        missing = NotFoundError.exit_code
        failed = {f.exit_code for f in self.failed if f.exit_code != missing or f.actor not in found}
        codes = failed | {report.exit_code for report in self.syncs}
        return next((code for code in (4, *sorted(failed - {6}), 6) if code in codes), 0)


@dataclass(frozen=True)
class ListingSummary:
    """What the report says of a listing, once its files are forgotten."""

    files: int
    bytes: int
    vanished: FileExamples
    warnings: tuple[str, ...]


def summarize_listing(
    task: ActorSync, found: ActorListing, planned: DownloadPlan, before: Manifest | None
) -> ListingSummary:
    """What the host has, and what it has no longer."""
    entries, host = before.files if before is not None else {}, task.host.name
    # A set of a hundred thousand paths is made only where a file may be missing.
    all_there = not planned.refused and sum(o.path in entries for o in found.offers) == len(entries)
    vanished = []
    if found.complete and not all_there:
        listed = {o.path for o in found.offers} | {file.path for file in found.refused}
        # Files from another host are not missing on this one.
        vanished = [
            path
            for path, entry in entries.items()
            if path not in listed and entry.host in (host, None) and task.holds(path)
        ]
    warnings = list(found.warnings)
    if vanished:
        warnings.append(f"missing on {host}, kept here: {describe_files(vanished)}")
    size = sum(offer.bytes for offer in found.offers)
    return ListingSummary(len(found.offers), size, examples_of(vanished), tuple(warnings))


def report_local(
    task: ActorSync, live: Manifest | None, quarantined: Sequence[QuarantinedFile]
) -> SyncReport:
    """What can be reported without the host."""
    return SyncReport(
        task.host.name,
        task.actor.name,
        task.root,
        quarantined=tuple(map(quarantine_row, quarantined)),
        snapshot=live.number if live is not None else None,
    )


def report_plan(
    task: ActorSync,
    summary: ListingSummary,
    planned: DownloadPlan,
    before: Manifest | None,
    quarantined: Sequence[QuarantinedFile],
) -> SyncReport:
    """What can be reported of the listing and the plan."""
    entries = before.files if before is not None else {}
    shrunk = [o.path for o in planned.wanted if o.path in entries and o.bytes < entries[o.path].bytes]
    warnings = list(summary.warnings)
    if shrunk and before is not None:
        warnings.append(
            f"smaller on {task.host.name} than before: {describe_files(shrunk)};"
            f" the earlier versions stay in snapshot {before.number}"
        )
    return replace(
        report_local(task, before, quarantined),
        files=summary.files,
        bytes=summary.bytes,
        vanished=summary.vanished,
        shrunk=examples_of(shrunk),
        warnings=tuple(warnings),
    )


def report_corrupt(
    objects: Iterable[CorruptObject], is_repaired: Callable[[str], bool]
) -> tuple[CorruptContent, ...]:
    """Corrupt contents; `is_repaired` reads a content again, by its sha256."""

    def row(corrupt: CorruptObject) -> CorruptContent:
        source = None
        if is_repaired(corrupt.sha256):
            source = "here" if corrupt.repaired_from is not None else "host"
        path, _ = shown_path(corrupt.paths[-1])
        number = corrupt.snapshots[-1]
        return CorruptContent(path, number, corrupt.sha256, corrupt.fault, source, corrupt.kept_as)

    return tuple(map(row, objects))


def inspection_warnings(inspection: Inspection, host: str) -> list[str]:
    """What to say of a backup that was only inspected."""
    warnings = [
        f"snapshot {one.snapshots[-1]}: the content of {shown_path(one.paths[-1])[0]!r} is"
        f" {_FAULTS[one.fault]}; without --dry-run the live file or {host} repairs it if it can"
        for one in inspection.corrupt
    ]
    if inspection.corrupt_files:
        files = describe_files(inspection.corrupt_files)
        warnings.append(f"corrupt here; without --dry-run the history or {host} repairs it: {files}")
    return warnings


def pass_warnings(
    host: str,
    settled: ReconcileResult,
    arrival: Arrival | None,
    before: Manifest | None,
    mismatched: Sequence[str],
    corrupt: Sequence[CorruptContent],
    cameras: Mapping[str, str],
) -> list[str]:
    """What else to say of a pass."""
    warnings = []
    if settled.replaced:
        warnings.append(
            "an interrupted replacement of the live tree is complete: snapshot"
            f" {settled.replaced.generation} is live; {_describe_replacement(settled.replaced)}"
        )
    if settled.put_back:
        warnings.append(f"missing here and restored: {describe_files(settled.put_back)}")
    if settled.corrupt:
        paths = [file.path for file in settled.corrupt]
        warnings.append(f"corrupt here and restored from the history: {describe_files(paths)}")
    warnings += [f"invalid here: {file.path!r} {file.reason}" for file in settled.unsound[:EXAMPLES]]
    if more := [file.path for file in settled.unsound[EXAMPLES:]]:
        warnings.append(f"also invalid here: {describe_files(more)}")
    for one in corrupt:
        sources = {"here": "repaired from the live file", "host": f"repaired from {host}"}
        repair = sources.get(one.repaired_from or "", "lost here")
        warnings.append(
            f"snapshot {one.generation}: the content of {one.path!r} was {_FAULTS[one.fault]}; {repair}"
        )
    if arrival is not None:
        warnings += _arrival_warnings(host, arrival, before)
    if cameras and not (arrival and arrival.new_run):
        path, both = next(iter(cameras.items()))
        warnings.append(f"another camera than before: {describe_files(list(cameras))}; {path!r} has {both}")
    if mismatched:
        warnings.append(f"changing on {host} during the comparison: {describe_files(mismatched)}")
    return warnings


def _arrival_warnings(host: str, arrival: Arrival, before: Manifest | None) -> list[str]:
    warnings = []
    if arrival.got.missing:
        warnings.append(f"removed on {host} during the sync: {describe_files(arrival.got.missing)}")
    if arrival.got.unfinished:
        files = describe_files(arrival.got.unfinished)
        warnings.append(f"still being written on {host}: {files}; a later sync downloads them")
    if arrival.new_run:
        earlier = before.number if before is not None else 0
        warnings.append(
            f"{host} holds another run than the backup: {arrival.new_run}. "
            f"It is live now as a whole; the earlier run is kept as snapshot {earlier}"
        )
    if arrival.replaced and arrival.replaced.frames < arrival.replaced.frames_before:
        warnings.append(_describe_replacement(arrival.replaced))
    now = arrival.manifest
    if before is not None and before.why == "restored" and now and not _have_same_contents(before, now):
        warnings.append(
            f"snapshot {before.number}, restored from {before.of}, was replaced, because {host} has"
            f" other files; `sync --restore {before.number}` makes it live again"
        )
    return warnings


def _describe_replacement(replaced: Replacement) -> str:
    """How many frames the live tree has now, and how to undo it."""
    undo = "`sync --list` shows the earlier snapshots"
    if replaced.restore is not None:
        undo = f"`sync --restore {replaced.restore}` makes the earlier snapshot live again"
    return f"frames in it: {replaced.frames}, before {replaced.frames_before}; {undo}"


def _have_same_contents(one: Manifest, other: Manifest) -> bool:
    """Whether two snapshots have the same contents, whatever the files' times are."""
    if one.number == other.number:
        return True
    contents = [{path: entry.sha256 for path, entry in each.files.items()} for each in (one, other)]
    return contents[0] == contents[1]
