"""What the page is made of: plain values, pictures already encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from being_remote.camera.crop import Crop
from being_remote.report.curves import Panel

MAX_ROWS = 400

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class SliderFrame:
    """One stop of the slider."""

    name: str  # short, beside the slider, e.g. "00012".
    caption: str  # what is seen, in a sentence; also what is read out to those who cannot see it
    picture: bytes  # a JPEG or PNG file, as from `report.pictures.jpeg`
    facts: tuple[tuple[str, Cell], ...] = ()  # (label, value) pairs shown with it


@dataclass(frozen=True)
class Column:
    """A column of a table; `decimals` is for its floats."""

    name: str
    decimals: int = 3


@dataclass(frozen=True)
class Table:
    """Checks, a row each."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # what is compared and what is good, in a sentence
    doubtful: frozenset[int] = frozenset()  # indices of the rows that did not pass


@dataclass(frozen=True)
class PagePicture:
    """A JPEG or PNG file; `caption` says what it shows."""

    title: str
    caption: str
    picture: bytes


@dataclass(frozen=True)
class PageChart:
    """Curves over frames; `caption` says what they show."""

    title: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """All that the page shows."""

    title: str  # the run or actor
    # short facts under the title, e.g. "838 frames", and when and by what it was made.
    about: tuple[str, ...]
    # how sure the crop is, in a word and in a sentence
    grade: str
    grade_text: str
    # in sentences; warnings come first on the page
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    # the tracker's crop. `K_crop` (3, 3) as stored, `K_source` (3, 3) for the original frames, both corner
    # convention.
    crop: Crop
    K_crop: NDArray[np.float64]
    K_source: NDArray[np.float64]
    frames: tuple[SliderFrame, ...] = ()  # overlays
    evidence: PagePicture | None = None  # the evidence for the crop, shown beside it
    # shown in this order; charts are over time
    checks: tuple[Table, ...] = ()
    charts: tuple[PageChart, ...] = ()
    outputs: tuple[str, ...] = ()  # files that were written
