"""The commands that look after jobs: `jobs`, `logs`, `cancel`, `pull`, `resume` and `forget`."""

from __future__ import annotations

from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.completion import complete_host, complete_job
from being_remote.cli.options import (
    DryRunOpt,
    FollowOpt,
    HostsOpt,
    JobArg,
    OptionalJobArg,
    PodIsGoneOpt,
    TakeOverOpt,
    flag,
    option,
    parse_duration,
)
from being_remote.cli.output import Out
from being_remote.errors import UsageError


@command
def jobs(
    out: Out,
    host: HostsOpt = None,
    all_jobs: Annotated[bool, flag("--all", "also list jobs that ended long ago")] = False,
    why: Annotated[
        str | None, option("JOB", "show one job's history with its evidence", complete=complete_job)
    ] = None,
    forget: Annotated[
        bool, flag("--forget", "remove the remote folders of finished jobs whose results are local")
    ] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """List the jobs of all hosts.

    Asking for the status starts nothing.
    """
    from being_remote.cli import job_tables
    from being_remote.workflows import jobs as workflow

    if dry_run and not forget:
        raise UsageError("jobs changes nothing without --forget", where="--dry-run")
    if forget:
        from being_remote.cli import job_end_tables
        from being_remote.workflows.forget import forget_finished

        if why is not None or all_jobs:
            raise UsageError("takes neither --why nor --all", where="--forget")
        report = forget_finished(out.inventory(), hosts=host or (), dry_run=dry_run)
        out.finish(report, job_end_tables.show_forget)
    elif why is not None:
        out.finish(workflow.why(out.inventory(), why), job_tables.show_why)
    else:
        listed = workflow.jobs(out.inventory(), hosts=host or (), all_jobs=all_jobs)
        out.finish(listed, job_tables.show_jobs)


@command
def logs(
    out: Out,
    job: JobArg,
    follow: FollowOpt = False,
    tail: Annotated[int | None, option("N", "only the last N lines, then what follows them", min=0)] = None,
    since: Annotated[
        str | None,
        option("TIME", "only what was written in the last TIME (90s, 20m, 8h) and up to 10 s before it"),
    ] = None,
    take_over: TakeOverOpt = False,
) -> None:
    """Print a job's log, or follow it."""
    from being_remote.cli import follow_output
    from being_remote.jobs.logs import LogStart
    from being_remote.workflows import logs as workflow

    out.follows = follow
    say = None if out.as_json and not follow else follow_output.teller(out)
    start = LogStart(tail, None if since is None else parse_duration(since, "--since"))
    report = workflow.logs(out.inventory(), job, follow_it=follow, start=start, take_over=take_over, say=say)
    out.end(report, follow_output.tell_end)


@command
def cancel(
    out: Out,
    job: OptionalJobArg = None,
    host: Annotated[
        str | None,
        option(
            "HOST",
            "a host that the job moved away from; with --all: the host of the jobs",
            complete=complete_host,
        ),
    ] = None,
    all_jobs: Annotated[bool, flag("--all", "all jobs of the host, instead of JOB")] = False,
    pod_is_gone: PodIsGoneOpt = False,
    take_over: TakeOverOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Cancel a job and end its processes.

    A second cancel does no harm.
    """
    from being_remote.cli.job_end_tables import show_cancel, show_cancel_all
    from being_remote.workflows import cancel as workflow

    if (job is None) is not all_jobs or (all_jobs and take_over):
        raise UsageError("name a JOB, or give --all with --host", where="cancel", hint="jobs lists them")
    if job is None:
        every = workflow.cancel_all(out.inventory(), host=host, pod_is_gone=pod_is_gone, dry_run=dry_run)
        out.finish(every, show_cancel_all)
        return
    report = workflow.cancel(
        out.inventory(), job, host=host, pod_is_gone=pod_is_gone, take_over=take_over, dry_run=dry_run
    )
    out.finish(report, show_cancel)


@command
def pull(
    out: Out,
    job: OptionalJobArg = None,
    all_jobs: Annotated[bool, flag("--all-jobs", "the results of all jobs, instead of JOB")] = False,
    all_files: Annotated[
        bool, flag("--all", "also download checkpoints and everything else it made")
    ] = False,
    take_over: TakeOverOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Download a job's results, verified.

    These are the transformed intrinsics and camera files; the transform is checked by doing it again here.
    `last` is the newest job of a kind that has such results, or the newest of all; with --all the same one.
    """
    from being_remote.cli.job_end_tables import show_pull, show_pull_all
    from being_remote.workflows import pull as workflow

    if (job is None) is not all_jobs or (all_jobs and take_over):
        raise UsageError("name a JOB, or give --all-jobs alone", where="pull", hint="jobs lists them")
    inventory = out.inventory()
    if job is None:
        with out.progress() as on_progress:
            pulled = workflow.pull_all_jobs(
                inventory, all_files=all_files, dry_run=dry_run, on_progress=on_progress
            )
        out.finish(pulled, show_pull_all)
        return
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
            complete=complete_host,
        ),
    ] = None,
    all_jobs: Annotated[
        bool, flag("--all", "look after all jobs of --host again that nothing there looks after")
    ] = False,
    pod_is_gone: PodIsGoneOpt = False,
    take_over: TakeOverOpt = False,
    follow: FollowOpt = False,
    again: Annotated[bool, flag("--again", "also beside another laptop's job of the same settings")] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Start the next attempt of a job.

    The job must have ended. The new attempt continues from its last good checkpoints. A job that only lost
    its supervisor gets another one. A job that waits for a GPU on a host that restarted has not ended; it is
    started as it is, and with --all so are all of the host.
    """
    from being_remote.cli import follow_output, job_tables
    from being_remote.workflows import resume as workflow

    if all_jobs:
        if job is not None or pod_is_gone or take_over or follow or again:
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
        again=again,
        dry_run=dry_run,
        follow=follow_output.teller(out) if follow and not dry_run else None,
    )
    out.finish(report, job_tables.show_resume)


@command
def forget(
    out: Out,
    job: JobArg,
    discard_results: Annotated[
        bool, flag("--discard-results", "also where files of it are not local: they are lost")
    ] = False,
    take_over: TakeOverOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Remove a finished job's folder on its host.

    Its results must be local and verified. The job stays in the ledger, and its id never starts again.
    """
    from being_remote.cli.job_end_tables import show_forget
    from being_remote.workflows import forget as workflow

    report = workflow.forget(
        out.inventory(), job, discard_results=discard_results, take_over=take_over, dry_run=dry_run
    )
    out.finish(report, show_forget)
