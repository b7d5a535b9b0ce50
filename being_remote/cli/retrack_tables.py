"""What `retrack` prints on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from being_remote.cli.job_tables import next_step, show_downloads, show_move, state_style
from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.jobs.status_verdict import describe_state
from being_remote.wording import count_noun, size_words

if TYPE_CHECKING:  # rich takes megabytes
    from rich.console import Console

    from being_remote.jobs.dispatch import DispatchedJob
    from being_remote.workflows.presets import PresetReport
    from being_remote.workflows.retrack import RetrackReport


def show_retrack(console: Console, report: RetrackReport) -> None:
    """The submitted jobs; of a dry run the plans, with everything that may speak against them."""
    for job in report.jobs:
        if report.dry_run:
            _show_plan(console, job)
            continue
        # The notes serve the decision, which has been made where a job is followed or attached to.
        for note in job.plan.notes if not (job.adopted or report.followed) else ():
            prose(console, f"note: {note}", "yellow")
        what = "was submitted before" if job.adopted else "was submitted"
        if job.adopted and job.state is not None and job.state.started:
            what = "is already running"
        if report.followed:
            what = "was followed to its end"
            show_move(console, report.moved, dry_run=False)
        text = f"{job.job} on {job.host} {what}: {describe_state(job.state, job.reason)}"
        prose(console, text, state_style(job.state))
        if job.plan.swept:
            line(console, f"  {', '.join(job.plan.swept)}")
        if job.gpu:
            line(console, f"  GPU {', '.join(job.gpu)}")
        if report.followed:
            show_downloads(console, report.home)
        if job.job is not None and job.state is not None:
            has_gpu = bool(job.gpu) or job.plan.gpus == 0
            step = next_step(
                job.job,
                job.host,
                job.state,
                has_gpu=has_gpu,
                has_started=report.dry_run or job.exit_code is not None,
                has_results=report.has_results,
            )
            line(console, f"  next: {step}")
    if report.dry_run:
        for gpu in report.gpus:
            state = f"leased by {gpu.job}" if gpu.job else "busy" if gpu.busy else "free"
            state = f"broken: {gpu.broken}" if gpu.broken else state
            line(console, f"GPU {gpu.index} of {report.host}: {gpu.name}: {state}")
        if report.gpu_problem:
            line(console, f"no GPU for this job on {report.host}: {report.gpu_problem}", "red")
        for obstacle in report.obstacles:
            line(console, f"{report.host} would refuse it: {obstacle}", "red")


def show_preset(console: Console, report: PresetReport) -> None:
    """A preset in words."""
    from rich.text import Text

    console.print(Text(report.text), soft_wrap=True)


def _show_plan(console: Console, job: DispatchedJob) -> None:
    plan = job.plan
    actor = f" for {plan.actor}" if plan.actor else ""
    job_id = f": {job.job}" if job.job else ""
    line(console, f"{plan.recipe}{actor} on {job.host}: {job.reason}{job_id}")
    if plan.swept:
        line(console, f"  {', '.join(plan.swept)}", "bold")
    if job.adopted:
        return  # nothing of the plan would be done
    if plan.changes:
        table = new_table("setting", "last run", "this run", "meaning")
        for change in plan.changes:
            before, after = (
                "none" if value is None else str(value) for value in (change.before, change.after)
            )
            table.add_row(cell(change.key), cell(before), cell(after), cell(change.meaning))
        console.print(table)
    for name, size in plan.files.items():
        line(console, f"would upload {name} ({size_words(size)})")
    for link, target in plan.links:
        line(console, f"would link {link} -> {target}")
    for command in plan.commands:
        line(console, f"would run {command}")
    line(console, f"needs {count_noun(plan.gpus, 'GPU')}")
    for note in plan.notes:
        prose(console, f"note: {note}", "yellow")
