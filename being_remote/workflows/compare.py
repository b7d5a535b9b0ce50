"""`compare A B`: two runs, or two settings files, side by side.

Which settings differ and what each means, what of the face moves and how smoothly, the cameras, and
which frames only one of them has. Reads files on this laptop; writes only the picture that `plot`
names. It judges nothing to be better: two runs that differ are no error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from being_remote.errors import UsageError
from being_remote.recovery import run_differences as meaning
from being_remote.recovery.compared_runs import ComparedRun, read_side

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.tracker.frame_cost import FrameCost
    from being_remote.tracker.run_statistics import CameraStatistics, CurveStatistics
    from being_remote.tracker.settings import Keys, SettingChange


@dataclass(frozen=True)
class SideReport:
    """One side.

    Attributes:
        name: as it was typed.
        path: the settings file, or the folder of `.frame` files.
        settings: the file that its settings are from; None where there is none.
        notes: what else to know.
        frames: how many; None of a settings file, as all that follows.
        first_id, last_id: of the frames.
        missing: how many ids up to the last have no file.
        states: jaw, eyes, eyelids, expression: "at rest", "constant" or "moves".
        camera: K, distance and path.
        remarks: what a person should see at once, in words.
    """

    name: str
    path: str
    settings: str | None
    notes: tuple[str, ...]
    frames: int | None = None
    first_id: int | None = None
    last_id: int | None = None
    missing: int | None = None
    states: Mapping[str, str] | None = None
    camera: CameraStatistics | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParameterRow:
    """One number over both runs; None where that side is no run."""

    group: str
    name: str
    unit: str
    a: CurveStatistics | None
    b: CurveStatistics | None


@dataclass(frozen=True)
class CompareReport:
    """Both sides and how they differ.

    Attributes:
        config_changes: keys on which the settings differ: `before` is A's value, `after` B's. None
            where a side has no settings to compare.
        parameters: ranges and smoothness, a row for each number; empty between settings files.
        differences: what all that means, in words.
        plot: the picture that was (or would be) written.
        dry_run: nothing was written.
    """

    a: SideReport
    b: SideReport
    config_changes: tuple[SettingChange, ...] | None
    parameters: tuple[ParameterRow, ...]
    differences: tuple[str, ...]
    plot: str | None
    dry_run: bool
    exit_code: int = 0


def compare(
    inventory: Inventory | None, a: str, b: str, *, plot: Path | None = None, dry_run: bool = False
) -> CompareReport:
    """Compare two runs or settings.

    Args:
        inventory: who the actors and jobs are; None: folders and files only.
        a, b: a folder of `.frame` files or of a run, an actor's name, a job, or a .yml.
        plot: a PNG to draw the parameters into.
        dry_run: do not write it.

    Raises:
        UsageError: what was named is neither; or a picture of settings is asked for.
        NotFoundError: nothing has that name, or nothing of it came home yet.
        DataError: a file is unsafe, torn, or the frames are not of one run.
    """
    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"{str(plot)!r} is no name for a picture", where="--plot", hint="--plot FILE.png")
    sides = _with_defaults(read_side(inventory, a), read_side(inventory, b))
    if plot is not None and not any(side.cameras for side in sides):
        raise UsageError("two settings files have no parameters to draw", where="--plot", hint="leave it out")
    changes = _changes(sides)
    shift = _shift(sides)
    rows = _rows(sides)
    reports = tuple(map(_report, sides))
    works = (_work(sides[0]), _work(sides[1]))
    differences = [*meaning.of_settings(changes or (), works), *_unlike(sides, reports, rows, shift)]
    if plot is not None and not dry_run:
        _draw(plot, sides, shift)
    return CompareReport(
        a=reports[0],
        b=reports[1],
        config_changes=changes,
        parameters=rows,
        differences=tuple(differences),
        plot=str(plot) if plot is not None else None,
        dry_run=dry_run,
    )


def _with_defaults(a: ComparedRun, b: ComparedRun) -> tuple[ComparedRun, ComparedRun]:
    """Both sides with the defaults of a checkout; what is assumed of one is among its notes."""
    from being_remote.tracker.checkout_defaults import table_defaults

    def completed(side: ComparedRun, other: ComparedRun, name: str) -> ComparedRun:
        if side.defaults is not None or side.settings is None:
            return side
        if other.defaults is not None:
            text = f"the defaults of its checkout are not here: those of {name} are taken"
            return dataclasses.replace(side, defaults=other.defaults, notes=(*side.notes, text))
        table = table_defaults(
            "the defaults of its checkout are not here (`sync --only configs` brings them)"
        )
        return dataclasses.replace(side, defaults=table, notes=(*side.notes, *table.notes))

    return completed(a, b, "B"), completed(b, a, "A")


def _keys(side: ComparedRun) -> Keys:
    from being_remote.tracker.settings import KEYS

    return side.defaults.keys if side.defaults is not None else KEYS


def _work(side: ComparedRun) -> FrameCost | None:
    from being_remote.tracker.frame_cost import frame_cost

    return None if side.settings is None else frame_cost(side.settings, _keys(side))


def _changes(sides: tuple[ComparedRun, ComparedRun]) -> tuple[SettingChange, ...] | None:
    from being_remote.tracker.settings import compare as differ

    a, b = sides
    if a.settings is None or b.settings is None:
        return None
    return differ(a.settings, b.settings, _keys(b), keys_before=_keys(a))


def _shift(sides: tuple[ComparedRun, ComparedRun]) -> int:
    """What to add to a frame_id of A for the same picture's id in B.

    Both count through one list of source images, whatever the order of its names, so it is the same for
    every frame.
    """
    from being_remote.tracker.settings import complete

    a, b = sides
    if a.settings is None or b.settings is None:
        return 0
    begins = [complete(side.settings or {}, _keys(side))["begin_frames"] for side in sides]
    first, second = begins
    return first - second if isinstance(first, int) and isinstance(second, int) else 0


def _report(side: ComparedRun) -> SideReport:
    settings = str(side.settings_path) if side.settings_path is not None else None
    if side.cameras is None or side.parameters is None:
        return SideReport(side.name, str(side.path), settings, side.notes)
    from being_remote.tracker.run_statistics import camera_statistics, remarks, states

    ids, how = side.cameras.frame_ids, states(side.parameters)
    return SideReport(
        name=side.name,
        path=str(side.path),
        settings=settings,
        frames=len(ids),
        first_id=int(ids[0]),
        last_id=int(ids[-1]),
        missing=len(side.cameras.missing_ids),
        states=how,
        camera=camera_statistics(side.cameras),
        remarks=(*remarks(side.cameras, side.parameters), *_against_settings(side, how)),
        notes=side.notes,
    )


def _against_settings(side: ComparedRun, states: Mapping[str, str]) -> tuple[str, ...]:
    """Where the frames show something else than the settings promise: they are another run's."""
    if side.settings is None or side.cameras is None:
        return ()
    from being_remote.tracker.settings import complete

    full, (w, h) = complete(side.settings, _keys(side)), side.cameras.image_size_wh
    said = []
    if len(side.cameras.frame_ids) > 1 and full["optimize_jaw"] != (states["jaw"] == "moves"):
        does = "moves" if states["jaw"] == "moves" else "stands still"
        word = str(full["optimize_jaw"]).lower()
        said.append(f"its settings say optimize_jaw {word}, and the jaw {does}: they are another run's")
    if full["image_size"] != [h, w]:
        said.append(
            f"its settings say image_size {full['image_size']}, the frames are {w}x{h}: another run's"
        )
    return tuple(said)


