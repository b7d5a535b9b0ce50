"""How a supervisor is started: detached, with the programs of its own job. For `claim` and `waiter`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Mapping, Optional

from being_remote.pod.job_paths import JobPaths

START = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from being_remote.pod import supervisor\n"
    "supervisor.main(sys.argv[2])\n"
)


def start_supervisor(
    workdir: str,
    job: str,
    attempt: int,
    *,
    answer: Optional[int] = None,
    env: Optional[Mapping[str, str]] = None,
    give_up: Optional[str] = None,
) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own.

    Args:
        answer: the descriptor of a pipe that gets its one-line answer; the caller closes it.
        env: its environment; None: ours.
        give_up: why the attempt waits no longer; it then fails at its gate.

    Raises:
        OSError: it cannot be started.
    """
    paths = JobPaths.of(workdir, job)
    request = {"workdir": workdir, "job": job, "attempt": attempt, "answer": answer, "give_up": give_up}
    log = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", START, paths.bundle, json.dumps(request)],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=() if answer is None else (answer,),
            start_new_session=True,
        )
    finally:
        os.close(log)
