"""Storing a box that was found, beside the run.

A box is stored only where pixels confirmed it, never from an estimate, and never over another box. The next
sync adopts it as a file put there by hand.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from being_remote.errors import InconsistentData, UsageError
from being_remote.recovery.found_crop import FoundCrop
from being_remote.recovery.recovery_input import RecoveryInput
from being_remote.recovery.report_figures import evidence_figures
from being_remote.recovery.stored_box import SURE
from being_remote.tracker.box_file import read_box
from being_remote.tracker.box_note import BoxNote, write_box


def find_box_place(case: RecoveryInput, found: FoundCrop) -> Path | None:
    """Where the box will be written; None where it is stored already."""
    places = case.run.boxes(case.settings)
    if found.search is None:
        if found.box is not None and found.box.path in places:
            return None
        raise UsageError(
            "stores a crop that a search found, and this one was not searched for",
            where="--write-bbox",
            hint="--from-images VIDEO finds it",
        )
    if found.grade not in SURE or found.crop is None:
        raise InconsistentData(
            f"a crop of grade {found.grade!r} is not stored as a box: {found.search.finding.reason}",
            file=found.search.source,
            hint="leave --write-bbox out; the cameras are written with their error bars",
        )
    if found.grade != "exact" and not case.source.sure:
        w, h = case.source.size_wh
        raise InconsistentData(
            f"the pixels are alike, not equal, so this may be a rescaled copy ({w}x{h}) of the video that was"
            " tracked, and the box would be wrong for the tracker",
            file=found.search.source,
            hint="say the size of the tracked video, if it is this: --source-size WIDTHxHEIGHT, or"
            " source_size in the inventory",
        )
    stored = next((p for p in places if os.path.lexists(p)), None)
    if stored is None:
        return case.run.trackers_box(case.settings) or places[0]
    if read_box(stored) != _box(found):
        raise InconsistentData(
            f"holds another box than the one found, {_box(found)}, and is not replaced",
            file=str(stored),
            hint="if it is another run's, move it away and recover again",
        )
    return None


def write_found_box(place: Path, case: RecoveryInput, found: FoundCrop) -> None:
    """Store the box at the place that `find_box_place` found, and the note beside it.

    Raises:
        InconsistentData: meanwhile another box was written there.
        UsageError, NoSpace: the folder cannot be written, or the disk is full.
    """
    write_box(place, _note(case, found))


def _box(found: FoundCrop) -> tuple[int, int, int, int]:
    assert found.crop is not None  # only crops that were found are stored
    return found.crop.x_min, found.crop.x_max, found.crop.y_min, found.crop.y_max


def _note(case: RecoveryInput, found: FoundCrop) -> BoxNote:
    assert found.search is not None  # only crops that were searched for are stored
    figures = asdict(evidence_figures(found.search, case.frames))
    evidence = {"K_crop": case.frames.K.tolist(), "source_size_wh": case.source.size_wh, **figures}
    return BoxNote.model_validate_json(
        json.dumps(
            {"box": _box(found), "grade": found.grade, "method": figures["method"], "evidence": evidence}
        )
    )
