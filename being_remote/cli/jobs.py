"""The commands that look after jobs: `jobs`, `logs`, `cancel`, `pull` and `resume`."""

from __future__ import annotations

from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.options import (
    DryRunOpt,
    FollowOpt,
    HostsOpt,
    JobArg,
    OptionalJobArg,
    TakeOverOpt,
    flag,
    option,
)
from being_remote.cli.output import Out
from being_remote.errors import UsageError


@command
def jobs(
    out: Out,
    host: HostsOpt = None,
    all_jobs: Annotated[bool, flag("--all", "also list jobs that ended long ago")] = False,
    why: Annotated[str | None, option("JOB", "show one job's history with its evidence")] = None,
) -> None:
    """List the jobs of all hosts.

    Asking for the status starts nothing.
    """
    from being_remote.cli import job_tables
    from being_remote.workflows import jobs as workflow

    if why is not None:
        out.finish(workflow.why(out.inventory(), why), job_tables.show_why)
    else:
        report = workflow.jobs(out.inventory(), hosts=host or (), all_jobs=all_jobs)
        out.finish(report, job_tables.show_jobs)


@command
def logs(out: Out, job: JobArg, follow: FollowOpt = False, take_over: TakeOverOpt = False) -> None:
    """Print a job's log, or follow it."""
    from being_remote.cli import follow_output
    from being_remote.workflows import logs as workflow

    out.follows = follow
    say = None if out.as_json and not follow else follow_output.teller(out)
    report = workflow.logs(out.inventory(), job, follow_it=follow, take_over=take_over, say=say)
    out.end(report, follow_output.tell_end)


@command
def cancel(
    out: Out,
    job: JobArg,
    host: Annotated[str | None, option("HOST", "a host that the job moved away from: end it there")] = None,
    take_over: TakeOverOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Cancel a job and end its processes.

    A second cancel does no harm.
    """
    from being_remote.cli.job_tables import show_cancel
    from being_remote.workflows import cancel as workflow

    report = workflow.cancel(out.inventory(), job, host=host, take_over=take_over, dry_run=dry_run)
    out.finish(report, show_cancel)


@command
def pull(
    out: Out,
    job: JobArg,
    all_files: Annotated[
        bool, flag("--all", "also download checkpoints and everything else it made")
    ] = False,
    take_over: TakeOverOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Download a job's results, verified.

    These are the transformed intrinsics and camera files; the transform is checked by doing it again here.
    """
    from being_remote.cli.job_tables import show_pull
    from being_remote.workflows import pull as workflow

    inventory = out.inventory()
    with out.progress() as on_progress:
        report = workflow.pull(
            inventory,
            job,
            all_files=all_files,
            take_over=take_over,
            dry_run=dry_run,
            on_progress=on_progress,
        )
    out.finish(report, show_pull)


@command
def resume(
    out: Out,
    job: OptionalJobArg = None,
    host: Annotated[
        str | None,
        option(
            "HOST",
            "continue on HOST from the local files; with --take-over or --all: the host that has the jobs",
        ),
    ] = None,
    all_jobs: Annotated[
        bool, flag("--all", "start all jobs of --host that wait and that nothing there will start")
    ] = False,
    pod_is_gone: Annotated[
        bool, flag("--pod-is-gone", "confirm that the pod is gone and abandon its attempt")
    ] = False,
    take_over: TakeOverOpt = False,
    follow: FollowOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Start the next attempt of a job.

    The job must have ended. The new attempt continues from its last good checkpoints. A job that waits for a
    GPU on a host that restarted has not ended; it is started as it is, and with --all so are all of the host.
    """
    from being_remote.cli import follow_output, job_tables
    from being_remote.workflows import resume as workflow

    if all_jobs:
        if job is not None or pod_is_gone or take_over or follow:
            raise UsageError("--all goes with --host only", hint="resume --all --host HOST")
        from being_remote.workflows.resume_all import resume_all

        queue = resume_all(out.inventory(), host=host, dry_run=dry_run)
        return out.finish(queue, job_tables.show_resume_all)
    if job is None:
        raise UsageError("which job?", hint="resume JOB, or resume --all --host HOST")
    out.follows = follow
    report = workflow.resume(
        out.inventory(),
        job,
        host=host,
        pod_is_gone=pod_is_gone,
        take_over=take_over,
        follow_it=follow and not dry_run,
        dry_run=dry_run,
        say=follow_output.teller(out),
    )
    out.finish(report, job_tables.show_resume)
