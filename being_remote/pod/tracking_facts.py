"""Runs on the pod: what a tracking needs, as one JSON document on stdout. Writes nothing.

The request is {"root": the tracker's checkout, "input", "config", "defaults": below it, "names": file names};
without "input" only the file "defaults" is read.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from typing import Any, BinaryIO, Dict, Optional, Tuple

from being_remote.pod.small_file import read_small, read_start

MAX_IMAGES = 1000000
MAX_CARRIED = 65536
HEAD_BYTES = 32
OLDEST_NUMPY = (1, 20)


def facts(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a checkout and one actor's input folder hold."""
    root = request["root"]
    defaults = _b64(read_small(os.path.join(root, request["defaults"]), MAX_CARRIED))
    if "input" not in request:
        return {"defaults": defaults}
    names = request["names"]
    folder = os.path.join(root, request["input"])
    images = 0
    first = None
    try:
        with os.scandir(os.path.join(folder, names["source"])) as listing:
            for entry in listing:
                # The tracker's own patterns are case-sensitive.
                if entry.name.endswith((".png", ".jpg")):
                    images += 1
                    first = entry.name if first is None else min(first, entry.name)
                    if images >= MAX_IMAGES:
                        break
    except OSError:
        pass  # no folder: the tracker cuts the video then
    head = None
    if first is not None:
        head = _b64(read_start(os.path.join(folder, names["source"], first), HEAD_BYTES))
    return {
        "script": os.path.isfile(os.path.join(root, names["script"])),
        "folder": os.path.isdir(folder),
        "images": images,
        "head": head,
        "video": os.path.isfile(os.path.join(folder, names["video"])),
        "identity": os.path.isfile(os.path.join(folder, names["identity"])),
        "box": _b64(read_small(os.path.join(folder, names["box"]), MAX_CARRIED)),
        "settings": _b64(read_small(os.path.join(root, request["config"]), MAX_CARRIED)),
        "defaults": defaults,
        "numpy": has_numpy(),
    }


def has_numpy() -> bool:
    """Return whether this Python has a numpy that our steps can use, without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", version("numpy") or "")
    except (PackageNotFoundError, KeyError):  # KeyError: its metadata is damaged
        return False
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_NUMPY


def _b64(found: Tuple[Optional[bytes], Optional[str]]) -> Optional[str]:
    data, _ = found
    return None if data is None else base64.b64encode(data).decode("ascii")


def main(request: str, _: BinaryIO) -> None:
    """Answer one request."""
    json.dump(facts(json.loads(request)), sys.stdout)
