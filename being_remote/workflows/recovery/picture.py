"""The overlay of `recover`: gathers one frame's picture and mesh, and says what was not at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import BeingRemoteError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.export import Cameras
    from being_remote.report.ply import Mesh
    from being_remote.tracker.run_settings import RunSettings
    from being_remote.workflows.recovery.inputs import Run, SourceSize


def write_overlay(
    path: Path, run: Run, cameras: Cameras, settings: RunSettings, source: SourceSize
) -> list[str]:
    """Draw the first frame; says what was missing for a full picture."""
    from being_remote.export import write_atomically
    from being_remote.report import overlay

    frame_id, number = int(cameras.frame_ids[0]), int(cameras.source_numbers[0])
    warnings = []
    picture = None
    if source.video is not None:
        picture, why = _picture(source.video, number, settings.fps)
        warnings += [f"the overlay is on a plain canvas: {why}"] if why else []
    else:
        warnings.append("the overlay is on a plain canvas: no video is at hand (--video FILE)")
    mesh, why = _mesh(run, frame_id)
    warnings += [f"the overlay shows axes instead of a mesh: {why}"] if why else []
    shown = overlay.Shown(
        title=f"{run.name}: frame {frame_id:05d} = source/{number:05d}.png",
        K=cameras.K_source,
        R=cameras.R[0],
        t=cameras.t[0],
        crop=cameras.crop,
        mesh=mesh,
        picture=picture,
    )
    write_atomically(path, [overlay.png(overlay.draw(shown))])
    return warnings


def _picture(video: Path, number: int, source_fps: float) -> tuple[NDArray[np.uint8] | None, str]:
    """The original frame behind `source/<number>.png`, or why there is none."""
    from being_remote.tracker.numbering import video_frame_index
    from being_remote.video import open_source

    with open_source(video) as opened:
        index = number - 1
        if opened.fps is not None:
            index = video_frame_index(number, source_fps, opened.fps)
        try:
            return opened.frame(index), ""
        except BeingRemoteError as e:
            return None, str(e)


def _mesh(run: Run, frame_id: int) -> tuple[Mesh | None, str]:
    from being_remote.report.ply import read_ply

    for folder in run.meshes:
        path = folder / f"{frame_id:05d}.ply"
        if path.exists():
            try:
                return read_ply(path), ""
            except DataError as e:
                return None, str(e)
    return None, f"no {frame_id:05d}.ply in {' or '.join(map(str, run.meshes))}"
