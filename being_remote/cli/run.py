"""The command `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from being_remote.cli.command import command
from being_remote.cli.options import (
    ActorOpt,
    DryRunOpt,
    FollowOpt,
    HostOpt,
    flag,
    option,
    parse_duration,
    parse_limit,
)
from being_remote.cli.output import Out


@command
def run(
    out: Out,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="CMD",
            help="the command and its words, after `--`; no shell sees them",
        ),
    ],
    host: HostOpt = None,
    actor: ActorOpt = None,
    inputs: Annotated[
        list[Path] | None,
        option("FILE", "a local file or folder to put into the job's folder; repeatable", "--input"),
    ] = None,
    cwd: Annotated[
        str | None, option("DIR", "folder on the host where it runs; default: the job's own, empty one")
    ] = None,
    env: Annotated[
        list[str] | None,
        option("NAME=VALUE", "an environment variable, stored with the job on the host; repeatable"),
    ] = None,
    gpus: Annotated[int | None, option("N", "GPUs that it needs; default: 1; 0: it sees none", min=0)] = None,
    wall: Annotated[str | None, option("TIME", "time limit: 90s, 20m or 8h; the job is ended then")] = None,
    wait_at_most: Annotated[
        str | None, option("TIME", "limit of the wait for a free GPU; default: none")
    ] = None,
    follow: FollowOpt = False,
    again: Annotated[bool, flag("--again", "run it again even if the same job runs or is done")] = False,
    force: Annotated[bool, flag("--force", "send the job also to a host that lacks what it needs")] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Run any command as a job on a host.

    It starts exactly once, survives a lost connection, and is looked after like a tracking: jobs, logs,
    cancel. `pull JOB --all` downloads the files that it leaves in its folder. {actor} in a word, in --cwd or
    in --env is the actor's name, {work} the job's folder on the host.
    """
    from being_remote.cli import follow_output, retrack_tables
    from being_remote.workflows.retrack import RetrackRequest
    from being_remote.workflows.run_command import run_command

    out.follows = follow
    around = RetrackRequest(
        host=host,
        actors=(actor,) if actor is not None else (),
        folder=cwd,
        env=env or (),
        inputs=inputs or (),
        gpus=gpus,
        wall_s=None if wall is None else parse_limit(wall),
        wait_s=None if wait_at_most is None else parse_duration(wait_at_most, "--wait-at-most"),
        again=again,
        force=force,
    )
    report = run_command(
        out.inventory(),
        words,
        around,
        follow_it=follow and not dry_run,
        dry_run=dry_run,
        say=follow_output.teller(out),
    )
    out.finish(report, retrack_tables.show_retrack)
