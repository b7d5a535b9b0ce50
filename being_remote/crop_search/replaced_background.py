"""The part of a stored picture that certainly shows the frame where its background was replaced.

Matting before the tracking puts one colour, or another picture, behind the head; the face keeps its
pixels. Everything but one colour that reaches in from the border is the subject. Another picture cannot
be distinguished from the frame's own, so there the face must be known, from the run's landmarks. Hair and
shoulders are left out with a margin: mattes are soft there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from being_remote.crop_search.crop_rendering import Picture, Window
from being_remote.crop_search.finding import StoredCrop

_FLAT_LEVELS = 6  # by which JPEG and the resize's ringing move one colour
_BORDER_SHARE = 0.5  # of the upper and both side borders that must be of it
_LEAST_REPLACED = 0.1  # of the picture
_MARGIN = 1 / 25  # of the picture's side


@dataclass(frozen=True, eq=False)
class InnerPart:
    """What is compared instead of the whole picture."""

    mask: NDArray[np.bool_]  # (h, w) where the picture certainly shows the frame
    why: str  # why only that, for people


def inner_part(stored: StoredCrop, window: Window) -> InnerPart | None:
    """The subject before a replaced background, or the face; None where neither is known."""
    if window.empty:
        return None
    subject = _before_one_colour(stored.picture, window)
    if subject is not None:
        return InnerPart(subject, "one colour stands behind the head")
    if stored.face is not None and stored.face.any():
        return InnerPart(stored.face, "the pictures differ from the frames around the face")
    return None


def _before_one_colour(picture: Picture, window: Window) -> NDArray[np.bool_] | None:
    inside = window.of(picture).astype(np.int16)
    border = np.concatenate([inside[0], inside[:, 0], inside[:, -1]])
    colour = np.median(border, axis=0)
    flat = np.abs(inside - colour).max(axis=2) <= _FLAT_LEVELS
    if np.concatenate([flat[0], flat[:, 0], flat[:, -1]]).mean() < _BORDER_SHARE:
        return None
    count, labels = cv2.connectedComponents(flat.astype(np.uint8), connectivity=4)
    ring = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    reaching = np.zeros(count, dtype=bool)
    reaching[ring] = True
    reaching[0] = False
    behind = reaching[labels]
    if behind.mean() < _LEAST_REPLACED:
        return None
    mask = np.zeros(picture.shape[:2], np.uint8)
    window.of(mask)[...] = ~behind
    margin = max(4, round(_MARGIN * picture.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return _largest(np.asarray(cv2.erode(mask, kernel), dtype=np.uint8))


def _largest(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The largest connected part: specks of a matte are no subject."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return mask.astype(bool)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
