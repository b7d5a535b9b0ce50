"""Why `recover` finds no crop: what is missing on this laptop, and the command that downloads it.

Looks into the backup's snapshots first; then asks the hosts what they hold, as `find-bbox` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import BeingRemoteError, HostError, InconsistentData, NotFoundError
from being_remote.inventory import LOCAL
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.inventory import Actor, Inventory
    from being_remote.recovery.recovery_input import RecoveryInput
    from being_remote.workflows.find_bbox import FindReport

LANDMARKS_HINT = (
    "--from-landmarks SRC, the original video (pip install 'being-remote[landmarks]') or a folder of"
    " landmarks of its frames"
)


def explain_missing_crop(
    case: RecoveryInput, inventory: Inventory | None, *, dry_run: bool
) -> BeingRemoteError:
    """The error that says what is missing, and which command downloads it.

    Returns:
        NotFoundError: there is neither a bbox.pt nor enough to find the crop by; says what the hosts hold.
        HostError: the same, but a host could not be asked.
    """
    run = case.run
    places = ", ".join(map(str, run.boxes(case.settings)))
    if case.crops is not None:
        local, way = (
            "and no video is at hand to compare its stored crops with",
            "--from-images VIDEO, the original or its frames",
        )
    elif case.landmarks is not None:
        local, way = "and only its landmarks are local", LANDMARKS_HINT
    else:
        local, way = "nor crops or landmarks", ""
    missing = f"no bbox.pt for run {run.name!r}, {local}"
    if run.job is not None:
        return NotFoundError(missing, where=places, hint=f"being-remote pull {run.job} --all")
    if run.actor is None or inventory is None:
        hint = "look for it with find-bbox and put it there, or name one: --bbox FILE"
        return NotFoundError(missing, where=places, hint=f"{way}; or {hint}" if way else hint)

    from being_remote.workflows.find_bbox import find_bbox

    snapshot = _snapshot_with_box(inventory.backup_of(run.actor))
    if snapshot is not None:
        return NotFoundError(
            f"{missing}; snapshot {snapshot} of the backup has one",
            where=places,
            hint=f"being-remote sync --actor {run.actor.name} --restore {snapshot}",
        )
    report = find_bbox(inventory, actor=run.actor.name, dry_run=dry_run)
    search = "recover again" if case.video is not None else "recover --from-images VIDEO"
    return _explain_by_hosts(report, run.actor, missing, places, way, search)


def _snapshot_with_box(backup: Path) -> int | None:
    """The newest snapshot of a backup that holds a bbox.pt beside frames that the newest one holds, too.

    Another run's box is not offered: its frames are others.
    """
    from being_remote.backup.history import History

    history, newest_frames = History(backup), None
    for number in reversed(history.snapshot_numbers()):
        try:
            files = history.read(number).files
        except (FileNotFoundError, InconsistentData):  # a sync removed it just now, or it is damaged
            continue
        frames = {entry.sha256 for path, entry in files.items() if path.endswith(layout.FRAME_SUFFIX)}
        newest_frames = frames if newest_frames is None else newest_frames
        box = files.get(layout.BBOX)
        if box is not None and frames & newest_frames and history.object(box.sha256).is_file():
            return number
    return None


def _explain_by_hosts(
    report: FindReport, actor: Actor, missing: str, places: str, way: str, search: str
) -> BeingRemoteError:
    """The error that says what the hosts hold of an actor.

    Args:
        way: the option that finds the crop by what is local; "" where none does.
        search: the command that searches for the crop once the stored crops are local.
    """
    find = f"being-remote find-bbox --actor {actor.name}"
    best = report.best
    if best is not None:
        fetch = f"{find} --host {best.host} --fetch" if best.host != LOCAL else f"{find} --fetch"
        return NotFoundError(f"{missing}; {best.host} has one: {best.path!r}", where=places, hint=fetch)
    if any(c.valid and c.actor == actor.name for row in report.results for c in row.candidates):
        return NotFoundError(
            f"{missing}; several were found, and nothing says which one is this run's",
            where=places,
            hint=f"{find} shows them; then --bbox FILE",
        )
    if way:
        return NotFoundError(missing, where=places, hint=way)
    for kind, only, then in (
        ("crop_images", "crops", search),
        ("landmarks", "kpt", f"recover {LANDMARKS_HINT}"),
    ):
        for row in report.results:
            if row.host != LOCAL and getattr(row.evidence, kind):
                return NotFoundError(
                    f"{missing}; {row.host} holds {getattr(row.evidence, kind)} {kind.replace('_', ' ')}",
                    where=places,
                    hint=f"being-remote sync --actor {actor.name} --host {row.host} --only {only},"
                    f" then {then}",
                )
    failed = [row for row in report.results if row.error is not None]
    if failed:
        return HostError(
            f"{missing}; unknown what these hosts hold: {'; '.join(f'{r.host}: {r.error}' for r in failed)}",
            host=", ".join(row.host for row in failed),
            hint=failed[0].next or find,
        )
    return NotFoundError(
        f"{missing}; no host has one, nor crops or landmarks",
        where=places,
        hint="--bbox FILE, or retrack: the new run writes its own bbox.pt",
    )
