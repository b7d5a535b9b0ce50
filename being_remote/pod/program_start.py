"""How a program that outlives us is started: in a session of its own, with what it is handed alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Mapping, Optional, Sequence

from being_remote.pod.job_records import Record

_START = (
    "import sys; sys.path.insert(0, sys.argv[1])\nfrom being_remote.pod import {0}\n{0}.main(sys.argv[2])\n"
)


def start_detached(
    name: str,
    programs: str,
    request: Record,
    log: str,
    *,
    env: Optional[Mapping[str, str]] = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program of ours with its request.

    Args:
        name: its module.
        programs: the archive, or the folder, that it is imported from.
        log: the file that gets its complaints.
        env: its environment; None: ours.
        pass_fds: descriptors that it inherits. Raises OSError.
    """
    complaints = open_log(log)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _START.format(name), programs, json.dumps(request)],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    finally:
        os.close(complaints)


def open_log(path: str) -> int:
    """The descriptor of a log to append to. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
