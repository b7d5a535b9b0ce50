"""Drawn clips with a known crop: a head before a backdrop, in the qualities that videos come in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.finding import StoredCrop
from being_remote.demo import head, picture
from being_remote.demo.tracker_recipe import crop_image

Picture = NDArray[np.uint8]
Backdrop = Literal["room", "grain", "plain", "checks", "black"]
Motion = Literal["head", "camera", "still"]

_SPRITE = 560
_MARGIN = 80  # of the backdrop, for a camera that moves
MATRIX_709_AS_601 = np.array([[1.0, 0.06, -0.04], [0.02, 0.9, 0.06], [-0.05, 0.13, 0.95]])


@dataclass(frozen=True)
class Scene:
    """A clip, drawn frame by frame, and the box that the tracker cut out of it.

    Attributes:
        box: x_min, x_max, y_min, y_max, as in bbox.pt.
        fill: share of the crop that the head covers.
        take: another one has the same backdrop and another motion.
        image: side of the tracker's network image.
    """

    size_wh: tuple[int, int] = (1280, 720)
    box: tuple[int, int, int, int] = (420, 920, 100, 600)
    backdrop: Backdrop = "room"
    motion: Motion = "head"
    fill: float = 0.35
    seed: int = 0
    take: int = 0
    noise: float = 1.0
    image: int = 512

    def frame(self, number: int) -> Picture:
        """The frame of that number, from 1: (H, W, 3) BGR."""
        w, h = self.size_wh
        wall = _backdrop(self.backdrop, self.size_wh, self.seed)
        if self.motion == "camera":
            x, y = 2.3 * number + 4 * np.sin(number), 1.1 * number
            A = np.array([[1, 0, x - _MARGIN], [0, 1, y - _MARGIN]], dtype=np.float64)
            made = cv2.warpAffine(wall, A, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        else:
            made = wall[_MARGIN : _MARGIN + h, _MARGIN : _MARGIN + w].copy()
        made = made.astype(np.float32)
        if self.fill:
            self._head(made, 0 if self.motion == "still" else number)
        if self.noise and self.motion != "still":
            made += _noise(self.size_wh, self.noise, self.seed * 1000 + self.take * 100 + number)
        return np.asarray(np.clip(made + 0.5, 0, 255).astype(np.uint8))

    def _head(self, made: NDArray[np.float32], number: int) -> None:
        rng = np.random.default_rng((self.seed, self.take, 77))
        phase, reach = rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.02, 0.04, 2)
        x0, x1, y0, y1 = self.box
        side = max(x1 - x0, y1 - y0)
        sway = reach * np.sin(np.array([0.31, 0.23]) * number + phase[:2]) * side
        shift = (0.0, 0.0) if self.take == 0 else rng.uniform(0.06, 0.12, 2) * side * rng.choice([-1, 1], 2)
        centre = np.array([x0 + x1, y0 + y1]) / 2 + sway + shift
        pose = int(5 * (1 + np.sin(0.4 * number + phase[2]))) + 11 * (self.take % 3)
        sprite = _sprite(pose)
        scale = side * np.sqrt(self.fill / sprite[..., 3].sum())
        A = np.array([[scale, 0, centre[0]], [0, scale, centre[1]]]) @ [
            [1, 0, -_SPRITE / 2],
            [0, 1, -_SPRITE / 2],
            [0, 0, 1.0],
        ]
        if scale < 0.8:
            sprite = cv2.GaussianBlur(sprite, (0, 0), 0.5 / scale)
        low = np.maximum(np.floor(A[:, 2]).astype(int), 0)
        high = np.minimum(np.ceil(A[:, 2] + scale * _SPRITE).astype(int), self.size_wh)
        if (high <= low).any():
            return
        A[:, 2] -= low
        drawn = cv2.warpAffine(sprite, A, tuple(int(n) for n in high - low), flags=cv2.INTER_LINEAR)
        part = made[low[1] : high[1], low[0] : high[0]]
        part[:] = part * (1 - drawn[..., 3:]) + drawn[..., :3]

    def crop(self, frame: Picture) -> Picture:
        """The tracker's crop of a frame."""
        return crop_image(frame, self.box, (self.image, self.image))

    def stored(
        self,
        numbers: Sequence[int],
        *,
        jpeg: int | None = None,
        claimed: int = 0,
        change: Callable[[Picture], Picture] | None = None,
    ) -> list[StoredCrop]:
        """What the tracker stored; with `jpeg`, from frames and into files of that quality.

        `claimed` is added to the number of the source frame that each is said to belong to.
        """
        made = []
        for number in numbers:
            frame = (change or _same)(self.frame(number))
            frame = frame if jpeg is None else as_jpeg(frame, jpeg)
            small = self.crop(frame)
            small = small if jpeg is None else as_jpeg(small, 95)
            made.append(StoredCrop(number - 1, number + claimed, small, f"{number - 1:05d}.png"))
        return made

    def source(self, count: int, change: Callable[[Picture], Picture] | None = None) -> Drawn:
        """The frames, each changed by a function."""
        return Drawn(self.size_wh, count, lambda n: (change or _same)(self.frame(n)))


@dataclass
class Drawn:
    """Frames made on demand, and kept."""

    size_wh: tuple[int, int]
    count: int
    make: Callable[[int], Picture]
    kept: dict[int, Picture] = field(default_factory=dict)

    def frame(self, number: int) -> Picture:
        """The frame of that number, from 1."""
        assert 1 <= number <= self.count
        if number not in self.kept:
            self.kept[number] = self.make(number)
        return self.kept[number]


