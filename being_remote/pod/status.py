"""Runs on the pod: the facts of every job, from its folder and lock, and the GPUs; as deflated JSON.

It starts, writes and decides nothing; `jobs/status_verdict.py` decides, on the laptop. The lock of a job is
read before its exit record, so that an end between the two is seen.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import zlib
from typing import Any, BinaryIO, List, Optional, Tuple

from being_remote.pod import cancel_mark, gpu_lease, job_records, locks, os_problem, processes, start_gate
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.gpus import GpuQuery
from being_remote.pod.heartbeat import count_progress
from being_remote.pod.host_queue import HostQueue
from being_remote.pod.job_paths import JOB_ID, JobPaths, jobs_folder
from being_remote.pod.job_records import Record

MAX_JOBS = 20_000
# A job with longer records, or that comes after so many letters, is shown by its name alone.
MAX_ROW_LETTERS = 64 << 10
MAX_LETTERS = 24 << 20
MAX_DEPTH = 16
SHOWN_ATTEMPTS = 16
_WHO = {"incarnation", "supervisor", "gpus", "lock_path", "lock_inode"}
_HEARTBEAT = {"beat", "state", "frames_done", "frames_total", "payload"}
_END = {"state", "exit_code", "reason", "elapsed_s", "frames_done", "frames_total", "gpus"}

_NOTHING: Record = {
    "spec_sha256": None,
    "ledger": None,
    "lock": "free",
    "lock_inode": None,
    "holder": None,
    "cancel": None,
    "waiting": None,
    "disk": None,
    "asked": 0,
    "attempts": [],
    "problem": None,
}


def look(workdir: str, job: str, queue: Optional[HostQueue] = None) -> Optional[Record]:
    """One job's facts; None if its folder is not there. `queue`: as it was read for many jobs."""
    paths = JobPaths.of(workdir, job)
    made, asked = start_gate.list_attempts(paths)
    facts: Record = dict(_NOTHING, job=job)
    # An exit record is final, so a job whose newest attempt has one needs no look at its lock or spec:
    # a pod keeps hundreds of old jobs.
    newest = _attempt(paths, made[-1], facts) if made and made[-1] == asked else None
    note: Any = None
    while newest is None or newest["end"] is None or newest["attempt"] < asked:
        facts["lock"], facts["lock_inode"], note = locks.probe_all(locks.job_locks(job, make=False))
        facts["holder"] = _holder(note)
        newest = _attempt(paths, made[-1], facts) if made else None
        if (newest is None or newest["attempt"] < asked) and facts["lock"] != "held":
            queue = queue or HostQueue(workdir)
            facts["waiting"] = queue.find(job, max(1, asked))
        now = start_gate.list_attempts(paths)
        if facts["lock"] == "held" or now == (made, asked):
            break
        # An attempt that was made after its lock was found free is not lost.
        made, asked = now
    if newest is not None and newest["end"] is None and facts["lock"] != "held":
        _count_anew(paths, newest)
    earlier = [_attempt(paths, n, {}, only_end=True) for n in made[-SHOWN_ATTEMPTS:-1]]
    facts["asked"], facts["attempts"] = asked, earlier + ([newest] if newest else [])
    if newest is None or newest["end"] is None or newest["attempt"] < asked:
        facts["cancel"] = cancel_mark.cancelled_up_to(paths)
        facts["disk"] = os_problem.find_full_disk(workdir)
    if facts["spec_sha256"] is None:
        if not os.path.lexists(paths.spec):
            return _removed(facts, note) if facts["lock"] == "held" and isinstance(note, dict) else None
        try:
            spec, facts["spec_sha256"] = job_records.read_spec(paths.spec)
            facts["ledger"] = spec.get("ledger")
        except ValueError as e:
            facts["problem"] = str(e)[:200]
    return facts


def _removed(facts: Record, note: Record) -> Record:
    """A job without its folder whose lock is held: what the lock says of it."""
    attempt = note.get("attempt")
    facts["asked"], facts["ledger"] = attempt if type(attempt) is int else 0, note.get("ledger")
    facts["problem"] = "it was removed; a process of the job still runs"
    return facts


def look_at_all(workdir: str, only: Optional[List[str]]) -> Tuple[List[Record], int]:
    """(the facts of all jobs, or of those named; how many more there are)."""
    jobs = jobs_folder(workdir)
    try:
        names = sorted(os.listdir(jobs)) if only is None else only
    except FileNotFoundError:
        return [], 0
    found: List[Record] = []
    queue = HostQueue(workdir)
    names = [name for name in names if JOB_ID.fullmatch(name)]
    for name in names[:MAX_JOBS]:
        try:
            facts = look(workdir, name, queue)
        except Exception as e:  # noqa: BLE001 - a record may hold anything, and must not hide other jobs
            facts = _unreadable(name, str(e) or type(e).__name__)
        if facts is not None:
            found.append(facts)
    return found, max(0, len(names) - MAX_JOBS)


