"""The box that cropped a run, and whether it is the run's own."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from being_remote.camera.crop import crop_from_box
from being_remote.errors import BeingRemoteError, DataError, InconsistentData, UsageError
from being_remote.tracker import layout
from being_remote.tracker.box_file import MAX_BOX_BYTES, box_of, parse_box
from being_remote.tracker.box_note import read_note
from being_remote.tracker.box_rules import is_square_before_cut
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.intrinsics_file import read_intrinsics
from being_remote.tracker.npy_file import read_array

if TYPE_CHECKING:
    from being_remote.camera.crop import Crop
    from being_remote.recovery.recovery_input import RecoveryInput, SourceSize

SURE = ("exact", "verified")


@dataclass(frozen=True)
class RunBox:
    """A box that may have cropped the run."""

    box: tuple[int, int, int, int]
    path: Path | None  # its file, or the intrinsics.json that holds it; None: it was typed
    doubt: str  # why it is unknown whether it is the run's; "" when it is

    @property
    def named(self) -> str:
        """Where it was read, for messages."""
        return str(self.path) if self.path is not None else f"--box {','.join(map(str, self.box))}"


def find_box(case: RecoveryInput, explicit: Path | None) -> RunBox | None:
    """The run's box: of the file given, else of the one that lies where a run's box lies; None: none does.

    It is the run's own when the newest manifest of the backup lists these very bytes and all the
    frames that are used as coming from one host, or when it lies where the tracker itself writes it.
    Anything else may belong to another run: the same place, an earlier video, a deleted and remade box.

    Args:
        explicit: a bbox.pt, or a numpy file in the tracker's order.

    Raises:
        NotFoundError: the file given is not there.
        DataError: it cannot be read safely, or is not a box.
    """
    places = case.run.boxes(case.settings)
    path = explicit or next((p for p in places if p.exists() or p.is_symlink()), None)
    if path is None:
        return None
    data = read_bytes(path, MAX_BOX_BYTES)
    if not data.startswith(b"\x93NUMPY"):
        return RunBox(parse_box(data, str(path)), path, _doubt(case, path, data))
    numbers = read_array(path, (4,), (1, 4)).ravel().tolist()
    doubt = (
        "it is a numpy file, read as x_min, x_max, y_min, y_max; other programs store y first, and the file"
        " does not say which"
    )
    return RunBox(box_of(numbers, str(path)), path, doubt)


def box_of_job(case: RecoveryInput) -> RunBox | None:
    """The box in the `intrinsics.json` that a job of ours left; None where there is none."""
    path = case.run.intrinsics
    if path is None or not path.is_file():
        return None
    found = read_intrinsics(path)
    if found.box is None:
        return None
    if [list(row) for row in found.K_crop] != case.frames.K.tolist() or len(case.frames.stretches) > 1:
        raise InconsistentData(
            "its K is not that of the run's frames, so its box may be of other ones",
            file=str(path),
            hint=f"being-remote pull {case.run.job} --all",
        )
    return RunBox(found.box, path, "")


def _doubt(case: RecoveryInput, path: Path, data: bytes) -> str:
    run, settings = case.run, case.settings
    if Path(os.path.normpath(path.absolute())) == run.trackers_box(settings):
        if not settings.actor:
            return "no settings file says that the run read this folder"
        return ""  # a tracker's checkout: this run could only have put it here
    if run.origins is None:
        return "its origin is not recorded"
    entry = run.origins.get(layout.BBOX)
    if entry is None:
        return "the backup's manifest does not list it"
    if entry.sha256 != hashlib.sha256(data).hexdigest():
        return "it is not the file that the backup's manifest lists"
    frames = [run.origins.get(f"{layout.CHECKPOINT}/{name}") for name in case.frames.files]
    frame_hosts = {e.host if e is not None else None for e in frames}
    if entry.host is None:
        return "it lay in the backup before the first sync"
    if frame_hosts != {entry.host}:
        others = ", ".join(sorted(repr(h) if h else "before the first sync" for h in frame_hosts))
        return f"it was downloaded from {entry.host!r}, the frames from {others or 'an unknown host'}"
    return ""


def crop_by_box(
    found: RunBox, source: SourceSize, image_size_wh: tuple[int, int]
) -> tuple[Crop, tuple[str, ...]]:
    """The crop that the tracker made with this box, and warnings about it.

    Raises:
        UsageError, InconsistentData: the box was not made on frames of this size.
    """
    try:
        crop = crop_from_box(found.box, source.size_wh, image_size_wh)
    except ValueError as e:
        raise _misfit(str(e), found, source) from e
    x_min, x_max, y_min, y_max = found.box
    if crop.scale_x != crop.scale_y:
        return crop, (
            f"the box is {x_max - x_min}x{y_max - y_min}, which pads unevenly: fx and fy differ, as in the"
            " tracker's own crops; the tracker makes even boxes only, so it was edited or is another video's",
        )
    if not is_square_before_cut((crop.x_min, crop.x_max, crop.y_min, crop.y_max), crop.source_size_wh):
        return crop, (
            "the box is not square though no border cut its shorter side: it was edited or is another"
            " video's",
        )
    return crop, ()


def _misfit(what: str, found: RunBox, source: SourceSize) -> BeingRemoteError:
    w, h = source.size_wh
    if "swapped" in what and source.video is not None:  # measured, so the size is not what is wrong
        return InconsistentData(
            f"{what.split(';')[0]} ({source.said_by})",
            file=found.named,
            hint="it fits with x and y exchanged: other programs store y first. Use this run's own bbox.pt"
            " (--bbox FILE), or the video that was tracked (--video FILE)",
        )
    if "swapped" in what:
        return UsageError(
            f"{what} ({source.said_by})", where=found.named, hint=f"--source-size {h}x{w} (WIDTHxHEIGHT)"
        )
    return InconsistentData(
        f"{what} ({source.said_by})",
        file=found.named,
        hint="give the size of the video that was tracked (--video FILE or --source-size WIDTHxHEIGHT),"
        " or this run's own bbox.pt (--bbox FILE)",
    )


def is_confirmed(box: RunBox, case: RecoveryInput) -> bool:
    """Whether a note beside the box says that the pixels of this run confirmed it."""
    if box.path is None:
        return False
    try:
        note = read_note(box.path)
    except DataError:
        return False  # a note is an extra
    if note is None or len(case.frames.stretches) > 1:
        return False  # the note knows one K
    return note.grade in SURE and note.evidence.get("K_crop") == case.frames.K.tolist()
