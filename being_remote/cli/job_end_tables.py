"""What `cancel`, `pull` and `forget` print of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from being_remote.cli.job_tables import state_style
from being_remote.cli.printing import cell, line, new_table, path_line, prose
from being_remote.cli.text import amount_text
from being_remote.wording import size_words

if TYPE_CHECKING:  # a command imports its own workflow, and need not import the others'; rich takes megabytes
    from rich.console import Console

    from being_remote.jobs.cancel import CancelAllReport, CancelReport
    from being_remote.workflows.forget import ForgetReport
    from being_remote.workflows.pull import PullAllReport, PullReport


def show_cancel(console: Console, report: CancelReport) -> None:
    """The job's state after the cancel."""
    before = "had already ended: " if report.was_ended else ""
    state = f"is {report.state}" if report.dry_run and not report.was_ended else report.state
    reason = "" if report.reason == report.state else f": {report.reason}"
    prose(console, f"{report.job} on {report.host}: {before}{state}{reason}", state_style(report.state))


def show_cancel_all(console: Console, report: CancelAllReport) -> None:
    """The same for each job."""
    for job in report.jobs:
        show_cancel(console, job)
    if not report.jobs:
        line(console, f"no job of this ledger is left on {report.host}")


def show_pull(console: Console, report: PullReport) -> None:
    """What was downloaded, and what was refused."""
    if not report.files:
        text = f"{report.job}: {report.state}: {report.reason}; nothing was downloaded"
        prose(console, text, state_style(report.state))
        line(console, f"  next: {_next_without_results(report)}")
        return
    amount = amount_text(report.files, report.bytes)
    if report.dry_run:
        line(console, f"{report.job}: would download up to {amount}")
    else:
        line(console, f"{report.job}: {amount}")
        moved = f"{amount_text(report.transferred_files, report.transferred_bytes)} downloaded now"
        path_line(console, f"local: {moved}, {report.verified} verified, in ", str(report.folder), "green")
    for output in report.outputs:
        line(console, f"  {output}")
    if report.quarantined:
        table = new_table("not kept", "why")
        for refused in report.quarantined:
            table.add_row(cell(refused.path), cell(refused.reason))
        console.print(table)


def _next_without_results(report: PullReport) -> str:
    return f"pull {report.job} --all for the files that it left; logs {report.job}; resume {report.job}"


def show_pull_all(console: Console, report: PullAllReport) -> None:
    """The same for each job that has results."""
    from being_remote.workflows.pull import NotPulled

    if not report.jobs:
        line(console, "no job has results")
    for job in report.jobs:
        if not isinstance(job, NotPulled):
            show_pull(console, job)
        else:
            what = "" if job.is_local else "not pulled: "
            prose(console, f"{job.job} on {job.host}: {what}{job.reason}", "" if job.is_local else "yellow")


def show_forget(console: Console, report: ForgetReport) -> None:
    """A line for each job, and what its removal freed."""
    if not report.jobs:
        line(console, "no finished jobs are left on the hosts")
    for job in report.jobs:
        freed = f" ({size_words(job.freed_bytes)})" if job.freed_bytes else ""
        kept = "" if job.forgotten else "kept: "
        line(
            console, f"{job.job} on {job.host}: {kept}{job.reason}{freed}", "" if job.forgotten else "yellow"
        )
