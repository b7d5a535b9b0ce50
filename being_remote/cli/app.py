"""The Typer app: every command parses, calls one workflow, and shows what it returned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from being_remote.cli.interruption_notes import begin
from being_remote.cli.options import (
    ActorOpt,
    DryRunOpt,
    FollowOpt,
    HostOpt,
    HostsOpt,
    InventoryOpt,
    JobArg,
    JsonOpt,
    TrustInventoryOpt,
    VerboseOpt,
    one_alone,
    parse_box_text,
    parse_canvas,
    parse_duration,
    parse_size,
)
from being_remote.cli.output import Out
from being_remote.errors import UsageError

# Plain help: drawing it with rich would cost more than all the rest of the start-up.
app = typer.Typer(
    name="being-remote",
    help="Find the face crop, bring checkpoints home, recover the camera of the original video.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        from being_remote import __version__

        print(f"being-remote {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    begin(context.invoked_subcommand)


@app.command("find-bbox")
def find_bbox(
    actor: ActorOpt = None,
    host: HostsOpt = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="download the best one to the actor's backup, never over a different one"
        ),
    ] = False,
    search_time: Annotated[
        str | None,
        typer.Option(
            "--search-time", metavar="TIME", help="how long each host may be searched: 90s, 10m; default: 30s"
        ),
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Is bbox.pt still anywhere? Searches the hosts and this laptop."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.tables import show_find_bbox
        from being_remote.workflows import find_bbox as workflow

        search_time_s = None if search_time is None else parse_duration(search_time, "--search-time")
        known = out.inventory(inventory, trust_inventory)
        with out.progress() as on_progress:
            report = workflow.find_bbox(
                known,
                actor=actor,
                hosts=host or (),
                fetch=fetch,
                search_time_s=search_time_s,
                dry_run=dry_run,
                on_progress=on_progress,
            )
        out.finish(report, show_find_bbox)


@app.command("sync")
def sync(
    actor: ActorOpt = None,
    host: HostOpt = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="KIND",
            help="checkpoints, bbox, identity, configs, kpt, meshes, crops, logs or sources (the video and"
            " source/; only when asked for); repeat for several",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="read everything again, here and there; repair what rotted here")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="go on until Ctrl-C: what is new comes home every few seconds")
    ] = False,
    every: Annotated[
        float | None, typer.Option("--every", metavar="S", min=1, help="seconds from look to look: 5")
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="only tell the generations that are here, asking no host")
    ] = False,
    restore: Annotated[
        int | None,
        typer.Option("--restore", metavar="N", min=0, help="make generation N live again, as a new one"),
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option("--prune", metavar="keep=N", help="remove all but the newest N generations"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="prune though the newest generation lost most frames")
    ] = False,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Bring an actor's checkpoints home, checked, losing nothing."""
    asked = {"--list": list_all, "--restore": restore is not None, "--prune": prune is not None}
    others = {"--host": host is not None, "--only": bool(only), "--verify": verify, "--watch": watch}
    others["--every"] = every is not None
    with Out(as_json=as_json):
        if force and prune is None:
            raise UsageError("--force goes with --prune only", where="sync")
        history_only = one_alone(asked, others)
    if history_only:
        from being_remote.cli.snapshot_tables import run_history

        return run_history(
            actor=actor,
            restore=restore,
            prune=prune,
            force=force,
            dry_run=dry_run,
            inventory=inventory,
            trust_inventory=trust_inventory,
            as_json=as_json,
            verbose=verbose,
        )
    if watch or every is not None:
        from being_remote.cli.watch_output import run_watch

        with Out(as_json=as_json, verbose=verbose, follows=True) as out:
            if not watch:
                raise UsageError("--every says how often --watch looks", where="sync")
            if verify or dry_run:
                raise UsageError("--watch goes with none of --verify and --dry-run", where="sync")
            run_watch(out, out.inventory(inventory, trust_inventory), actor, host, only or (), every)
        return
    with Out(as_json=as_json, verbose=verbose) as out, out.progress() as on_progress:
        from being_remote.workflows import sync as workflow

        report = workflow.sync(
            out.inventory(inventory, trust_inventory),
            actor=actor,
            host=host,
            only=only or (),
            dry_run=dry_run,
            verify=verify,
            on_progress=on_progress,
        )
    with Out(as_json=as_json) as out:
        from being_remote.cli.tables import show_sync

        out.finish(report, show_sync)


