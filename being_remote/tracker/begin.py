"""Runs on the pod before the tracker: its settings with this attempt's paths, and the frames to resume from.

    python -m being_remote.tracker.begin WORK FILES [PREVIOUS [PUSHED]]

WORK is the attempt's folder, FILES holds `tracking.json` and the settings, PREVIOUS is the folder of
the attempt before it on this host, PUSHED what the laptop uploaded of an attempt on another host
(each may be ""). The input folder holds only links to what the actor has, so that the tracker
computes its box, crops and landmarks itself. Of the earlier attempts of this job the one with most
whole frames has them copied here, with its box, up to the first that is missing or cannot be read
safely: the tracker resumes there, whereas a torn file would stop it for ever. What was uploaded names
its box's hash, and then no other box is used: a job that moves keeps its crop.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from typing import Any, Collection, Dict, List, NamedTuple, Optional, Tuple

from being_remote.errors import BeingRemoteError, InconsistentData, NotFoundError, UsageError
from being_remote.tracker.layout import (
    ACTOR_CONFIGS,
    BBOX,
    CHECKPOINT,
    CROPS,
    FRAME_SUFFIX,
    IDENTITY,
    INPUT,
    MESH,
    OUTPUT,
    SOURCE,
    frame_name,
)

REQUEST = "tracking.json"
PUSHED = "pushed.json"
# The tracker replaces these in the paths of its images as text.
REPLACED = ("source", "images", "kpt", "png", "jpg")
# Frames that the key-frame stage leaves have not their final K yet; so young a run starts from its beginning.
WORTH_KEEPING = 8
# Beside each frame, in the run's folder, with the same stem.
BESIDE = ((CHECKPOINT, FRAME_SUFFIX), (CROPS, ".png"), (MESH, ".ply"))

_PLAIN = re.compile(r"[\w./+=@,~-]*")


def unusable_path(path: str) -> Optional[str]:
    """Why the tracker could not work below a path; None where it can.

    Example:
        >>> unusable_path("/workspace/Being"), unusable_path("/data/sources")
        (None, "it holds 'source', which the tracker replaces in its paths")
    """
    for word in REPLACED:
        if word in path:
            return f"it holds {word!r}, which the tracker replaces in its paths"
    if not _PLAIN.fullmatch(path):
        return "it holds a blank or a character that is special to shells or patterns"
    return None


class ResumableFiles(NamedTuple):
    """What an attempt left that another can resume from."""

    folder: str  # its work folder
    frames: List[str]  # names of its whole frames from the first on, of one K and in the order of one fit
    box: Optional[bytes]  # the bytes of its bbox.pt; None where there is none, or none that can be read
    why: str  # why there are no more frames


def begin(work: str, files: str, previous: str = "", pushed: str = "") -> List[str]:
    """Make an attempt ready for the tracker; returns lines for the job's log.

    Raises:
        UsageError: the tracker cannot work below the attempt's path.
        NotFoundError: the actor's images or identity are missing by now.
        InconsistentData: the number of images has changed since the job was planned; or the uploaded box
            is not the one that its note names.
    """
    problem = unusable_path(work)
    if problem is not None:
        raise UsageError(problem, where=work, hint="give the host another `workdir` in the inventory")
    request = read_request(files)
    folder = os.path.join(work, INPUT, request["folder"])
    if not os.path.isfile(os.path.join(folder, IDENTITY)):
        raise NotFoundError("the file is missing by now", where=os.path.join(folder, IDENTITY))
    lines = []
    if request["expected"] is not None:
        found = len(frame_names(folder, request))
        if found != request["expected"]:
            raise InconsistentData(
                f"has images for {found} frames; the job was planned for {request['expected']}",
                file=os.path.join(folder, SOURCE),
                hint="the actor's input was changed: retrack --again",
            )
        lines.append(f"{found} frames to track")
    _write_settings(work, files, request, folder)
    if previous or pushed:
        lines.append(_keep(previous, pushed, work, request))
    return lines


def read_request(files: str) -> Dict[str, Any]:
    """`tracking.json`, which the laptop sent with the job."""
    with open(os.path.join(files, REQUEST), encoding="utf-8") as f:
        request: Dict[str, Any] = json.load(f)
    return request


def frame_names(folder: str, request: Dict[str, Any]) -> List[str]:
    """The source images that are tracked, in the tracker's order: the n-th makes frame n.

    Raises:
        NotFoundError: the folder of images is missing.
    """
    source = os.path.join(folder, SOURCE)
    try:
        names = sorted(n for n in os.listdir(source) if n.endswith((".png", ".jpg")))
    except OSError as e:
        raise NotFoundError(f"cannot be listed: {e.strerror}", where=source) from e
    return names[request["begin_frames"] : len(names) - request["end_frames"]]


def _write_settings(work: str, files: str, request: Dict[str, Any], folder: str) -> None:
    with open(os.path.join(files, request["settings"]), "rb") as f:
        settings = f.read()
    # The path was looked at above: between quotes it cannot be read as anything else. The tracker
    # puts its output's name behind save_folder as it is, so that must end with a slash.
    paths = f"actor: '{folder}'\nsave_folder: '{os.path.join(work, OUTPUT)}/'\n"
    path = os.path.join(work, ACTOR_CONFIGS, request["folder"] + ".yml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(paths.encode("utf-8") + settings)


def find_resumable_files(
    folder: str, request: Dict[str, Any], names: Optional[Collection[str]] = None
) -> ResumableFiles:
    """What of an attempt's work folder is whole and safe to resume from; with `names` only of these paths."""
    from being_remote.tracker.box_file import MAX_BOX_BYTES, parse_box
    from being_remote.tracker.frame_file import is_resumable, read_bytes, read_frame

    where = os.path.join(folder, OUTPUT, request["folder"], CHECKPOINT)
    good: List[str] = []
    box: Optional[bytes] = None
    K: Any = None
    step = 0
    try:
        if request["crop_image"]:
            path = os.path.join(folder, box_path(request))
            data = read_bytes(path, MAX_BOX_BYTES)
            parse_box(data, path)
            box = data
        while True:
            name = frame_name(len(good))
            if names is not None and os.path.join(OUTPUT, request["folder"], CHECKPOINT, name) not in names:
                why = f"{name} was not uploaded"
                break
            frame = read_frame(os.path.join(where, name))
            found = frame.global_step
            if found is None or not is_resumable(frame):
                why = f"{name} is not in the tracker's own form, so it cannot resume from it"
                break
            if K is not None and (frame.K.tolist() != K or found < step):
                # Left over by the key-frame stage, which writes the first names before all others.
                why = f"{name} is of another stage of the fit"
                break
            K, step = frame.K.tolist(), found
            good.append(name)
    except BeingRemoteError as e:
        why = str(e).splitlines()[0]
    return ResumableFiles(folder, good, box, why)


