"""What `jobs`, `cancel`, `pull` and `resume` print on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from being_remote.cli.follow_output import frames_text, home_text
from being_remote.cli.printing import cell, line, new_table
from being_remote.cli.text import first_line, size_text

if TYPE_CHECKING:
    from being_remote.jobs.background_download import DownloadSummary
    from being_remote.jobs.job_status import JobStatus
    from being_remote.jobs.move import Move
    from being_remote.workflows.cancel import CancelReport
    from being_remote.workflows.jobs import JobsReport, WhyReport
    from being_remote.workflows.pull import PullReport
    from being_remote.workflows.resume import ResumeReport

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "red",
    "lost": "red",
    "abandoned": "red",
    "unknown": "yellow",
}
_SINCE = "since (UTC)"


def show_jobs(console: Console, report: JobsReport) -> None:
    """A row for each job, then the hosts that gave no answer."""
    table = new_table(
        "job", "host", "state", "frames", "exit", "GPU", _SINCE, "", unbroken=("job", "state", _SINCE)
    )
    for row in report.jobs:
        style = "yellow" if row.superseded else state_style(row.state)
        table.add_row(
            cell(row.job),
            cell(row.host),
            Text(row.state, style=style),
            cell(frames_text(row.frames_done, row.frames_total).strip()),
            "" if row.exit_code is None else str(row.exit_code),
            cell(", ".join(g.removeprefix("GPU-")[:8] for g in row.gpu)),
            (row.since or "")[5:16].replace("T", " "),
            cell(_why(row)),
        )
    if report.jobs:
        console.print(table)
    else:
        line(console, "no jobs")
    if report.hidden:
        line(console, f"{report.hidden} more have ended: --all shows them")
    for host in report.hosts:
        if host.error is not None:
            line(console, f"no answer from {first_line(host.error)}", "yellow")
        for problem in host.problems:
            line(console, f"{host.host}: jobs may be missing: {problem}", "yellow")


def show_why(console: Console, report: WhyReport) -> None:
    """Each step of a job with its time and what it rests on."""
    row = report.jobs[0]
    line(console, f"{row.job} on {row.host}, attempt {row.attempt}: {row.state}", state_style(row.state))
    if row.reason:
        line(console, f"  because {_why(row)}")
    table = new_table("when", "attempt", "state", "evidence", unbroken=("state",))
    for step in report.story:
        shown = {k: v for k, v in step.evidence.items() if v not in (None, [], "")}
        known = {k.replace("_", " "): v for k, v in shown.items() if k not in ("reason", "incarnation")}
        evidence = ", ".join(f"{k} {v}" for k, v in known.items())
        said = "; ".join(filter(None, (str(shown.get("reason", "")), evidence)))
        table.add_row(
            step.at or "", str(step.attempt), Text(step.state, style=state_style(step.state)), cell(said)
        )
    console.print(table)
    if report.error:
        line(console, f"no answer from {first_line(report.error)}", "yellow")


def show_cancel(console: Console, report: CancelReport) -> None:
    """What became of the job."""
    what = "had ended already: " if report.was_ended else ""
    would = report.dry_run and not report.was_ended
    state = f"is {report.state}, and would be cancelled" if would else report.state
    reason = "" if report.reason == report.state else f": {report.reason}"
    line(console, f"{report.job} on {report.host}: {what}{state}{reason}", state_style(report.state))


def show_pull(console: Console, report: PullReport) -> None:
    """What came home, and what was set aside."""
    if not report.files:
        line(
            console,
            f"{report.job}: {report.state}: {report.reason}; nothing was pulled",
            state_style(report.state),
        )
        return
    would = "would fetch up to" if report.dry_run else "holds"
    line(console, f"{report.job}: {would} {report.files} files, {size_text(report.bytes)}")
    if not report.dry_run:
        moved = f"{report.transferred_files} files, {size_text(report.transferred_bytes)} came now"
        line(console, f"home: {report.folder} ({moved}; {report.verified} verified)", "green")
    for output in report.outputs:
        line(console, f"  {output}")
    if report.quarantined:
        table = new_table("not taken", "why")
        for aside in report.quarantined:
            table.add_row(cell(aside.path), cell(aside.reason))
        console.print(table)


def show_resume(console: Console, report: ResumeReport) -> None:
    """The attempt that was made."""
    if report.dry_run:
        where = f" on {report.host}" if report.moved is not None else ""
        stands = f"{report.job} is {report.previous_state}"
        line(console, f"{stands}: attempt {report.attempt} would be made{where}")
        show_move(console, report.moved, dry_run=True)
        return
    show_move(console, report.moved, dry_run=False)
    text = f"{report.job} on {report.host}, attempt {report.attempt}: {report.state}: {report.reason}"
    line(console, text, state_style(report.state))
    show_downloads(console, report.home)


def show_move(console: Console, move: Move | None, *, dry_run: bool) -> None:
    if move is None:
        return
    sent = f"{move.transferred_files} of {move.files} files, {size_text(move.transferred_bytes)}"
    what = f"would be sent: {sent}" if dry_run else f"left {move.from_host}; sent: {sent}"
    line(console, f"  {what}; {move.frames_kept} frames need not be made again")
    for note in move.notes:
        line(console, f"  note: {note}", "yellow")


def show_downloads(console: Console, home: DownloadSummary | None) -> None:
    for text in home_text(home) if home is not None else ():
        line(console, f"  {text}", "yellow" if text.startswith("not ") else "")


def _why(row: JobStatus) -> str:
    if row.state == "unknown":
        return f"{row.reason} (last known: {row.last_known}, as of {row.as_of or 'never'})"
    return row.reason if row.ours else f"{row.reason} (another laptop's)"


def state_style(state: str | None) -> str:
    return STYLES.get(state or "", "")
