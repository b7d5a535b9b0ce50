"""Two runs, or two settings files, side by side: settings, cameras, frames, and how the face moves.

It does not say which one is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.recovery.run_differences import describe_behaviour, describe_frames, describe_settings

if TYPE_CHECKING:
    from being_remote.recovery.compared_runs import ComparedRun
    from being_remote.tracker.frame_cost import FrameCost
    from being_remote.tracker.run_statistics import CameraStatistics, CurveStatistics
    from being_remote.tracker.settings import SettingChange


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
    """One number over both runs; None for a settings file."""

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
    plot: str | None = None
    dry_run: bool = False
    exit_code: int = 0


def compare_runs(a: ComparedRun, b: ComparedRun) -> CompareReport:
    """Compare two runs or settings; both with `complete_defaults`."""
    from being_remote.tracker.settings import compare as compare_settings

    changes = None
    if a.settings is not None and b.settings is not None:
        changes = compare_settings(a.settings, b.settings, b.keys, keys_before=a.keys)
    rows, reports = _rows((a, b)), (_report(a), _report(b))
    differences = describe_settings(changes or (), (_cost(a), _cost(b)))
    if a.cameras is not None and b.cameras is not None:
        states = [r.states for r in reports if r.states is not None]
        cameras = [r.camera for r in reports if r.camera is not None]
        both = [(r.group, r.name, r.a, r.b) for r in rows if r.a is not None and r.b is not None]
        ids = (a.cameras.frame_ids.tolist(), b.cameras.frame_ids.tolist())
        differences += describe_frames(*ids, frame_shift(a, b))
        differences += describe_behaviour(states, both, cameras)
    return CompareReport(*reports, changes, rows, differences)


def complete_defaults(a: ComparedRun, b: ComparedRun) -> tuple[ComparedRun, ComparedRun]:
    """Both with the defaults of a checkout; what one lacks is taken from the other, and said in a note."""
    return _complete_defaults(a, b, "B"), _complete_defaults(b, a, "A")


def _complete_defaults(side: ComparedRun, other: ComparedRun, name: str) -> ComparedRun:
    from being_remote.tracker.checkout_defaults import table_defaults

    if side.defaults is not None or side.settings is None:
        return side
    if other.defaults is not None:
        note = f"the defaults of its checkout are not local: those of {name} are taken"
        return replace(side, defaults=other.defaults, notes=(*side.notes, note))
    table = table_defaults(
        "the defaults of its checkout are not local (`sync --only configs` downloads them)"
    )
    return replace(side, defaults=table, notes=(*side.notes, *table.notes))


def _cost(side: ComparedRun) -> FrameCost | None:
    from being_remote.tracker.frame_cost import frame_cost

    return None if side.settings is None else frame_cost(side.settings, side.keys)


def frame_shift(a: ComparedRun, b: ComparedRun) -> int:
    """What to add to a frame_id of A for the same picture's id in B.

    Both count through one list of source images, whatever the order of its names, so it is the same for
    every frame.
    """
    from being_remote.tracker.settings import complete

    if a.settings is None or b.settings is None:
        return 0
    first = complete(a.settings, a.keys)["begin_frames"]
    second = complete(b.settings, b.keys)["begin_frames"]
    return first - second if isinstance(first, int) and isinstance(second, int) else 0


def _report(side: ComparedRun) -> SideReport:
    settings = str(side.settings_path) if side.settings_path is not None else None
    if side.cameras is None or side.parameters is None:
        return SideReport(side.name, str(side.path), settings, side.notes)
    from being_remote.tracker.run_statistics import camera_statistics, remarks, states

    ids, moving = side.cameras.frame_ids, states(side.parameters)
    return SideReport(
        name=side.name,
        path=str(side.path),
        settings=settings,
        frames=len(ids),
        first_id=int(ids[0]),
        last_id=int(ids[-1]),
        missing=len(side.cameras.missing_ids),
        states=moving,
        camera=camera_statistics(side.cameras),
        remarks=(*remarks(side.cameras, side.parameters), *_compare_with_settings(side, moving)),
        notes=side.notes,
    )


def _compare_with_settings(side: ComparedRun, states: Mapping[str, str]) -> tuple[str, ...]:
    """Remarks where the frames contradict the settings, which then are another run's."""
    if side.settings is None or side.cameras is None:
        return ()
    from being_remote.tracker.settings import complete

    full, (w, h) = complete(side.settings, side.keys), side.cameras.image_size_wh
    remarks = []
    if len(side.cameras.frame_ids) > 1 and full["optimize_jaw"] != (states["jaw"] == "moves"):
        does = "moves" if states["jaw"] == "moves" else "stands still"
        word = str(full["optimize_jaw"]).lower()
        remarks.append(f"its settings say optimize_jaw {word}, and the jaw {does}: they are another run's")
    if full["image_size"] != [h, w]:
        remarks.append(
            f"its settings say image_size {full['image_size']}, the frames are {w}x{h}: another run's"
        )
    return tuple(remarks)


def _rows(sides: tuple[ComparedRun, ComparedRun]) -> tuple[ParameterRow, ...]:
    from being_remote.tracker.run_statistics import curve_statistics, frame_curves

    rows: dict[tuple[str, str, str], list[CurveStatistics | None]] = {}
    for column, side in enumerate(sides):
        if side.cameras is None or side.parameters is None:
            continue
        for curve in frame_curves(side.cameras, side.parameters):
            row = rows.setdefault((curve.group, curve.name, curve.unit), [None, None])
            row[column] = curve_statistics(curve, side.cameras.frame_ids)
    return tuple(ParameterRow(*key, a=a, b=b) for key, (a, b) in rows.items())


def plot_runs(a: ComparedRun, b: ComparedRun, path: Path) -> None:
    """Plot both runs' parameters over the frames of B into a PNG file.

    Raises:
        UsageError: matplotlib is not installed, or the file cannot be written.
    """
    from being_remote.export import write_atomically
    from being_remote.report.curves import Curve, Panel
    from being_remote.report.plots import plot_panels
    from being_remote.tracker.run_statistics import frame_curves

    curves: dict[tuple[str, str], list[Curve]] = {}
    for side, label, shift in ((a, "A", frame_shift(a, b)), (b, "B", 0)):
        if side.cameras is not None and side.parameters is not None:
            ids = side.cameras.frame_ids + shift
            for curve in frame_curves(side.cameras, side.parameters):
                curves.setdefault((curve.name, curve.unit), []).append(Curve(label, ids, curve.values))
    names = [Path(side.name).name or side.name for side in (a, b)]
    if names[0] == names[1]:
        names = [a.name, b.name]
    panels = [Panel(name, unit, tuple(both)) for (name, unit), both in curves.items()]
    write_atomically(path.absolute(), [plot_panels(f"A: {names[0]}   B: {names[1]}", panels, columns=2)])
