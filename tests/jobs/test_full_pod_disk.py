"""A pod's disk that a job fills: limits, cancel and records go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Desk
from faults import leave_room, small_disk

from being_remote.inventory import LocalHost
from being_remote.pod.os_problem import find_full_disk
from being_remote.transport.local_session import LocalSession

FILL = "dd if=/dev/zero of=fill bs=4k 2>/dev/null; "
SPEAK = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"


@pytest.fixture
def desk(tmp_path: Path, locks_folder: Path) -> Iterator[Desk]:
    """A desk whose host has a disk of 8 MB."""
    with small_disk(tmp_path / "work") as disk:
        leave_room(disk, "all")
        host = LocalHost(name="a100", kind="local", workdir=disk)
        made = Desk(LocalSession(host), disk)
        made.locks = locks_folder
        try:
            yield made
        finally:
            leave_room(disk, "all")
            made.clean()


def until(happened: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_full(desk: Desk) -> bool:
    return find_full_disk(str(desk.workdir)) is not None


def fill(desk: Desk, script: str = "sleep 600", **limits: float) -> str:
    """Submit a job that fills the disk and then runs `script`; return it once the disk is full."""
    spec = desk.spec("sh", "-c", FILL + script, **limits)
    desk.submit(spec)
    until(lambda: is_full(desk))
    return spec.job


def make_room(desk: Desk, job: str) -> None:
    (desk.folder(job, 1) / "work" / "fill").unlink()


def until_refused(desk: Desk, job: str) -> None:
    """Wait until its supervisor has met the full disk."""
    until(lambda: json.loads((desk.locks / f"{job}.lock").read_text())["problem"] is not None)


def test_the_supervisor_of_a_job_that_fills_the_disk_lives_and_its_status_says_so(desk: Desk) -> None:
    job = fill(desk)
    supervisor = desk.supervisor(job)
    until_refused(desk, job)
    assert desk.supervisor(job) == supervisor
    seen = desk.see(job)
    assert (seen.state, seen.evidence["supervised"]) == ("running", True), seen
    assert seen.reason == f"its lock is held; disk full on a100 ({desk.workdir})"


def test_a_job_that_fills_the_disk_is_cancelled_with_its_record(desk: Desk) -> None:
    job = fill(desk)
    done = desk.cancel(job)
    assert (done.cancel, done.state) == ("asked", "cancelled"), done
    assert is_full(desk)
    assert desk.see(job).state == "cancelled"
    assert desk.cancel(job).cancel == "ended"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"wall_s": 8.0}, "its wall time of 8 s was over"),
        ({"stall_s": 2.0}, "nothing new in its log for 2 s while running"),
    ],
)
def test_wall_time_and_stall_time_are_kept_on_a_full_disk(
    desk: Desk, limits: dict[str, float], reason: str
) -> None:
    job = fill(desk, **limits)
    ended = desk.until(job, "failed")
    assert ended.reason == f"{reason}; disk full ({desk.workdir})"
    assert is_full(desk)


def test_a_log_goes_on_where_the_full_disk_stopped_it(desk: Desk) -> None:
    job = fill(desk, SPEAK)
    log = desk.folder(job, 1) / "log"
    until_refused(desk, job)
    before = log.stat().st_size
    make_room(desk, job)
    until(lambda: log.stat().st_size > before + 200)
    assert desk.cancel(job).state == "cancelled"
    lines = desk.log(job).splitlines()
    assert lines == [b"line %d" % (i + 1) for i in range(len(lines))]


def test_records_are_complete_once_there_is_room_again(desk: Desk) -> None:
    job = fill(desk, "echo full; while [ -e fill ]; do sleep 0.02; done; exit 3")
    until_refused(desk, job)
    make_room(desk, job)
    ended = desk.until(job, "failed")
    assert ended.reason == "sh ended with 3; last in its log: full"
    record = json.loads((desk.folder(job, 1) / "end.json").read_text())
    assert (record["state"], record["exit_code"]) == ("failed", 3)
