"""What `analyze` and `compare` print on a terminal. Every name from a file goes through `printable`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from being_remote.cli.printing import line, new_table, prose
from being_remote.cli.text import printable
from being_remote.recovery.run_comparison import CompareReport, SideReport
from being_remote.workflows.analyze import AnalyzeReport

FIGURES = ("least", "mean", "most", "step", "jitter")
CAMERA = ("image", "f", "cx", "cy", "t_z m", "turn a frame", "way a frame", "largest turn")
WIDE = 120  # columns of a terminal that has room for A and B beside each other
DIGITS = {"deg": 2, "m": 4, "": 3}


def show_analyze(console: Console, report: AnalyzeReport) -> None:
    """Problems first, then the camera, the contents, and the next steps."""
    step = "" if report.global_step is None else f", step {report.global_step}"
    line(console, f"{report.file}: frame {report.frame_id or '?'}{step}", "bold")
    for problem in report.problems:
        prose(console, f"problem: {problem}", "red")
    if report.K is not None:
        _show_camera(console, report)
    console.print()
    table = new_table("key", "shape", "holds", "is")
    for entry in report.contents:
        shape = "" if entry.shape is None else f"{'x'.join(map(str, entry.shape))} {entry.dtype}"
        table.add_row(*(Text(printable(text)) for text in (entry.key, shape, entry.says, entry.meaning)))
    console.print(table)
    console.print()
    for note in report.notes:
        prose(console, f"note: {note}", "yellow")
    for step_text in report.next:
        line(console, f"next: {step_text}")  # to be copied: never broken


def _show_camera(console: Console, report: AnalyzeReport) -> None:
    table = new_table(
        "camera, px", "size", "fx", "fy", "cx", "cy", "field of view", numbers=("fx", "fy", "cx", "cy")
    )
    size = _size(report.image_size_wh)
    fov = _fov(report.fov_deg)
    table.add_row("stored, in the network image", size, *_K(report.K), fov)
    table.add_row("the same for OpenCV", "", *_K(report.K_opencv), "")
    if report.source is not None:
        source = report.source
        table.add_row(
            "original video, by that box", _size(source.source_size_wh), *_K(source.K), _fov(source.fov_deg)
        )
    console.print(table)
    if report.principal_off_px is not None:
        x, y = report.principal_off_px
        line(console, f"principal point: {x:+.1f}, {y:+.1f} px from the image's centre")
    if report.distance_m is not None:
        line(console, f"camera to head: {report.distance_m:.3f} m, for this focal length")


def show_compare(console: Console, report: CompareReport) -> None:
    """What is remarkable of each, what differs and what it means, then the figures."""
    for letter, side in (("A", report.a), ("B", report.b)):
        _show_side(console, letter, side)
    console.print()
    _show_changes(console, report)
    for difference in report.differences:
        prose(console, f"- {difference}")
    if report.parameters:
        console.print()
        _show_parameters(console, report)
        _show_cameras(console, report)
    if report.plot is not None:
        line(console, f"{'would write' if report.dry_run else 'wrote'} {report.plot}", "green")


def _show_side(console: Console, letter: str, side: SideReport) -> None:
    what = "settings"
    if side.frames is not None:
        lacking = f", {side.missing} missing" if side.missing else ""
        what = f"{side.frames} frames, {side.first_id:05d} to {side.last_id:05d}{lacking}"
    line(console, f"{letter}  {side.name}: {what}", "bold")
    if side.path != side.name:
        line(console, f"   {side.path}")
    for remark in side.remarks:
        prose(console, f"   {remark}", "yellow")
    for note in side.notes:
        prose(console, f"   note: {note}", "dim")


def _show_changes(console: Console, report: CompareReport) -> None:
    if report.config_changes is None:
        line(console, "settings: not compared, one side has none", "yellow")
        return
    if not report.config_changes:
        line(console, "settings: the same")
        return
    table = new_table("setting", "A", "B", "is")
    for change in report.config_changes:
        cells = (change.key, _spelt(change.before), _spelt(change.after), change.meaning)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)


def _show_parameters(console: Console, report: CompareReport) -> None:
    """A and B beside each other where there is room, else below each other: numbers are never broken."""
    if console.width >= WIDE:
        columns = [f"{letter} {name}" for letter in "AB" for name in FIGURES]
        table = new_table("over all frames", "unit", *columns, numbers=tuple(columns))
        for row in report.parameters:
            table.add_row(row.name, row.unit, *_figures(row.a, row.unit), *_figures(row.b, row.unit))
    else:
        table = new_table("over all frames", "unit", "run", *FIGURES, numbers=FIGURES)
        for row in report.parameters:
            sides = [(letter, found) for letter, found in (("A", row.a), ("B", row.b)) if found is not None]
            for n, (letter, found) in enumerate(sides):
                name, unit = (row.name, row.unit) if n == 0 else ("", "")
                table.add_row(name, unit, letter, *_figures(found, row.unit))
    console.print(table)
    prose(
        console, "step: median change to the next frame; jitter: median distance from its neighbours' middle"
    )


def _show_cameras(console: Console, report: CompareReport) -> None:
    console.print()
    cameras = [(letter, side) for letter, side in (("A", report.a), ("B", report.b)) if side.camera]
    if console.width >= WIDE:
        table = new_table("camera", *CAMERA)
        for letter, side in cameras:
            table.add_row(letter, *_camera(side))
    else:
        table = new_table("camera", *(letter for letter, _ in cameras))
        for name, *values in zip(CAMERA, *(_camera(side) for _, side in cameras), strict=True):
            table.add_row(name, *values)
    console.print(table)


def _camera(side: SideReport) -> tuple[str, ...]:
    camera = side.camera
    assert camera is not None  # a run
    K, z = camera.K, camera.t_z_m
    jump = "-"
    if camera.largest_turn_deg is not None and camera.largest_turn_at is not None:
        jump = f"{camera.largest_turn_deg:.1f} deg to {camera.largest_turn_at:05d}"
    return (
        _size(camera.image_size_wh),
        *(f"{v:.2f}" for v in (K[0][0], K[0][2], K[1][2])),
        f"{z[0]:.3f} to {z[2]:.3f}",
        _number(camera.turn_step_deg, " deg"),
        _number(camera.move_step_mm, " mm"),
        jump,
    )


def _figures(found: Any, unit: str) -> tuple[str, ...]:
    if found is None:
        return ("-",) * len(FIGURES)
    return tuple(_number(getattr(found, name), digits=DIGITS[unit]) for name in FIGURES)


def _number(value: float | None, unit: str = "", *, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _K(K: Any) -> tuple[str, ...]:
    return tuple(f"{v:.4f}" for v in (K[0][0], K[1][1], K[0][2], K[1][2]))


def _size(size_wh: tuple[int, int] | None) -> str:
    return "?" if size_wh is None else f"{size_wh[0]}x{size_wh[1]}"


def _fov(fov_deg: tuple[float, float] | None) -> str:
    return "" if fov_deg is None else f"{fov_deg[0]:.2f} x {fov_deg[1]:.2f} deg"


def _spelt(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