@app.command("recover")
def recover(
    actor: ActorOpt = None,
    run: Annotated[
        str | None, typer.Option("--run", help="a folder of .frame files, an actor's name, or a job")
    ] = None,
    source_size: Annotated[
        str | None, typer.Option("--source-size", metavar="WxH", help="width x height of the original video")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option("--video", metavar="FILE", help="the original video, or its folder of frames"),
    ] = None,
    bbox: Annotated[
        Path | None,
        typer.Option("--bbox", metavar="FILE", help="a bbox.pt from elsewhere, or a .npy in the same order"),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="X0,X1,Y0,Y1", help="the crop box itself: x_min,x_max,y_min,y_max"),
    ] = None,
    from_images: Annotated[
        Path | None,
        typer.Option(
            "--from-images",
            metavar="SRC",
            help="find the crop without bbox.pt, by the run's stored crops: SRC is the original video or"
            " its folder of frames",
        ),
    ] = None,
    from_landmarks: Annotated[
        Path | None,
        typer.Option(
            "--from-landmarks",
            metavar="SRC",
            help="the same by the run's stored landmarks: SRC is the original video, its frames, or a folder"
            " of landmarks found there (.npy, numbered like source/)",
        ),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="do not compare the box with stored crops and the video")
    ] = False,
    export: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="NAME",
            help="json, npz, nerfstudio, colmap, insta, gaussian-avatars, gaussiantalker or flashavatar;"
            " repeat for several; default: all that need nothing more",
        ),
    ] = None,
    canvas: Annotated[
        str | None,
        typer.Option(
            "--canvas",
            metavar="crop|WxH",
            help="the trainers' picture: the tracker's own crop, or a window around the principal point",
        ),
    ] = None,
    allow_off_centre: Annotated[
        bool,
        typer.Option(
            "--allow-off-centre", help="also write a camera whose trainer ignores its principal point"
        ),
    ] = False,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="make the trainers' pictures, too; goes on where it stopped")
    ] = False,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="K=V",
            help="foretell the crop with another setting, and write nothing; repeat for several",
        ),
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="default: recovered/RUN in this folder")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="move an output folder that holds another run aside")
    ] = False,
    write_bbox: Annotated[
        bool, typer.Option("--write-bbox", help="store the crop that was found as the run's bbox.pt")
    ] = False,
    plot: Annotated[bool, typer.Option("--plot", help="the report's drawings as PNG files, too")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="show the guide's answer beside the right one, with its error")
    ] = False,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """The original video's camera: a picture, a page, files for trainers."""
    with Out(as_json=as_json, verbose=verbose) as out, out.progress() as on_progress:
        from being_remote.errors import InventoryError
        from being_remote.workflows import recover as workflow

        try:
            known = out.inventory(inventory, trust_inventory)
        except InventoryError:
            # A run named by its folder needs no inventory; one named on the command line must be right.
            if run is None or inventory is not None:
                raise
            known = None
        report = workflow.recover(
            known,
            workflow.RunChoice(run, actor),
            workflow.EvidenceChoice(
                source_size=parse_size(source_size),
                video=video,
                bbox=bbox,
                box=parse_box_text(box),
                from_images=from_images,
                from_landmarks=from_landmarks,
                check=not no_check,
            ),
            workflow.OutputChoice(
                exports=export or (),
                canvas=parse_canvas(canvas),
                allow_off_centre=allow_off_centre,
                with_images=with_images,
                out=out_dir,
                force=force,
                write_bbox=write_bbox,
                plot=plot,
                what_if=what_if or (),
                explain=explain,
                dry_run=dry_run,
            ),
            on_progress=on_progress,
        )
    with Out(as_json=as_json) as out:
        from being_remote.cli.recover_tables import show_recover

        out.finish(report, show_recover)


