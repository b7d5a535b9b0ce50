"""Runs on the pod: mark a job as cancelled, wake its supervisor, and see it end.

The mark alone is enough while a supervisor lives, now or later. A job that has not arrived gets its
mark beside the place where its folder would be: whoever puts it there later finds it. Where the
supervisor was killed and its payload lives on, the payload is ended from here and the end record
written under the job's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any, BinaryIO, Optional

from being_remote.pod import job_records as records
from being_remote.pod import locks, status
from being_remote.pod import process_groups as processes
from being_remote.pod.job_records import Record

_ENDS: Record = {
    "state": "cancelled",
    "exit_code": None,
    "reason": "cancelled after its supervisor was killed",
    "frames_done": None,
    "frames_total": None,
    "gpus": [],
}


def cancel(asked: Record) -> str:
    """Mark, wake and wait: "absent", "marked", "foreign", "ended" or "asked"."""
    workdir, job = asked["workdir"], asked["job"]
    seen = status.look(workdir, job)
    if seen is None:
        if not _mark_ahead(asked):
            return "absent"
        seen = status.look(workdir, job)  # it may have come before the mark did
        if seen is None:
            return "marked"
    if asked["ledger"] is not None and seen["ledger"] != asked["ledger"]:
        return "foreign"
    if _has_ended(seen):
        return "ended"
    folder = records.job_folder(workdir, job)
    highest = max([1, seen["asked"]] + [attempt["attempt"] for attempt in seen["attempts"]])
    if (records.cancelled_up_to(folder) or 0) < highest:
        records.write_json(records.cancel_mark(folder, arrived=True), {"attempt": highest})
    deadline = time.monotonic() + asked["wait_s"]
    while True:
        seen = status.look(workdir, job)
        if seen is None or _has_ended(seen) or seen["lock"] != "held":
            return "asked"
        supervisor = (seen["holder"] or {}).get("supervisor")
        if supervisor and supervisor["alive"] is False:
            _end_orphan(folder, job, seen)
        elif supervisor and supervisor["alive"]:
            _knock(supervisor["pid"])
        if time.monotonic() >= deadline:
            return "asked"
        time.sleep(0.05)


def _mark_ahead(asked: Record) -> bool:
    """Mark a job that may be on its way to this very volume; False if this is not the one."""
    folder = records.job_folder(asked["workdir"], asked["job"])
    if asked["volume"] is None or records.volume(os.path.dirname(folder)) != asked["volume"]:
        return False
    mark = records.cancel_mark(folder, arrived=False)
    os.makedirs(os.path.dirname(mark), 0o700, exist_ok=True)
    records.write_json(mark, {"attempt": asked["attempt"]})
    return True


def _end_orphan(folder: str, job: str, seen: Record) -> None:
    """End a payload that nobody looks after, then write down that it was cancelled."""
    number = seen["holder"]["attempt"]
    spec, spec_sha256 = records.read_spec(folder)
    grace: Any = spec.get("grace_s")
    began = time.monotonic()
    processes.end_marked(processes.mark_of(job, number), grace if isinstance(grace, (int, float)) else 10.0)
    lock: Optional[int] = locks.take(locks.job_lock(job), wait_s=locks.PROBED_S)
    if lock is None:
        return  # somebody else looks after it now, or it could not be killed
    try:
        here = records.attempt_folder(folder, number)
        if os.path.isdir(here) and not os.path.exists(os.path.join(here, records.END)):
            end: Record = dict(_ENDS, elapsed_s=round(time.monotonic() - began, 3))
            end.update(spec_sha256=spec_sha256, ledger=spec.get("ledger"))
            records.write_json(os.path.join(here, records.END), end)
    finally:
        os.close(lock)


def _has_ended(seen: Record) -> bool:
    newest = seen["attempts"][-1] if seen["attempts"] else None
    return newest is not None and newest["attempt"] >= seen["asked"] and newest["end"] is not None


def _knock(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it just ended
        os.kill(pid, signal.SIGTERM)  # to a supervisor this only means: look now


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request: {"workdir", "job", "attempt", "ledger", "volume", "wait_s"}; the
    last two names may be null."""
    asked = json.loads(request)
    answer = {
        "cancel": cancel(asked),
        "incarnation": records.incarnation(asked["workdir"]),
        "seen": status.look(asked["workdir"], asked["job"]),
    }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
