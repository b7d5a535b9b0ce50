"""The crop of a run, whichever way it was found, how sure it is, and what is doubtful about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from being_remote.camera.crop import Crop, resize_only
from being_remote.crop_search.finding import CropCheck, Finding
from being_remote.crop_search.frame_map import FrameMap
from being_remote.errors import UsageError
from being_remote.recovery.recovery_input import RecoveryInput, SourceSize
from being_remote.recovery.stored_box import RunBox, crop_by_box
from being_remote.wording import list_some

ASPECT_TOLERANCE = 0.01
LISTED = 4

Way = Literal["bbox", "whole frame", "images", "landmarks"]


@dataclass(frozen=True, eq=False)
class CropSearch:
    """What a search compared, and what it found."""

    finding: Finding
    # what of the run was compared with which frames
    evidence: str
    source: str
    phantoms: int = 0  # pictures left out, since no `.frame` has them
    frame_map: FrameMap | None = None  # by which it took their frames; None: by the settings' numbers


@dataclass(frozen=True, eq=False)
class FoundCrop:
    """The crop, how sure it is, and why."""

    crop: Crop | None  # None where the evidence does not show it (grade "unknown")
    by: Way  # the way it was found
    grade: str  # as in `RecoverReport`
    doubt: str = ""  # why the crop may not be this one
    warnings: tuple[str, ...] = ()  # what else a person should know of it
    box: RunBox | None = None  # the bbox.pt it was read from
    search: CropSearch | None = None  # how it was searched for, where it was

    @property
    def frame_offset(self) -> int | None:
        """What the search adds to the frames' numbers; None without a search, or where it is unknown."""
        found = self.search.finding if self.search is not None else None
        return found.frame_offset if found is not None and found.crop is not None else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """All that is doubtful, what matters most first."""
        return (self.doubt, *self.warnings) if self.doubt else self.warnings


def whole_frame_crop(case: RecoveryInput) -> FoundCrop:
    """The map of a run that cropped nothing."""
    _check_aspect(case.frames.image_size_wh, case.source)
    unused = next((path for path in case.run.boxes(case.settings) if path.exists()), None)
    crop = resize_only(case.source.size_wh, case.frames.image_size_wh)
    warning = f"{unused} is not used: by its settings and frames this run cropped nothing"
    warnings = (warning,) if unused is not None else ()
    return FoundCrop(crop, "whole frame", "whole frame", warnings=warnings)


def boxed_crop(found: RunBox, source: SourceSize, image_size_wh: tuple[int, int]) -> FoundCrop:
    """The crop that a bbox.pt says; unverified where the box is not known to be this run's."""
    crop, warnings = crop_by_box(found, source, image_size_wh)
    doubt = f"unverified: {found.named} is not known to be this run's: {found.doubt}" if found.doubt else ""
    return FoundCrop(crop, "bbox", "unverified" if doubt else "bbox", doubt, warnings, found)


def searched_crop(by: Way, search: CropSearch) -> FoundCrop:
    """The crop that a search found, or none; what is only an estimate is doubtful."""
    found = search.finding
    doubt = ""
    if found.crop is None:
        doubt = f"the crop is unknown: {found.reason}"
    elif found.grade in ("estimated", "landmark"):
        doubt = f"the crop is an estimate: {found.reason}"
    return FoundCrop(found.crop, by, found.grade, doubt, search=search)


def grade_by_check(found: FoundCrop, check: CropCheck | None) -> FoundCrop:
    """The crop after it was compared with pixels: "exact" by equal pixels, "verified" by similar ones.

    Where they disagree the grade is "unverified" and no camera is written.
    """
    if check is None:
        return found
    if check.agrees:
        grade = "exact" if check.exact else "verified"
        return replace(found, grade=grade, doubt="", warnings=(*found.warnings, *check.notes))
    if check.agrees is False:
        what = f"the box {found.box.named}" if found.box is not None else "a run without a crop"
        doubt = (
            f"THE PIXELS DISAGREE: the stored crops are not what {what} makes of {check.source}:"
            f" {check.reason}. The box is another run's, or the video is another one; no camera was written"
        )
        return replace(found, grade="unverified", doubt=doubt)
    return found


def grade_by_stretches(found: FoundCrop, case: RecoveryInput, check: CropCheck | None) -> FoundCrop:
    """The crop of a run with K per frame: one box need not have cut all its stretches of frames.

    Each chunk of a video may have been tracked with a box of its own, and two runs may be mixed. So a
    stretch that no stored crop confirms makes the crop "unverified".
    """
    stretches = case.frames.stretches
    if len(stretches) == 1 or found.crop is None:
        return found
    listed = list_some([f"{a:05d} to {b:05d}" for a, b in stretches], LISTED)
    warning = (
        f"K changes within the run, in {len(stretches)} stretches of frames ({listed}): it was tracked in"
        " chunks, or two runs are mixed; each frame is given its own K"
    )
    found = replace(found, warnings=(warning, *found.warnings))
    if found.by == "whole frame" or (check is not None and check.agrees is False):
        return found
    agreeing = [e.frame_id for e in check.frames if e.agrees] if check is not None else []
    if found.search is not None:
        agreeing += [e.frame_id for e in found.search.finding.frames if e.agrees]
    unchecked = [s for s in stretches if not any(s[0] <= i <= s[1] for i in agreeing)]
    # Where every frame has a K of its own there are no chunks, and a few frames stand for all.
    fitted_each = 2 * len(stretches) > len(case.frames.frame_ids)
    if not unchecked or (fitted_each and agreeing):
        return found
    first, last = unchecked[0]
    more = f" and {len(unchecked) - 1} more" if unchecked[1:] else ""
    doubt = (
        f"unverified: nothing shows that this box cut the frames {first:05d} to {last:05d}{more}, too: no"
        " stored crop of them was compared with the video"
    )
    warnings = (found.doubt, *found.warnings) if found.doubt else found.warnings
    return replace(found, grade="unverified", doubt=doubt, warnings=warnings)


def _check_aspect(image_size_wh: tuple[int, int], source: SourceSize) -> None:
    """A run without a crop keeps the shape of the frame, or its settings say otherwise on purpose."""
    w, h = source.size_wh
    stretch = (w / image_size_wh[0]) / (h / image_size_wh[1])
    turned = (h / image_size_wh[0]) / (w / image_size_wh[1])
    if abs(turned - 1) < ASPECT_TOLERANCE < abs(stretch - 1):
        raise UsageError(
            f"a frame of {w}x{h} does not have the shape of the tracked image"
            f" {image_size_wh[0]}x{image_size_wh[1]}, but {h}x{w} does: are width and height swapped?",
            where=source.said_by,
            hint=f"--source-size {h}x{w} (WIDTHxHEIGHT)",
        )
