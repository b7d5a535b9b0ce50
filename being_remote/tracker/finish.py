"""Runs on the pod after the tracker: check that its files are a whole run, write the original frames' camera.

    python -m being_remote.tracker.finish WORK FILES

The tracker's exit code proves nothing, so its files are checked: every expected frame is there and
can be read safely, one K in all of them, the network image of the settings, a readable box. Then K
is transformed to the source images by the same code as on the laptop, and `intrinsics.json` is
written whole. `result.json` says how it went; the exit code is the error's, 0 when all is well.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

from being_remote.camera.crop import Crop, crop_from_box, resize_only
from being_remote.camera.intrinsics import fov_deg, intrinsics_in_source, to_opencv_pixels
from being_remote.errors import BeingRemoteError, InconsistentData, NotFoundError
from being_remote.media.picture import image_size
from being_remote.tracker.begin import frame_names, read_request
from being_remote.tracker.box_file import MAX_BOX_BYTES, Box, parse_box
from being_remote.tracker.frame_file import read_bytes
from being_remote.tracker.layout import BBOX, CHECKPOINT, FRAME_SUFFIX, INPUT, OUTPUT, SOURCE, frame_name
from being_remote.tracker.sequence import read_sequence

if TYPE_CHECKING:
    from being_remote.tracker.sequence import Sequence

FORMAT = "being-remote intrinsics"
VERSION = 1
INTRINSICS, RESULT = "intrinsics.json", "result.json"
LISTED = 20


def finish(work: str, files: str) -> Dict[str, Any]:
    """Check the attempt in `work` and write its `intrinsics.json`; returns what result.json says.

    Raises:
        NotFoundError: frames or the box are missing.
        DataError: a file cannot be read safely, or they contradict each other or the settings.
    """
    request = read_request(files)
    given = os.path.join(work, INPUT, request["folder"])
    checkpoint = Path(work) / OUTPUT / request["folder"] / CHECKPOINT
    sources = frame_names(given, request)
    _check_all_there(checkpoint, len(sources))
    frames = read_sequence(checkpoint)
    _check_size(frames, request)
    source_size_wh = image_size(Path(given) / SOURCE / sources[0])
    warnings = list(frames.warnings)
    expected_names = request["source_size_wh"]
    if expected_names is not None and tuple(expected_names) != source_size_wh:
        (w, h), (other_w, other_h) = source_size_wh, expected_names
        warnings.append(
            f"the source images are {w}x{h}, the inventory says {other_w}x{other_h}: K is that of the images"
        )
    box, box_sha256 = _read_box(given, request)
    crop = _crop(box, given, source_size_wh, frames.image_size_wh)
    document = _document(request, frames, crop, sources, box, box_sha256)
    data = b"".join(_lines(document))
    write_whole(os.path.join(work, INTRINSICS), data)
    return {
        "ok": True,
        "frames": len(frames.frame_ids),
        "expected": len(sources),
        "warnings": warnings,
        "intrinsics_sha256": hashlib.sha256(data).hexdigest(),
    }


def _check_all_there(checkpoint: Path, expected: int) -> None:
    try:
        found = {name for name in os.listdir(checkpoint) if name.endswith(FRAME_SUFFIX)}
    except OSError:
        found = set()
    expected_names = {frame_name(i) for i in range(expected)}
    missing = sorted(expected_names - found, key=lambda name: int(name[: -len(FRAME_SUFFIX)]))
    if missing or not expected:
        listed = ", ".join(missing[:LISTED]) + (", ..." if missing[LISTED:] else "")
        raise NotFoundError(
            f"{len(expected_names & found)} of {expected} frames are there; missing: {listed}",
            where=str(checkpoint),
            hint="the tracker ended early; its log says why",
        )
    more = sorted(found - expected_names)
    if more:
        raise InconsistentData(
            f"holds {len(more)} more files than frames were tracked: {', '.join(map(repr, more[:5]))}",
            file=str(checkpoint),
            hint="another run wrote there, too",
        )


def _check_size(frames: Sequence, request: Dict[str, Any]) -> None:
    height, width = request["image_size_hw"]
    if frames.image_size_wh != (width, height):
        w, h = frames.image_size_wh
        raise InconsistentData(
            f"the frames are of {w}x{h} images, the settings say {width}x{height}",
            file=str(frames.folder),
            hint="the tracker did not use its settings: is it a fork?",
        )


def _read_box(given: str, request: Dict[str, Any]) -> Tuple[Optional[Box], Optional[str]]:
    """The box in bbox.pt and the file's hash; None without a crop."""
    if not request["crop_image"]:
        return None, None
    path = os.path.join(given, BBOX)
    data = read_bytes(path, MAX_BOX_BYTES)
    return parse_box(data, path), hashlib.sha256(data).hexdigest()


