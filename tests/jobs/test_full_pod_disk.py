"""A pod's disk that a job fills: limits, cancel and records go on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk
from faults import leave_room, small_disk
from gpu_card import Card

from being_remote.errors import HostDiskFull
from being_remote.inventory import LocalHost
from being_remote.pod import locks, waiter, waiting_records
from being_remote.pod.boot_identity import read_boot_identity
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
            try:
                made.clean()
            finally:
                end_all_on(disk)


def end_all_on(disk: Path) -> None:
    """Kill what a failed test left: a disk in use cannot be unmounted."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            used = [process / "cwd", *(process / "fd").iterdir()]
            if any(os.readlink(link).startswith(f"{disk}/") for link in used):
                os.kill(int(process.name), signal.SIGKILL)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_records_are_complete_once_there_is_room_again(desk: Desk) -> None:
    job = fill(desk, "echo full; while [ -e fill ]; do sleep 0.02; done; exit 3")
    until_refused(desk, job)
    make_room(desk, job)
    ended = desk.until(job, "failed")
    assert ended.reason == "sh ended with 3; last in its log: full"
    record = json.loads((desk.folder(job, 1) / "end.json").read_text())
    assert (record["state"], record["exit_code"]) == ("failed", 3)


def test_a_job_on_a_disk_that_takes_no_name_is_cancelled_by_a_mark_among_the_locks(desk: Desk) -> None:
    spec = desk.spec("sleep", "600")
    desk.submit(spec)
    leave_room(Path(desk.workdir), "files")
    done = desk.cancel(spec.job)
    assert (done.cancel, done.state) == ("asked", "cancelled"), done
    assert not (desk.folder(spec.job) / "cancel").exists()
    assert (desk.locks / f"{spec.job}.cancel").exists()


def test_a_cancel_on_a_full_disk_leaves_the_next_attempt_free(desk: Desk) -> None:
    job = fill(desk)
    desk.cancel(job)
    assert os.readlink(desk.folder(job) / "cancel") == "1"
    make_room(desk, job)
    (desk.folder(job) / "attempts" / "2.asked").touch()
    assert desk.see(job).state == "submitted"


def test_a_job_for_a_full_disk_is_refused_with_its_host_and_folder(desk: Desk) -> None:
    desk.until(desk.submit(desk.spec("true")).job, "succeeded")
    leave_room(Path(desk.workdir), "pages")
    spec = desk.spec("true")
    with pytest.raises(
        HostDiskFull, match=rf"^disk full on a100 \({desk.workdir}.*\); {spec.job} was not stored"
    ):
        desk.submit(spec)
    assert not desk.folder(spec.job).exists()


def test_a_cancel_that_no_mark_can_tell_is_an_error_that_names_the_full_disk(desk: Desk) -> None:
    spec = desk.spec("true")
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    (desk.folder(spec.job) / "attempts" / "2.asked").touch()
    leave_room(Path(desk.workdir), "files")
    with pytest.raises(HostDiskFull, match=rf"^disk full on a100 \({desk.folder(spec.job)}/cancel\); "):
        desk.cancel(spec.job)


@pytest.mark.slow
def test_an_attempt_that_a_full_disk_keeps_from_its_start_waits_and_starts_once_there_is_room(
    desk: Desk,
) -> None:
    spec = desk.spec("sh", "-c", "test {attempt} = 2 || exit 1; echo started >> ../../../starts")
    desk.submit(spec)
    desk.until(spec.job, "failed")
    (desk.folder(spec.job) / "attempts" / "2.asked").touch()
    leave_room(Path(desk.workdir), "files")
    made = desk.submit(spec, attempt=2)
    assert (made.supervisor, made.state) == ("started", "waiting"), made
    assert desk.see(spec.job).reason == f"waits for its disk; disk full on a100 ({desk.workdir})"
    leave_room(Path(desk.workdir), "all")
    assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    assert (desk.folder(spec.job) / "starts").read_text() == "started\n"


@pytest.mark.slow
def test_an_attempt_that_a_full_disk_keeps_from_its_payload_is_cancelled_and_frees_its_gpu(
    desk: Desk, card: Card
) -> None:
    spec = desk.spec("sh", "-c", "test {attempt} = 2 && echo started >> ../../../starts", gpus=1)
    desk.submit(spec)
    desk.until(spec.job, "failed")
    (desk.folder(spec.job) / "attempts" / "2.asked").touch()
    leave_room(Path(desk.workdir), "pages")
    assert desk.submit(spec, attempt=2).supervisor == "started"
    assert desk.folder(spec.job, 2).exists()
    (lease,) = desk.locks.glob("gpu-*.lock")
    assert locks.probe(str(lease))[0] == "held"
    desk.cancel(spec.job, wait_s=0)
    until(lambda: locks.probe(str(lease))[0] == "free", timeout_s=10)
    assert is_full(desk)
    leave_room(Path(desk.workdir), "all")
    assert desk.until(spec.job, "cancelled", "succeeded", "failed").state == "cancelled"
    assert (
        not (desk.folder(spec.job) / "starts").exists() and not (desk.folder(spec.job, 2) / "work").exists()
    )


def test_a_waiter_whose_disk_and_log_fail_keeps_the_queue(
    tmp_path: Path, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = read_boot_identity(str(tmp_path))
    lock = locks.take(waiting_records.waiter_lock(str(tmp_path), boot))
    assert lock is not None
    queue, looks = waiter.Waiter(str(tmp_path), lock, ("a-1", 1)), iter([True, False])

    def look() -> bool:
        if next(looks):
            raise OSError(errno.EIO, "Input/output error", "jobs")
        return False

    monkeypatch.setattr(queue, "_look", look)
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert queue._keep()