@app.command("analyze")
def analyze(
    frame: Annotated[Path, typer.Argument(metavar="FRAME", help="one .frame file")],
    source_size: Annotated[
        str | None, typer.Option("--source-size", metavar="WxH", help="width x height of the original video")
    ] = None,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """What is in one .frame, in words, and what is wrong with it."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.run_tables import show_analyze
        from being_remote.workflows import analyze as workflow

        size = parse_size(source_size)
        out.finish(workflow.analyze(frame.expanduser(), source_size=size), show_analyze)


@app.command("compare")
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a run's folder, an actor, a job, or a .yml")],
    b: Annotated[str, typer.Argument(metavar="B", help="the same; it is told how B differs from A")],
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png", help="draw both runs' parameters")
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Two runs or settings side by side: what differs, what it means."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.run_tables import show_compare
        from being_remote.errors import InventoryError
        from being_remote.workflows import compare as workflow

        try:
            known = out.inventory(inventory, trust_inventory)
        except InventoryError:
            # Folders and files need none; one named on the command line must be right.
            if inventory is not None:
                raise
            known = None
        report = workflow.compare(known, a, b, plot=plot and plot.expanduser(), dry_run=dry_run)
        out.finish(report, show_compare)


@app.command("hosts")
def hosts(
    host: HostsOpt = None,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Which hosts can be reached, and which are trusted."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.tables import show_hosts
        from being_remote.workflows import hosts as workflow

        out.finish(workflow.hosts(out.inventory(inventory, trust_inventory), host or ()), show_hosts)


@app.command("doctor")
def doctor(
    host: HostsOpt = None,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """What is missing on the hosts and on this laptop."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.tables import show_doctor
        from being_remote.workflows import doctor as workflow

        out.finish(workflow.doctor(out.inventory(inventory, trust_inventory), host or ()), show_doctor)


@app.command("trust")
def trust(
    host: Annotated[str, typer.Option("--host", help="whose host key to trust")],
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="SHA256:...", help="trust exactly this key")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="trust a first key without asking; never replaces one")
    ] = False,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Look at a host's key and remember it. Once for each pod."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.tables import show_trust
        from being_remote.workflows import trust as workflow

        report = workflow.trust(
            out.inventory(inventory, trust_inventory),
            host=host,
            fingerprint=fingerprint,
            yes=yes,
            confirm=out.ask,
            dry_run=dry_run,
        )
        out.finish(report, show_trust)


