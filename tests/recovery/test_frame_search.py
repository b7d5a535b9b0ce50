"""Stored crops are compared with the very part of the frames that they show."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search.crop_rendering import make_crop
from being_remote.media.video import open_source
from being_remote.recovery.frame_search import _small_crops, _small_frames
from being_remote.recovery.stored_crops import StoredCrops
from being_remote.session import no_progress

SIZE_WH = (320, 180)


@pytest.mark.parametrize(
    "box", [(60, 260, 0, 120), (0, 100, 10, 170), (219, 319, 10, 170), (100, 200, 40, 140)]
)
def test_a_crop_without_its_padding_and_its_own_frame_are_one_small_picture(
    tmp_path: Path, box: tuple[int, ...]
) -> None:
    smooth = cv2.resize(np.random.default_rng(4).integers(0, 255, (9, 16, 3), np.uint8), SIZE_WH)
    crop = crop_from_box(box, SIZE_WH, (128, 128))
    (tmp_path / "source").mkdir()
    cv2.imwrite(str(tmp_path / "source/00001.png"), smooth)
    cv2.imwrite(str(tmp_path / "00000.png"), make_crop(np.asarray(smooth, np.uint8), crop))
    stored = StoredCrops(tmp_path, {0: tmp_path / "00000.png"}, strip=False, phantoms=0)
    case = SimpleNamespace(crops=stored, frames=SimpleNamespace(image_size_wh=(128, 128)))
    of_crop = _small_crops(cast(Any, case), crop, no_progress)[0]
    with open_source(tmp_path / "source") as source:
        of_frame = _small_frames(source, crop, no_progress)[0]
    assert np.abs(of_crop - of_frame).mean() < 1.5
