"""The command `recover`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from being_remote.cli.command import command
from being_remote.cli.completion import complete_export, complete_run
from being_remote.cli.options import (
    ActorOpt,
    DryRunOpt,
    SourceSizeOpt,
    flag,
    option,
    parse_box_text,
    parse_canvas,
    parse_size,
)
from being_remote.cli.output import Out

RunOpt = Annotated[
    str | None, option("RUN", "a folder of .frame files, an actor's name, or a job", complete=complete_run)
]
FromImagesOpt = Annotated[
    Path | None,
    option(
        "SRC",
        "find the crop without bbox.pt, from the run's stored crops; SRC is the original video or"
        " its folder of frames",
    ),
]
FromLandmarksOpt = Annotated[
    Path | None,
    option(
        "SRC",
        "find the crop from the run's stored landmarks; SRC is the original video, its frames, or a"
        " folder of landmarks of the original frames (.npy, numbered like source/)",
    ),
]
NoCheckOpt = Annotated[bool, flag("--no-check", "do not compare the box with stored crops and the video")]
ExportOpt = Annotated[
    list[str] | None,
    option(
        "NAME",
        "json, npz, nerfstudio, colmap, insta, gaussian-avatars, gaussiantalker or flashavatar;"
        " repeatable; default: all but gaussiantalker and flashavatar",
        complete=complete_export,
    ),
]
CanvasOpt = Annotated[
    str | None,
    option("crop|WxH", "picture for trainers: the tracker's crop, or a window around the principal point"),
]
OffCentreOpt = Annotated[
    bool, flag("--allow-off-centre", "also export to a trainer that ignores this camera's principal point")
]
ImagesOpt = Annotated[
    bool, flag("--with-images", "make the trainers' pictures too; resumes where it stopped")
]
WhatIfOpt = Annotated[
    list[str] | None, option("K=V", "predict the crop with another setting; writes nothing; repeatable")
]
ForceOpt = Annotated[bool, flag("--force", "move an output folder that holds another run out of the way")]
WriteBoxOpt = Annotated[bool, flag("--write-bbox", "store the crop that was found as the run's bbox.pt")]
ExplainOpt = Annotated[
    bool, flag("--explain", "show the guide's answer beside the right one, with its error")
]


@command
def recover(
    out: Out,
    actor: ActorOpt = None,
    run: RunOpt = None,
    source_size: SourceSizeOpt = None,
    video: Annotated[Path | None, option("FILE", "the original video, or its folder of frames")] = None,
    bbox: Annotated[Path | None, option("FILE", "a bbox.pt, or a .npy with the same order")] = None,
    box: Annotated[str | None, option("X0,X1,Y0,Y1", "the crop box: x_min,x_max,y_min,y_max")] = None,
    from_images: FromImagesOpt = None,
    from_landmarks: FromLandmarksOpt = None,
    no_check: NoCheckOpt = False,
    export: ExportOpt = None,
    canvas: CanvasOpt = None,
    allow_off_centre: OffCentreOpt = False,
    with_images: ImagesOpt = False,
    what_if: WhatIfOpt = None,
    out_dir: Annotated[Path | None, option("DIR", "output folder; default: recovered/RUN", "--out")] = None,
    force: ForceOpt = False,
    write_bbox: WriteBoxOpt = False,
    plot: Annotated[bool, flag("--plot", "also write the report's plots as PNG files")] = False,
    explain: ExplainOpt = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Recover the original video's camera.

    Writes cameras.json and cameras.npz, a report with pictures to check the camera by, and the files of
    each trainer.
    """
    from being_remote.cli.recover_tables import show_recover
    from being_remote.workflows import recover as workflow

    # A run that is named by its folder needs no inventory.
    inventory = out.inventory() if run is None else out.optional_inventory()
    with out.progress() as on_progress:
        report = workflow.recover(
            inventory,
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
    out.finish(report, show_recover)
