"""The grid: sizes, places, clipped sides, backdrops and qualities, each a clip with a known crop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from scenes import Drawn, Scene, as_h264, as_jpeg, blurred, letterboxed, recoloured

from being_remote.camera.crop import Crop, crop_from_box
from being_remote.crop_search.finding import Finding
from being_remote.crop_search.image_search import from_images

Quality = Literal["png", "jpeg", "crf18", "crf28", "crf35", "recoloured", "blurred", "letterbox"]

HD, FULL, UHD, TALL = (1280, 720), (1920, 1080), (3840, 2160), (720, 1280)
# What the tracker's rule, a border or somebody's editor makes of a box, on each size.
PLACES: tuple[tuple[tuple[int, int], tuple[int, int, int, int]], ...] = (
    (HD, (420, 920, 100, 600)),
    (HD, (601, 1001, 33, 433)),
    (HD, (301, 991, 0, 551)),  # cut above, padded
    (HD, (300, 990, 1, 551)),  # the same by the odd row that the tracker drops
    (HD, (200, 900, 165, 719)),  # below
    (HD, (0, 430, 100, 640)),  # left
    (HD, (800, 1279, 90, 690)),  # right
    (HD, (0, 440, 0, 480)),  # corners
    (HD, (829, 1279, 269, 719)),
    (HD, (250, 1050, 1, 719)),  # above and below
    (HD, (500, 740, 200, 440)),  # smaller than the network image
    (HD, (420, 921, 100, 601)),  # edited: odd
    (HD, (410, 910, 100, 623)),  # edited: padded to 522 x 523
    (FULL, (510, 1410, 90, 990)),
    (FULL, (549, 1529, 20, 1000)),
    (FULL, (700, 1400, 379, 1079)),
    (FULL, (300, 1500, 1, 1079)),
    (FULL, (1219, 1919, 150, 990)),
    (FULL, (900, 1300, 300, 700)),
    (TALL, (0, 719, 200, 1100)),
    (TALL, (110, 610, 301, 801)),
    (TALL, (60, 660, 0, 510)),
    (UHD, (1100, 2900, 150, 1950)),
    (UHD, (1500, 2300, 600, 1400)),
)
QUALITIES: tuple[Quality, ...] = (
    "png",
    "crf18",
    "jpeg",
    "crf28",
    "png",
    "recoloured",
    "crf28",
    "blurred",
    "crf35",
    "letterbox",
)
BACKDROPS: tuple[Literal["room", "grain", "plain"], ...] = ("room", "grain", "plain")
FRAMES = 18
SIZE = 240


@dataclass(frozen=True)
class Case:
    """One clip of the grid."""

    scene: Scene
    quality: Quality

    @property
    def truth(self) -> Crop:
        """The crop that made the pictures."""
        return crop_from_box(self.scene.box, self.scene.size_wh, (512, 512))

    @property
    def lossless(self) -> bool:
        """Whether source and pictures are of the same pixels."""
        return self.quality in ("png", "letterbox")

    @property
    def must_be_right(self) -> bool:
        """What is promised of it."""
        return self.lossless or (self.quality in ("crf18", "crf28") and self.scene.fill >= 0.25)

    def source(self, folder: Path) -> Drawn:
        """The original frames, in this quality."""
        count = 9 if self.scene.size_wh == UHD else FRAMES
        if self.quality.startswith("crf"):
            return as_h264(folder / "video.mp4", self.scene, count, int(self.quality[3:]))
        change = {
            "png": None,
            "jpeg": partial(as_jpeg, quality=90),
            "recoloured": recoloured,
            "blurred": blurred,
            "letterbox": letterboxed(self.scene, self.scene.size_wh[1] // 10),
        }[self.quality]
        return self.scene.source(count, change)

    def find(self, folder: Path) -> Finding:
        """The answer."""
        source = self.source(folder)
        numbers = range(2, source.count)
        if self.quality == "letterbox":
            stored = self.scene.stored(numbers, change=letterboxed(self.scene, self.scene.size_wh[1] // 10))
        else:
            stored = self.scene.stored(numbers, jpeg=90 if self.quality == "jpeg" else None)
        return from_images(stored, source)


def case(number: int) -> Case:
    """One of the grid, by its number: seeded, and every place meets every quality in time."""
    rng = np.random.default_rng(number)
    size_wh, box = PLACES[number % len(PLACES)]
    quality = QUALITIES[(number + number // len(PLACES)) % len(QUALITIES)]
    scene = Scene(
        size_wh=size_wh,
        box=box,
        backdrop=BACKDROPS[int(rng.integers(len(BACKDROPS)))],
        motion="camera" if rng.random() < 0.2 else "head",
        fill=float(rng.choice([0.12, 0.25, 0.3, 0.4, 0.5])),
        seed=number,
    )
    return Case(scene, quality)


def same(found: Crop | None, truth: Crop) -> bool:
    """Whether all that K needs is the same."""
    return found is not None and (found.padded_size_wh, found.origin) == (truth.padded_size_wh, truth.origin)
