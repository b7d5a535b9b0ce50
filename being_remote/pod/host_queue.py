"""The queue of a workdir as status sees it: who waits, behind how many, and whether a waiter runs."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from being_remote.pod import locks, waiting_records
from being_remote.pod.boot_identity import read_boot
from being_remote.pod.job_records import Record


class HostQueue:
    """The waiting attempts of a workdir; what is read once serves all jobs of a look."""

    def __init__(self, workdir: str) -> None:
        boot = read_boot()
        self._workdir, self._folder = workdir, waiting_records.boot_folder(workdir, boot)
        state, _, note = locks.probe(waiting_records.waiter_lock(workdir, boot, make=False))
        self._kept, self._note = state == "held", note if isinstance(note, dict) else {}
        self._here: Dict[Tuple[str, int], Tuple[int, int]] = {}
        self._elsewhere: Dict[Tuple[str, int], int] = {}
        self._read()

    def find(self, job: str, attempt: int) -> Optional[Record]:
        """Where an attempt waits whose lock was free; None if it does not.

        It is read again where it was not found: its supervisor may have recorded it since, just before it
        freed the lock.
        """
        if (job, attempt) not in self._here and (job, attempt) not in self._elsewhere:
            self._read()
        if (job, attempt) in self._here:
            before, number = self._here[job, attempt]
            reason: Any = self._note.get("reason") if self._note.get("number") == number else None
            return {
                "attempt": attempt,
                "number": number,
                "before": before,
                "kept": self._kept,
                "this_boot": True,
                "reason": reason if isinstance(reason, str) else None,
            }
        if (job, attempt) in self._elsewhere:
            number = self._elsewhere[job, attempt]
            return {"attempt": attempt, "number": number, "before": 0, "kept": False, "this_boot": False}
        return None

    def _read(self) -> None:
        here = waiting_records.list_waiting(self._folder)
        self._here = {(p.job, p.attempt): (before, p.number) for before, p in reversed([*enumerate(here)])}
        others = waiting_records.list_other_boots(self._workdir, self._folder)
        self._elsewhere = {(p.job, p.attempt): p.number for p in others}