def box_path(request: Dict[str, Any]) -> str:
    """The path of bbox.pt below a work folder."""
    return os.path.join(INPUT, request["folder"], BBOX)


def least_frames(request: Dict[str, Any]) -> int:
    """How many whole frames the tracker needs to resume."""
    return max(WORTH_KEEPING, 2 * len(request["keyframes"]))


def can_resume(kept: ResumableFiles, request: Dict[str, Any]) -> bool:
    return len(kept.frames) >= least_frames(request)


def _keep(previous: str, pushed: str, work: str, request: Dict[str, Any]) -> str:
    """Copy the box and the frames of the attempt before, or what was pushed of it if that is more."""
    found = []
    pin = None
    if pushed:
        with open(os.path.join(pushed, PUSHED), encoding="utf-8") as f:
            note = json.load(f)
        pin = note["box_sha256"]
        brought = find_resumable_files(pushed, request, note["files"])
        if _sha256(brought.box) != pin:
            raise InconsistentData(
                "is not the box that was uploaded for this attempt",
                file=os.path.join(pushed, box_path(request)),
                hint="resume the job again: another crop would be another camera",
            )
        found.append(("another host's attempt", brought))
    if previous:
        ours = _most_before(previous, request, pin)
        if ours is not None:
            found.insert(0, ours)
    if not found:
        return "nothing of the earlier attempt is kept: its box differs from the uploaded one"
    whose, best = max(found, key=lambda item: len(item[1].frames))  # the first of equals
    line = f"{len(best.frames)} whole frames of {whose} are kept ({best.why})"
    if not can_resume(best, request):
        line = (
            f"nothing of {whose} is kept: {len(best.frames)} whole frames ({best.why}); with fewer than"
            f" {least_frames(request)} the key-frame stage may not be over"
        )
        if pin is None:
            return line
        best = best._replace(frames=[])
        line += "; its box is, so that the crop stays the same"
    run = os.path.join(OUTPUT, request["folder"])
    for folder, suffix in BESIDE:
        os.makedirs(os.path.join(work, run, folder), exist_ok=True)
        for name in best.frames:
            # The tracker writes a frame's crop and mesh before the frame itself, so these are whole.
            path = os.path.join(run, folder, name.replace(FRAME_SUFFIX, suffix))
            if os.path.isfile(os.path.join(best.folder, path)):
                shutil.copyfile(os.path.join(best.folder, path), os.path.join(work, path))
    if best.box is not None:
        with open(os.path.join(work, box_path(request)), "wb") as f:
            f.write(best.box)
    return line


def _most_before(
    previous: str, request: Dict[str, Any], pin: Optional[str]
) -> Optional[Tuple[str, ResumableFiles]]:
    """The most that an earlier attempt left on this host, and whose it is; with `pin` only of that box.

    An attempt that ended while it began, on a full disk for one, has less than those before it.
    """
    attempts, newest = os.path.split(os.path.dirname(previous))
    best: Optional[Tuple[str, ResumableFiles]] = None
    for number in range(int(newest), 0, -1):
        folder = os.path.join(attempts, str(number), os.path.basename(previous))
        # Mostly an attempt has all that those before it had, and they need not be read.
        if best is not None and _count(folder, request) <= len(best[1].frames):
            continue
        kept = find_resumable_files(folder, request)
        more = best is None or len(kept.frames) > len(best[1].frames)
        if more and (pin is None or _sha256(kept.box) == pin):
            best = ("the attempt before" if folder == previous else f"attempt {number}", kept)
    return best


def _count(folder: str, request: Dict[str, Any]) -> int:
    checkpoint = os.path.join(folder, OUTPUT, request["folder"], CHECKPOINT)
    return len(os.listdir(checkpoint)) if os.path.isdir(checkpoint) else 0


def _sha256(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else hashlib.sha256(data).hexdigest()


def main(argv: List[str]) -> int:
    try:
        for line in begin(*argv):
            sys.stdout.write(line + "\n")
    except BeingRemoteError as e:
        sys.stdout.write(f"being-remote: {e}\n")
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
