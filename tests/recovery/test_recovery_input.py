"""The size and the pixels of the original: taken only where they are known to be what was tracked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from being_remote.errors import InconsistentData, UsageError
from being_remote.recovery.recovery_input import OpenVideos, _check_square_pixels, find_source_size

Size = tuple[int, int] | None


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "00001.png"), np.zeros((90, 160, 3), np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("stated", "listed", "sure"),
    [
        (None, None, False),
        ((160, 90), None, True),
        (None, (160, 90), True),
        (None, (1920, 1080), False),
        ((160, 90), (1920, 1080), True),
    ],
)
def test_a_video_that_was_only_named_may_be_a_rescaled_copy(
    frames: Path, stated: Size, listed: Size, sure: bool
) -> None:
    actor = None if listed is None else SimpleNamespace(source_size=listed, video=None)
    run = cast(Any, SimpleNamespace(actor=actor))
    with OpenVideos() as videos:
        found = find_source_size(run, cast(Any, None), stated, (frames, "--video"), videos)
    assert (found.size_wh, found.sure) == ((160, 90), sure)
    assert bool(found.warnings) is (listed == (1920, 1080))


def test_a_video_of_another_height_alone_is_of_another_size(frames: Path) -> None:
    run = cast(Any, SimpleNamespace(actor=None))
    with OpenVideos() as videos, pytest.raises(UsageError, match=r"160x120 but --video .* says 160x90"):
        find_source_size(run, cast(Any, None), (160, 120), (frames, "--video"), videos)


@pytest.mark.parametrize(("aspect", "refused"), [(1.0, False), (4 / 3, True), (0.75, True)])
def test_a_video_whose_pixels_are_shown_stretched_either_way_has_no_camera(
    aspect: float, refused: bool
) -> None:
    source = SimpleNamespace(pixel_aspect=aspect, path=Path("a.mp4"))
    shown = SimpleNamespace(square_pixels=not refused, source=source)
    case = cast(Any, SimpleNamespace(source_frames=shown))
    if not refused:
        _check_square_pixels(case)
        return
    with pytest.raises(InconsistentData, match=f"shown {aspect:.4g} times as wide as high"):
        _check_square_pixels(case)
