"""Two runs, or two settings files, side by side: settings, cameras, frames, and how the face moves.

It does not say which one is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from being_remote.errors import DataError
from being_remote.export import write_atomically
from being_remote.recovery.local_runs import LocalRun, defaults_beside, find_defaults
from being_remote.report.curves import Curve, Panel
from being_remote.report.plots import plot_panels
from being_remote.tracker.checkout_defaults import CheckoutDefaults, table_defaults
from being_remote.tracker.flame_parameters import FlameParameters, read_parameters
from being_remote.tracker.frame_cost import FrameCost, describe_cost, frame_cost
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.run_statistics import (
    CameraStatistics,
    CurveStatistics,
    camera_statistics,
    curve_statistics,
    frame_curves,
    remarks,
    states,
)
from being_remote.tracker.sequence import Sequence as Cameras
from being_remote.tracker.settings import (
    KEYS,
    MAX_BYTES,
    PATHS,
    Keys,
    SettingChange,
    Settings,
    complete,
    parse_settings,
)
from being_remote.tracker.settings import compare as compare_settings
from being_remote.wording import list_some

LISTED = 10

CROP = ("bbox_scale", "image_size", "crop_image")
FITTED_MESH = ("optimize_shape", "optimize_jaw")
WEIGHT = "w_"
MUCH = 1.5
FACES = ("jaw", "eyes", "eyelids", "expression")


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """What was found under one name."""

    name: str  # as it was typed
    path: Path  # the settings file, or the folder of `.frame` files
    settings: Settings | None  # None where the run has no file of them
    settings_path: Path | None
    defaults: CheckoutDefaults | None  # what the settings leave out; None where that is unknown
    # of a run; None of a settings file
    cameras: Cameras | None
    parameters: FlameParameters | None
    notes: tuple[str, ...]  # what a person should know of this side

    @property
    def keys(self) -> Keys:
        """The settings that its checkout knows; those of the tracker where that is unknown."""
        return self.defaults.keys if self.defaults is not None else KEYS


def read_settings_file(name: str, path: Path) -> ComparedRun:
    """Read a settings file as one side. Raises NotFoundError, DataError."""
    defaults = defaults_beside(path)
    settings, notes = _read_settings(path, defaults)
    return ComparedRun(name, path, settings, path, defaults, None, None, notes)


def read_run(name: str, run: LocalRun) -> ComparedRun:
    """Read a run as one side. Raises NotFoundError, DataError."""
    cameras, parameters = read_parameters(run.checkpoints)
    defaults = find_defaults(run)
    settings, path, notes = _find_settings(run, defaults)
    notes = (*cameras.warnings, *notes)
    return ComparedRun(name, run.checkpoints, settings, path, defaults, cameras, parameters, notes)


def _find_settings(
    run: LocalRun, defaults: CheckoutDefaults | None
) -> tuple[Settings | None, Path | None, tuple[str, ...]]:
    """The run's settings; a file that cannot be read costs only a note, for the frames say more."""
    path = next((p for p in run.settings_files if p.exists() or p.is_symlink()), None)
    if path is None:
        return None, None, ("this run has no settings file here; `sync --only configs` downloads it",)
    try:
        settings, notes = _read_settings(path, defaults)
    except DataError as e:
        return None, path, (f"its settings are not compared: {e.where}: {e.what.splitlines()[0]}",)
    return settings, path, notes


def _read_settings(path: Path, defaults: CheckoutDefaults | None) -> tuple[Settings, tuple[str, ...]]:
    keys = defaults.keys if defaults is not None else KEYS
    data = read_bytes(path, MAX_BYTES)
    found, passed_over = parse_settings(data, str(path), keys, keep_unknown=True)
    settings: dict[str, Any] = {key: value for key, value in found.items() if key not in PATHS}
    notes = [f"in its settings, passed over: {line}" for line in passed_over[:LISTED]]
    if more := passed_over[LISTED:]:
        notes.append(f"in its settings, {len(more)} more keys are passed over")
    return settings, tuple(notes)


@dataclass(frozen=True)
class SideReport:
    """One of the two runs or settings files."""

    name: str  # as it was typed
    path: str  # the settings file, or the folder of `.frame` files
    settings: str | None  # the file that its settings are from; None where there is none
    notes: tuple[str, ...]  # what else to know
    frames: int | None = None  # how many; None of a settings file, as all that follows
    # of the frames
    first_id: int | None = None
    last_id: int | None = None
    missing: int | None = None  # how many ids up to the last have no file
    # jaw, eyes, eyelids, expression: "at rest", "constant" or "moves"
    states: Mapping[str, str] | None = None
    camera: CameraStatistics | None = None  # K, distance and path
    remarks: tuple[str, ...] = ()  # what a person should see at once, in words


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
    """Both sides and how they differ."""

    a: SideReport
    b: SideReport
    # keys on which the settings differ: `before` is A's value, `after` B's. None where a side has no settings
    # to compare.
    config_changes: tuple[SettingChange, ...] | None
    # ranges and smoothness, a row for each number; empty between settings files
    parameters: tuple[ParameterRow, ...]
    differences: tuple[str, ...]  # what all that means, in words
    plot: str | None = None  # the picture that was (or would be) written
    dry_run: bool = False  # nothing was written
    exit_code: int = 0


