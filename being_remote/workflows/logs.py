"""`logs JOB`: what a job wrote so far, or, followed, all it writes until its end is known."""

from __future__ import annotations

from dataclasses import dataclass

from being_remote.inventory import Inventory
from being_remote.jobs import logs as reading
from being_remote.jobs.follow import FollowedLogLine, Say, follow
from being_remote.jobs.forget import require_not_forgotten
from being_remote.jobs.job_status import exit_code_of
from being_remote.jobs.live_download import DownloadSummary
from being_remote.jobs.status_poll import look_at_job
from being_remote.jobs.take_over import find_job
from being_remote.pod.job_states import JobState
from being_remote.workflows.job_context import job_context


@dataclass(frozen=True)
class LogsReport:
    """How the job stands after its log; `lines` only where it was not followed, `home` only where it was.

    `empty`: there was no line to show.
    """

    job: str
    host: str
    attempt: int
    state: JobState
    reason: str
    payload_exit_code: int | None
    followed: bool
    lines: tuple[FollowedLogLine, ...]
    home: DownloadSummary | None = None
    empty: bool = False

    @property
    def exit_code(self) -> int:
        """The job's exit code if the log was followed, else 0."""
        return exit_code_of(self.state) if self.followed or self.state is JobState.UNKNOWN else 0


def logs(
    inventory: Inventory,
    job: str,
    *,
    follow_it: bool = False,
    start: reading.LogStart = reading.WHOLE,
    take_over: bool = False,
    say: Say | None = None,
) -> LogsReport:
    """Read the log of the current attempt.

    Args:
        job: an id, a unique beginning, or `last`.
        follow_it: continue until the job's end is known.
        start: leave out what was written before.
        take_over: the job may be in another laptop's ledger; it is written down here first.
        say: receives each line and each new state at once; without it the report carries the lines.

    Raises:
        NotFoundError: no such job, local or remote.
        HostError: no answer, or the host stayed away.
    """
    context = job_context(inventory)
    ledger = context.ledger
    ledger_job = find_job(context, job, "logs", take_over=take_over)
    require_not_forgotten(context, ledger_job)
    host = context.host_of(ledger_job)
    kept: list[FollowedLogLine] = []

    def keep(line: object) -> None:
        if isinstance(line, FollowedLogLine):
            kept.append(line)

    report, empty = say or keep, True
    with context.open_session(host.name) as session:
        if follow_it:
            followed = follow(context, session, host, ledger_job, report, start=start)
            row, home = followed.row, followed.home
        else:
            lines = reading.LogLines()
            folder = reading.attempt_folder(host.workdir, ledger_job.job, ledger_job.attempt)
            for item in reading.read(session, host.python, folder, start=start):
                found = lines.add(item) if isinstance(item, reading.LogChunk) else lines.rest()
                for line in found:
                    report(FollowedLogLine(line.text, line.offset, ledger_job.attempt))
                    empty = False
            row, home = look_at_job(ledger, session, host, ledger_job), None
    return LogsReport(
        job=row.job,
        host=row.host,
        attempt=ledger_job.attempt,
        state=row.state,
        reason=row.reason,
        payload_exit_code=row.exit_code,
        followed=follow_it,
        lines=tuple(kept),
        home=home,
        empty=empty and not follow_it,
    )
