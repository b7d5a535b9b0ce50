"""Pods as PID namespaces: killed and started anew, with and without their disk; one volume, two pods."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from gpu_card import A100

from being_remote.inventory import LocalHost
from being_remote.jobs.status_verdict import judge_missing
from being_remote.pod.job_states import JobState
from being_remote.session import Result
from being_remote.transport.local_session import LocalSession

UNSHARE = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]


def _namespaces_work() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("nsenter") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not _namespaces_work(), reason="needs root and PID namespaces")


class Cell(LocalSession):
    """A session into a PID namespace of its own, with a local disk for its locks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalHost(name=folder.name, kind="local", workdir=folder))
        self._locks = folder / "local" / "locks"
        self._locks.parent.mkdir(parents=True, mode=0o700)
        self._outer: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._outer = subprocess.Popen(
            [*UNSHARE, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE
        )
        assert self._outer.stdout is not None
        self._outer.stdout.readline()
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        self._first = children[0]

    def kill(self) -> None:
        """Process 1 is killed, and with it every other process of the namespace."""
        assert self._outer is not None and self._outer.stdout is not None
        os.kill(int(self._first), signal.SIGKILL)
        self._outer.wait()
        self._outer.stdout.close()

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        enter = ["nsenter", "-t", self._first, "-p", "-m", "env", f"BEING_REMOTE_LOCKS={self._locks}"]
        return super().run([*enter, *argv], **more)


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[tuple[Cell, Cell]]:
    made = (Cell(tmp_path / "a"), Cell(tmp_path / "b"))
    yield made
    for cell in made:
        cell.kill()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A volume that is not the pod's own disk: as far as it knows, others may see it."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    if folder.stat().st_dev == Path("/").stat().st_dev:
        pytest.skip("no second file system to be had")
    yield folder
    shutil.rmtree(folder)


LONG = ("sh", "-c", "echo x >> ../../../starts; test {attempt} = 2 || sleep 60")


@pytest.mark.slow
def test_a_pod_started_anew_with_a_disk_of_its_own_has_lost_its_job(desk, cells, tmp_path: Path) -> None:
    cell, _ = cells
    (tmp_path / "disk").mkdir()
    there = type(desk)(cell, tmp_path / "disk")
    spec = there.spec(*LONG)
    assert there.submit(spec).state == "running"
    cell.kill()
    cell.start()
    seen = there.see(spec.job)
    assert (seen.state, seen.reason) == (
        "lost",
        "the pod restarted; no other pod mounts its disk",
    )
    assert there.submit(spec).state == "lost"
    there.submit(spec, attempt=2)
    assert there.until(spec.job, "succeeded", "failed").attempt == 2


def test_a_pod_started_anew_without_its_disk_knows_nothing_and_that_is_unknown(
    desk, cells, tmp_path: Path
) -> None:
    cell, _ = cells
    (tmp_path / "disk").mkdir()
    there = type(desk)(cell, tmp_path / "disk")
    spec = there.spec(*LONG)
    volume = there.submit(spec).volume
    cell.kill()
    shutil.rmtree(tmp_path / "disk")
    cell.start()
    now = there.look()
    assert now.jobs == ()
    verdict = judge_missing(volume, now.incarnation, JobState.RUNNING)
    assert (verdict.state, verdict.last_known) == ("unknown", "running")


def test_what_waits_on_a_pod_that_restarts_is_unattended_until_it_is_submitted_again(
    desk, cells, card, tmp_path: Path
) -> None:
    cell, _ = cells
    (tmp_path / "disk").mkdir()
    there = type(desk)(cell, tmp_path / "disk")
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    spec = there.spec("sh", "-c", "echo x >> ../../../starts", gpus=1)
    assert there.submit(spec).state == "waiting"
    cell.kill()
    cell.start()
    card.says(A100.format(i=0, u=0, used=4, use=0))
    seen, starts = there.see(spec.job), f"resume {spec.job} starts it"
    assert (seen.state, seen.is_unattended) == ("waiting", True)
    assert seen.reason == f"nothing on the host keeps the queue since its restart; {starts}"
    there.submit(spec)
    there.until(spec.job, "succeeded")
    assert (there.folder(spec.job) / "starts").read_text() == "x\n"


@pytest.mark.slow
def test_one_pod_leaves_alone_what_waits_for_another_one_on_their_volume(
    desk, cells, card, shared: Path
) -> None:
    first, second = (type(desk)(cell, shared) for cell in cells)
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    spec, other = (first.spec("sh", "-c", "echo x >> ../../../starts", gpus=1) for _ in range(2))
    assert first.submit(spec).state == "waiting"
    assert second.submit(other).state == "waiting"
    assert second.see(other.job).reason == "waits for 1 of 1 GPU: 0 leased by other jobs, 1 busy"
    seen = second.see(spec.job)
    assert seen.state == "waiting" and seen.reason.startswith("it waits in a queue of this disk"), seen
    assert first.see(spec.job).reason == "waits for 1 of 1 GPU: 0 leased by other jobs, 1 busy"
    assert second.cancel(spec.job).state == "cancelled"
    card.says(A100.format(i=0, u=0, used=4, use=0))
    second.until(other.job, "succeeded")
    assert first.see(spec.job).state == "cancelled" and not (shared / "jobs" / spec.job / "starts").exists()


def test_on_a_volume_that_others_may_see_another_life_is_unknown(desk, cells, shared: Path) -> None:
    cell, _ = cells
    there = type(desk)(cell, shared)
    spec = there.spec(*LONG)
    there.submit(spec)
    cell.kill()
    cell.start()
    seen = there.see(spec.job)
    assert (seen.state, seen.last_known) == ("unknown", "running")
    assert there.submit(spec).state == "unknown"
    assert (shared / "jobs" / spec.job / "starts").read_text() == "x\n"


@pytest.mark.slow
def test_of_two_pods_on_one_volume_one_runs_an_attempt_and_the_other_may_stop_it(
    desk, cells, shared: Path
) -> None:
    first, second = (type(desk)(cell, shared) for cell in cells)
    spec = first.spec(*LONG)
    assert first.submit(spec).state == "running"
    other = second.submit(spec)
    assert (other.state, other.claim) == ("unknown", "there")
    assert second.cancel(spec.job).cancel == "asked"
    assert first.until(spec.job, "cancelled").state == "cancelled"
    assert second.see(spec.job).state == "cancelled"
    assert (shared / "jobs" / spec.job / "starts").read_text() == "x\n"

    spec = first.spec(*LONG)
    first.submit(spec)
    second.submit(spec, attempt=2)
    second.until(spec.job, "succeeded")
    ends = shared / "jobs" / spec.job / "attempts" / "1" / "end.json"
    deadline = time.monotonic() + 20
    while not ends.exists():
        assert time.monotonic() < deadline, "the first pod did not see that it was overtaken"
        time.sleep(0.02)
    assert '"abandoned"' in ends.read_text()


def test_a_cancel_on_one_pod_writes_no_end_of_an_attempt_that_another_pod_runs(
    desk, cells, shared: Path
) -> None:
    first, second = (type(desk)(cell, shared) for cell in cells)
    spec = second.spec("sh", "-c", "touch ../up; sleep 60")
    second.submit(spec)
    attempts = shared / "jobs" / spec.job / "attempts"
    # Attempt 1 stays behind on the second pod without its supervisor, and holds the job's lock there.
    second.session.run(["sh", "-c", f"kill -9 {second.supervisor(spec.job)}"])
    first.submit(spec, attempt=2)
    until(lambda: (attempts / "2" / "up").exists())
    first.session.run(["sh", "-c", f"kill -STOP {first.supervisor(spec.job)}"])
    second.cancel(spec.job, attempt=2, wait_s=1.0)
    assert not (attempts / "2" / "end.json").exists()
    assert first.see(spec.job).state == "running"
    first.session.run(["sh", "-c", f"kill -CONT {first.supervisor(spec.job)}"])
    assert first.until(spec.job, "cancelled").reason == "cancelled"


def until(happened: Any, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_many_submits_at_once_to_two_pods_on_one_volume_one_starts_the_payload(
    desk, cells, shared: Path
) -> None:
    import threading

    desks = [type(desk)(cell, shared) for cell in cells]
    spec = desks[0].spec("sh", "-c", "echo x >> ../../../starts; sleep 0.3")
    threads = [threading.Thread(target=d.submit, args=(spec,)) for d in desks for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desks[0].until(spec.job, "succeeded")
    assert (shared / "jobs" / spec.job / "starts").read_text() == "x\n"
