"""The request to `recover`: which run, by which evidence, and what to write and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.errors import UsageError

if TYPE_CHECKING:
    from being_remote.export import CanvasChoice


@dataclass(frozen=True)
class RunChoice:
    """Which run to recover.

    Attributes:
        run: a folder (of `.frame` files, or with `checkpoint/` in it), an actor's name, or a job.
        actor: whose backup is meant without `run`; default: the inventory's only actor.
    """

    run: str | None = None
    actor: str | None = None


@dataclass(frozen=True)
class EvidenceChoice:
    """What to find the crop by: at most one of bbox, box, from_images and from_landmarks; default: the best.

    Attributes:
        source_size: width, height of the original video.
        video: the original video, or the folder of its frames; gives the size and the pictures.
        bbox: a bbox.pt from elsewhere, or a numpy file of four numbers in the same order.
        box: x_min, x_max, y_min, y_max themselves.
        from_images: the original video or its frames: find the crop by the run's stored crops.
        from_landmarks: the same, or a folder of landmarks found there: find it by the stored landmarks.
        check: compare a few stored crops with the video, where both are local, and refuse a video of
            pixels that are not square.
    """

    source_size: tuple[int, int] | None = None
    video: Path | None = None
    bbox: Path | None = None
    box: tuple[int, int, int, int] | None = None
    from_images: Path | None = None
    from_landmarks: Path | None = None
    check: bool = True

    def __post_init__(self) -> None:
        if len(self._options) > 1:
            raise UsageError(
                f"{' and '.join(self._options)} are two ways to one crop", hint="give one of them"
            )

    @property
    def _options(self) -> list[str]:
        values = {
            "--bbox": self.bbox,
            "--box": self.box,
            "--from-images": self.from_images,
            "--from-landmarks": self.from_landmarks,
        }
        return [option for option, value in values.items() if value is not None]

    @property
    def option(self) -> str:
        """The option that was given; "" where none was."""
        return next(iter(self._options), "")

    @property
    def landmark_folder(self) -> Path | None:
        """The landmarks of the original frames, where `from_landmarks` names a folder of them."""
        path = self.from_landmarks
        return path if path is not None and path.is_dir() and any(path.glob("*.npy")) else None

    @property
    def frames(self) -> tuple[Path | None, str]:
        """The original video or its frames, and the option that names them.

        Raises:
            UsageError: two options name two of them.
        """
        searched = self.from_images or self.from_landmarks
        if searched is None or self.landmark_folder is not None:
            return self.video, "--video"
        if self.video not in (None, searched):
            raise UsageError(
                f"{self.option} {searched} and --video {self.video} name two originals",
                hint="give one of them",
            )
        return searched, self.option


@dataclass(frozen=True)
class OutputChoice:
    """What to write and report.

    Attributes:
        exports: names of `export.TARGETS`; default: those whose `default` is true.
        canvas: "crop", or width, height of a window around the principal point; None: each trainer's own.
        allow_off_centre: write a camera although its trainer ignores the principal point.
        with_images: make each trainer's pictures.
        out: where to write; default `recovered/<run>` in the current folder.
        force: move an `out` that holds another run aside.
        write_bbox: store the crop that was found as the run's bbox.pt.
        plot: draw the camera and the camera path as PNG files, too.
        what_if: `K=V` settings of the tracker whose crop is to be predicted; then nothing is written
            unless one of `exports`, `with_images`, `out`, `write_bbox` or `plot` asks for it.
        explain: also compare with the guide's recipe.
        dry_run: compute all, write nothing.
    """

    exports: Sequence[str] = ()
    canvas: CanvasChoice = None
    allow_off_centre: bool = False
    with_images: bool = False
    out: Path | None = None
    force: bool = False
    write_bbox: bool = False
    plot: bool = False
    what_if: Sequence[str] = ()
    explain: bool = False
    dry_run: bool = False

    @property
    def names_files(self) -> bool:
        """Whether something to write is named."""
        return bool(self.exports or self.with_images or self.out or self.write_bbox or self.plot)
