"""The command `demo`, which prints each command as typed, its real output, and the comparison."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from being_remote.cli.command import command_without_inventory
from being_remote.cli.options import DryRunOpt, flag, option
from being_remote.cli.output import Out
from being_remote.cli.printing import line, new_table, path_line, prose
from being_remote.cli.streams import stdout, writing
from being_remote.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.demo.chain import DemoReport
    from being_remote.demo.guide_comparison import CameraError, GuideComparison
    from being_remote.demo.quick import QuickDemoReport
    from being_remote.demo.typed_commands import CommandResult, DemoPlan, DemoView


@command_without_inventory
def demo(
    out: Out,
    quick: Annotated[
        bool, flag("--quick", "only lose a box and find it from pictures: no pod, 10 s; opens the report")
    ] = False,
    keep: Annotated[bool, flag("--keep", "leave the pod running, to try commands by hand")] = False,
    out_dir: Annotated[Path, option("DIR", "output folder; default: demo-out", "--out")] = Path("demo-out"),
    dry_run: DryRunOpt = False,
) -> None:
    """Run the whole chain on a local test pod."""
    if quick and keep:
        raise UsageError("--quick starts no pod that could be kept", where="--keep", hint="leave one out")
    if dry_run:
        out.finish(_plan(out_dir, quick=quick), show_plan)
        return
    view: DemoView = _QuietView(out) if out.as_json else _TerminalView(out)
    if quick:
        from being_remote.demo.quick import quick_demo

        out.finish(quick_demo(out_dir, view), show_quick)
    else:
        from being_remote.demo import chain

        out.finish(chain.demo(out_dir, view, keep=keep), show_demo)


def _plan(folder: Path, *, quick: bool) -> DemoPlan:
    from being_remote.demo.typed_commands import DemoPlan

    if quick:
        from being_remote.demo.quick import COMMANDS

        return DemoPlan(folder.absolute(), "a backup without bbox.pt in it", COMMANDS)
    from being_remote.demo.chain import commands

    return DemoPlan(folder.absolute(), "a pod on loopback", commands("SHA256:..."))


class _TerminalView:
    """Runs each command with this terminal as its own."""

    def __init__(self, out: Out) -> None:
        self.note = out.note

    def show_comparison(self, comparison: GuideComparison) -> None:
        with writing():
            show_comparison(stdout(), comparison)
            sys.stdout.flush()

    def show_line(self, line: str) -> None:
        with writing():
            print(f"\n$ {line}", flush=True)

    def run(self, words: Sequence[str], folder: Path) -> CommandResult:
        from being_remote.demo.typed_commands import CommandResult

        self.show_line(f"being-remote {shlex.join(words)}")
        done = subprocess.run(
            [sys.executable, "-m", "being_remote", *words], cwd=folder, stdin=subprocess.DEVNULL
        )
        return CommandResult(done.returncode)


class _QuietView:
    """Runs each command for its JSON answer, and shows notes alone."""

    def __init__(self, out: Out) -> None:
        self.note = out.note

    def show_comparison(self, comparison: GuideComparison) -> None:
        pass

    def show_line(self, line: str) -> None:
        pass

    def run(self, words: Sequence[str], folder: Path) -> CommandResult:
        from being_remote.demo.typed_commands import CommandResult

        done = subprocess.run(
            [sys.executable, "-m", "being_remote", *words, "--json"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        answer = done.stdout
        if "--follow" in words:
            answer = answer.strip().rpartition(b"\n")[2]  # the result is the last line
        return CommandResult(done.returncode, json.loads(answer) if answer else None)


def show_comparison(console: Console, comparison: GuideComparison) -> None:
    """The first screen: what goes wrong without us, in figures, and the picture of it."""
    w, h = comparison.size_wh
    small_w, small_h = comparison.image_size_wh
    console.print()
    prose(
        console,
        f"The tracker stored the camera of its crop: {comparison.crop_side:g} px, resized to"
        f" {small_w}x{small_h}.",
    )
    columns = ("fx", "cx", "cy", "degrees off", "mesh off")
    table = new_table(f"for the {w}x{h} video", *columns, numbers=columns)
    for name, camera, style in (
        ("offset added, f kept", comparison.guide, "red"),
        ("ours", comparison.ours, "bold green"),
    ):
        table.add_row(name, *_figures(camera), style=style)
    console.print(table)
    prose(console, "Degrees: at the crop's centre, and at its worst corner. The mesh: on average.")
    path_line(console, "look: ", str(comparison.picture), "bold")


def _figures(camera: CameraError) -> tuple[str, ...]:
    K = camera.K
    places = 0 if camera.centre_deg >= 1 else 4
    ends = (f"{degrees:.{places}f}" for degrees in (camera.centre_deg, camera.corner_deg))
    degrees = " to ".join(dict.fromkeys(ends))
    return (*(f"{v:.2f}" for v in (K[0][0], K[0][2], K[1][2])), degrees, f"{camera.mesh_px:.{places}f} px")


def show_demo(console: Console, report: DemoReport) -> None:
    """The recovered camera beside the true one, and where everything is."""
    _show_cameras(console, report.K, report.K_true)
    error = f"{report.reprojection_error_px:.1e} px over {report.points} points"
    prose(console, f"largest reprojection error: {error}; the demo took {report.seconds:.0f} s")
    second = report.retracked
    prose(
        console,
        f"tracked again ({second.job}): a crop of {second.side} px at {second.image_size_wh[0]} gives"
        f" {second.K[0][0]:.6f} on the pod, and the same on this laptop",
    )
    _show_files(console, report.report, report.overlay, report.cameras.parent, opened=False)
    if report.kept_pod:
        line(console, f"the pod is still running: {report.kept_pod}")
        line(console, f"try it: cd {shlex.quote(str(report.folder))} && {_program(report.folder)} find-bbox")
        line(console, f"stop it: kill {report.kept_pid}")
    else:
        line(console, f'next: your own pod: {_program()} init "ssh root@HOST -p PORT"')


def show_quick(console: Console, report: QuickDemoReport) -> None:
    """The box that was lost and found, the camera, and the files to open; opens the report."""
    x0, x1, y0, y1 = report.found_bbox
    console.print()
    prose(
        console,
        f"found: x {x0}..{x1}, y {y0}..{y1}: the very box that was lost ({report.grade}, by pixels alone)",
        "bold green",
    )
    _show_cameras(console, report.K, report.K_true)
    prose(console, f"the demo took {report.seconds:.0f} s")
    opened = open_in_browser(report.report)
    _show_files(console, report.report, report.overlay, report.cameras.parent, opened=opened)
    line(console, f"next: your own backup: {_program()} recover --run FOLDER --from-images VIDEO")
    line(console, f"      or the whole chain on a pod: {_program()} demo")


def _show_cameras(
    console: Console, ours: tuple[tuple[float, ...], ...], true: tuple[tuple[float, ...], ...]
) -> None:
    columns = ("recovered", "true", "difference")
    table = new_table("px, corner convention", *columns, numbers=columns)
    for name, row, column in (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2)):
        a, b = ours[row][column], true[row][column]
        table.add_row(name, f"{a:.6f}", f"{b:.6f}", f"{a - b:+.1e}")
    console.print("\nThe camera of the original video, recovered and true:")
    console.print(table)
    console.print()


def _show_files(console: Console, page: Path, overlay: Path, folder: Path, *, opened: bool) -> None:
    """Three things to open; a terminal that can does it with a click."""
    console.print()
    path_line(console, "the report: ", str(page), "bold")
    if opened:
        line(console, "            (it opens in your browser)")
    path_line(console, "a picture:  ", str(overlay), "bold")
    path_line(console, "go on with: ", f"{folder}/", "bold")


def show_plan(console: Console, plan: DemoPlan) -> None:
    """The commands that the demo would run."""
    line(console, f"would make {plan.folder} and {plan.makes}, and run:")
    for words in plan.commands:
        line(console, f"  being-remote {shlex.join(words)}")


def open_in_browser(page: Path) -> bool:
    """Open a page, where stdout is a terminal on a machine with a display; whether that was done."""
    display = sys.platform == "darwin" or not {"DISPLAY", "WAYLAND_DISPLAY"}.isdisjoint(os.environ)
    if not display or "SSH_CONNECTION" in os.environ or not sys.stdout.isatty():
        return False
    import webbrowser

    try:
        return webbrowser.open(page.as_uri())
    except webbrowser.Error:
        return False


def _program(folder: Path | None = None) -> str:
    """How this program is called from `folder`, by default the current one: by its path if not on PATH."""
    program = Path(sys.executable).with_name("being-remote")
    if shutil.which("being-remote") or not program.exists():
        return "being-remote"
    return shlex.quote(str(program) if folder is not None else os.path.relpath(program))
