"""Another ledger's job with the same intent that may be at work here: a lost ledger, or a second laptop.

What cannot be told counts as at work: the user may insist. `claim` asks before it stores a job; as a program
this answers before anything is sent.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, Optional

from being_remote.pod import job_records, start_gate, status
from being_remote.pod.boot_identity import read_boot_identity, runs_nowhere_else
from being_remote.pod.job_paths import JOB_ID, JobPaths
from being_remote.pod.job_records import Record


def find_same_intent(workdir: str, job: JobPaths, spec: bytes) -> Optional[str]:
    """The id of such a job; None where there is none.

    Args:
        job: the one that is about to be stored; it is not here yet.
        spec: its spec.
    """
    wanted = json.loads(spec.decode("utf-8"))
    for name in sorted(os.listdir(job.jobs)) if os.path.isdir(job.jobs) else ():
        other = JobPaths(f"{job.jobs}/{name}")
        if JOB_ID.fullmatch(name) and other.folder != job.folder and not _has_exit_record(other):
            try:
                found, _ = job_records.read_spec(other.spec)
            except ValueError:
                continue  # it can never start
            differs = found.get("ledger") == wanted["ledger"] or _intent(found) != _intent(wanted)
            if not differs and not _is_over(workdir, name):
                return name
    return None


def _intent(spec: Record) -> Any:
    """The intent without the name of its host, which each laptop gives as it likes."""
    intent, host = spec.get("intent"), spec.get("host")
    return {k: v for k, v in intent.items() if (k, v) != ("host", host)} if isinstance(intent, dict) else None


def _has_exit_record(job: JobPaths) -> bool:
    made, newest = start_gate.list_attempts(job)
    return bool(made) and made[-1] == newest and os.path.lexists(job.attempt(newest).end)


def _is_over(workdir: str, name: str) -> bool:
    """Whether a job without an exit record is cancelled or lost, by the same rules as its status."""
    seen = status.look(workdir, name)
    if seen is None:
        return True
    newest = seen["attempts"][-1] if seen["attempts"] else None
    if newest is None or newest["attempt"] < seen["asked"]:
        return bool(seen["lock"] != "held" and (seen["cancel"] or 0) >= max(1, seen["asked"]))
    who, heartbeat, here = newest["who"], newest["progress"], read_boot_identity(workdir)
    alive = [(who or {}).get("supervisor"), (heartbeat or {}).get("payload")]
    if seen["lock"] == "held" or who is None or any(p and p["alive"] is not False for p in alive):
        return False
    return runs_nowhere_else(who["incarnation"], here)


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request, {"workdir": str}, with a list of specs on stdin: {"same": [id or null]}."""
    workdir = json.loads(request)["workdir"]
    same = [
        find_same_intent(workdir, JobPaths.of(workdir, spec["job"]), json.dumps(spec).encode())
        for spec in json.loads(stdin.read().decode("utf-8"))
    ]
    sys.stdout.write(json.dumps({"same": same}))
    sys.stdout.flush()
