"""One search for a crop: what it compared, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from being_remote.crop_search import Finding, StoredCrop
    from being_remote.crop_search.frame_map import FrameMap


@dataclass(frozen=True, eq=False)
class CropSearch:
    """What a search was made of, and what it found.

    Attributes:
        looked_at: the crops that it compared.
        frame_map: by which it took their frames; None: by the settings' numbers.
    """

    finding: Finding
    evidence: str
    source: str
    phantoms: int
    looked_at: tuple[StoredCrop, ...]
    frame_map: FrameMap | None = None
