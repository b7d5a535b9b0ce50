"""The crop without bbox.pt: found again by comparing what the tracker stored with the original frames.

`from_images` needs the stored crops and answers with whole numbers that were checked by making the
crop again; `check_crop` asks the same of a crop that is known. Every answer carries a grade and its
evidence, and a source that does not fit ends in `unknown`.

It knows pictures only: which files they are, and which frame belongs to which, is the caller's.
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
