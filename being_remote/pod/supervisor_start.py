"""How a supervisor is started, detached and with the programs of its own job; and its one-line answer.

For `claim` and `waiter`. Where this process runs the same programs, a fork of it will do, which costs neither
a start of Python nor its memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any, Callable, Mapping, Optional, Sequence

from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.program_start import open_log, start_detached
from being_remote.pod.tickets import Ticket

MAX_REASON_LETTERS = 1000


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
    request: Record = {"workdir": workdir, "job": job, "attempt": attempt, "answer": answer, **more}
    pass_fds = () if answer is None else (answer,)
    return start_detached(
        "supervisor", paths.bundle, request, paths.supervisor_log, env=env, pass_fds=pass_fds
    )


def write_answer(fd: int, word: str, reason: Optional[str]) -> None:
    """Write a supervisor's answer to the claim that waits for it, if it still does."""
    line = {"supervisor": word, "reason": reason and reason[:MAX_REASON_LETTERS]}
    with contextlib.suppress(OSError):  # the claim has ended: its link was cut
        os.write(fd, (json.dumps(line) + "\n").encode())


def fork_supervisor(
    main: Callable[[str], None],
    workdir: str,
    job: str,
    attempt: int,
    *,
    answer: int,
    ticket: Optional[Ticket],
    not_its_own: Sequence[int],
) -> None:
    """Start a supervisor as a fork of this process, in a session of its own.

    Args:
        main: of `supervisor`, as this process has it.
        answer: the descriptor of a pipe that gets its one-line answer; the caller closes it.
        ticket: its place in the queue, if it needs GPUs; the caller closes the descriptor.
        not_its_own: other descriptors of this process, which the supervisor closes. Raises OSError.
    """
    paths = JobPaths.of(workdir, job)
    request = {"workdir": workdir, "job": job, "attempt": attempt, "answer": answer, "ticket": ticket}
    log = open_log(paths.supervisor_log)
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
        main(json.dumps(request))
    except BaseException:  # noqa: BLE001 - it never returns to what its parent does
        sys.excepthook(*sys.exc_info())
    finally:  # also where its log takes no more words
        os._exit(0)