def as_jpeg(frame: Picture, quality: int) -> Picture:
    """The frame through a JPEG file."""
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def as_h264(path: Path, scene: Scene, count: int, crf: int) -> Drawn:
    """The clip through x264, decoded by OpenCV."""
    import imageio_ffmpeg

    w, h = scene.size_wh
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += [
        "-s",
        f"{w}x{h}",
        "-r",
        "25",
        "-i",
        "-",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-threads",
        "1",
    ]
    command += ["-crf", str(crf), "-pix_fmt", "yuv420p", str(path)]
    frames = b"".join(scene.frame(n).tobytes() for n in range(1, count + 1))
    subprocess.run(command, input=frames, check=True)
    capture = cv2.VideoCapture(str(path))
    decoded = []
    while True:
        done, frame = capture.read()
        if not done:
            break
        decoded.append(frame)
    capture.release()
    assert len(decoded) == count
    return Drawn(scene.size_wh, count, lambda n: decoded[n - 1])


def recoloured(frame: Picture) -> Picture:
    """As through another colour matrix, and from full to limited range."""
    mixed = frame.astype(np.float32) @ MATRIX_709_AS_601.T.astype(np.float32)
    return np.asarray(np.clip(mixed * (219 / 255) + 16.5, 0, 255).astype(np.uint8))


def blurred(frame: Picture) -> Picture:
    """Slightly out of focus."""
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.9), dtype=np.uint8)


def _same(frame: Picture) -> Picture:
    return frame


@cache
def _studio() -> picture.Studio:
    return picture.make_studio((_SPRITE, _SPRITE), (_SPRITE / 2, _SPRITE * 2.0), 0)


@cache
def _sprite(pose: int) -> NDArray[np.float32]:
    """The head in one of many poses, colours already weighted by its cover: (H, W, 4)."""
    yaw, pitch = 0.35 * np.sin(1.3 * pose), 0.18 * np.cos(0.9 * pose)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    focal = 0.31 * _SPRITE / head.RADIUS_M * 1.5
    K = np.array([[focal, 0, _SPRITE / 2], [0, focal, _SPRITE / 2], [0, 0, 1.0]])
    R, t = about_y @ about_x @ np.diag([1.0, -1.0, -1.0]), np.array([0, 0, 1.5])
    shape = (_SPRITE, _SPRITE, 3)
    black = picture.draw(replace(_studio(), room=np.zeros(shape, np.uint8)), K, R, t).astype(np.float32)
    white = picture.draw(replace(_studio(), room=np.full(shape, 255, np.uint8)), K, R, t).astype(np.float32)
    cover = 1 - (white - black).mean(2, keepdims=True) / 255
    return np.asarray(np.dstack([black, np.clip(cover, 0, 1)]), dtype=np.float32)


@cache
def _noise_tile() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(0, 1, (1024, 1024, 3)).astype(np.float32)


def _noise(size_wh: tuple[int, int], sigma: float, seed: int) -> NDArray[np.float32]:
    """A sensor's noise: pieces of one sheet, shifted anew for each frame."""
    dx, dy = np.random.default_rng(seed).integers(0, 1024, 2)
    sheet = np.roll(_noise_tile(), (dx, dy), (0, 1)) * np.float32(sigma)
    w, h = size_wh
    return np.asarray(np.tile(sheet, (-(-h // 1024), -(-w // 1024), 1))[:h, :w], dtype=np.float32)


@cache
def _backdrop(kind: Backdrop, size_wh: tuple[int, int], seed: int) -> Picture:
    w, h = size_wh[0] + 2 * _MARGIN, size_wh[1] + 2 * _MARGIN
    rng = np.random.default_rng((seed, 3))
    s = size_wh[1] / 720
    y, x = np.mgrid[:h, :w].astype(np.float32)
    if kind == "black":
        return np.zeros((h, w, 3), np.uint8)
    if kind == "checks":
        cell = round(32 * s)
        return np.asarray(
            np.where(((x // cell + y // cell) % 2)[..., None] > 0, 190, 60) * np.ones(3), np.uint8
        )
    wall: Any = (150 - 0.05 * y / s - 0.02 * x / s)[..., None] * np.array([0.95, 1.0, 1.05], np.float32)
    if kind == "grain":
        for cell in (4, 11, 40):
            small = rng.normal(0, 14, (int(h / cell / s) + 2, int(w / cell / s) + 2, 3)).astype(np.float32)
            wall = wall + cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
    if kind == "room":
        for _ in range(60):
            a = rng.uniform(0, 1, 2) * (w, h)
            b = a + rng.uniform(20, 160, 2) * s
            colour = rng.uniform(30, 220, 3)
            cv2.rectangle(wall, tuple(map(int, a)), tuple(map(int, b)), tuple(map(float, colour)), -1)
        wall = cv2.GaussianBlur(wall, (0, 0), 2.5 * s)
    return np.asarray(np.clip(wall, 0, 255).astype(np.uint8))


def letterboxed(scene: Scene, bar: int) -> Callable[[Picture], Picture]:
    """Frames with black bands of that height above and below."""

    def change(frame: Picture) -> Picture:
        frame = frame.copy()
        frame[:bar] = frame[scene.size_wh[1] - bar :] = 0
        return frame

    return change
