"""What `sync` tells: its report, and the sentences in it. No side effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from being_remote.backup.download import Arrival
from being_remote.backup.manifest import Manifest
from being_remote.backup.reconcile import Reconciled, Replacement
from being_remote.backup.verification import CorruptObject, Inspection
from being_remote.local_path import shown_path
from being_remote.sync.file_examples import EXAMPLES, NO_FILES, FileExamples, describe_files, examples_of
from being_remote.sync.remote_files import ActorListing, ActorSync
from being_remote.transfer.download_plan import DownloadPlan
from being_remote.transfer.quarantine import QuarantinedFile


@dataclass(frozen=True)
class QuarantineRow:
    """A file that did not become live. `kept_as` is None where only its name was refused."""

    path: str
    reason: str
    kept_as: Path | None
    path_b64: str | None = None


@dataclass(frozen=True)
class CorruptContent:
    """A content in the history that was rotten or missing; `path` and `snapshot` are the newest.

    `repaired_from` is "here" (the live file), "host", or None: lost, or only looked at by a dry run.
    `kept_as` is where the bad bytes lie.
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
        folder: the backup on this laptop.
        files, bytes: what the host has of the kinds asked for.
        transferred_files, transferred_bytes: what came over the link; with `dry_run` what would, at most.
        quarantined: files that did not become live, each with its reason.
        verified: how many files have here, read again, the hash made on the host; None: not asked.
        mismatched: files that differ even after they were fetched again: they change over there. What
            was here before stays.
        being_written: torn because the host is writing them just now; they come with the next sync.
        rotten: contents here, of any snapshot, that were not what they should be (with `verify`).
        damaged: manifests of snapshots that cannot be read (with `verify` all such, else those that are
            newer than what can be read).
        host_error: why the host could not be asked; with `verify` the backup was looked after alone.
        snapshot: the snapshot that is live now; None where there is no backup.
        vanished, shrunk: gone or smaller on the host; the earlier versions stay here.
        adopted: files put or changed here by hand, now in the history.
        new_run: why the live tree was replaced as a whole; None when it was added to.
        replaced: by what, and how what was live before is made live again.
        camera_changed: frames that came with another camera than they had here; the earlier version is
            kept in the history.
        unsound: live files that are not what their names say, and that nothing could replace.
        method: "rsync", "stream" or "rsync, stream"; None when nothing had to be fetched.
        phases_s: seconds spent on the listing, the transfer and the check.
    """

    host: str
    actor: str
    folder: Path
    files: int
    bytes: int
    transferred_files: int
    transferred_bytes: int
    quarantined: tuple[QuarantineRow, ...]
    verified: int | None
    snapshot: int | None
    dry_run: bool
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
        """4 when the host could not be asked; 6 when something was quarantined, stayed different or is lost,
        or was found unsound where all was read."""
        if self.host_error is not None:
            return 4
        lost = self.damaged or any(r.repaired_from is None for r in self.rotten)
        unsound = self.verified is not None and self.unsound.count
        bad = self.quarantined or self.mismatched.count or lost or unsound
        return 6 if not self.dry_run and bad else 0


@dataclass(frozen=True)
class ListingSummary:
    """What there is to say of a listing, once the files themselves are forgotten."""

    files: int
    bytes: int
    gone: FileExamples
    warnings: tuple[str, ...]


def seen_in(
    task: ActorSync, host: str, found: ActorListing, planned: DownloadPlan, before: Manifest | None
) -> ListingSummary:
    """What the host has, and what it has no more."""
    here = before.files if before is not None else {}
    # A set of a hundred thousand paths is made only where something may be missing.
    all_there = not planned.refused and sum(o.path in here for o in found.offers) == len(here)
    there = set() if all_there else {o.path for o in found.offers} | {a.path for a in found.refused}
    # What came from another host, or a folder that could not be read, is not missed here.
    gone = [
        path
        for path, entry in here.items()
        if found.complete
        and not all_there
        and path not in there
        and entry.host in (host, None)
        and task.belongs(path)
    ]
    warnings = list(found.warnings)
    if gone:
        warnings.append(f"not on {host} (any more), kept here: {describe_files(gone)}")
    return ListingSummary(
        len(found.offers), sum(o.bytes for o in found.offers), examples_of(gone), tuple(warnings)
    )


def from_listing(
    task: ActorSync,
    host: str,
    seen: ListingSummary,
    planned: DownloadPlan,
    before: Manifest | None,
    aside: tuple[QuarantinedFile, ...],
) -> SyncReport:
    """What can be said from the listing and the plan."""
    here = before.files if before is not None else {}
    smaller = [o.path for o in planned.wanted if o.path in here and o.bytes < here[o.path].bytes]
    warnings = list(seen.warnings)
    if smaller:
        warnings.append(
            f"smaller on {host} than before: {describe_files(smaller)}; "
            f"what they were stays in snapshot {before.number if before is not None else 0}"
        )
    return SyncReport(
        host=host,
        actor=task.actor.name,
        folder=task.root,
        files=seen.files,
        bytes=seen.bytes,
        transferred_files=0,
        transferred_bytes=0,
        quarantined=tuple(quarantined(a) for a in aside),
        verified=None,
        snapshot=before.number if before is not None else None,
        dry_run=False,
        vanished=seen.gone,
        shrunk=examples_of(smaller),
        warnings=tuple(warnings),
    )


def from_home(task: ActorSync, live: Manifest | None, aside: tuple[QuarantinedFile, ...]) -> SyncReport:
    """What can be said without the host."""
    return SyncReport(
        host=task.host.name,
        actor=task.actor.name,
        folder=task.root,
        files=0,
        bytes=0,
        transferred_files=0,
        transferred_bytes=0,
        quarantined=tuple(quarantined(a) for a in aside),
        verified=None,
        snapshot=live.number if live is not None else None,
        dry_run=False,
    )


def rotten(rots: Iterable[CorruptObject], is_right: Callable[[str], bool]) -> tuple[CorruptContent, ...]:
    """What was wrong in the history; `is_right` reads a content again: whether it has its sha256 by now."""

    def told(rot: CorruptObject) -> CorruptContent:
        source = None
        if is_right(rot.sha256):
            source = "here" if rot.repaired_from is not None else "host"
        path, _ = shown_path(rot.paths[-1])
        return CorruptContent(path, rot.snapshots[-1], rot.sha256, rot.fault, source, rot.kept_as)

    return tuple(map(told, rots))


def inspected(seen: Inspection, host: str) -> list[str]:
    """What a person should hear of a backup that was only looked at."""
    said = []
    for rot in seen.rots:
        of = f"snapshot {rot.snapshots[-1]}: the content of {shown_path(rot.paths[-1])[0]!r}"
        said.append(f"{of} is {rot.fault}; without --dry-run the live file or {host} repairs it if it can")
    if seen.rotten:
        said.append(
            f"rotted here; without --dry-run the history or {host} repairs it: {describe_files(seen.rotten)}"
        )
    return said


def notes(
    host: str,
    settled: Reconciled,
    arrival: Arrival | None,
    before: Manifest | None,
    mismatched: Sequence[str],
    rots: Sequence[CorruptContent],
    cameras: Mapping[str, str],
) -> list[str]:
    """What else a person should hear of."""
    said = []
    if settled.replaced:
        said.append(
            f"an interrupted replacement of the live tree is complete: snapshot {settled.replaced.generation}"
            f" is live; {_frames(settled.replaced)}"
        )
    if settled.put_back:
        said.append(f"missing here and put back: {describe_files(settled.put_back)}")
    if settled.rotted:
        paths = [a.path for a in settled.rotted]
        said.append(f"rotted here and put back from the history: {describe_files(paths)}")
    said += [f"{a.path!r} here is not sound: {a.reason}" for a in settled.unsound[:EXAMPLES]]
    if len(settled.unsound) > EXAMPLES:
        said.append(f"not sound here, too: {describe_files([a.path for a in settled.unsound[EXAMPLES:]])}")
    for rot in rots:
        source = {"here": "repaired from the live file", "host": f"repaired from {host}"}
        mended = source.get(rot.repaired_from or "", "lost here")
        said.append(f"snapshot {rot.generation}: the content of {rot.path!r} was {rot.fault}; {mended}")
    if arrival is not None:
        said += _of_arrival(host, arrival, before)
    if cameras and not (arrival and arrival.new_run):
        first, both = next(iter(cameras.items()))
        said.append(f"another camera than before: {describe_files(list(cameras))}; {first!r} has {both}")
    if mismatched:
        said.append(f"changing on {host} while we compare: {describe_files(mismatched)}")
    return said


def _of_arrival(host: str, arrival: Arrival, before: Manifest | None) -> list[str]:
    said = []
    if arrival.missed:
        said.append(f"went away on {host} just now: {describe_files(arrival.missed)}")
    if arrival.being_written:
        written = describe_files(arrival.being_written)
        said.append(f"being written on {host} just now: {written}; a later sync brings what it becomes")
    if arrival.new_run:
        earlier = before.number if before is not None else 0
        said.append(
            f"{host} holds another run than the backup did: {arrival.new_run}. "
            f"It is live now as a whole; the earlier one is kept as snapshot {earlier}"
        )
    if arrival.replaced and arrival.replaced.frames < arrival.replaced.frames_before:
        said.append(_frames(arrival.replaced))
    now = arrival.manifest
    if before is not None and before.why == "restored" and now and not _same(before, now):
        said.append(
            f"snapshot {before.number}, restored from {before.of}, is not live any more, for {host} has"
            f" other files; `sync --restore {before.number}` makes it live again"
        )
    return said


def _frames(replaced: Replacement) -> str:
    """How many frames the live tree has now, and the way back."""
    way = "`sync --list` shows what was before"
    if replaced.restore is not None:
        way = f"`sync --restore {replaced.restore}` makes the earlier state live again"
    return f"frames in it: {replaced.frames}, before {replaced.frames_before}; {way}"


def _same(one: Manifest, other: Manifest) -> bool:
    """Whether two snapshots show the same contents; a file's time alone is no difference."""
    contents = [{path: entry.sha256 for path, entry in each.files.items()} for each in (one, other)]
    return one.number == other.number or contents[0] == contents[1]


def quarantined(aside: QuarantinedFile) -> QuarantineRow:
    """The same for a report."""
    path, path_b64 = shown_path(aside.path)
    return QuarantineRow(path, aside.reason, aside.kept_as, path_b64)
