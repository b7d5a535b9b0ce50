"""The command `demo`, which prints each command as typed, its real output, and the comparison."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from being_remote.cli.command import command_without_inventory
from being_remote.cli.options import DryRunOpt, flag, option
from being_remote.cli.output import Out
from being_remote.cli.printing import line, new_table, prose

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.demo.chain import CommandResult, DemoPlan, DemoReport


@command_without_inventory
def demo(
    out: Out,
    keep: Annotated[bool, flag("--keep", "leave the pod running, to try commands by hand")] = False,
    out_dir: Annotated[Path, option("DIR", "output folder; default: demo-out", "--out")] = Path("demo-out"),
    dry_run: DryRunOpt = False,
) -> None:
    """Run the whole chain on a local test pod."""
    from being_remote.demo import chain

    if dry_run:
        out.finish(chain.plan(out_dir), show_plan)
    else:
        run_command = run_quietly if out.as_json else run_shown
        out.finish(chain.demo(out_dir, run_command, out.note, keep=keep), show_demo)


def run_shown(words: Sequence[str], folder: Path) -> CommandResult:
    """Run one command with this terminal as its own."""
    from being_remote.demo.chain import CommandResult

    print(f"\n$ being-remote {shlex.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "being_remote", *words], cwd=folder, stdin=subprocess.DEVNULL
    )
    return CommandResult(done.returncode)


def run_quietly(words: Sequence[str], folder: Path) -> CommandResult:
    """Run one command for its JSON answer."""
    from being_remote.demo.chain import CommandResult

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


def show_demo(console: Console, report: DemoReport) -> None:
    """The recovered camera beside the true one, and where everything is."""
    columns = ("recovered", "true", "difference")
    table = new_table("px, corner convention", *columns, numbers=columns)
    for name, row, column in (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2)):
        ours, true = report.K[row][column], report.K_true[row][column]
        table.add_row(name, f"{ours:.6f}", f"{true:.6f}", f"{ours - true:+.1e}")
    console.print("\nThe camera of the original video, recovered and true:")
    console.print(table)
    console.print()
    error = f"{report.reprojection_error_px:.1e} px over {report.points} points"
    prose(console, f"largest reprojection error: {error}; the demo took {report.seconds:.0f} s")
    second = report.retracked
    prose(
        console,
        f"tracked again ({second.job}): a crop of {second.side} px at {second.image_size_wh[0]} gives"
        f" {second.K[0][0]:.6f} on the pod and exactly the same on this laptop",
    )
    line(console, f"files:   {report.folder}")
    line(console, f"picture: {report.overlay}")
    if report.kept_pod:
        line(console, f"the pod is still running: {report.kept_pod}")
        line(console, f"try it: cd {shlex.quote(str(report.folder))} && being-remote find-bbox")
        line(console, f"stop it: kill {report.kept_pid}")
    else:
        line(console, "next: your own pod, in inventory.yaml (README.md)")


def show_plan(console: Console, plan: DemoPlan) -> None:
    """The commands that the demo would run."""
    line(console, f"would make {plan.folder}, start a pod on loopback, and run:")
    for words in plan.commands:
        line(console, f"  being-remote {shlex.join(words)}")