def compare_runs(a: ComparedRun, b: ComparedRun) -> CompareReport:
    """Compare two runs or settings; both with `complete_defaults`."""
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
    return None if side.settings is None else frame_cost(side.settings, side.keys)


def frame_shift(a: ComparedRun, b: ComparedRun) -> int:
    """What to add to a frame_id of A for the same picture's id in B.

    Both count through one list of source images, whatever the order of its names, so it is the same for
    every frame.
    """
    if a.settings is None or b.settings is None:
        return 0
    first = complete(a.settings, a.keys)["begin_frames"]
    second = complete(b.settings, b.keys)["begin_frames"]
    return first - second if isinstance(first, int) and isinstance(second, int) else 0


def _report(side: ComparedRun) -> SideReport:
    settings = str(side.settings_path) if side.settings_path is not None else None
    if side.cameras is None or side.parameters is None:
        return SideReport(side.name, str(side.path), settings, side.notes)
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


def describe_settings(
    changes: Sequence[SettingChange], costs: tuple[FrameCost | None, FrameCost | None] = (None, None)
) -> tuple[str, ...]:
    """What changed settings do to cameras and results; B against A. `costs`: of a frame, where known."""
    by_key = {c.key: c for c in changes}
    differences = []
    if any(key in by_key for key in CROP):
        differences.append(
            "cameras: crop or network image differ, so the stored K and all landmarks are in other pixels:"
            " compare cameras in the original video (recover both), never frame against frame"
        )
    if "begin_frames" in by_key:
        a, b = (_whole(by_key["begin_frames"].before), _whole(by_key["begin_frames"].after))
        differences.append(f"frames: begin_frames differ, so frame i of A is frame i{a - b:+d} of B")
    if "fps" in by_key:
        differences.append("frames: fps differ, so equal frame_ids are other moments of the video")
    if "end_frames" in by_key:
        differences.append("frames: end_frames differ, so one of the two ends earlier")
    if any(key in by_key for key in FITTED_MESH):
        differences.append(
            "results: shape or jaw are fitted in one of them only: other meshes, so other poses: never mix"
            " their frames"
        )
    if any(key == "keyframes" or key.startswith(WEIGHT) for key in by_key):
        differences.append("cameras: identity and K were fitted on other frames or by other weights")
    cost_a, cost_b = costs
    if cost_a is not None and cost_b is not None and cost_a != cost_b:
        differences.append(f"B's {describe_cost(cost_b, cost_a, 'A')}")
    return tuple(differences)


def describe_behaviour(
    states: Sequence[Mapping[str, str]],
    rows: Sequence[tuple[str, str, CurveStatistics, CurveStatistics]],
    cameras: Sequence[CameraStatistics],
) -> tuple[str, ...]:
    """How faces and cameras of A and B differ; `rows`: group, name and the figures of both."""
    differences = []
    for group in FACES:
        a, b = (side[group] == "moves" for side in states)
        if a != b:
            differences.append(
                f"{group}: moves in {'A' if a else 'B'} only; in {'B' if a else 'A'} it stands still"
            )
    for group, name, fa, fb in rows:
        if fa.jitter and fb.jitter and states[0].get(group) == states[1].get(group):
            ratio = fa.jitter / fb.jitter
            if ratio > MUCH or ratio < 1 / MUCH:
                smoother, factor = ("B", ratio) if ratio > 1 else ("A", 1 / ratio)
                differences.append(f"{name}: {smoother} is smoother, {factor:.1f} times less jitter")
    first, second = cameras
    if first.image_size_wh == second.image_size_wh and first.K != second.K:
        percent = (second.K[0][0] / first.K[0][0] - 1) * 100
        differences.append(f"cameras: B's focal length in the network image differs by {percent:+.1f} %")
    elif first.K == second.K:
        differences.append("cameras: both have the same K")
    return tuple(differences)


def describe_frames(ids_a: Sequence[int], ids_b: Sequence[int], shift: int) -> tuple[str, ...]:
    """Which frames only one of two runs has; `shift` is what to add to A's id for B's."""
    in_b = set(ids_b)
    moved = {i + shift for i in ids_a}
    differences = []
    for name, ids in (("A", sorted(moved - in_b)), ("B", sorted(in_b - moved))):
        if ids:
            shown = ids if name == "B" else [i - shift for i in ids]
            listed = list_some([f"{i:05d}" for i in shown], 8)
            differences.append(f"frames: {len(shown)} are in {name} only: {listed}")
    return tuple(differences)


def _whole(value: Any) -> int:
    assert isinstance(value, int)  # coerced
    return value
