"""What `jobs`, `cancel`, `pull` and `resume` print on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from being_remote.cli.follow_output import download_lines, frames_text
from being_remote.cli.printing import cell, line, new_table, prose
from being_remote.cli.text import first_line, gpu_text, local_time, pace_text, printable
from being_remote.jobs.status_verdict import AT_WORK, describe_state
from being_remote.pod.job_states import JobState
from being_remote.wording import size_words

if TYPE_CHECKING:  # a command imports its own workflow, and need not import the others'; rich takes megabytes
    from rich.console import Console

    from being_remote.jobs.job_status import JobStatus
    from being_remote.jobs.live_download import DownloadSummary
    from being_remote.jobs.move import Move
    from being_remote.workflows.jobs import JobsReport, WhyReport
    from being_remote.workflows.resume import ResumeReport
    from being_remote.workflows.resume_all import ResumeAllReport

_GPU = "GPU"
_SINCE = "since"
_COLUMNS = ("job", "host", "state", "frames", "exit", _GPU, _SINCE)
_ALWAYS = ("job", "host", "state", _SINCE)
# With less room beside the rest, a reason is printed beneath.
_REASON_LETTERS = 40
# What only programs can read.
_UNREADABLE = ("reason", "incarnation", "intent", "from_spec_sha256")


def show_jobs(console: Console, report: JobsReport) -> None:
    """A row for each job, then the hosts that did not answer."""
    if report.jobs:
        _print_jobs(console, report.jobs)
    else:
        line(console, "no jobs")
    if report.hidden:
        line(console, f"{report.hidden} more have ended; to list them: jobs --all")
    for host in report.hosts:
        if host.error is not None:
            prose(console, f"no answer from {first_line(host.error)}", "yellow")
        for problem in host.problems:
            line(console, f"{host.host}: jobs may be missing: {problem}", "yellow")


def _print_jobs(console: Console, jobs: Sequence[JobStatus]) -> None:
    """A line for each job, with its reason beside it, or beneath it on a narrow terminal."""
    from rich.cells import cell_len

    rows = [_job_cells(job) for job in jobs]
    filled = [name for name in _COLUMNS if name in _ALWAYS or any(row[name] for row in rows)]
    widths = {name: max(map(cell_len, (name, *(row[name] for row in rows)))) for name in filled}
    if console.width - sum(width + 2 for width in widths.values()) >= _REASON_LETTERS:
        table = new_table(*filled, "", unbroken=tuple(filled))
        for job, row in zip(jobs, rows, strict=True):
            cells = [cell(row[name], _style(job) if name == "state" else "") for name in filled]
            table.add_row(*cells, cell(_why(job)))
        console.print(table)
        return

    def print_cells(cells: Mapping[str, str], style: str) -> None:
        padded = (
            cells[name] + " " * (widths[name] - cell_len(cells[name])) for name in filled if name != _GPU
        )
        line(console, "  ".join(padded).rstrip(), style)

    print_cells({name: name for name in filled}, "bold")
    for job, row in zip(jobs, rows, strict=True):
        print_cells(row, _style(job))
        beneath = "; ".join(filter(None, (f"GPU {row[_GPU]}" if row[_GPU] else "", _why(job))))
        if beneath:
            prose(console, f"  {beneath}")


def _job_cells(job: JobStatus) -> dict[str, str]:
    return {
        "job": printable(job.job),
        "host": printable(job.host),
        "state": job.state,
        "frames": frames_text(job.done, job.total).strip(),
        "exit": "" if job.exit_code is None else str(job.exit_code),
        _GPU: printable(", ".join(gpu.removeprefix("GPU-")[:8] for gpu in job.gpu)),
        _SINCE: local_time(job.since),
    }


def _style(job: JobStatus) -> str:
    return "yellow" if job.superseded else state_style(job.state)


def show_why(console: Console, report: WhyReport) -> None:
    """The job's history: each state with its time and its evidence."""
    job = report.jobs[0]
    line(console, f"{job.job} on {job.host}, attempt {job.attempt}: {job.state}", state_style(job.state))
    if _why(job):
        prose(console, f"  because {_why(job)}")
    table = new_table("when", "attempt", "state", "evidence", unbroken=("state",))
    for step in report.story:
        shown = {k: v for k, v in step.evidence.items() if v not in (None, [], "")}
        facts = [f"{k.replace('_', ' ')} {v}" for k, v in shown.items() if k not in _UNREADABLE]
        evidence = "; ".join(filter(None, (str(shown.get("reason", "")), ", ".join(facts))))
        state = cell(step.state, state_style(step.state))
        table.add_row(local_time(step.at), str(step.attempt), state, cell(evidence))
    console.print(table)
    if report.error:
        prose(console, f"no answer from {first_line(report.error)}", "yellow")


