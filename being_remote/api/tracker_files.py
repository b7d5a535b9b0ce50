"""`read_frame()`, `read_sequence()` and `read_box()`: the tracker's files, read safely."""

from __future__ import annotations

from pathlib import Path

from being_remote.api.arguments import PathLike, checked
from being_remote.tracker import box_file, frame_file, sequence


@checked
def read_frame(path: PathLike) -> frame_file.Frame:
    """Read one `.frame`; nothing in it is executed.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, too large, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: no camera, or blocks that contradict each other.

    Example:
        >>> frame = read_frame("backups/roman/checkpoint/00003.frame")
        >>> frame.frame_id, frame.image_size_wh, frame.K.shape
        ('00003', (512, 512), (3, 3))
    """
    return frame_file.read_frame(Path(path).expanduser())


@checked
def read_sequence(folder: PathLike) -> sequence.Sequence:
    """Read every `.frame` of a folder: one K of the crop, and a pose each.

    Raises:
        NotFoundError: the folder is missing or holds no `.frame`.
        UnsafeFile, TornFile: of the first file that cannot be read.
        InconsistentData: K or the image size changes within the folder, or two files have one id.

    Example:
        >>> frames = read_sequence("backups/roman/checkpoint")
        >>> frames.frame_ids.tolist(), frames.R.shape, frames.t.shape
        ([0, 1, 2, 3, 4, 5], (6, 3, 3), (6, 3))
    """
    return sequence.read_sequence(Path(folder).expanduser())


@checked
def read_box(path: PathLike) -> box_file.Box:
    """Read a bbox.pt: (x_min, x_max, y_min, y_max) in source pixels, the tracker's own order.

    Raises:
        NotFoundError: the file is missing.
        UnsafeFile: not a regular file, too large, or more than plain data.
        TornFile: cut short or damaged.
        InconsistentData: not four whole numbers in that order.

    Example:
        >>> box = read_box("backups/roman/bbox.pt")
        >>> crop_from_box(box, source_size_wh=(640, 360), image_size_wh=(512, 512)).side
        324
    """
    return box_file.read_box(Path(path).expanduser())
