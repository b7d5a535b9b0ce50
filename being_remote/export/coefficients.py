"""How many of FLAME's coefficients trainers take, and what is said of a run that fitted fewer."""

from __future__ import annotations

from collections.abc import Sequence

from being_remote.export.target import Export
from being_remote.tracker.frame_file import read_frame

SHAPES, EXPRESSIONS = 300, 100


def too_few_coefficients(export: Export) -> Sequence[str]:
    """Says where the run's frames, which are all alike, hold fewer than those.

    Raises:
        NotFoundError, DataError: the first frame cannot be read, or has no coefficients.
    """
    frame = read_frame(export.run.frame(int(export.cameras.frame_ids[0])))
    found = (
        ("expression", frame.flame_for("exp").size, EXPRESSIONS),
        ("shape", frame.flame_for("shape").size, SHAPES),
    )
    return [
        f"the run has {size} {what} coefficients, and FLAME {full}: they are written as they are, so a model"
        " that takes all of FLAME's wants zeros behind them"
        for what, size, full in found
        if size < full
    ]
