"""Two pods with the stand-in tracker and one actor, for jobs that move from one to the other."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_jobs import retrack

from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import Ledger, LedgerJob, ledger_of
from being_remote.workflows.retrack import RetrackReport

FRAMES = 12
SLEEPS = "import time; print('asleep', flush=True); time.sleep(600)"
WAITS = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\nexit(1)"  # for `go`
FAILS = "print('failing', flush=True); raise SystemExit(1)"


class TwoPods:
    """Pods `a` and `b`, an inventory that names both, and what lies on their disks and at home."""

    def __init__(self, pods: dict[str, Pod], inventory: Inventory, folder: Path) -> None:
        self.pods, self.inventory, self.folder = pods, inventory, folder

    @property
    def ledger(self) -> Ledger:
        return ledger_of(self.inventory)

    def checkout(self, name: str) -> Path:
        return self.pods[name].root / "metrical-tracker"

    def misbehave(self, name: str, **how: str) -> None:
        """Have the tracker there do what `stand_in_tracker` can do for tests; nothing: behave again."""
        file = self.checkout(name) / "stand_in.json"
        file.write_text(json.dumps({f"STAND_IN_{key}": value for key, value in how.items()}))

    def track(self, name: str = "a", **more: Any) -> RetrackReport:
        return retrack(self.inventory, host=name, **more)

    def attempt(self, name: str, job: str, number: int) -> Path:
        return self.pods[name].root / "Being" / "jobs" / job / "attempts" / str(number)

    def checkpoints(self, name: str, job: str, number: int) -> Path:
        return self.attempt(name, job, number) / "work/output/demo/checkpoint"

    def home(self, job: str) -> Path:
        return self.inventory.backups / "demo" / "runs" / job

    def bring_home(self, job: str, frames: int = 10) -> None:
        """What following brings: the box and the frames so far. They are those of the actor's own run."""
        run, home = self.checkout("a"), self.home(job)
        (home / "input/demo").mkdir(parents=True)
        shutil.copy2(run / "input/demo/bbox.pt", home / "input/demo/bbox.pt")
        (home / "output/demo/checkpoint").mkdir(parents=True)
        for frame in sorted((run / "output/demo/checkpoint").iterdir())[:frames]:
            shutil.copy2(frame, home / "output/demo/checkpoint" / frame.name)
        known = self.ledger.find(job)
        note = {"job": job, "host": "a", "attempt": 1, "spec_sha256": known.spec_sha256, "files": {}}
        (home / "pulled.json").write_text(json.dumps(note))

    def tracker(self, script: str, *names: str) -> None:
        """Something else in the tracker's place, which starts at once."""
        for name in names:
            (self.checkout(name) / "tracker.py").write_text(script)

    def at_work(self, frames: int = 10) -> str:
        """A job at work on `a`, so many frames of it home; on `b`, too, the tracker would only sleep."""
        self.tracker(SLEEPS, "a", "b")
        job = str(self.track().job)
        self.until(lambda: b"asleep" in _bytes(self.attempt("a", job, 1) / "log"))
        if frames:
            self.bring_home(job, frames)
        return job

    def failed(self) -> str:
        """A job that ended badly, 10 frames of it home; its pod is gone for good."""
        self.tracker(FAILS, "a", "b")
        job = str(self.track(follow_it=True).job)
        self.bring_home(job)
        self.pods["a"].stop()
        return job

    def log(self, name: str, job: str, number: int) -> str:
        """What an attempt said until its tracker began."""
        log = self.attempt(name, job, number) / "log"
        self.until(lambda: b"asleep" in _bytes(log) or b"failing" in _bytes(log))
        return log.read_text()

    def until(self, happened: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def made(self, job: str) -> list[tuple[int, str, str]]:
        """How each attempt was made: its number, reason and host."""
        return [
            (t.attempt, str(t.evidence["reason"]), str(t.evidence.get("host", "")))
            for t in self.ledger.history(job)
            if t.state == "created" and t.evidence.get("reason") not in (None, "about to be sent")
        ]

    def known(self, job: str) -> LedgerJob:
        return self.ledger.find(job)


def entry(pod: Pod) -> dict[str, Any]:
    """The pod in the inventory: quick to be given up, its tracker runs in our own environment."""
    made = pod.inventory_entry()
    return {
        **made,
        "tracker": {**made["tracker"], "python": sys.executable},
        "python": sys.executable,
        "gpus": 0,
        "connect_timeout_s": 2.0,
        "answer_timeout_s": 8.0,
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
