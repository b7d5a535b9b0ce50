"""The overlays of `recover`: crop, mesh and principal point drawn on the original frames."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.errors import BeingRemoteError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.export import Cameras
    from being_remote.recovery.local_runs import LocalRun
    from being_remote.tracker.ply import Mesh
    from being_remote.tracker.source_frames import SourceFrames

    Picture = NDArray[np.uint8]

WORKERS = 2  # a drawn frame of 4K is 25 MB


@dataclass(frozen=True, eq=False)
class Overlay:
    """One frame drawn on.

    Attributes:
        place: which of the cameras.
        jpeg: the overlay, small enough for the page.
        png: the same pixel for pixel, of the first one only.
        lacking: what is missing in it, and why.
    """

    place: int
    jpeg: bytes
    png: bytes | None
    lacking: tuple[str, ...]


def draw_overlays(
    run: LocalRun, frames: SourceFrames | None, cameras: Cameras, places: Sequence[int]
) -> list[Overlay]:
    """Draw on the original frames of the cameras at `places`."""
    with ThreadPoolExecutor(WORKERS) as pool:
        # Decoded one after another, in the video's order; drawn meanwhile.
        return [
            future.result()
            for future in [
                pool.submit(_draw, run, cameras, place, *_read_frame(frames, cameras, place), whole=i == 0)
                for i, place in enumerate(places)
            ]
        ]


def _draw(
    run: LocalRun, cameras: Cameras, place: int, picture: Picture | None, why: str, *, whole: bool
) -> Overlay:
    from being_remote.report import overlay
    from being_remote.report.pictures import jpeg, png

    frame_id, number = int(cameras.frame_ids[place]), int(cameras.source_numbers[place])
    mesh, no_mesh = _read_mesh(run, frame_id)
    shown = overlay.OverlayFrame(
        title=f"{cameras.name}: frame {frame_id:05d}"
        + (f" = source/{number:05d}.png" if number else ", source frame unknown"),
        K=cameras.K_source if cameras.K_each is None else cameras.K_each[place],
        R=cameras.R[place],
        t=cameras.t[place],
        crop=cameras.crop,
        mesh=mesh,
        picture=picture,
    )
    lacking = (
        f"is on a plain canvas: {why}" if why else "",
        f"shows axes instead of a mesh: {no_mesh}" if no_mesh else "",
    )
    drawn = overlay.draw(shown)
    return Overlay(place, jpeg(drawn), png(drawn) if whole else None, tuple(filter(None, lacking)))


def _read_frame(frames: SourceFrames | None, cameras: Cameras, place: int) -> tuple[Picture | None, str]:
    """The original frame of a camera, or why there is none."""
    if frames is None:
        return None, "no video is at hand (--video FILE)"
    if not cameras.source_numbers[place]:
        return None, "the frame of this pose is unknown"
    try:
        return frames.frame(int(cameras.source_numbers[place])), ""
    except BeingRemoteError as e:
        return None, str(e)


def _read_mesh(run: LocalRun, frame_id: int) -> tuple[Mesh | None, str]:
    from being_remote.tracker.ply import read_ply

    for folder in run.meshes:
        path = folder / f"{frame_id:05d}.ply"
        if path.exists():
            try:
                return read_ply(path), ""
            except DataError as e:
                return None, str(e)
    return None, f"no {frame_id:05d}.ply in {' or '.join(map(str, run.meshes))}"
