"""`analyze()`: what is in one `.frame`, in words."""

from __future__ import annotations

from pathlib import Path

from being_remote.api.arguments import PathLike, checked
from being_remote.workflows import analyze as workflow
from being_remote.workflows.analyze import AnalyzeReport


@checked
def analyze(frame: PathLike, *, source_size: tuple[int, int] | None = None) -> AnalyzeReport:
    """Take one `.frame` apart.

    Args:
        frame: the file.
        source_size: width, height of the original video; with a bbox.pt beside the run its camera.

    Raises:
        NotFoundError: it is not there.
        UsageError: it is a folder, a bbox.pt, or anything else.
        UnsafeFile, TornFile: it cannot be read safely, or is torn.

    Example:
        >>> report = analyze("backups/roman/checkpoint/00003.frame")
        >>> report.frame_id, report.image_size_wh, report.problems
        ('00003', (512, 512), ())
    """
    return workflow.analyze(Path(frame).expanduser(), source_size=source_size)
