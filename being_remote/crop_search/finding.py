"""What the crop search takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from being_remote.camera.crop import Crop

    Picture = NDArray[np.uint8]

Grade = Literal["exact", "verified", "estimated", "landmark", "unknown"]
OnProgress = Callable[[int, int], None]  # frames done, frames that will be looked at


@dataclass(frozen=True, eq=False)
class StoredCrop:
    """One picture that the tracker fitted to: a crop, padded and resized."""

    frame_id: int  # of the `.frame` file that it belongs to
    source_number: int  # number in `source/`, counted from 1, of the frame that it should be a crop of
    picture: Picture  # (h, w, 3) uint8, BGR
    path: str  # for messages
    # (h, w) bool, where the face is by the run's landmarks; used where the background was replaced.
    # None: not known.
    face: NDArray[np.bool_] | None = None


class FrameSource(Protocol):
    """The original frames: `size_wh` in pixels, and `count` of them."""

    @property
    def size_wh(self) -> tuple[int, int]: ...

    @property
    def count(self) -> int: ...

    def frame(self, number: int) -> Picture:
        """The frame of that number, counted from 1 as in `source/`: (H, W, 3) uint8, BGR."""
        ...


@dataclass(frozen=True)
class FrameEvidence:
    """How well one stored picture and the crop made again agree."""

    # as in `StoredCrop`
    frame_id: int
    source_number: int
    agrees: bool  # whether picture and frame show the same, in the box that was found
    frame_offset: int  # the source frame that fits is source_number + frame_offset
    offset_told: bool  # whether that frame fits better than its neighbours; False where nothing moves
    equal: bool  # the pixels are equal: none differs by more than one level, nearly none by one
    residual: float  # mean absolute difference, levels of 255, after a colour map for each channel
    score: float  # normalised cross-correlation of the two in grey, 1 at best
    margin: float  # how much lower the next best whole-number crop scores
    # that crop, as steps (side_x, side_y, origin_x, origin_y) from the one found
    runner_up: tuple[int, int, int, int]
    # what is still to correct by registration: (side_x, side_y, origin_x, origin_y)
    step_px: tuple[float, float, float, float]
    mismatch: float  # share of the picture's structured parts that show something else


@dataclass(frozen=True, eq=False)
class ScoreLattice:
    """Scores of whole-number crops around the one found, for a picture of the evidence."""

    side_steps: Sequence[int]  # (S,) px added to the side, the centre kept; 0 is among them
    shifts_px: Sequence[int]  # (D,) px by which the centre is moved, in x and in y; 0 is among them
    scores: NDArray[np.float64]  # (S, D, D) correlation by side, shift in y and in x


@dataclass(frozen=True, eq=False)
class Finding:
    """The crop, its grade, and why."""

    # `exact` (equal pixels on several frames), `verified` (lossy pictures; the same whole numbers win on
    # several frames, with a margin), `estimated`, `landmark`, `unknown`
    grade: Grade
    # None if and only if the grade is `unknown`; a `FreeCrop` where the map is not whole
    crop: Crop | None
    method: str  # how it was found, for people
    reason: str  # why the grade is not better, for people; "" when exact
    frames: tuple[FrameEvidence, ...] = ()  # the evidence, one for each picture compared
    # the estimate before it was made whole, and its standard error
    side_px: float = float("nan")
    side_std_px: float = float("nan")
    # the same for the crop's first corner, (x, y)
    origin_px: tuple[float, float] = (float("nan"), float("nan"))
    origin_std_px: tuple[float, float] = (float("nan"), float("nan"))
    # add this to a stored picture's source_number; None where it is unknown (nothing moves) or is not
    # one number (the source runs at another rate)
    frame_offset: int | None = None
    scores: ScoreLattice | None = None  # the scores around the optimum; None where there is none
    notes: tuple[str, ...] = ()  # what else a person should know

    @property
    def focal_std_percent(self) -> float:
        """What the side's standard error means for the focal length of the source camera."""
        return 100 * self.side_std_px / self.side_px


@dataclass(frozen=True)
class CropCheck:
    """Whether stored pictures are this crop of those frames."""

    agrees: bool | None  # None where the pictures do not show it
    reason: str  # why not, or why it is unknown, for people; "" when they agree
    # as in `Finding`
    frames: tuple[FrameEvidence, ...] = ()
    frame_offset: int | None = None
    exact: bool = False  # the pixels are equal on every frame compared
    notes: tuple[str, ...] = ()
    source: str | None = None  # what the frames were taken from, for people
