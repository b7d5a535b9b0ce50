"""Jobs that wait for GPUs: records on the disk, one process for all, and what a kill of it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpu_card import A100
from test_job_crashes import NEVER, EveryPoint, claimed_job, killed
from test_leases import HOLD, go, uuid

from being_remote.pod import exit_record, locks, processes, start_gate, waiter, waiting_records
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_states import JobState
from being_remote.pod.tickets import Tickets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told by /proc")


@pytest.fixture
def holder(desk, card) -> Any:
    """A job that has the only GPU until `go`."""
    spec = desk.spec("sh", "-c", HOLD, gpus=1)
    assert desk.submit(spec).state == "running"
    return spec


def wait_for(seen: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := seen()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def waiters(desk) -> list[int]:
    """The living waiters of this workdir."""
    found = []
    for pid in processes.list_pids():
        try:
            said = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if "import waiter\n" in said and json.dumps(str(desk.workdir)) in said and processes.read_stat(pid):
            found.append(pid)
    return found


def records(desk) -> list[str]:
    return sorted(p.name for p in Path(desk.workdir).glob("jobs/.waiting/*/0*"))


def kill_waiter(desk) -> None:
    os.kill(pid := wait_for(desk.waiter), signal.SIGKILL)
    wait_for(lambda: processes.read_stat(pid) is None and desk.waiter() is None)


@pytest.mark.slow
def test_all_that_wait_cost_one_process_and_their_records_are_gone_when_they_started(desk, holder) -> None:
    waiting = [desk.spec("true", gpus=1) for _ in range(3)]
    for spec in waiting:
        assert desk.submit(spec).state == "waiting"
        assert desk.see(spec.job).evidence["lock"] == "free"  # its supervisor has ended
    assert waiters(desk) == [wait_for(desk.waiter)] and len(records(desk)) == 3
    go(desk, holder.job)
    for spec in waiting:
        desk.until(spec.job, "succeeded")
    wait_for(lambda: waiters(desk) == [])
    assert records(desk) == []


@pytest.mark.slow
def test_a_waiter_that_was_killed_is_missed_in_the_status_and_the_next_submit_of_any_job_starts_one(
    desk, holder, tmp_path: Path
) -> None:
    turn = f"echo {{work}} >> {tmp_path}/order"
    waiting = [desk.spec("sh", "-c", turn, gpus=1) for _ in range(3)]
    for spec in waiting[:2]:
        desk.submit(spec)
    kill_waiter(desk)
    seen = desk.see(waiting[0].job)
    job = waiting[0].job
    reason = f"nothing on the host keeps the queue: its waiting process died; resume {job} starts it"
    assert (seen.state, seen.reason) == ("waiting", reason)
    assert desk.submit(waiting[2]).state == "waiting" and wait_for(desk.waiter)
    wait_for(lambda: desk.see(waiting[0].job).reason.startswith("waits for 1 of 1 GPU"))
    assert desk.see(waiting[2].job).reason == "waits for a GPU; 2 before it"
    go(desk, holder.job)
    for spec in waiting:
        desk.until(spec.job, "succeeded")
    order = [Path(line).parents[2].name for line in (tmp_path / "order").read_text().split()]
    assert order == [spec.job for spec in waiting]


def test_the_end_of_a_job_starts_a_waiter_where_it_was_killed(desk, holder) -> None:
    waits = desk.spec("true", gpus=1)
    desk.submit(waits)
    kill_waiter(desk)
    go(desk, holder.job)
    desk.until(waits.job, "succeeded")


@pytest.mark.slow
def test_two_waiters_start_each_job_once(desk, holder) -> None:
    waits = desk.spec("sh", "-c", "echo x >> ../../../starts", gpus=1)
    desk.submit(waits)
    first = wait_for(desk.waiter)
    boot = read_boot_identity(str(desk.workdir))
    os.kill(first, signal.SIGSTOP)  # or it takes the next lock before another one does
    os.unlink(waiting_records.waiter_lock(str(desk.workdir), boot))
    other = desk.spec("sh", "-c", "echo x >> ../../../starts", gpus=1)
    desk.submit(other)
    assert wait_for(desk.waiter) != first
    os.kill(first, signal.SIGCONT)
    go(desk, holder.job)
    for spec in (waits, other):
        desk.until(spec.job, "succeeded")
        assert (desk.folder(spec.job) / "starts").read_text() == "x\n"
    wait_for(lambda: waiters(desk) == [])


@pytest.mark.slow
def test_a_waiting_job_that_is_cancelled_never_starts_and_delays_no_other(desk, holder) -> None:
    cancelled, other = desk.spec("true", gpus=1), desk.spec("true", gpus=1)
    desk.submit(cancelled)
    desk.submit(other)
    assert desk.cancel(cancelled.job).state == "cancelled"
    assert [name.split("-", 1)[1] for name in records(desk)] == [f"{other.job}-1"]
    go(desk, holder.job)
    desk.until(other.job, "succeeded")
    assert desk.see(cancelled.job).state == "cancelled" and not desk.folder(cancelled.job, 1).exists()


def test_a_cancel_that_the_waiter_alone_sees_is_kept(desk, holder) -> None:
    waits = desk.spec("true", gpus=1)
    desk.submit(waits)
    (desk.folder(waits.job) / "cancel").write_text('{"attempt": 1}')  # killed before it removed the record
    assert desk.see(waits.job).state == "cancelled"
    wait_for(lambda: records(desk) == [])
    assert not desk.folder(waits.job, 1).exists()


@pytest.mark.slow
def test_a_later_attempt_takes_the_place_of_one_that_waits(desk, holder) -> None:
    waits = desk.spec("true", gpus=1)
    desk.submit(waits)
    assert desk.submit(waits, attempt=2).state == "waiting"
    assert [name.rsplit("-", 1)[1] for name in records(desk)] == ["2"]
    go(desk, holder.job)
    assert desk.until(waits.job, "succeeded").attempt == 2
    assert not desk.folder(waits.job, 1).exists()


def test_an_attempt_after_one_that_ended_is_seen_to_wait(desk, holder) -> None:
    waits = desk.spec("true", gpus=1)
    desk.submit(waits)
    start_gate.pass_gate(JobPaths.of(str(desk.workdir), waits.job), 1)
    outcome = exit_record.AttemptOutcome(JobState.FAILED, 1, "sh ended with 1")
    first = JobPaths.of(str(desk.workdir), waits.job).attempt(1)
    exit_record.write_exit_record(first, outcome, elapsed_s=1.0, spec={}, spec_sha256=waits.sha256)
    assert desk.submit(waits, attempt=2).supervisor == "waiting"
    seen = desk.see(waits.job)
    assert (seen.state, seen.attempt, seen.is_unattended) == ("waiting", 2, False)


def test_a_waiter_whose_lock_was_removed_keeps_the_queue_and_the_environment_of_its_jobs(
    desk, holder, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = desk.spec("sh", "-c", "echo $TOKEN > ../../../word", gpus=1)
    monkeypatch.setenv("TOKEN", "its own")
    desk.submit(waits)
    keeper = wait_for(desk.waiter)
    shutil.rmtree(locks_folder)
    assert wait_for(desk.waiter) == keeper
    go(desk, holder.job)
    desk.until(waits.job, "succeeded")
    assert (desk.folder(waits.job) / "word").read_text() == "its own\n"


def test_a_driver_that_hangs_for_good_counts_as_broken_all_the_time(
    tmp_path: Path, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hung:
        def hangs(self) -> bool:
            return True

        def answer(self) -> Any:
            return [], "nvidia-smi gave no answer within 15 s"

    monkeypatch.setattr(waiter, "GpuQuery", Hung)
    monkeypatch.setattr(waiter.job_records, "read_spec", lambda _: ({"gpus": 1}, ""))
    keeps = waiter.Waiter(str(tmp_path), -1, ("roman-k3x7a2bq", 1))
    place = waiting_records.WaitingAttempt(1, "roman-k3x7a2bq", 1)
    said = [(keeps._find_reason(place) and keeps._broken) for _ in range(3)]
    assert said == [said[0]] * 3 and "gave no answer" in str(said[0])


def test_a_job_that_cannot_start_is_tried_ever_more_slowly(
    tmp_path: Path, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiter, "start_supervisor", lambda *_, **__: None)
    monkeypatch.setattr(waiter.program_store, "mend", lambda _: None)
    keeps = waiter.Waiter(str(tmp_path), -1, ("roman-k3x7a2bq", 1))
    keeps._failed["roman-k3x7a2bq"] = "; its supervisor ended with 1 before"
    for number, job, pause in ((7, "roman-k3x7a2bq", 4.0), (8, "other-k3x7a2bq", waiter.LOOK_S)):
        keeps._pause = 4.0
        waiting_records.write_environment(waiting_records.WaitingAttempt(number, job, 1))
        keeps._start(waiting_records.WaitingAttempt(number, job, 1))
        assert keeps._pause == pause


@pytest.mark.slow
def test_a_record_whose_job_was_removed_delays_no_other(desk, holder) -> None:
    removed, other = desk.spec("true", gpus=1), desk.spec("true", gpus=1)
    desk.submit(removed)
    desk.submit(other)
    shutil.rmtree(desk.folder(removed.job))
    go(desk, holder.job)
    desk.until(other.job, "succeeded")
    wait_for(lambda: records(desk) == [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "why"),
    [("spec.json", "its supervisor ended with 1"), ("bundle", "its programs are damaged")],
)
def test_a_job_whose_supervisor_fails_at_its_turn_waits_behind_the_others(
    desk, holder, lost: str, why: str
) -> None:
    broken, other = desk.spec("true", gpus=1), desk.spec("true", gpus=1)
    desk.submit(broken)
    desk.submit(other)
    shutil.rmtree(Path(desk.workdir) / "jobs" / ".programs")  # or they would be mended from there
    whole, aside = desk.folder(broken.job) / lost, desk.folder(broken.job) / "aside"
    whole.rename(aside)
    go(desk, holder.job)
    desk.until(other.job, "succeeded")
    if lost == "bundle":
        wait_for(lambda: why in desk.see(broken.job).reason)
    aside.rename(whole)
    desk.until(broken.job, "succeeded")


def test_a_waiting_job_starts_in_the_environment_of_its_own_submit_which_the_volume_never_holds(
    desk, holder, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = []
    for word in ("one", "two"):
        monkeypatch.setenv("CONDA_PREFIX", word)
        waiting.append(desk.spec("sh", "-c", "echo $CONDA_PREFIX > ../../../word", gpus=1))
        desk.submit(waiting[-1])
    kept = [locks_folder / f"{spec.job}-1.env" for spec in waiting]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600] * 2
    on_the_volume = [path.read_text() for path in Path(desk.workdir).glob("jobs/.waiting/*/0*")]
    assert len(on_the_volume) == 2 and not any("CONDA_PREFIX" in text for text in on_the_volume)
    go(desk, holder.job)
    for spec, word in zip(waiting, ("one", "two"), strict=True):
        desk.until(spec.job, "succeeded")
        assert (desk.folder(spec.job) / "word").read_text() == f"{word}\n"
    assert not any(path.exists() for path in kept)


@pytest.mark.slow
def test_a_waiting_job_whose_environment_was_removed_never_starts_in_that_of_another_submit(
    desk, holder, locks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = desk.spec("sh", "-c", "echo $TOKEN > ../../../word", gpus=1)
    monkeypatch.setenv("TOKEN", "its own")
    desk.submit(spec)
    (locks_folder / f"{spec.job}-1.env").unlink()
    os.kill(wait_for(desk.waiter), signal.SIGKILL)  # it knew the environment
    monkeypatch.setenv("TOKEN", "another's")
    desk.submit(desk.spec("true", gpus=1))  # the next waiter has the environment of this one
    monkeypatch.setenv("TOKEN", "its own")
    go(desk, holder.job)
    wait_for(lambda: "the environment of its submit was removed" in (desk.see(spec.job).reason or ""))
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    assert (desk.folder(spec.job) / "word").read_text() == "its own\n"


@pytest.mark.slow
def test_a_removed_environment_is_kept_again_by_the_next_submit_of_a_job_that_still_waits(
    desk, holder, locks_folder: Path
) -> None:
    spec = desk.spec("true", gpus=1)
    desk.submit(spec)
    kept = locks_folder / f"{spec.job}-1.env"
    kept.unlink()
    assert desk.submit(spec).state == "waiting" and kept.exists()


@pytest.mark.slow
def test_who_waits_with_a_ticket_of_its_own_keeps_its_turn_among_the_records(desk, card) -> None:
    """So do supervisors of version 0.1.0, and waiters of other workdirs."""
    earlier = Tickets()
    assert earlier.draw(lambda: 0) == 1
    waits = desk.spec("sh", "-c", HOLD, gpus=1)
    assert desk.submit(waits).state == "waiting"
    assert desk.see(waits.job).reason == "waits for a GPU; 1 before it"
    wait_for(lambda: len(os.listdir(locks.tickets_folder())) == 2)
    later = Tickets()
    assert later.draw(lambda: 0) == 3
    assert sorted(later.others_up_to(2)) == [1, 2]
    earlier.release()
    assert desk.until_on_gpus(waits.job) == (uuid(0),)
    wait_for(lambda: later.others_up_to(2) == [])
    later.release()


def test_a_whole_new_host_waits_for_nothing_that_a_record_of_another_boot_says(desk, card) -> None:
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    spec = desk.spec("true", gpus=1)
    assert desk.submit(spec).state == "waiting"
    kill_waiter(desk)
    (folder,) = Path(desk.workdir).glob("jobs/.waiting/*/")
    folder.rename(folder.with_name("0123456789abcdef"))
    seen = desk.see(spec.job)
    assert seen.state == "waiting" and seen.reason.endswith(f"resume {spec.job} starts it"), seen
    card.says(A100.format(i=0, u=0, used=4, use=0))
    assert desk.submit(spec).state in ("running", "succeeded")
    desk.until(spec.job, "succeeded")
    assert records(desk) == []


STARTS = ("sh", "-c", "echo $$ >> ../../../starts-{attempt}")


def check_once(desk, spec: Any, n: int) -> None:
    """Submit again, and let it run: once."""
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    assert len((desk.folder(spec.job) / "starts-1").read_text().split()) == 1, n


def kill_waiters(desk, card, sample: int | None) -> int:
    """A waiter killed at each event of its life, from its lock to the start of a job that waits."""
    free, busy = (A100.format(i=0, u=0, used=used, use=0) for used in (4, 20143))

    def waiting() -> Any:
        card.says(busy)
        spec = desk.spec(*STARTS, gpus=1)
        assert desk.submit(spec).state == "waiting"
        kill_waiter(desk)
        card.says(free)
        return spec

    request = {"workdir": str(desk.workdir)}
    spec = waiting()
    total = killed("waiter", NEVER, request)
    assert total is not None and total > 40
    desk.until(spec.job, "succeeded")
    points = EveryPoint(total, sample)
    for n in points:
        spec = waiting()
        points.came_to(n, killed("waiter", n, request))
        check_once(desk, spec, n)
    return points.killed


@pytest.mark.slow
def test_a_waiter_killed_at_some_events_starts_each_job_once_and_loses_none(desk, card) -> None:
    assert kill_waiters(desk, card, sample=8) >= 5


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_waiter_killed_at_every_single_event_starts_each_job_once_and_loses_none(desk, card) -> None:
    print(kill_waiters(desk, card, sample=None), "killed")


def kill_supervisors_that_wait(desk, card, sample: int | None) -> int:
    free, busy = (A100.format(i=0, u=0, used=used, use=0) for used in (4, 20143))

    def claimed() -> tuple[Any, dict[str, Any]]:
        card.says(busy)
        spec = desk.spec(*STARTS, gpus=1)
        claimed_job(desk, spec)
        start_gate.ask_for(JobPaths.of(desk.workdir, spec.job), 1)
        request = {"workdir": str(desk.workdir), "job": spec.job, "attempt": 1, "answer": None}
        return spec, request

    spec, request = claimed()
    total = killed("supervisor", NEVER, request)
    assert total is not None and total > 40 and desk.see(spec.job).state == "waiting"
    points = EveryPoint(total, sample)
    for n in points:
        card.says(free)
        check_once(desk, spec, n)
        spec, request = claimed()
        points.came_to(n, killed("supervisor", n, request))
        assert desk.see(spec.job).state in ("waiting", "submitted"), n
    card.says(free)
    check_once(desk, spec, 0)
    return points.killed


@pytest.mark.slow
def test_a_supervisor_killed_at_some_events_on_its_way_into_the_queue_loses_no_job(desk, card) -> None:
    assert kill_supervisors_that_wait(desk, card, sample=6) >= 4


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_supervisor_killed_at_every_event_on_its_way_into_the_queue_loses_no_job(desk, card) -> None:
    print(kill_supervisors_that_wait(desk, card, sample=None), "killed")


def pss_kib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


@pytest.mark.slow
def test_a_thousand_that_wait_need_less_than_40_mb_on_the_host(desk, holder) -> None:
    waits = desk.spec("true", gpus=1)
    desk.submit(waits)
    (folder,) = Path(desk.workdir).glob("jobs/.waiting/*/")
    (first,) = folder.glob("0*")
    for n in range(2, 1001):
        job = f"test-{n:04d}"
        JobPaths.of(desk.workdir, job)
        (desk.folder(job) / "attempts").mkdir(parents=True)
        (folder / f"{n + 1:012d}-{job}-1").write_bytes(first.read_bytes())
    pid = wait_for(desk.waiter)
    wait_for(lambda: len(waiting_records.list_waiting(str(folder))) == 1000)
    tickets = Path(locks.tickets_folder())
    wait_for(lambda: f"{1001:012d}" in os.listdir(tickets))  # it has seen the last one
    wait_for(lambda: waiters(desk) == [pid])  # one that starts reads who is here, and ends
    used = pss_kib(pid)
    print(f"{used} KiB for 1,000 jobs that wait")
    assert used < 40 << 10
    assert desk.see(waits.job).state == "waiting"
    for n in range(2, 1001):
        shutil.rmtree(desk.folder(f"test-{n:04d}"))


def test_jobs_of_one_command_wait_in_the_order_in_which_it_names_them(desk, holder) -> None:
    waiting = [desk.spec("true", gpus=1) for _ in range(6)]
    desk.submit_all([(spec, 1, {}) for spec in waiting])
    order = [name.split("-", 1)[1] for name in records(desk)]
    assert order == [f"{spec.job}-1" for spec in waiting]


@pytest.mark.slow
def test_an_attempt_that_waits_for_an_earlier_one_to_stop_keeps_no_other_job_from_the_gpus(
    desk, card
) -> None:
    stubborn = "trap '' TERM; touch ../up; while [ ! -e ../go ]; do sleep 0.02; done"
    spec = desk.spec("sh", "-c", stubborn, gpus=1, grace_s=20.0)
    desk.submit(spec)
    wait_for((desk.folder(spec.job, 1) / "up").exists)
    assert desk.submit(spec, attempt=2).reason == "waits for attempt 1 to stop"
    assert Tickets().others_up_to(1 << 40) == []
    go(desk, spec.job)
    desk.until_on_gpus(spec.job)
    go(desk, spec.job, 2)
    assert desk.until(spec.job, "succeeded", "failed").attempt == 2
