"""How a supervisor is started: detached, with the programs of its own job. For `claim` and `waiter`.

Where this process runs the same programs, a fork of it will do, which costs neither a start of Python nor its
memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Callable, Mapping, Optional, Sequence

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
    **more: Any,
) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own.

    Args:
        answer: the descriptor of a pipe that gets its one-line answer; the caller closes it.
        env: its environment; None: ours.
        more: further fields of its request. Raises OSError.
    """
    paths = JobPaths.of(workdir, job)
    request = {"workdir": workdir, "job": job, "attempt": attempt, "answer": answer, **more}
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


def fork_supervisor(
    main: Callable[[str], None],
    workdir: str,
    job: str,
    attempt: int,
    *,
    answer: int,
    not_its_own: Sequence[int],
) -> None:
    """Start a supervisor as a fork of this process, in a session of its own.

    Args:
        main: of `supervisor`, as this process has it.
        answer: the descriptor of a pipe that gets its one-line answer; the caller closes it.
        not_its_own: other descriptors of this process, which the supervisor closes. Raises OSError.
    """
    paths = JobPaths.of(workdir, job)
    request = json.dumps({"workdir": workdir, "job": job, "attempt": attempt, "answer": answer})
    log = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = os.fork()
    except OSError:
        os.close(log)
        raise
    if child:
        os.close(log)
        return
    try:
        os.setsid()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd, standard in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(fd, standard)
        for fd in (nothing, log, *not_its_own):
            os.close(fd)
        main(request)
    except BaseException:  # noqa: BLE001 - it never returns to what its parent does
        sys.excepthook(*sys.exc_info())
    finally:  # also where its log takes no more words
        os._exit(0)
