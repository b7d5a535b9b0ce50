"""killed_at.py supervisor|waiter|claim|client N REQUEST: do it, and be killed at the N-th event.

The events of all but a client are Python's audit events. A client's are those that touch a file, a
process or a descriptor, and every read and write besides; big writes are cut into pieces, each an event.
Prints how many events there were if it came to its end.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PIECE = 16 << 10
TOUCHES = ("open", "os.", "subprocess.", "shutil.", "fcntl.", "signal.")


class Countdown:
    """Kills this process, and no child of it, when it reaches zero."""

    def __init__(self, n: int) -> None:
        self.seen, self._n, self._pid = 0, n, os.getpid()
        self._lock = threading.RLock()  # os.kill below is an event, too

    def event(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            self.seen += 1
            if self.seen == self._n:
                os.kill(self._pid, signal.SIGKILL)
                signal.pause()


def supervisor(countdown: Countdown, request: dict[str, Any]) -> Callable[[], None]:
    from being_remote.pod import supervisor as program

    sys.addaudithook(lambda *_: countdown.event())
    return lambda: program.main(json.dumps(request))


def waiter(countdown: Countdown, request: dict[str, Any]) -> Callable[[], object]:
    from being_remote.pod import locks, waiting_records
    from being_remote.pod import waiter as program
    from being_remote.pod.boot_identity import read_boot_identity

    workdir = request["workdir"]
    lock = locks.take(waiting_records.waiter_lock(workdir, read_boot_identity(workdir)), locks.PROBED_S)
    program.LOOK_S = program.SLOWEST_LOOK_S = 0.05
    sys.addaudithook(lambda *_: countdown.event())
    # Without the lock another waiter keeps the queue, and there is nothing to do.
    return lambda: (
        lock is not None
        and program.main(json.dumps({"workdir": workdir, "lock": lock, "first": ["none-1", 1]}))
    )


def claim(countdown: Countdown, request: dict[str, Any]) -> Callable[[], None]:
    from being_remote.jobs import job_archive
    from being_remote.jobs.spec import JobSpec
    from being_remote.pod import offer
    from being_remote.schedulers.plain_host import pack_submit
    from being_remote.schedulers.scheduler import StartRequest

    spec, programs = JobSpec.from_bytes(request["spec"].encode()), job_archive.programs()
    asked = StartRequest(spec.job, spec.sha256, 1, request["volume"], None, job_archive.job_files(spec, {}))
    query = {
        "workdir": request["workdir"],
        "programs": hashlib.sha256(programs).hexdigest(),
        "wait_s": 30.0,
    }
    stdin = io.BytesIO(pack_submit([asked], programs))
    sys.addaudithook(lambda *_: countdown.event())
    return lambda: offer.main(json.dumps(query), stdin)


def client(countdown: Countdown, request: dict[str, Any]) -> Callable[[], None]:
    from being_remote.inventory import LocalHost
    from being_remote.jobs import job_archive, submit
    from being_remote.jobs.spec import JobSpec
    from being_remote.schedulers.scheduler import StartRequest
    from being_remote.transport.local_session import LocalSession

    write, read = os.write, os.read

    def written(fd: int, data: Any) -> int:
        countdown.event()
        return write(fd, data[:PIECE])

    def readen(fd: int, amount: int) -> bytes:
        countdown.event()
        return read(fd, amount)

    spec = JobSpec.from_bytes(request["spec"].encode())
    files = job_archive.job_files(spec, {})
    job_archive.programs()
    host = LocalHost(
        name="here", workdir=Path(request["workdir"]), python=sys.executable, answer_timeout_s=40
    )

    def run() -> None:
        session = LocalSession(host)
        submit.submit(
            session, host, lambda volume: [StartRequest(spec.job, spec.sha256, 1, volume, None, files)]
        )

    os.write, os.read = written, readen  # type: ignore[assignment]
    sys.addaudithook(lambda name, _: countdown.event() if name.startswith(TOUCHES) else None)
    return run


def main(kind: str, n: str, request: str) -> None:
    countdown = Countdown(int(n))
    kinds = {"supervisor": supervisor, "waiter": waiter, "claim": claim, "client": client}
    kinds[kind](countdown, json.loads(request))()
    print(f"\n{countdown.seen}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
