"""Another ledger's job with the same intent that may be at work here: a lost ledger, or a second laptop.

What cannot be told counts as at work: the user may insist. `claim` asks before it stores a job; as a program
this answers before anything is sent.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO, Dict, List, NamedTuple, Optional

from being_remote.pod import exit_record, job_records, start_gate, status
from being_remote.pod.boot_identity import read_boot_identity, runs_nowhere_else
from being_remote.pod.job_paths import JOB_ID, JobPaths, jobs_folder
from being_remote.pod.job_records import Record


class StoredIntent(NamedTuple):
    """Whose job it is, and what it is for: all that the search needs of its spec."""

    ledger: Any
    intent: Any

    @classmethod
    def of(cls, spec: Record) -> StoredIntent:
        """The intent without the name of its host, which each laptop gives as it likes."""
        intent, host = spec.get("intent"), spec.get("host")
        if isinstance(intent, dict):
            return cls(spec.get("ledger"), {k: v for k, v in intent.items() if (k, v) != ("host", host)})
        return cls(spec.get("ledger"), None)


class IntentSearch:
    """The searches of one request: each spec, which never changes, is read once for all of them."""

    def __init__(self, workdir: str) -> None:
        self._workdir, self._jobs = workdir, jobs_folder(workdir)
        self._known: Dict[str, Optional[StoredIntent]] = {}

    def find(self, job: str, spec: Record) -> Optional[str]:
        """The id of such a job; None where there is none. Raises OSError where the disk cannot say.

        Args:
            job: the one that is about to be stored; it is not here yet.
            spec: its spec.
        """
        wanted = StoredIntent.of(spec)
        for name in self._list_names():
            found = self._read(name) if name != job else None
            if found is None or found.ledger == wanted.ledger or found.intent != wanted.intent:
                continue
            if not self._has_ended(name) and not _is_over(self._workdir, name):
                return name
        return None

    def _list_names(self) -> List[str]:
        try:
            return sorted(name for name in os.listdir(self._jobs) if JOB_ID.fullmatch(name))
        except FileNotFoundError:
            return []

    def _read(self, name: str) -> Optional[StoredIntent]:
        """The intent of a job; None where it can never start, or has ended and cannot be read."""
        if name not in self._known:
            path = JobPaths.of(self._workdir, name).spec
            try:
                self._known[name] = StoredIntent.of(job_records.read_spec(path)[0])
            except job_records.Unreadable:
                if not self._has_ended(name):
                    raise  # the disk fails for a moment
                self._known[name] = None
            except ValueError:
                self._known[name] = None
        return self._known[name]

    def _has_ended(self, name: str) -> bool:
        job = JobPaths.of(self._workdir, name)
        made, newest = start_gate.list_attempts(job)
        return bool(made) and made[-1] == newest and exit_record.has_exit_record(job.attempt(newest))


def _is_over(workdir: str, name: str) -> bool:
    """Whether a job without an exit record is cancelled or lost, by the same rules as its status."""
    seen = status.look(workdir, name)
    if seen is None:
        return True
    newest = seen["attempts"][-1] if seen["attempts"] else None
    if newest is None or newest["attempt"] < seen["asked"]:
        return bool(seen["lock"] != "held" and (seen["cancel"] or 0) >= max(1, seen["asked"]))
    if newest["problem"] is not None:
        return False  # what cannot be read may name a process that lives
    who, heartbeat, here = newest["who"], newest["progress"], read_boot_identity(workdir)
    alive = [(who or {}).get("supervisor"), (heartbeat or {}).get("payload")]
    if seen["lock"] == "held" or who is None or any(p and p["alive"] is not False for p in alive):
        return False
    return runs_nowhere_else(who["incarnation"], here)


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request, {"workdir": str}, with a list of specs on stdin: {"same": [id or null]}."""
    search = IntentSearch(json.loads(request)["workdir"])
    specs = json.loads(stdin.read().decode("utf-8"))
    same = [search.find(spec["job"], spec) for spec in specs]
    sys.stdout.write(json.dumps({"same": same}))
    sys.stdout.flush()
