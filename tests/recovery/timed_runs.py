"""Runs tracked on a real video: `source/` cut by ffmpeg itself, crops by the tracker's recipe, poses made up.

Every frame shows its own number outside of the crop, so a picture made for a pose tells whether it is
the one that the tracker saw.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import face_runs
import imageio_ffmpeg
import numpy as np
import torch
import video_factory
from recover_options import recover

from being_remote.demo.tracker_recipe import crop_image
from being_remote.workflows.recover import RecoverReport

BOX = (60, 260, 30, 230)
IMAGE = (128, 128)
AT_25 = ("-vf", "fps=25")
EVERY_FRAME = ("-fps_mode", "passthrough")
UNEVEN_MS = [int(t) for t in np.cumsum([0, *np.random.default_rng(3).choice([20, 33, 40, 60, 120], 59)])]


@dataclass(frozen=True)
class TimedRun:
    """A run and the numbers that its own pictures show, by frame_id."""

    output: Path
    tracked: tuple[int, ...]
    crops: Path

    def recover(self, video: Path, **more: Any) -> RecoverReport:
        """`recover` with this video at hand."""
        return recover(None, **{"run": str(self.output), "video": video, "exports": ["json"], **more})


def ffmpeg(*words: object) -> None:
    """The binary that the tests bring along."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "fatal", "-y", *map(str, words)]
    subprocess.run(command, check=True)


def re_encoded(video: Path, name: str, *how: str, crf: int = 18) -> Path:
    """A copy of a video through ffmpeg and x264."""
    made = video.with_name(name)
    ffmpeg("-i", video, *how, "-c:v", "libx264", "-preset", "veryfast", "-crf", crf, made)
    return made


def filmed_again(folder: Path, video: Path, shown: Sequence[int], crf: int) -> Path:
    """An even video of these frames of another one, in this order."""
    (folder / "frames").mkdir()
    (folder / "shown").mkdir()
    ffmpeg("-i", video, *EVERY_FRAME, folder / "frames" / "%05d.png")
    for place, n in enumerate(shown):
        (folder / "shown" / f"{place:05d}.png").symlink_to(folder / "frames" / f"{n + 1:05d}.png")
    made = folder / "again.mp4"
    ffmpeg("-framerate", 25, "-i", folder / "shown" / "%05d.png", "-pix_fmt", "yuv420p", "-crf", crf, made)
    return made


def filmed(pictures: Iterable[np.ndarray], video: Path, fps: int, crf: int = 23) -> Path:
    """A video of these pictures; they are kept beside it, in a folder of its name."""
    folder = video.with_suffix("")
    folder.mkdir()
    for n, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{n:05d}.png"), picture)
    ffmpeg("-framerate", fps, "-i", folder / "%05d.png", "-pix_fmt", "yuv420p", "-crf", crf, video)
    return video


def track(
    checkout: Path,
    video: Path,
    *how: str,
    begin_frames: int = 1,
    settings: bool = True,
) -> TimedRun:
    """A run of a video whose `source/` was made by ffmpeg with these arguments."""
    cut = checkout / "cut"
    cut.mkdir(parents=True)
    ffmpeg("-i", video, *how, cut / "%05d.png")
    pictures = [cv2.imread(str(path)) for path in sorted(cut.iterdir())][begin_frames:]
    size = f"begin_frames: {begin_frames}\nimage_size: [{IMAGE[1]}, {IMAGE[0]}]\n"
    output = face_runs.make_run(
        checkout,
        "clip",
        frames=len(pictures),
        settings=size if settings else None,
        image_size_wh=IMAGE,
        K=np.array([[600.0, 0, 64], [0, 600, 63], [0, 0, 1]]),
        box=False,
    )
    torch.save(np.array(BOX), checkout / "input" / "clip" / "bbox.pt")
    crops = output / "input"
    crops.mkdir()
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(crops / f"{i:05d}.png"), crop_image(picture, BOX, IMAGE))
    return TimedRun(output, tuple(map(video_factory.number_in, pictures)), crops)


def cameras_in(folder: Path) -> dict[str, Any]:
    """What cameras.json there says."""
    found: dict[str, Any] = json.loads((folder / "cameras.json").read_text())
    return found


def pictured(folder: Path) -> list[int]:
    """The numbers that the pictures made for the poses show, in the order of the poses."""
    frames = cameras_in(folder)["frames"]
    files = [folder / "nerfstudio" / "images" / frame["file"] for frame in frames]
    return [video_factory.number_in(cv2.imread(str(path))) for path in files]