def _attempt(paths: JobPaths, number: int, of_job: Record, only_end: bool = False) -> Record:
    facts: Record = {"attempt": number, "who": None, "progress": None, "end": None, "problem": None}
    attempt_paths = paths.attempt(number)
    try:
        end = job_records.read_json(attempt_paths.end)
        if end is not None:
            facts["end"] = _only(end, _END)
            of_job.update(spec_sha256=end.get("spec_sha256"), ledger=end.get("ledger"))
        if end is None and not only_end:
            who = _only(job_records.read_json(attempt_paths.who), _WHO)
            facts["who"] = _with_liveness(who, "supervisor")
            heartbeat = _only(job_records.read_json(attempt_paths.progress), _HEARTBEAT)
            facts["progress"] = _with_liveness(heartbeat, "payload")
            # A supervisor that is dead by now may have written it since the first look.
            facts["end"] = _only(job_records.read_json(attempt_paths.end), _END)
    except ValueError as e:
        facts["problem"] = str(e)[:200]
    return facts


def _count_anew(paths: JobPaths, newest: Record) -> None:
    """The last heartbeat of an attempt that ended without an exit record says too little."""
    with contextlib.suppress(ValueError):
        spec, last = job_records.read_spec(paths.spec)[0], newest["progress"]
        if last is not None:
            last["frames_done"] = count_progress(paths.attempt(newest["attempt"]), spec, last).frames_done


def _only(record: Optional[Record], names: Any) -> Optional[Record]:
    """The record with these fields only: a later version may add some; missing ones are null."""
    return None if record is None else {name: record.get(name) for name in names}


def _with_liveness(record: Optional[Record], name: str) -> Optional[Record]:
    """The record, with whether its process of that name runs."""
    if record is not None and isinstance(record.get(name), dict):
        named = record[name]
        record[name] = {
            "pid": named.get("pid"),
            "start": named.get("start"),
            "alive": processes.is_alive(named),
        }
    return record


def _holder(note: Any) -> Optional[Record]:
    if not isinstance(note, dict):
        return None
    return _with_liveness(
        _only(note, {"attempt", "incarnation", "supervisor", "waits_for", "problem"}), "supervisor"
    )


def _unreadable(job: str, why: str) -> Record:
    return dict(_NOTHING, job=job, problem=why[:200])


def rows_of(jobs: List[Record]) -> List[str]:
    """Each job as JSON; one whose records cannot be sent is shown with the reason instead."""
    # json.dump takes six times as long; blanks and the search for circles cost, too.
    encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    rows, letters = [], 0
    for job in jobs:
        try:
            _require_shallow(job)
            row = encode(_lean(dict(job, attempts=[_lean(a) for a in job["attempts"]])))
        except (ValueError, RecursionError) as e:
            row = encode(_lean(_unreadable(job["job"], "its records cannot be sent: " + str(e))))
        if len(row) > MAX_ROW_LETTERS or letters + len(row) > MAX_LETTERS:
            row = encode(_lean(_unreadable(job["job"], "its records are too long to be sent")))
        rows.append(row)
        letters += len(row)
    return rows


def _require_shallow(value: Any) -> None:
    """Raise ValueError for a record nested so deeply that its reader may refuse the whole answer."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ValueError("they are nested too deeply")


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _lean(record: Record) -> Record:
    """The record without nulls, which are a third of a long answer."""
    return {name: value for name, value in record.items() if value is not None}


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request: {"workdir": str, "only": null or [job]}."""
    gc.disable()  # one short run that only grows
    asked = json.loads(request)
    query = GpuQuery()
    jobs, omitted = look_at_all(asked["workdir"], asked["only"])
    gpus, problem = query.answer()
    answer = {
        "incarnation": read_boot_identity(asked["workdir"]),
        "gpus": gpu_lease.with_leases(gpus[:64]),
        "gpu_problem": problem,
        "problems": [f"{omitted} more jobs than can be shown"] if omitted else [],
    }
    text = json.dumps(answer)[:-1] + ', "jobs": [' + ",".join(rows_of(jobs)) + "]}"
    sys.stdout.buffer.write(zlib.compress(text.encode("ascii"), 1))
    sys.stdout.flush()
