"""What a person sees of jobs. Every text from a host goes through `printable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from being_remote.cli.follow_output import frames_text, home_text
from being_remote.cli.text import first_line, printable, size_text

if TYPE_CHECKING:
    from being_remote.jobs.background_download import DownloadSummary
    from being_remote.jobs.dispatch import DispatchedJob
    from being_remote.jobs.job_status import JobStatus
    from being_remote.jobs.move import Move
    from being_remote.workflows.cancel import CancelReport
    from being_remote.workflows.jobs import JobsReport, WhyReport
    from being_remote.workflows.presets import PresetReport
    from being_remote.workflows.pull import PullReport
    from being_remote.workflows.resume import ResumeReport
    from being_remote.workflows.retrack import RetrackReport

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "red",
    "lost": "red",
    "abandoned": "red",
    "unknown": "yellow",
}
_SINCE = "since (UTC)"


def show_retrack(console: Console, report: RetrackReport) -> None:
    """What was dispatched, or in a dry run what would be, with all that a person may want to stop."""
    for done in report.jobs:
        if report.dry_run:
            _show_plan(console, done)
            continue
        # Whoever followed has decided; `--dry-run` and `--show-preset` are for those who weigh.
        for note in done.plan.notes if not (done.adopted or report.followed) else ():
            _line(console, f"note: {note}", "yellow")
        what = "is already at it" if done.adopted else "was dispatched"
        if report.followed:
            what = "was followed to its end"
            _show_move(console, report.moved, dry_run=False)
        _line(console, f"{done.job} on {done.host} {what}: {done.state}: {done.reason}", _style(done.state))
        if done.plan.swept:
            _line(console, f"  {', '.join(done.plan.swept)}")
        if done.gpu:
            _line(console, f"  GPU {', '.join(done.gpu)}")
        if report.followed:
            _show_home(console, report.home)
            _line(console, f"  next: {_next(done.job, done.state)}")
        else:
            _line(console, f"  next: logs {done.job} --follow, then pull {done.job}")
    if report.dry_run:
        for gpu in report.gpus:
            state = f"leased by {gpu.job}" if gpu.job else "busy" if gpu.busy else "free"
            _line(console, f"GPU {gpu.index} of {report.host}: {gpu.name}: {state}")
        if report.gpu_problem:
            _line(console, f"it needs a GPU, and {report.host} has none to give: {report.gpu_problem}", "red")


def show_jobs(console: Console, report: JobsReport) -> None:
    """A row for each job, then the hosts that gave no answer."""
    table = _table("job", "host", "state", "frames", "exit", "GPU", _SINCE, "")
    for row in report.jobs:
        style = "yellow" if row.superseded else _style(row.state)
        table.add_row(
            _text(row.job),
            _text(row.host),
            Text(row.state, style=style),
            _text(frames_text(row.frames_done, row.frames_total).strip()),
            "" if row.exit_code is None else str(row.exit_code),
            _text(", ".join(g.removeprefix("GPU-")[:8] for g in row.gpu)),
            (row.since or "")[5:16].replace("T", " "),
            _text(_why(row)),
        )
    if report.jobs:
        console.print(table)
    else:
        _line(console, "no jobs")
    if report.hidden:
        _line(console, f"{report.hidden} more have ended: --all shows them")
    for host in report.hosts:
        if host.error is not None:
            _line(console, f"no answer from {first_line(host.error)}", "yellow")
        for problem in host.problems:
            _line(console, f"{host.host}: jobs may be missing: {problem}", "yellow")


def show_why(console: Console, report: WhyReport) -> None:
    """Each step of a job with its time and what it rests on."""
    row = report.jobs[0]
    _line(console, f"{row.job} on {row.host}, attempt {row.attempt}: {row.state}", _style(row.state))
    if row.reason:
        _line(console, f"  because {_why(row)}")
    table = _table("when", "attempt", "state", "evidence")
    for step in report.story:
        shown = {k: v for k, v in step.evidence.items() if v not in (None, [], "")}
        known = {k.replace("_", " "): v for k, v in shown.items() if k not in ("reason", "incarnation")}
        evidence = ", ".join(f"{k} {v}" for k, v in known.items())
        said = "; ".join(filter(None, (str(shown.get("reason", "")), evidence)))
        table.add_row(
            step.at or "", str(step.attempt), Text(step.state, style=_style(step.state)), _text(said)
        )
    console.print(table)
    if report.error:
        _line(console, f"no answer from {first_line(report.error)}", "yellow")


def show_cancel(console: Console, report: CancelReport) -> None:
    """What became of the job."""
    what = "had ended already: " if report.was_ended else ""
    would = report.dry_run and not report.was_ended
    state = f"is {report.state}, and would be cancelled" if would else report.state
    reason = "" if report.reason == report.state else f": {report.reason}"
    _line(console, f"{report.job} on {report.host}: {what}{state}{reason}", _style(report.state))


def show_pull(console: Console, report: PullReport) -> None:
    """What came home, and what was set aside."""
    if not report.files:
        _line(
            console,
            f"{report.job}: {report.state}: {report.reason}; nothing was pulled",
            _style(report.state),
        )
        return
    would = "would fetch up to" if report.dry_run else "holds"
    _line(console, f"{report.job}: {would} {report.files} files, {size_text(report.bytes)}")
    if not report.dry_run:
        moved = f"{report.transferred_files} files, {size_text(report.transferred_bytes)} came now"
        _line(console, f"home: {report.folder} ({moved}; {report.verified} verified)", "green")
    for output in report.outputs:
        _line(console, f"  {output}")
    if report.quarantined:
        table = _table("not taken", "why")
        for aside in report.quarantined:
            table.add_row(_text(aside.path), _text(aside.reason))
        console.print(table)


def show_resume(console: Console, report: ResumeReport) -> None:
    """The attempt that was made."""
    if report.dry_run:
        where = f" on {report.host}" if report.moved is not None else ""
        stands = f"{report.job} is {report.previous_state}"
        _line(console, f"{stands}: attempt {report.attempt} would be made{where}")
        _show_move(console, report.moved, dry_run=True)
        return
    _show_move(console, report.moved, dry_run=False)
    text = f"{report.job} on {report.host}, attempt {report.attempt}: {report.state}: {report.reason}"
    _line(console, text, _style(report.state))
    _show_home(console, report.home)


def show_preset(console: Console, report: PresetReport) -> None:
    """A preset in words."""
    console.print(Text(report.text), soft_wrap=True)


def _show_move(console: Console, move: Move | None, *, dry_run: bool) -> None:
    if move is None:
        return
    sent = f"{move.transferred_files} of {move.files} files, {size_text(move.transferred_bytes)}"
    what = f"would be sent: {sent}" if dry_run else f"left {move.from_host}; sent: {sent}"
    _line(console, f"  {what}; {move.frames_kept} frames need not be made again")
    for note in move.notes:
        _line(console, f"  note: {note}", "yellow")


def _show_home(console: Console, home: DownloadSummary | None) -> None:
    for text in home_text(home) if home is not None else ():
        _line(console, f"  {text}", "yellow" if text.startswith("not ") else "")


def _show_plan(console: Console, done: DispatchedJob) -> None:
    plan = done.plan
    whom = f" for {plan.actor}" if plan.actor else ""
    _line(
        console, f"{plan.recipe}{whom} on {done.host}: {done.reason}" + (f": {done.job}" if done.job else "")
    )
    if plan.swept:
        _line(console, f"  {', '.join(plan.swept)}", "bold")
    if plan.changes:
        table = _table("setting", "last run", "this run", "meaning")
        for c in plan.changes:
            before, after = ("none" if value is None else str(value) for value in (c.before, c.after))
            table.add_row(_text(c.key), _text(before), _text(after), _text(c.meaning))
        console.print(table)
    for name, size in plan.files.items():
        _line(console, f"would send {name} ({size_text(size)})")
    for link, target in plan.links:
        _line(console, f"would link {link} -> {target}")
    for command in plan.commands:
        _line(console, f"would run {command}")
    _line(console, f"needs {plan.gpus} GPU" + ("" if plan.gpus == 1 else "s"))
    for note in plan.notes:
        _line(console, f"note: {note}", "yellow")


def _next(job: str | None, state: str | None) -> str:
    if state == "succeeded":
        return f"pull {job}"
    return f"jobs --why {job}; logs {job}" + (f"; resume {job}" if state != "unknown" else "")


def _why(row: JobStatus) -> str:
    if row.state == "unknown":
        return f"{row.reason} (last known: {row.last_known}, as of {row.as_of or 'never'})"
    return row.reason if row.ours else f"{row.reason} (another laptop's)"


def _style(state: str | None) -> str:
    return STYLES.get(state or "", "")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        # An id that is broken over two lines cannot be copied.
        table.add_column(column, overflow="fold", no_wrap=column in ("job", "state", _SINCE))
    return table


def _text(text: str) -> Text:
    return Text(printable(text))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text), style=style), soft_wrap=True)
