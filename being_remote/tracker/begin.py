"""Runs on the pod before the tracker: its settings with this attempt's paths, and what may be kept.

    python -m being_remote.tracker.begin WORK FILES [PREVIOUS]

WORK is the attempt's folder, FILES holds `tracking.json` and the settings, PREVIOUS is the folder of
the attempt before it, or "". The input folder holds only links to what the actor has, so that the
tracker computes its box, crops and landmarks anew. After an earlier attempt of this very job its box
and its whole frames are copied here, up to the first that is missing or cannot be read safely: the
tracker goes on from there by itself, whereas a torn file would stop it for ever.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import Any, Dict, List, Optional

from being_remote.errors import BeingRemoteError, InconsistentData, NotFoundError, UsageError
from being_remote.tracker.layout import (
    ACTOR_CONFIGS,
    BBOX,
    CHECKPOINT,
    CROPS,
    IDENTITY,
    INPUT,
    MESH,
    OUTPUT,
    SOURCE,
)

REQUEST = "tracking.json"
# The tracker replaces these in the paths of its images as text.
REPLACED = ("source", "images", "kpt", "png", "jpg")
# Frames that the key-frame stage leaves have not their final K yet; a run this young starts anew.
WORTH_KEEPING = 8

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
        return "it holds a blank or a sign that shells or patterns read as theirs"
    return None


def begin(work: str, files: str, previous: str = "") -> List[str]:
    """Make an attempt ready for the tracker; what is said goes into the job's log.

    Raises:
        UsageError: the tracker could not live with the attempt's path.
        NotFoundError: the actor's images or identity went away meanwhile.
        InconsistentData: the number of images is another than when the job was planned.
    """
    problem = unusable_path(work)
    if problem is not None:
        raise UsageError(problem, where=work, hint="give the host another `workdir` in the inventory")
    request = read_request(files)
    folder = os.path.join(work, INPUT, request["folder"])
    if not os.path.isfile(os.path.join(folder, IDENTITY)):
        raise NotFoundError("is not there any more", where=os.path.join(folder, IDENTITY))
    said = []
    if request["expected"] is not None:
        found = len(frame_names(folder, request))
        if found != request["expected"]:
            raise InconsistentData(
                "there are images for {} frames, {} were planned for".format(found, request["expected"]),
                file=os.path.join(folder, SOURCE),
                hint="somebody changed the actor's input: retrack --again",
            )
        said.append(f"{found} frames to track")
    _write_settings(work, files, request, folder)
    if previous:
        said.append(_keep(previous, work, request))
    return said


def read_request(files: str) -> Dict[str, Any]:
    """`tracking.json`, which came from the laptop with the job's own hash."""
    with open(os.path.join(files, REQUEST), encoding="utf-8") as f:
        request: Dict[str, Any] = json.load(f)
    return request


def frame_names(folder: str, request: Dict[str, Any]) -> List[str]:
    """The source images that are tracked, in the tracker's order: the n-th makes frame n.

    Raises:
        NotFoundError: there is no folder of images.
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


def _keep(previous: str, work: str, request: Dict[str, Any]) -> str:
    """Copy an earlier attempt's box and its frames up to the first that is not whole."""
    from being_remote.tracker.frame_file import read_box, read_frame

    box = os.path.join(INPUT, request["folder"], BBOX)
    frames = os.path.join(OUTPUT, request["folder"], CHECKPOINT)
    good: List[str] = []
    K: Any = None
    step = 0
    try:
        if request["crop_image"]:
            read_box(os.path.join(previous, box))
        while True:
            name = f"{len(good):05d}.frame"
            frame = read_frame(os.path.join(previous, frames, name))
            if K is not None and (frame.K.tolist() != K or frame.global_step < step):
                # Left over by the key-frame stage, which writes the first names before all others.
                break
            K, step = frame.K.tolist(), frame.global_step
            good.append(name)
    except BeingRemoteError as e:
        why = str(e).splitlines()[0]
    else:
        why = f"{name} is of another stage of the fit"
    least = max(WORTH_KEEPING, 2 * len(request["keyframes"]))
    if len(good) < least:
        return f"nothing is kept of the attempt before: {len(good)} whole frames ({why})"
    run = os.path.join(OUTPUT, request["folder"])
    for folder, suffix in ((CHECKPOINT, ".frame"), (CROPS, ".png"), (MESH, ".ply")):
        os.makedirs(os.path.join(work, run, folder), exist_ok=True)
        for name in good:
            # The tracker writes a frame's crop and mesh before the frame itself, so these are whole.
            path = os.path.join(run, folder, name.replace(".frame", suffix))
            if os.path.isfile(os.path.join(previous, path)):
                shutil.copyfile(os.path.join(previous, path), os.path.join(work, path))
    if request["crop_image"]:
        shutil.copyfile(os.path.join(previous, box), os.path.join(work, box))
    return f"{len(good)} whole frames of the attempt before are kept ({why})"


def main(argv: List[str]) -> int:
    """The command line; its exit code is the error's."""
    try:
        for line in begin(*argv):
            sys.stdout.write(line + "\n")
    except BeingRemoteError as e:
        sys.stdout.write(f"being-remote: {e}\n")
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
