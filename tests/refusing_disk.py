"""Disks that refuse what local ones do: a preloaded library refuses system calls under one folder.

    env = refusing(folder, flock="ENOLCK", fsync="EINVAL", chmod="EPERM", utime="EPERM")
    subprocess.run(argv, env={**os.environ, **env})

The calls are those that `refusing_disk.c` names. It reaches our Python, rsync and, by `RefusingPod`, all that
sshd starts.
"""

from __future__ import annotations

import atexit
import errno
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from being_remote.demo.pod import Pod

# What network volumes refuse, one way or the other.
NFS = {"flock": "ENOLCK", "fsync": "EINVAL", "syncfs": "EINVAL", "chmod": "EPERM", "utime": "EPERM"}
FUSE = {"flock": "ENOSYS", "fsync": "ENOSYS", "syncfs": "ENOSYS", "chmod": "ENOTSUP", "utime": "ENOTSUP"}


@functools.cache
def _library() -> Path:
    source = Path(__file__).with_name("refusing_disk.c")
    folder = tempfile.mkdtemp(prefix="refusing-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    built = Path(folder) / "refusing_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", built, source, "-ldl"], check=True)
    return built


def refusing(folder: Path, **calls: str) -> dict[str, str]:
    """The environment in which processes are refused these calls under `folder`: flock="ENOLCK"."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs gcc, to make a library that is preloaded")
    refused = " ".join(f"{call}={getattr(errno, name)}" for call, name in calls.items())
    return {"LD_PRELOAD": str(_library()), "REFUSE_UNDER": str(folder.resolve()), "REFUSE": refused}


class RefusingPod(Pod):
    """A pod on whose disk these calls are refused."""

    refused: dict[str, str]

    def _config(self) -> str:
        environment = " ".join(f'"{k}={v}"' for k, v in self.refused.items())
        return super()._config().replace("SetEnv ", f"SetEnv {environment} ", 1)


def start_refusing_pod(
    folder: Path, *, path: str | None = None, below: str = "disk", **calls: str
) -> RefusingPod:
    """A pod that refuses these calls on its disk, or elsewhere `below` its folder."""
    folder = folder.resolve()
    pod = RefusingPod(folder, name="pod", path=path)
    (folder / below).mkdir(parents=True, exist_ok=True)
    pod.refused = refusing(folder / below, **calls)
    pod.start()
    return pod