def _rows(sides: tuple[ComparedRun, ComparedRun]) -> tuple[ParameterRow, ...]:
    from being_remote.tracker.run_statistics import curve_statistics, frame_curves

    found: dict[tuple[str, str, str], list[CurveStatistics | None]] = {}
    for at, side in enumerate(sides):
        if side.cameras is None or side.parameters is None:
            continue
        for track in frame_curves(side.cameras, side.parameters):
            row = found.setdefault((track.group, track.name, track.unit), [None, None])
            row[at] = curve_statistics(track, side.cameras.frame_ids)
    return tuple(ParameterRow(*key, a=a, b=b) for key, (a, b) in found.items())


def _unlike(
    sides: tuple[ComparedRun, ComparedRun],
    reports: tuple[SideReport, ...],
    rows: tuple[ParameterRow, ...],
    shift: int,
) -> tuple[str, ...]:
    a, b = sides
    if a.cameras is None or b.cameras is None:
        return ()
    states = [r.states for r in reports if r.states is not None]
    cameras = [r.camera for r in reports if r.camera is not None]
    both = [(r.group, r.name, r.a, r.b) for r in rows if r.a is not None and r.b is not None]
    return (
        *meaning.of_frames(a.cameras.frame_ids.tolist(), b.cameras.frame_ids.tolist(), shift),
        *meaning.of_behaviour(states, both, cameras),
    )


def _draw(path: Path, sides: tuple[ComparedRun, ComparedRun], shift: int) -> None:
    """Both runs' numbers over the frames of B."""
    from being_remote.export import write_atomically
    from being_remote.report import overlay
    from being_remote.report.chart import Curve, Panel
    from being_remote.report.plots import parameter_curves
    from being_remote.tracker.run_statistics import frame_curves

    panels: dict[tuple[str, str], list[Any]] = {}
    for side, label, moved in zip(sides, ("A", "B"), (shift, 0), strict=True):
        if side.cameras is not None and side.parameters is not None:
            ids = side.cameras.frame_ids + moved
            for track in frame_curves(side.cameras, side.parameters):
                panels.setdefault((track.name, track.unit), []).append(Curve(label, ids, track.values))
    names = [Path(side.name).name or side.name for side in sides]
    if names[0] == names[1]:
        names = [side.name for side in sides]
    title = f"A: {names[0]}   B: {names[1]}"
    drawn = parameter_curves(title, [Panel(name, unit, tuple(c)) for (name, unit), c in panels.items()])
    write_atomically(path.absolute(), [overlay.png(drawn)])
