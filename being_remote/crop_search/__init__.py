"""The crop without bbox.pt: found by comparing what the tracker stored with the original frames.

`from_images` needs the stored crops and answers with whole numbers that were checked by making the
crop again; `check_crop` checks a known crop the same way. Every answer carries a grade and its
evidence; a source that does not fit ends in `unknown`. Which files the pictures are, and which frame
belongs to which, is for the caller.
"""

from __future__ import annotations

from being_remote.crop_search.finding import (
    CropCheck,
    Finding,
    FrameEvidence,
    FrameSource,
    Grade,
    OnProgress,
    ScoreLattice,
    StoredCrop,
)
from being_remote.crop_search.image_search import from_images, rough_crop
from being_remote.crop_search.known_crop_check import check_crop

__all__ = [
    "CropCheck",
    "Finding",
    "FrameEvidence",
    "FrameSource",
    "Grade",
    "OnProgress",
    "ScoreLattice",
    "StoredCrop",
    "check_crop",
    "from_images",
    "rough_crop",
]
