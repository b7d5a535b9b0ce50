"""What `retrack` prints on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from being_remote.cli.job_tables import show_downloads, show_move, state_style
from being_remote.cli.printing import cell, line, new_table
from being_remote.cli.text import size_text

if TYPE_CHECKING:
    from being_remote.jobs.dispatch import DispatchedJob
    from being_remote.workflows.presets import PresetReport
    from being_remote.workflows.retrack import RetrackReport


def show_retrack(console: Console, report: RetrackReport) -> None:
    """What was dispatched, or in a dry run what would be, with all that a person may want to stop."""
    for done in report.jobs:
        if report.dry_run:
            _show_plan(console, done)
            continue
        # Whoever followed has decided; `--dry-run` and `--show-preset` are for those who weigh.
        for note in done.plan.notes if not (done.adopted or report.followed) else ():
            line(console, f"note: {note}", "yellow")
        what = "is already at it" if done.adopted else "was dispatched"
        if report.followed:
            what = "was followed to its end"
            show_move(console, report.moved, dry_run=False)
        line(
            console, f"{done.job} on {done.host} {what}: {done.state}: {done.reason}", state_style(done.state)
        )
        if done.plan.swept:
            line(console, f"  {', '.join(done.plan.swept)}")
        if done.gpu:
            line(console, f"  GPU {', '.join(done.gpu)}")
        if report.followed:
            show_downloads(console, report.home)
            line(console, f"  next: {_next(done.job, done.state)}")
        else:
            line(console, f"  next: logs {done.job} --follow, then pull {done.job}")
    if report.dry_run:
        for gpu in report.gpus:
            state = f"leased by {gpu.job}" if gpu.job else "busy" if gpu.busy else "free"
            line(console, f"GPU {gpu.index} of {report.host}: {gpu.name}: {state}")
        if report.gpu_problem:
            line(console, f"it needs a GPU, and {report.host} has none to give: {report.gpu_problem}", "red")


def show_preset(console: Console, report: PresetReport) -> None:
    """A preset in words."""
    console.print(Text(report.text), soft_wrap=True)


def _show_plan(console: Console, done: DispatchedJob) -> None:
    plan = done.plan
    whom = f" for {plan.actor}" if plan.actor else ""
    line(
        console, f"{plan.recipe}{whom} on {done.host}: {done.reason}" + (f": {done.job}" if done.job else "")
    )
    if plan.swept:
        line(console, f"  {', '.join(plan.swept)}", "bold")
    if plan.changes:
        table = new_table("setting", "last run", "this run", "meaning")
        for c in plan.changes:
            before, after = ("none" if value is None else str(value) for value in (c.before, c.after))
            table.add_row(cell(c.key), cell(before), cell(after), cell(c.meaning))
        console.print(table)
    for name, size in plan.files.items():
        line(console, f"would send {name} ({size_text(size)})")
    for link, target in plan.links:
        line(console, f"would link {link} -> {target}")
    for command in plan.commands:
        line(console, f"would run {command}")
    line(console, f"needs {plan.gpus} GPU" + ("" if plan.gpus == 1 else "s"))
    for note in plan.notes:
        line(console, f"note: {note}", "yellow")


def _next(job: str | None, state: str | None) -> str:
    if state == "succeeded":
        return f"pull {job}"
    return f"jobs --why {job}; logs {job}" + (f"; resume {job}" if state != "unknown" else "")