def _crop(
    box: Optional[Box], given: str, source_size_wh: Tuple[int, int], image_size_wh: Tuple[int, int]
) -> Crop:
    if box is None:
        return resize_only(source_size_wh, image_size_wh)
    try:
        return crop_from_box(box, source_size_wh, image_size_wh)
    except ValueError as e:
        path, hint = os.path.join(given, BBOX), "the box is not of these source images"
        raise InconsistentData(str(e), file=path, hint=hint) from e


def _document(
    request: Dict[str, Any],
    frames: Sequence,
    crop: Crop,
    sources: List[str],
    box: Optional[Box],
    box_sha256: Optional[str],
) -> Dict[str, Any]:
    """intrinsics.json, with the names that cameras.json has. One pose for each frame."""
    K = intrinsics_in_source(frames.K, crop)
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": request["actor"],
        "grade": "bbox" if box is not None else "whole frame",
        "conventions": {
            "K": "pixels of the source images, edges on integers: the first pixel's centre is (0.5, 0.5)",
            "K_opencv": "the same camera for OpenCV: cx and cy are 0.5 less",
            "R_t": "world-to-camera: X_cam = R X + t; x right, y down, z forward (OpenCV); metres",
            "crop": "source pixels, ends exclusive; source = scale * crop pixel + origin, as K",
        },
        "size_wh": crop.source_size_wh,
        "K": K.tolist(),
        "K_opencv": to_opencv_pixels(K).tolist(),
        "fov_deg": fov_deg(K, crop.source_size_wh),
        "K_crop": frames.K.tolist(),
        "crop": crop.as_json(),
        "box": box,
        "box_sha256": box_sha256,
        "fps": request["fps"],
        "begin_frames": request["begin_frames"],
        "frames": [
            {"frame_id": f"{i:05d}", "file": name, "R": frames.R[i].tolist(), "t": frames.t[i].tolist()}
            for i, name in enumerate(sources)
        ],
    }


def _lines(document: Dict[str, Any]) -> List[bytes]:
    """JSON with one line for each frame."""
    head = {key: value for key, value in document.items() if key != "frames"}
    rows = [json.dumps(frame, allow_nan=False) for frame in document["frames"]]
    return [
        json.dumps(head, indent=1, allow_nan=False)[:-2].encode(),
        b',\n "frames": [\n  ',
        ",\n  ".join(rows).encode(),
        b"\n ]\n}\n",
    ]


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that it appears whole or not at all, also after a power cut."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as f:
        f.write(data)
        f.flush()
        _sync(f.fileno())
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def sync_folder(folder: Union[str, os.PathLike[str]]) -> None:
    """Fsync a folder, so that names made in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Fsync, where the disk offers it: many network disks refuse that of a folder."""
    try:
        os.fsync(descriptor)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise


def main(argv: List[str]) -> int:
    work, files = argv
    code = 0
    try:
        result = finish(work, files)
    except BeingRemoteError as e:
        code = e.exit_code
        result = {"ok": False, "error": type(e).__name__, "reason": str(e)}
        sys.stdout.write(f"being-remote: {e}\n")
    else:
        sys.stdout.write(f"{result['frames']} frames are whole; {INTRINSICS} written\n")
        for warning in result["warnings"]:
            sys.stdout.write(f"warning: {warning}\n")
    write_whole(os.path.join(work, RESULT), json.dumps(result, indent=1, sort_keys=True).encode() + b"\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
