"""A session and a workdir, and what the workflows do with jobs there, for tests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from being_remote.inventory import LocalHost
from being_remote.jobs import cancel, job_archive, submit
from being_remote.jobs.job_status import HostJobs, JobStatus
from being_remote.jobs.spec import CommandStep, JobSpec, new_job_id
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod import locks, waiting_records
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.schedulers.registry import scheduler_of
from being_remote.schedulers.scheduler import StartRequest
from being_remote.session import Session


class Desk:
    """A session and a workdir; `submit`, `see` and `cancel` as the workflows do it.

    What `submit` and `cancel` return has the fields of their results and of the job's status.
    """

    def __init__(self, session: Session, workdir: Path) -> None:
        self.session, self.workdir = session, PurePosixPath(workdir)
        self.python = os.environ.get("BEING_REMOTE_TEST_PYTHON", sys.executable)  # an older pod's, to try it
        self.host = LocalHost(name=session.host, workdir=workdir, python=self.python, answer_timeout_s=40)
        self.made: list[str] = []

    def spec(
        self, *argv: str, job: str | None = None, steps: tuple[CommandStep, ...] = (), **more: Any
    ) -> JobSpec:
        job = job or new_job_id("test")
        self.made.append(job)
        more.setdefault("grace_s", 0.3)
        return JobSpec(
            job=job,
            ledger="a ledger",
            recipe="command",
            actor=None,
            host=self.session.host,
            intent={"argv": list(argv)},
            steps=steps or (CommandStep("running", argv),),
            **more,
        )

    def submit(self, spec: JobSpec, attempt: int = 1, files: dict[str, bytes] | None = None) -> Any:
        """Also on another volume than before: nothing is written down."""
        result = self.submit_all([(spec, attempt, files or {})])[spec.job]
        if not isinstance(result, submit.SubmitResult):
            raise result
        return SimpleNamespace(**{**vars(result.status), **vars(result)})

    def submit_all(self, jobs: Sequence[tuple[JobSpec, int, dict[str, bytes]]]) -> dict[str, Any]:
        return submit.submit(
            self.session,
            self.host,
            lambda volume: [
                StartRequest(spec.job, spec.sha256, attempt, volume, None, job_archive.job_files(spec, files))
                for spec, attempt, files in jobs
            ],
        )

    def look(self) -> HostJobs:
        return look_at_host(self.session, self.host)

    def see(self, job: str) -> JobStatus:
        found = look_at_host(self.session, self.host, [job]).job(job)
        assert found is not None
        return found

    def supervisor(self, job: str) -> int:
        """The process id of the supervisor that holds the job's lock."""
        (facts,) = scheduler_of(self.host).look(self.session, self.host, [job]).jobs
        assert facts.holder is not None
        return facts.holder.supervisor.pid

    def waiter(self) -> int | None:
        """The process id of the one that keeps the queue of the workdir; None if none does."""
        boot = read_boot_identity(str(self.workdir))
        state, _, note = locks.probe(waiting_records.waiter_lock(str(self.workdir), boot))
        return note["waiter"]["pid"] if state == "held" and note and note["waiter"] else None

    def cancel(self, job: str, **more: Any) -> Any:
        result = cancel.cancel(self.session, self.host, job, **more)
        return SimpleNamespace(**{**(vars(result.status) if result.status else {}), **vars(result)})

    def until(self, job: str, *states: str, timeout_s: float = 30.0) -> JobStatus:
        deadline = time.monotonic() + timeout_s
        while (seen := self.see(job)).state not in states:
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
        return seen

    def until_on_gpus(self, job: str, timeout_s: float = 30.0) -> tuple[str, ...]:
        """The GPUs that it runs on: the record that names them comes a moment after it is running."""
        deadline = time.monotonic() + timeout_s
        while not (seen := self.until(job, "running")).gpu:
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
        return seen.gpu

    def folder(self, job: str, attempt: int | None = None) -> Path:
        top = Path(self.workdir) / "jobs" / job
        return top if attempt is None else top / "attempts" / str(attempt)

    def log(self, job: str, attempt: int = 1) -> bytes:
        return (self.folder(job, attempt) / "log").read_bytes()

    def clean(self) -> None:
        """End whatever still runs."""
        for job in self.made:
            if self.folder(job).exists():
                self.cancel(job)
