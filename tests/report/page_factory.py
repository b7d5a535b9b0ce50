"""Pages for tests, with a word of the caller's wherever words can be."""

from __future__ import annotations

import cv2
import numpy as np

from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.report.curves import Curve, Panel
from being_remote.report.page import Column, Page, PageChart, PagePicture, SliderFrame, Table

K_CROP = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])
CROP = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
COLOURS_RGB = ((200, 40, 40), (40, 160, 40), (40, 40, 200))


def jpeg_of(rgb: tuple[int, int, int]) -> bytes:
    done, data = cv2.imencode(".jpg", np.full((45, 80, 3), rgb[::-1], np.uint8))
    assert done
    return bytes(data)


def png_of(grey: int) -> bytes:
    done, data = cv2.imencode(".png", np.full((40, 160, 3), grey, np.uint8))
    assert done
    return bytes(data)


def make_page(word: str = "roman", *, frames: int = 3, warnings: bool = True) -> Page:
    """Each frame's picture is one of COLOURS_RGB."""
    shown = tuple(
        SliderFrame(
            f"{word} {i}",
            f"{word} picture {i}",
            jpeg_of(COLOURS_RGB[i % 3]),
            ((word, 0.5 + i), ("words", word)),
        )
        for i in range(frames)
    )
    moving = Curve(word, [0, 1, 2, 7, 8], [0.0, 1, 0, 1, 0])
    panel = Panel(word, word, (moving, Curve(word, range(9), [1.0] * 9)))
    rows = tuple((i, 0.4 + i, word) for i in range(4))
    return Page(
        title=word,
        about=(f"{word} 838 frames",),
        grade=word,
        grade_text=f"{word} because",
        warnings=(f"{word} is odd", word) if warnings else (),
        notes=(f"{word} needs care",),
        crop=CROP,
        K_crop=K_CROP,
        K_source=intrinsics_in_source(K_CROP, CROP),
        frames=shown,
        checks=(
            Table(word, (Column("frame"), Column(word, 2), Column("words")), rows, word, frozenset({2})),
        ),
        evidence=PagePicture(f"{word} evidence", f"{word} is believed", png_of(128)),
        charts=(PageChart(word, f"{word} over time", (panel,)),),
        outputs=(f"{word}/cameras.json",),
    )
