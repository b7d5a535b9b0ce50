"""What a person sees of `demo`: each command as typed, its real output, and the comparison."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from being_remote.cli.text import printable
from being_remote.demo.chain import CommandResult, DemoPlan, DemoReport


def run_shown(words: Sequence[str], folder: Path) -> CommandResult:
    """Run one command with this terminal as its own."""
    print(f"\n$ being-remote {shlex.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "being_remote", *words], cwd=folder, stdin=subprocess.DEVNULL
    )
    return CommandResult(done.returncode)


def run_quietly(words: Sequence[str], folder: Path) -> CommandResult:
    """Run one command for its JSON answer."""
    done = subprocess.run(
        [sys.executable, "-m", "being_remote", *words, "--json"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    said = done.stdout
    if "--follow" in words:
        said = said.strip().rpartition(b"\n")[2]  # the result is the last line
    return CommandResult(done.returncode, json.loads(said) if said else None)


def show_demo(console: Console, report: DemoReport) -> None:
    """The recovered camera beside the true one, and where everything is."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("px, corner convention")
    for name in ("recovered", "true", "difference"):
        table.add_column(name, justify="right")
    for name, row, column in (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2)):
        ours, true = report.K[row][column], report.K_true[row][column]
        table.add_row(name, f"{ours:.6f}", f"{true:.6f}", f"{ours - true:+.1e}")
    console.print("\nThe camera of the original video, recovered and true:")
    console.print(table)
    console.print(
        f"\nlargest reprojection error: {report.reprojection_error_px:.1e} px"
        f" over {report.points} points in {report.seconds:.0f} s of demo"
    )
    again = report.retracked
    console.print(
        f"tracked again ({again.job}): a crop of {again.side} px at {again.image_size_wh[0]} gives f"
        f" {again.K[0][0]:.6f} on the pod, and the same here to the last bit",
        soft_wrap=True,
    )
    console.print(f"files:   {printable(str(report.folder))}", soft_wrap=True)
    console.print(f"picture: {printable(str(report.overlay))}", soft_wrap=True)
    if report.kept_pod:
        folder = printable(shlex.quote(str(report.folder)))
        console.print(f"the pod is still up: {printable(report.kept_pod)}", soft_wrap=True)
        console.print(f"try it: cd {folder} && being-remote find-bbox", soft_wrap=True)
        console.print(f"stop it: kill {report.kept_pid}", soft_wrap=True)
    else:
        console.print("next: your own pod, in inventory.yaml (README.md)")


def show_plan(console: Console, plan: DemoPlan) -> None:
    """The commands that the demo would run."""
    console.print(
        f"would make {printable(str(plan.folder))}, bring up a pod on loopback, and run:", soft_wrap=True
    )
    for words in plan.commands:
        console.print(f"  being-remote {shlex.join(words)}", soft_wrap=True)
