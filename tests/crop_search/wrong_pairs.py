"""Stored pictures and sources that do not belong together, or say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scenes import Drawn, Picture, Scene, as_jpeg

from being_remote.crop_search.finding import StoredCrop

FRAMES = 12
NUMBERS = range(2, FRAMES)


@dataclass(frozen=True)
class Pair:
    """What is asked, and of what."""

    name: str
    stored: Callable[[], list[StoredCrop]]
    source: Drawn


def pairs() -> Iterator[Pair]:
    """All of them, by name."""
    for seed in (3, 4, 5):
        for kind in ("room", "grain", "plain"):
            scene = Scene(backdrop=kind, seed=seed, fill=0.3)
            name = f"{kind} {seed}"

            def stored(scene: Scene = scene) -> list[StoredCrop]:
                return scene.stored(NUMBERS)

            yield Pair(f"{name}: another clip", stored, replace(scene, seed=seed + 20).source(FRAMES))
            yield Pair(f"{name}: another take", stored, replace(scene, take=1).source(FRAMES))
            take = replace(scene, take=seed, fill=0.3)
            yield Pair(f"{name}: another take, compressed", stored, take.source(FRAMES, _compressed))
            if seed > 4:
                continue
            yield Pair(f"{name}: mirrored", stored, scene.source(FRAMES, _mirrored))
            yield Pair(f"{name}: turned a little", stored, scene.source(FRAMES, _turned))
            yield Pair(f"{name}: flat source", stored, scene.source(FRAMES, _flat))
            yield Pair(f"{name}: noise for a source", stored, scene.source(FRAMES, _noise))
    small = Scene(size_wh=(640, 360), box=(190, 490, 30, 330), seed=3, fill=0.3, image=256)
    yield Pair("small: another take", lambda: small.stored(NUMBERS), replace(small, take=1).source(FRAMES))
    scene = Scene(seed=6)
    for name, picture in (
        ("flat pictures", np.full((512, 512, 3), 90, np.uint8)),
        ("black pictures", np.zeros((512, 512, 3), np.uint8)),
        ("noise for pictures", _noise(np.zeros((512, 512, 3), np.uint8))),
        ("blots for pictures", cv2.GaussianBlur(_noise(np.zeros((512, 512, 3), np.uint8)), (0, 0), 9)),
    ):
        made = [replace(one, picture=picture) for one in scene.stored(NUMBERS)]
        yield Pair(name, lambda made=made: made, scene.source(FRAMES))
    checks = Scene(backdrop="checks", fill=0, motion="still")
    yield Pair("a pattern that repeats", lambda: checks.stored(NUMBERS), checks.source(FRAMES))
    wall = Scene(backdrop="plain", fill=0, noise=0)
    yield Pair("a bare wall", lambda: wall.stored(NUMBERS), wall.source(FRAMES))


def _compressed(frame: Picture) -> Picture:
    return as_jpeg(frame, 60)


def _mirrored(frame: Picture) -> Picture:
    return np.ascontiguousarray(frame[:, ::-1])


def _turned(frame: Picture) -> Picture:
    height, width = frame.shape[:2]
    A = cv2.getRotationMatrix2D((width / 2, height / 2), 0.4, 1)
    return np.asarray(cv2.warpAffine(frame, A, (width, height)), dtype=np.uint8)


def _flat(frame: Picture) -> Picture:
    return np.full_like(frame, 120)


def _noise(frame: NDArray[np.uint8]) -> Picture:
    seed = int(frame[0, 0, 0])
    return np.random.default_rng(seed).integers(0, 256, frame.shape).astype(np.uint8)
