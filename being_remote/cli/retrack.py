"""The command `retrack`."""

from __future__ import annotations

from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.completion import complete_host, complete_preset, complete_recipe
from being_remote.cli.options import (
    ActorsOpt,
    DryRunOpt,
    FollowOpt,
    HostOpt,
    flag,
    option,
    parse_duration,
    parse_limit,
    parse_seconds,
)
from being_remote.cli.output import Out
from being_remote.errors import UsageError

RecipeOpt = Annotated[
    str,
    option("NAME", "metrical-tracker or command; default: metrical-tracker", complete=complete_recipe),
]
FailoverOpt = Annotated[
    str | None,
    option(
        "HOST",
        "follow the job and move it to HOST if its own host stops answering; you may pay twice",
        complete=complete_host,
    ),
]
ShowPresetOpt = Annotated[
    str | None,
    option("NAME", "only explain a preset; with --host for its checkout", complete=complete_preset),
]


@command
def retrack(
    out: Out,
    host: HostOpt = None,
    actor: ActorsOpt = None,
    preset: Annotated[
        str | None, option("NAME", "named settings; see --show-preset", complete=complete_preset)
    ] = None,
    sets: Annotated[
        list[str] | None, option("K=V", "one setting, its value in YAML; repeatable", "--set")
    ] = None,
    sweep: Annotated[
        list[str] | None, option("K=[V, ...]", "one job for each value; repeat to combine")
    ] = None,
    recipe: RecipeOpt = "metrical-tracker",
    command: Annotated[str | None, option("WORDS", "what --recipe command runs; without a shell")] = None,
    gpus: Annotated[int | None, option("N", "number of GPUs that a job needs; default: 1", min=0)] = None,
    wall: Annotated[str | None, option("TIME", "time limit: 90s, 20m or 8h; the job is ended then")] = None,
    wall_s: Annotated[str | None, option("SECONDS", "the same as --wall", hidden=True)] = None,
    wait_at_most: Annotated[
        str | None, option("TIME", "limit of the wait for a free GPU; default: none")
    ] = None,
    follow: FollowOpt = False,
    failover: FailoverOpt = None,
    after: Annotated[str | None, option("TIME", "silence before --failover moves; default: 20m")] = None,
    again: Annotated[
        bool, flag("--again", "make another job even if the same one is running or done")
    ] = False,
    force: Annotated[bool, flag("--force", "send the job also to a host that lacks what it needs")] = False,
    show_preset: ShowPresetOpt = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Track an actor again, as a job on a host.

    The job starts exactly once. The same command again attaches to a job that is running, and makes no
    other one of a job that is done. A host that cannot run it is sent nothing.
    """
    from being_remote.cli import follow_output, retrack_tables
    from being_remote.workflows import presets
    from being_remote.workflows import retrack as workflow

    follow = out.follows = follow or failover is not None
    if after is not None and failover is None:
        raise UsageError("--after says how long --failover waits", where="--after")
    if show_preset is not None:
        inventory = out.inventory() if host is not None else None
        out.finish(presets.show(show_preset, inventory, host), retrack_tables.show_preset)
        return
    if wall is not None and wall_s is not None:
        raise UsageError("--wall and --wall-s say the same", where="--wall-s")
    report = workflow.retrack(
        out.inventory(),
        workflow.RetrackRequest(
            host=host,
            actors=actor or (),
            recipe=recipe,
            preset=preset,
            sets=sets or (),
            sweeps=sweep or (),
            command=command,
            gpus=gpus,
            wall_s=_read_limit(wall, wall_s),
            wait_s=parse_duration(wait_at_most, "--wait-at-most") if wait_at_most is not None else None,
            again=again,
            force=force,
        ),
        follow_it=follow and not dry_run,
        failover=failover,
        after_s=parse_duration(after or "20m", "--after"),
        dry_run=dry_run,
        say=follow_output.teller(out),
    )
    out.finish(report, retrack_tables.show_retrack)


def _read_limit(wall: str | None, wall_s: str | None) -> float | None:
    if wall is not None:
        return parse_limit(wall)
    return None if wall_s is None else parse_seconds(wall_s, "--wall-s")
