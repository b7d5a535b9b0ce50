"""cameras.npz: the same numbers as numpy arrays, without pickles."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from being_remote.camera.intrinsics import intrinsics_in_crop, to_opencv_pixels
from being_remote.export import json_file
from being_remote.export.cameras import Cameras
from being_remote.export.target import Export, File


def files(export: Export) -> Iterator[File]:
    yield "cameras.npz", _chunks(export.cameras)


def _chunks(cameras: Cameras) -> Iterator[bytes]:
    """Arrays by name, `conventions` in words (JSON).

    K, K_opencv and K_crop are (3, 3), or (N, 3, 3) of a run with K per frame. Unknown is 0 in
    `source_numbers`, -1 in `video_frames` and NaN in `times_s`.
    """
    crop = cameras.crop
    one = cameras.K_each is None
    K = cameras.K_source if cameras.K_each is None else cameras.K_each
    n = len(cameras.frame_ids)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        K=K,
        K_opencv=to_opencv_pixels(K),
        K_crop=cameras.K_crop if one else intrinsics_in_crop(K, crop),
        R=cameras.R,
        t=cameras.t,
        frame_ids=cameras.frame_ids,
        source_numbers=cameras.source_numbers,
        video_frames=np.full(n, -1) if cameras.video_frames is None else cameras.video_frames,
        numbers_by=np.array(cameras.numbers_by),
        times_s=np.full(n, np.nan) if cameras.times_s is None else cameras.times_s,
        size_wh=np.array(cameras.size_wh),
        image_size_wh=np.array(crop.image_size_wh),
        crop_box=np.array([crop.x_min, crop.x_max, crop.y_min, crop.y_max]),
        crop_scale=np.array([crop.scale_x, crop.scale_y]),
        crop_origin=np.array(crop.origin),
        grade=np.array(cameras.grade),
        conventions=np.array(json.dumps(json_file.CONVENTIONS)),
    )
    yield buffer.getvalue()


TARGET = replace(json_file.TARGET, name="npz", main_files=("cameras.npz",), files=files)