def show_resume(console: Console, report: ResumeReport) -> None:
    """The new attempt."""
    if report.dry_run:
        where = f" on {report.host}" if report.moved is not None else ""
        state = f"{report.job} is {report.previous_state}"
        line(console, f"{state}: would start attempt {report.attempt}{where}")
        show_move(console, report.moved, dry_run=True)
        return
    show_move(console, report.moved, dry_run=False)
    state = describe_state(report.state, report.reason)
    text = f"{report.job} on {report.host}, attempt {report.attempt}: {state}"
    prose(console, text, state_style(report.state))
    show_downloads(console, report.home)
    step = next_step(report.job, report.host, report.state, has_results=report.has_results)
    line(console, f"  next: {step}")


def show_resume_all(console: Console, report: ResumeAllReport) -> None:
    """The jobs of a host that wait again, run again under a supervisor, or were judged."""
    for job in report.jobs:
        again = "be submitted again" if job.is_unattended else "get another supervisor"
        would = f"would {again}: " if report.dry_run else ""
        prose(console, f"{job.job} on {job.host}: {would}{job.state}: {job.reason}", state_style(job.state))
    if not report.jobs and not report.others:
        line(console, f"{report.host}: every job there is looked after")
    if report.others:
        prose(console, f"  {report.others} of other laptops have to be; resume them from there", "yellow")


def show_move(console: Console, move: Move | None, *, dry_run: bool) -> None:
    """What was uploaded for a job that continues on another host."""
    if move is None:
        return
    amount = f"{move.transferred_files} of {move.files} files, {size_words(move.transferred_bytes)}"
    what = f"would upload {amount}" if dry_run else f"moved from {move.from_host}; uploaded {amount}"
    line(console, f"  {what}; {move.frames_kept} frames are kept")
    for note in move.notes:
        prose(console, f"  note: {note}", "yellow")


def show_downloads(console: Console, downloads: DownloadSummary | None) -> None:
    """What following a job downloaded."""
    for text in download_lines(downloads) if downloads is not None else ():
        line(console, f"  {text}", "yellow" if text.startswith("not ") else "")


def next_step(
    job: str,
    host: str,
    state: JobState,
    *,
    has_gpu: bool = True,
    has_started: bool = True,
    has_results: bool = True,
) -> str:
    """What to do about a job in this state.

    Args:
        has_gpu: a GPU was leased, or none was needed; a job that fails without one has no log.
        has_started: one of its programs did; a job that fails before has no log either.
        has_results: its recipe names results; else it takes --all to pull what it made.

    Example:
        >>> next_step("demo-1", "a100", JobState.SUCCEEDED)
        'pull demo-1'
        >>> next_step("demo-1", "a100", JobState.FAILED)
        'jobs --why demo-1; logs demo-1; resume demo-1'
    """
    pull = f"pull {job}" if has_results else f"pull {job} --all"
    if state is JobState.SUCCEEDED:
        return pull
    if state is JobState.UNKNOWN:
        return f"jobs --why {job}; logs {job}"
    if state is JobState.FAILED and has_gpu and not has_started:
        return f"jobs --why {job}; then another command; or install what {host} lacks, and resume {job}"
    if state is JobState.FAILED and not has_gpu:
        return f"jobs --why {job}; doctor --host {host}; then resume {job}, or resume {job} --host OTHER"
    if state.ended_badly:
        return f"jobs --why {job}; logs {job}; resume {job}"
    if state in (JobState.CREATED, JobState.SUBMITTED):
        return f"jobs --why {job}; the same command again starts it"
    return f"logs {job} --follow, then {pull}"


def state_style(state: JobState | None) -> str:
    if state is None:
        return ""
    colours = {JobState.SUCCEEDED: "green", JobState.UNKNOWN: "yellow"}
    return "red" if state.ended_badly else colours.get(state, "")


def _why(job: JobStatus) -> str:
    """The reason of a job's state; "" where it says nothing more than the state."""
    if job.ours and job.reason == job.state:
        return ""
    if job.state is JobState.UNKNOWN:
        as_of = f", as of {job.as_of}" if job.as_of is not None else ""
        return f"{job.reason} (last known: {job.last_known}{as_of})"
    facts = [pace_text(job.frames_per_minute, job.seconds_left), *map(gpu_text, job.gpus)]
    # That it runs is said by its state.
    facts.append("" if job.reason == AT_WORK else job.reason)
    if not job.ours:
        facts.append("another laptop's job; with --take-over it is yours")
    return "; ".join(filter(None, facts))
