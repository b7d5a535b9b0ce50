"""Runs on the pod: which tools the host has, as one JSON document on stdout. Writes nothing.

The request is {"folder": str, "tracker": null or {"root", "python", "files", "modules", "cuda": whether to
ask its torch for CUDA, which takes seconds}}. Each program that it starts has a time limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from typing import Any, BinaryIO, Dict, List, Optional

from being_remote.pod import cgroup_limits, client, locks
from being_remote.pod.gpus import GpuQuery

PROGRAM_S = 5
TRACKER_PYTHON_S = 30
MAX_TEXT = 16384

# Run by the tracker's own interpreter. Only torch is imported, because only it knows of CUDA.
TRACKER_SCRIPT = """
import importlib.util, json, platform, sys
try:
    from importlib.metadata import PackageNotFoundError, version
except ImportError:
    version = None
def of(name):
    if importlib.util.find_spec(name) is None:
        return None
    for spelt in (name, name.replace("_", "-")) if version else ():
        try:
            return version(spelt)
        except PackageNotFoundError:
            continue
    return "?"
found = {name: of(name) for name in sys.argv[2:]}
cuda = error = None
if sys.argv[1] == "cuda" and found.get("torch"):
    try:
        import torch
        cuda = bool(torch.cuda.is_available())
    except Exception as e:
        error = "%s: %s" % (type(e).__name__, e)
print(json.dumps({"version": platform.python_version(), "modules": found, "cuda": cuda, "error": error}))
"""


def run_tool(argv: List[str], limit_s: float = PROGRAM_S, folder: Optional[str] = None) -> Dict[str, Any]:
    """Run a program in `folder`; return {"out": what it printed or null, "error": null or the reason}."""
    if shutil.which(argv[0]) is None:
        return {"out": None, "error": "not there"}
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
        )
    except OSError as e:
        return {"out": None, "error": str(e)}
    try:
        said, complaint = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        client.end_below(process.pid)
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a hung driver keeps it from dying
            process.communicate(timeout=1)
        return {"out": None, "error": f"no answer within {limit_s:g} s"}
    out = said.decode("utf-8", "replace")[:MAX_TEXT]
    if process.returncode != 0:
        last = (complaint or said).decode("utf-8", "replace").strip()[-300:]
        return {"out": None, "error": f"exit {process.returncode}: {last}"}
    return {"out": out, "error": None}


def find_version(name: str) -> Optional[str]:
    """Return a module's version in this interpreter, without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def measure_disk(folder: str) -> Dict[str, Any]:
    """Return the free bytes where the folder is, or will be made, and whether we may write there."""
    place = folder
    while not os.path.isdir(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    free: Optional[int] = None
    inodes: Optional[int] = None
    with contextlib.suppress(OSError):
        disk = os.statvfs(place)
        free = disk.f_bavail * disk.f_frsize
        inodes = disk.f_favail if disk.f_files else None  # some disks do not count them
    return {
        "exists": place == folder,
        "free_bytes": free,
        "free_files": inodes,
        "writable": os.access(place, os.W_OK),
    }


def find_foreign_locks() -> Optional[str]:
    """Return who else owns the usual folder of our locks (`pod/locks.py`); None: no other user."""
    path = os.path.dirname(locks.places()[0])
    try:
        info = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid():
        return None
    return f"{path} is not a folder of this user (uid {info.st_uid} owns it)"


def inspect_tracker(query: Dict[str, Any]) -> Dict[str, Any]:
    """Return the checkout's missing files, and what its interpreter has."""
    root = query["root"]
    missing = [name for name in query["files"] if not os.path.isfile(os.path.join(root, name))]
    # In the checkout, as the tracker runs: what lies there can be imported, too.
    folder = root if os.path.isdir(root) else None
    words = ["cuda" if query["cuda"] else "", *query["modules"]]
    answer = run_tool([query["python"], "-B", "-c", TRACKER_SCRIPT, *words], TRACKER_PYTHON_S, folder)
    python = None
    if answer["out"] is not None:
        try:
            python = json.loads(answer["out"].strip().splitlines()[-1])
        except (ValueError, IndexError):
            answer["error"] = f"answered {answer['out'][:200]!r}"
    return {"exists": os.path.isdir(root), "missing": missing, "python": python, "error": answer["error"]}


def main(request: str, _: BinaryIO) -> None:
    """Answer one request."""
    query = json.loads(request)
    query_gpus = GpuQuery()  # runs while the others do
    answer = {
        "python": platform.python_version(),
        "numpy": find_version("numpy"),
        "rsync": run_tool(["rsync", "--version"]),
        "ffmpeg": run_tool(["ffmpeg", "-version"])["error"],
        "locks": find_foreign_locks(),
        "disk": measure_disk(query["folder"]),
        "limits": cgroup_limits.find_limits(),
        "tracker": inspect_tracker(query["tracker"]) if query["tracker"] else None,
    }
    gpus, problem = query_gpus.answer()
    json.dump(dict(answer, gpus=gpus[:64], gpu_problem=problem), sys.stdout)
