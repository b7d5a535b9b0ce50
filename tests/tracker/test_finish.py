"""The camera written on the pod is that of the frames; a copy that was changed on its way is refused here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import frame_factory as factory
import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box, resize_only
from being_remote.camera.intrinsics import intrinsics_in_source, to_opencv_pixels
from being_remote.errors import DataError, InconsistentData
from being_remote.tracker.box_file import box_bytes
from being_remote.tracker.finish import finish
from being_remote.tracker.intrinsics_file import check_intrinsics
from being_remote.tracker.sequence import read_sequence

BOX, SOURCE = (40, 240, 1, 139), (320, 180)


class Job:
    """The work folder of a tracking that has ended, and the files that were sent with it."""

    def __init__(self, folder: Path, *, cropped: bool = True, frames: int = 3) -> None:
        self.work, self.files = folder / "work", folder / "files"
        self.checkpoint = self.work / "output/demo/checkpoint"
        for path in (self.work / "input/demo/source", self.checkpoint, self.files):
            path.mkdir(parents=True)
        self.size_hw = (512, 512) if cropped else (90, 160)
        for number in range(frames):
            picture = np.zeros((SOURCE[1], SOURCE[0], 3), np.uint8)
            cv2.imwrite(str(self.work / f"input/demo/source/{number + 1:05d}.png"), picture)
            factory.write_frame(self.checkpoint, f"{number:05d}", seed=number, size_hw=self.size_hw)
        if cropped:
            (self.work / "input/demo/bbox.pt").write_bytes(box_bytes(BOX))
        request = {
            "actor": "demo",
            "folder": "demo",
            "begin_frames": 0,
            "end_frames": 0,
            "fps": 25,
            "crop_image": cropped,
            "image_size_hw": self.size_hw,
            "source_size_wh": SOURCE,
        }
        (self.files / "tracking.json").write_text(json.dumps(request))

    def finish(self) -> dict[str, Any]:
        finish(str(self.work), str(self.files))
        written: dict[str, Any] = json.loads((self.work / "intrinsics.json").read_text())
        return written


@pytest.mark.parametrize("cropped", [True, False])
def test_the_camera_and_the_poses_are_those_of_the_frames_in_pixels_of_the_source(
    tmp_path: Path, cropped: bool
) -> None:
    job = Job(tmp_path, cropped=cropped)
    written, frames = job.finish(), read_sequence(job.checkpoint)
    crop = crop_from_box(BOX, SOURCE, (512, 512)) if cropped else resize_only(SOURCE, (160, 90))
    K = intrinsics_in_source(frames.K, crop)
    assert written["K"] == K.tolist() and written["K_crop"] == frames.K.tolist()
    assert written["K_opencv"] == to_opencv_pixels(K).tolist()
    assert [frame["R"] for frame in written["frames"]] == frames.R.tolist()
    assert [frame["t"] for frame in written["frames"]] == frames.t.tolist()
    assert [frame["file"] for frame in written["frames"]] == ["00001.png", "00002.png", "00003.png"]
    assert check_intrinsics(job.work) == ()


def test_one_frame_more_than_were_tracked_is_refused(tmp_path: Path) -> None:
    job = Job(tmp_path)
    factory.write_frame(job.checkpoint, "00003")
    with pytest.raises(InconsistentData, match=r"1 more files than frames were tracked: '00003\.frame'"):
        job.finish()


def test_frames_of_another_shape_than_the_settings_say_are_refused(tmp_path: Path) -> None:
    job = Job(tmp_path, cropped=False)
    request = json.loads((job.files / "tracking.json").read_text())
    (job.files / "tracking.json").write_text(json.dumps({**request, "image_size_hw": [160, 90]}))
    with pytest.raises(InconsistentData, match="160x90 images, the settings say 90x160"):
        job.finish()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["K_opencv"][0].__setitem__(2, d["K"][0][2]), "K_opencv do not follow"),
        (lambda d: d["frames"][1].update(R=np.transpose(d["frames"][1]["R"]).tolist()), "cameras are not"),
        (lambda d: d["frames"][1]["t"].__setitem__(0, 0.011), "cameras are not"),
        (lambda d: d["frames"][1].update(frame_id="00007"), "cameras are not"),
        (lambda d: d["fov_deg"].reverse(), "fov_deg do not follow"),
        (lambda d: d["fov_deg"].__setitem__(0, d["fov_deg"][0] + 0.01), "fov_deg do not follow"),
        (lambda d: d["crop"].update(pad_y=0), "crop.pad_y do not follow"),
    ],
)
def test_one_number_that_was_changed_on_the_way_is_noticed(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    job = Job(tmp_path)
    document = job.finish()
    change(document)
    (job.work / "intrinsics.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=words):
        check_intrinsics(job.work)
