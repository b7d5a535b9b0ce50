"""Runs on the pod: mark a job as cancelled, wake its supervisor, and wait for the end.

The mark alone is enough while a supervisor lives, now or later. A job that has not arrived is marked
beside the place of its folder, where its supervisor finds the mark. Where the supervisor was killed and
its payload still runs, this program ends the payload and writes the exit record under the job's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any, BinaryIO, List

from being_remote.pod import (
    cancel_mark,
    exit_record,
    job_records,
    locks,
    status,
    waiting_records,
)
from being_remote.pod.boot_identity import read_boot_identity, read_volume
from being_remote.pod.exit_record import AttemptOutcome
from being_remote.pod.heartbeat import count_progress
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_records import Record
from being_remote.pod.job_states import JobState
from being_remote.pod.orphaned_attempt import OrphanRecords, end_orphans, find_orphans, with_unseen
from being_remote.pod.waiting_records import WaitingAttempt

_OUTCOME = AttemptOutcome(JobState.CANCELLED, None, "cancelled after its supervisor was killed")
_NOT_ALL_ENDED = _OUTCOME._replace(
    reason=f"{_OUTCOME.reason}; some of its processes could not be killed and still run"
)


def cancel(query: Record) -> str:
    """Mark, wake and wait: "absent", "marked", "foreign", "ended" or "asked"."""
    workdir, job = query["workdir"], query["job"]
    seen = status.look(workdir, job)
    if seen is None:
        if not _mark_before_arrival(query):
            return "absent"
        seen = status.look(workdir, job)  # it may have come before the mark did
        if seen is None:
            return "marked"
    if query["ledger"] is not None and seen["ledger"] != query["ledger"]:
        return "foreign"
    if _has_ended(seen):
        return "ended"
    paths = JobPaths.of(workdir, job)
    highest = max([1, seen["asked"]] + [attempt["attempt"] for attempt in seen["attempts"]])
    if (cancel_mark.cancelled_up_to(paths) or 0) < highest:
        cancel_mark.mark_cancelled(paths, highest, supervised=seen["lock"] == "held")
    waiting_records.remove_job(workdir, WaitingAttempt(0, job, highest), keep=None)
    deadline, here = time.monotonic() + query["wait_s"], read_boot_identity(workdir)
    while True:
        seen = status.look(workdir, job)
        if seen is None or _has_ended(seen):
            return "asked"
        supervisors = _supervisors(seen)
        alive = [each["pid"] for each in supervisors if each["alive"]]
        for pid in alive:
            _wake(pid)
        if not alive:
            # Its processes may have let go of the lock.
            records = OrphanRecords.read(job, paths, highest)
            if seen["lock"] != "held" and not find_orphans(job, highest, records, here):
                return "asked"
            if any(each["alive"] is False for each in supervisors):
                _end_orphan(paths, job, highest, here)
        if time.monotonic() >= deadline:
            return "asked"
        time.sleep(0.05)


def _supervisors(seen: Record) -> List[Record]:
    """The supervisor that took the lock, and the one of the newest attempt, which may have been put back."""
    newest = seen["attempts"][-1] if seen["attempts"] else {}
    named = [(record or {}).get("supervisor") for record in (seen["holder"], newest.get("who"))]
    return [supervisor for supervisor in named if supervisor]


def _mark_before_arrival(query: Record) -> bool:
    """Mark a job that may be on its way to this volume; False if it goes to another one."""
    paths = JobPaths.of(query["workdir"], query["job"])
    if query["volume"] is None or read_volume(paths.jobs) != query["volume"]:
        return False
    cancel_mark.mark_before_arrival(paths, query["attempt"])
    return True


def _end_orphan(paths: JobPaths, job: str, number: int, here: Record) -> None:
    """End a payload whose supervisor is dead, then write its exit record; `here`: this pod's identity."""
    try:
        spec, spec_sha256 = job_records.read_spec(paths.spec)
    except job_records.Unreadable:
        raise  # the disk fails for a moment
    except ValueError:  # the payload removed it
        spec, spec_sha256 = {}, ""
    grace: Any = spec.get("grace_s")
    grace_s = grace if isinstance(grace, (int, float)) else 10.0
    records = OrphanRecords.read(job, paths, number)
    all_ended = end_orphans(job, number, records, here, grace_s)
    lock = locks.take_all(locks.job_locks(job), wait_s=locks.PROBED_S)
    if lock is None:
        return  # another supervisor has it now, or it could not be killed
    try:
        attempt_paths = paths.attempt(number)
        if records is None or not records.is_ours(here):
            return  # another pod may run it
        if not os.path.isdir(attempt_paths.folder) or exit_record.has_exit_record(attempt_paths):
            return
        heartbeat = count_progress(attempt_paths, spec, records.heartbeat)
        started = records.find_start(here)
        exit_record.write_exit_record(
            attempt_paths,
            with_unseen(_OUTCOME if all_ended else _NOT_ALL_ENDED, job),
            elapsed_s=time.monotonic() - started if started is not None else 0.0,
            spec=spec,
            spec_sha256=spec_sha256,
            frames_done=heartbeat.frames_done,
            frames_total=heartbeat.frames_total,
            gpus=records.who.get("gpus") or [],
        )
    finally:
        locks.release(lock)


def _has_ended(seen: Record) -> bool:
    newest = seen["attempts"][-1] if seen["attempts"] else None
    return newest is not None and newest["attempt"] >= seen["asked"] and newest["end"] is not None


def _wake(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it just ended
        os.kill(pid, signal.SIGTERM)  # a supervisor only looks at its job's folder then


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request: {"workdir", "job", "attempt", "ledger", "volume", "wait_s"}; the
    last two names may be null."""
    query = json.loads(request)
    answer = {
        "cancel": cancel(query),
        "incarnation": read_boot_identity(query["workdir"]),
        "seen": status.look(query["workdir"], query["job"]),
    }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
