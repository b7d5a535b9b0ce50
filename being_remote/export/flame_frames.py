"""The run's `.frame` files, for exporters that write FLAME's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from being_remote.errors import InconsistentData
from being_remote.export.target import Export
from being_remote.tracker.frame_file import Frame, read_frame
from being_remote.tracker.layout import FRAME_SUFFIX

SHAPES, EXPRESSIONS = 300, 100  # what all of FLAME has


def read_frames(export: Export, names: Sequence[str]) -> Iterator[Frame]:
    """Read the `.frame` of each pose, which must have the parameters `names`.

    Raises:
        NotFoundError: a `.frame` is missing.
        DataError: one cannot be read safely, lacks a parameter, or has more or fewer numbers than the first.
    """
    first: Frame | None = None
    for frame_id in export.cameras.frame_ids.tolist():
        path = export.run.frame(frame_id)
        frame = read_frame(path)
        first = first or frame
        for name in names:
            frame.flame_for(name)
        for name, values in frame.flame.items():
            if name in first.flame and values.shape != first.flame[name].shape:
                raise InconsistentData(
                    f"flame.{name} has {values.size} numbers, and in {first.frame_id}{FRAME_SUFFIX}"
                    f" {first.flame[name].size}",
                    file=str(path),
                    hint="the folder mixes frames of two runs: keep those of one",
                )
        yield frame


def too_few_coefficients(export: Export) -> Sequence[str]:
    """Say where the run has fewer coefficients than FLAME; the first frame stands for all."""
    frame = read_frame(export.run.frame(int(export.cameras.frame_ids[0])))
    counts = (
        ("expression", frame.flame_for("exp").size, EXPRESSIONS),
        ("shape", frame.flame_for("shape").size, SHAPES),
    )
    return [
        f"the run has {size} {what} coefficients, and FLAME {full}: they are written as they are, so a model"
        " that takes all of FLAME's needs zeros after them"
        for what, size, full in counts
        if size < full
    ]
