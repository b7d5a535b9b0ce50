"""One search for a crop: what it compared, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from being_remote.crop_search import Finding, Stored


@dataclass(frozen=True, eq=False)
class Search:
    """What a search was made of, and what it found; `looked_at` are the crops it compared."""

    finding: Finding
    evidence: str
    source: str
    phantoms: int
    looked_at: tuple[Stored, ...]
