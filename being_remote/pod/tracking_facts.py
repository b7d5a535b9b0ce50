"""Runs on the pod: is there what a tracking needs, as one JSON document on stdout. Writes nothing.

Sent as text to `python3 - REQUEST` on stdin, so it imports nothing of ours and runs on Python 3.8.
REQUEST is JSON: {"root": the tracker's checkout, "input", "config", "defaults": below it, "names": file
names}; without "input" only the file "defaults" is asked for.
It counts and returns small files; what they mean is for the laptop.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import stat
import sys
from typing import Any, BinaryIO, Dict, Optional

MAX_IMAGES = 1000000
MAX_CARRIED = 65536
HEAD_BYTES = 32


def facts(request: Dict[str, Any]) -> Dict[str, Any]:
    """What is there of a checkout and of one actor's input."""
    root = request["root"]
    defaults = _carried(os.path.join(root, request["defaults"]), MAX_CARRIED)
    if "input" not in request:
        return {"defaults": defaults}
    names = request["names"]
    folder = os.path.join(root, request["input"])
    images = 0
    first = None
    try:
        with os.scandir(os.path.join(folder, names["source"])) as listing:
            for entry in listing:
                # The tracker's own patterns: case matters to it.
                if entry.name.endswith((".png", ".jpg")):
                    images += 1
                    first = entry.name if first is None else min(first, entry.name)
                    if images >= MAX_IMAGES:
                        break
    except OSError:
        pass  # there is no such folder: the tracker cuts the video then
    head = None
    if first is not None:
        head = _carried(os.path.join(folder, names["source"], first), HEAD_BYTES, whole=False)
    return {
        "script": os.path.isfile(os.path.join(root, names["script"])),
        "folder": os.path.isdir(folder),
        "images": images,
        "head": head,
        "video": os.path.isfile(os.path.join(folder, names["video"])),
        "identity": os.path.isfile(os.path.join(folder, names["identity"])),
        "box": _carried(os.path.join(folder, names["box"]), MAX_CARRIED),
        "settings": _carried(os.path.join(root, request["config"]), MAX_CARRIED),
        "defaults": defaults,
        "numpy": importlib.util.find_spec("numpy") is not None,
    }


def _carried(path: str, limit: int, whole: bool = True) -> Optional[str]:
    """The start of a regular file, base64; None where there is none, or where it is larger."""
    try:
        # Without O_NONBLOCK a pipe of that name would wait for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(limit + 1)
    except OSError:
        return None
    if whole and len(data) > limit:
        return None
    return base64.b64encode(data[:limit]).decode("ascii")


def main(request: str, _: BinaryIO) -> None:
    """Answer one request."""
    json.dump(facts(json.loads(request)), sys.stdout)
