"""What `recover` says where nothing on this laptop tells the crop: what is missing, and what brings it.

First the backup's own history is looked into. Then the hosts are asked what they hold, as `find-bbox`
asks them; that is all that is done there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from being_remote.errors import BeingRemoteError, HostError, InconsistentData, NotFoundError
from being_remote.inventory import LOCAL
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Actor, Inventory
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.recovery.stored_crops import StoredCrops
    from being_remote.workflows.find_bbox import FindReport

LANDMARKS_WAY = (
    "--from-landmarks SRC, the original video (pip install 'being-remote[landmarks]') or a folder of"
    " landmarks of its frames"
)


@dataclass(frozen=True)
class AtHand:
    """What of a run without bbox.pt is on this laptop."""

    crops: StoredCrops | None
    landmarks: Path | None
    frames: Path | None  # the original video or its frames

    @property
    def way(self) -> str:
        """What would find the crop by what is here; "" where nothing would."""
        if self.crops is not None:
            return "--from-images VIDEO, the original or its frames"
        return LANDMARKS_WAY if self.landmarks is not None else ""

    @property
    def told(self) -> str:
        """What is here, in words."""
        if self.crops is not None:
            return "and no video is at hand to compare its stored crops with"
        return "and only landmarks of it are here" if self.landmarks is not None else "nor crops or landmarks"


def no_crops(run: LocalRun) -> NotFoundError:
    """Pictures were to tell the crop, and none of this run are here."""
    return NotFoundError(
        f"no stored crops of run {run.name!r} are here, so no pictures can tell its crop",
        where=str(run.base),
        hint=_bring(run, "crops"),
    )


def no_landmarks(run: LocalRun) -> NotFoundError:
    """The same for landmarks."""
    return NotFoundError(
        f"no stored landmarks of run {run.name!r} are here",
        where=str(run.base),
        hint=_bring(run, "kpt"),
    )


def _bring(run: LocalRun, kind: str) -> str:
    if run.job is not None:
        return f"being-remote pull {run.job} --all"
    return f"being-remote sync --actor {run.actor.name} --only {kind}" if run.actor else "name the whole run"


def nothing_tells(
    run: LocalRun, places: tuple[Path, ...], here: AtHand, inventory: Inventory | None, *, dry_run: bool
) -> NoReturn:
    """Say what is missing, and which command brings it.

    Raises:
        NotFoundError: there is neither a bbox.pt nor enough to find the crop by; names what the hosts hold.
        HostError: the same, but a host could not be asked.
    """
    missing = f"no bbox.pt for run {run.name!r}, {here.told}"
    where = ", ".join(map(str, places))
    if run.actor is not None and inventory is not None and run.job is None:
        from being_remote.workflows.find_bbox import find_bbox

        kept = snapshot_with_box(inventory.backup_of(run.actor))
        if kept is not None:
            raise NotFoundError(
                f"{missing}; the backup's history has one, in snapshot {kept}",
                where=where,
                hint=f"being-remote sync --actor {run.actor.name} --restore {kept}",
            )
        report = find_bbox(inventory, actor=run.actor.name, dry_run=dry_run)
        raise _told(report, run.actor, missing, where, here)
    hint = "look for it with find-bbox and put it there, or name one: --bbox FILE"
    if here.way:
        hint = f"{here.way}; or {hint}"
    if run.job is not None:
        hint = f"being-remote pull {run.job} --all"
    raise NotFoundError(missing, where=where, hint=hint)


def snapshot_with_box(backup: Path) -> int | None:
    """The newest snapshot of a backup that holds a bbox.pt beside frames that the newest one holds, too.

    Another run's box is not offered: its frames are others.
    """
    from being_remote.backup.history import History

    history, frames_now = History(backup), None
    for number in reversed(history.snapshot_numbers()):
        try:
            files = history.read(number).files
        except (FileNotFoundError, InconsistentData):  # a sync is at work; or damaged, which it will say
            continue
        frames = {entry.sha256 for path, entry in files.items() if path.endswith(layout.FRAME_SUFFIX)}
        frames_now = frames if frames_now is None else frames_now
        box = files.get(layout.BBOX)
        if box is not None and frames & frames_now and history.object(box.sha256).is_file():
            return number
    return None


def _told(report: FindReport, actor: Actor, missing: str, where: str, here: AtHand) -> BeingRemoteError:
    """The error that says what the hosts hold of an actor."""
    asked = f"being-remote find-bbox --actor {actor.name}"
    best = report.best
    if best is not None:
        fetch = f"{asked} --host {best.host} --fetch" if best.host != LOCAL else f"{asked} --fetch"
        return NotFoundError(f"{missing}; {best.host} has one: {best.path!r}", where=where, hint=fetch)
    if any(c.valid and c.actor == actor.name for row in report.results for c in row.candidates):
        return NotFoundError(
            f"{missing}; several were found, and nothing says which is its own",
            where=where,
            hint=f"{asked} shows them; then --bbox FILE",
        )
    if here.way:
        return NotFoundError(missing, where=where, hint=here.way)
    video = "recover again" if here.frames is not None else "recover --from-images VIDEO"
    for kind, only, then in (
        ("crop_images", "crops", video),
        ("landmarks", "kpt", f"recover {LANDMARKS_WAY}"),
    ):
        for row in report.results:
            if row.host != LOCAL and getattr(row.evidence, kind):
                return NotFoundError(
                    f"{missing}; {row.host} holds {getattr(row.evidence, kind)} {kind.replace('_', ' ')}",
                    where=where,
                    hint=f"being-remote sync --actor {actor.name} --host {row.host} --only {only},"
                    f" then {then}",
                )
    silent = [row for row in report.results if row.error is not None]
    if silent:
        said = "; ".join(f"{row.host}: {row.error}" for row in silent)
        return HostError(
            f"{missing}, and what the host holds is not known: {said}",
            host=", ".join(row.host for row in silent),
            hint=silent[0].next or asked,
        )
    return NotFoundError(
        f"{missing}; no host has one, nor crops or landmarks",
        where=where,
        hint="--bbox FILE, or retrack: the new run writes its own bbox.pt",
    )