@app.command("retrack")
def retrack(
    host: HostOpt = None,
    actor: Annotated[
        list[str] | None, typer.Option("--actor", help="repeat for several; default: the only one")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="NAME", help="named settings; see --show-preset")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="one setting, its value in YAML; repeat for several"),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="K=[V, ...]", help="a job for each value; repeat to combine"),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="metrical-tracker or command")
    ] = "metrical-tracker",
    command: Annotated[
        str | None, typer.Option("--command", metavar="WORDS", help="what --recipe command runs; no shell")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=0, help="how many it needs; default: one")] = None,
    wall_s: Annotated[
        float | None, typer.Option("--wall-s", min=1, help="end it after so many seconds, whatever it does")
    ] = None,
    follow: FollowOpt = False,
    failover: Annotated[
        str | None,
        typer.Option(
            "--failover", metavar="HOST", help="follow it; where it falls silent, go on there: may cost twice"
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="TIME", help="the silence that --failover waits for: 20m")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="another job even if the same is already at work")
    ] = False,
    show_preset: Annotated[
        str | None,
        typer.Option(
            "--show-preset", metavar="NAME", help="only explain a preset; with --host for its checkout"
        ),
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Track an actor again with other settings: one job, put on the host exactly once."""
    follow = follow or failover is not None
    with Out(as_json=as_json, verbose=verbose, follows=follow) as out:
        from being_remote.cli import follow_output as telling
        from being_remote.cli import job_tables
        from being_remote.workflows import presets
        from being_remote.workflows import retrack as workflow

        if after is not None and failover is None:
            raise UsageError("--after says how long --failover waits", where="--after")

        if show_preset is not None:
            known = out.inventory(inventory, trust_inventory) if host is not None else None
            out.finish(presets.show(show_preset, known, host), job_tables.show_preset)
            return
        report = workflow.retrack(
            out.inventory(inventory, trust_inventory),
            host=host,
            actors=actor or (),
            preset=preset,
            sets=sets or (),
            sweeps=sweep or (),
            recipe_name=recipe,
            command=command,
            gpus=gpus,
            wall_s=wall_s,
            again=again,
            follow_it=follow and not dry_run,
            failover=failover,
            after_s=parse_duration(after or "20m", "--after"),
            dry_run=dry_run,
            say=telling.teller(out),
        )
        out.finish(report, job_tables.show_retrack)


@app.command("jobs")
def jobs(
    host: HostsOpt = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="also those that ended long ago")] = False,
    why: Annotated[str | None, typer.Option("--why", metavar="JOB", help="tell one job's story")] = None,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """How the jobs stand, on all hosts at once; asking starts nothing."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli import job_tables
        from being_remote.workflows import jobs as workflow

        known = out.inventory(inventory, trust_inventory)
        if why is not None:
            out.finish(workflow.why(known, why), job_tables.show_why)
        else:
            out.finish(workflow.jobs(known, hosts=host or (), all_jobs=all_jobs), job_tables.show_jobs)


@app.command("logs")
def logs(
    job: JobArg,
    follow: FollowOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """What a job wrote; with --follow all it writes, and its end."""
    with Out(as_json=as_json, verbose=verbose, follows=follow) as out:
        from being_remote.cli import follow_output as telling
        from being_remote.workflows import logs as workflow

        say = None if as_json and not follow else telling.teller(out)
        report = workflow.logs(out.inventory(inventory, trust_inventory), job, follow_it=follow, say=say)
        out.end(report, telling.tell_end)


@app.command("cancel")
def cancel(
    job: JobArg,
    host: Annotated[
        str | None, typer.Option("--host", help="one that the job left: end what still runs of it there")
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """End a job and all its processes; twice does no harm."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.job_tables import show_cancel
        from being_remote.workflows import cancel as workflow

        out.finish(
            workflow.cancel(out.inventory(inventory, trust_inventory), job, host=host, dry_run=dry_run),
            show_cancel,
        )


@app.command("pull")
def pull(
    job: JobArg,
    all_files: Annotated[bool, typer.Option("--all", help="checkpoints and all else it made, too")] = False,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Bring a job's transformed intrinsics and camera files home, verified."""
    with Out(as_json=as_json, verbose=verbose) as out, out.progress() as on_progress:
        from being_remote.workflows import pull as workflow

        report = workflow.pull(
            out.inventory(inventory, trust_inventory),
            job,
            all_files=all_files,
            dry_run=dry_run,
            on_progress=on_progress,
        )
    with Out(as_json=as_json) as out:
        from being_remote.cli.job_tables import show_pull

        out.finish(report, show_pull)


@app.command("resume")
def resume(
    job: JobArg,
    host: Annotated[
        str | None,
        typer.Option("--host", help="go on there, from what is home; with --take-over: where it lies"),
    ] = None,
    pod_is_gone: Annotated[
        bool, typer.Option("--pod-is-gone", help="your word to give up an attempt that cannot be asked")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="the job is in another laptop's ledger")
    ] = False,
    follow: FollowOpt = False,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Start the next attempt of a job that has ended, from its last good checkpoints."""
    with Out(as_json=as_json, verbose=verbose, follows=follow) as out:
        from being_remote.cli import follow_output as telling
        from being_remote.cli import job_tables
        from being_remote.workflows import resume as workflow

        report = workflow.resume(
            out.inventory(inventory, trust_inventory),
            job,
            host=host,
            pod_is_gone=pod_is_gone,
            take_over=take_over,
            follow_it=follow and not dry_run,
            dry_run=dry_run,
            say=telling.teller(out),
        )
        out.finish(report, job_tables.show_resume)


@app.command("push")
def push(
    actor: Annotated[
        str | None, typer.Option("--actor", help="default: the only one; none where only a tracker is pushed")
    ] = None,
    host: HostOpt = None,
    tracker: Annotated[
        Path | None,
        typer.Option("--tracker", metavar="DIR", help="a tracker's checkout here, with its model files"),
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Put a new actor's video and identity on a host, or a tracker's checkout."""
    with Out(as_json=as_json, verbose=verbose) as out, out.progress() as on_progress:
        from being_remote.workflows import push as workflow

        report = workflow.push(
            out.inventory(inventory, trust_inventory),
            actor=actor,
            host=host,
            tracker=tracker and tracker.expanduser(),
            dry_run=dry_run,
            on_progress=on_progress,
        )
    with Out(as_json=as_json) as out:
        from being_remote.cli.push_tables import show_push

        out.finish(report, show_push)


@app.command("safe-to-stop")
def safe_to_stop(
    host: HostOpt = None,
    then: Annotated[
        str | None,
        typer.Option(
            "--then",
            metavar="CMD",
            help="run this here after a yes, without a shell; its exit code is then ours",
        ),
    ] = None,
    dry_run: DryRunOpt = False,
    inventory: InventoryOpt = None,
    trust_inventory: TrustInventoryOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """May this pod be stopped? 0: all is local; 6: no; 4: not known."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.safe_to_stop_tables import finish_safe_to_stop
        from being_remote.cli.then import parse_command
        from being_remote.workflows import safe_to_stop as workflow

        command = None if then is None else parse_command(then)
        report = workflow.safe_to_stop(
            out.inventory(inventory, trust_inventory), host=host, look_again=command is not None
        )
        finish_safe_to_stop(out, report, command, dry_run=dry_run)


@app.command("demo")
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave the pod up, to try commands by hand")] = False,
    out_dir: Annotated[Path, typer.Option("--out", metavar="DIR", help="where its files go")] = Path(
        "demo-out"
    ),
    dry_run: DryRunOpt = False,
    as_json: JsonOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """All of it on a throw-away pod on this machine."""
    with Out(as_json=as_json, verbose=verbose) as out:
        from being_remote.cli.demo import run_quietly, run_shown, show_demo, show_plan
        from being_remote.demo import chain

        if dry_run:
            out.finish(chain.plan(out_dir), show_plan)
        else:
            run_command = run_quietly if as_json else run_shown
            out.finish(chain.demo(out_dir, run_command, out.note, keep=keep), show_demo)
