"""The rules by which a pod starts an attempt once, ends it, and calls nothing known that is not."""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.pod import (
    boot_identity,
    cancel,
    cancel_mark,
    claim,
    disk_features,
    exit_record,
    forget,
    gpu_lease,
    job_records,
    locks,
    log_stream,
    newest_log,
    offer,
    processes,
    program_store,
    receive,
    send,
    start_gate,
    status,
    tickets,
    tombstone,
    waiter,
    waiting_records,
)
from being_remote.pod.attempt import Attempt, _path_below
from being_remote.pod.exit_record import AttemptOutcome
from being_remote.pod.folded_log import FoldedLog
from being_remote.pod.gpus import find_obstacle, parse
from being_remote.pod.heartbeat import HeartbeatWriter
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.job_states import JobState
from being_remote.pod.orphaned_attempt import OrphanedAttempt, OrphanRecords
from being_remote.pod.supervisor import NothingToDo, Supervisor
from being_remote.pod.wait_limits import WaitLimits
from being_remote.pod.waiting_records import WaitingAttempt

JOB = "demo-a"
BOOT: dict[str, Any] = {"pid_ns": 4026531836, "init_start": 7, "boot_id": "b"}
HERE = {**BOOT, "volume": "v", "alone": None}
DEAD = {"pid": 2**22 + 1, "start": 5}
SPEC: dict[str, Any] = {
    "job": JOB,
    "ledger": "a ledger",
    "gpus": 0,
    "progress": None,
    "prepare": {"folders": [], "copies": [], "links": []},
    "steps": [
        {"state": "running", "argv": ["true"], "cwd": "{work}", "env": {}},
        {"state": "transforming", "argv": ["true"], "cwd": "{work}", "env": {}, "verifies": True},
    ],
    "wall_s": None,
    "stall_s": None,
    "grace_s": 0.1,
    "log_bytes": 1 << 16,
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobPaths:
    """A job's folder on a volume with a name, and locks of this test's own."""
    (tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own" / "locks"))
    paths = JobPaths.of(tmp_path, JOB)
    os.makedirs(paths.attempts)
    boot_identity.mark_volume(paths.jobs)
    job_records.write_json(paths.spec, SPEC)
    return paths


def volume_of(job: JobPaths) -> str:
    name = boot_identity.read_volume(job.jobs)
    assert name is not None
    return name


def workdir_of(job: JobPaths) -> str:
    return os.path.dirname(job.jobs)


def attempt_of(job: JobPaths, number: int, gpus: list[str] | None = None) -> Attempt:
    wakeups: Any = SimpleNamespace(wait=time.sleep)
    return Attempt(job, SPEC, number, gpus or [], [], wakeups)


# -- which boot, which volume ----------------------------------------------------------------------


@pytest.mark.parametrize("part", ["pid_ns", "init_start", "boot_id"])
def test_a_boot_that_the_system_does_not_name_whole_is_the_same_as_none(part: str) -> None:
    unknown = {**HERE, part: None}
    assert boot_identity.is_boot_known(BOOT) and not boot_identity.is_boot_known(unknown)
    assert boot_identity.is_same_boot(HERE, HERE) and not boot_identity.is_same_boot(unknown, unknown)
    assert not boot_identity.runs_nowhere_else(unknown, {**HERE, "alone": True})
    assert not boot_identity.runs_nowhere_else(HERE, {**unknown, "alone": True})


def test_only_this_boot_or_an_earlier_one_on_this_pods_own_disk_runs_nowhere_else() -> None:
    other = {**HERE, "boot_id": "c"}
    assert boot_identity.runs_nowhere_else(HERE, HERE)
    assert boot_identity.runs_nowhere_else(other, {**HERE, "alone": True})
    assert not boot_identity.runs_nowhere_else(other, HERE)
    unnamed = {**HERE, "volume": None, "alone": True}
    assert not boot_identity.runs_nowhere_else(unnamed, unnamed)
    assert not boot_identity.runs_nowhere_else({**HERE, "volume": "w"}, {**HERE, "alone": True})


def test_a_volume_on_another_disk_than_the_containers_is_not_known_to_be_its_own(tmp_path: Path) -> None:
    if os.stat("/dev/shm").st_dev == os.stat("/").st_dev:
        pytest.skip("this machine has /dev/shm on the same disk as /")
    assert boot_identity._is_own_disk("/dev/shm") is None
    assert boot_identity._is_own_disk("/") is True


# -- an attempt's folder and environment ------------------------------------------------------------


def test_a_name_that_a_volume_has_is_never_replaced_also_on_a_disk_without_links(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    name = volume_of(job)
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(disk_features, "exists", lambda _: False)  # both looked before one of them wrote
    boot_identity.mark_volume(job.jobs)
    assert volume_of(job) == name


def test_an_attempt_without_a_lease_sees_no_gpu_and_one_with_a_lease_its_own(job: JobPaths) -> None:
    step = SPEC["steps"][0]
    assert attempt_of(job, 1)._environment(step)["CUDA_VISIBLE_DEVICES"] == ""
    leased = attempt_of(job, 1, ["GPU-1", "GPU-2"])._environment(step)
    assert leased["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"


def test_an_attempt_continues_from_the_newest_one_before_it(job: JobPaths) -> None:
    for number in (1, 2, 10, 11):
        os.mkdir(job.attempt(number).folder)
    places = [attempt_of(job, number)._places["previous"] for number in (1, 2, 11)]
    assert places == ["", job.attempt(1).work, job.attempt(10).work]


@pytest.mark.parametrize("name", ["../workings/x", "..", "a/../../x", "/x"])
def test_no_path_of_a_work_folder_leaves_it(name: str) -> None:
    assert _path_below("/w/work", "a/../b") == "/w/work/b"
    with pytest.raises(ValueError, match="leaves"):
        _path_below("/w/work", name)


def test_only_the_last_step_is_run_to_verify_the_files_of_an_orphan(job: JobPaths) -> None:
    os.makedirs(job.attempt(1).work)
    attempt = attempt_of(job, 1)
    attempt._spec = {**SPEC, "steps": [{**SPEC["steps"][0], "argv": ["false"]}, SPEC["steps"][1]]}
    assert attempt.verify(lambda: None, lambda: None).state == "succeeded"


def test_a_wall_time_is_counted_from_the_start_of_the_attempt(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPEC, "wall_s", 100.0)
    wakeups: Any = SimpleNamespace(wait=time.sleep)
    for ago_s, over in ((50.0, False), (150.0, True)):
        attempt = Attempt(job, SPEC, 1, [], [], wakeups, time.monotonic() - ago_s)
        assert (attempt.overdue(JobState.RUNNING) is not None) is over


# -- the gate ---------------------------------------------------------------------------------------


def test_one_process_passes_a_gate_and_the_first_record_of_what_was_asked_counts(job: JobPaths) -> None:
    assert [start_gate.pass_gate(job, 1), start_gate.pass_gate(job, 1)] == [True, False]
    start_gate.ask_for(job, 2, "first upload")
    start_gate.ask_for(job, 2, "second upload")
    assert start_gate.list_attempts(job) == ([1], 2)
    assert start_gate.find_pushed(job, 2) == job.pushed("first upload")


def test_an_upload_of_an_earlier_attempt_is_taken_only_if_it_is_whole(job: JobPaths) -> None:
    start_gate.ask_for(job, 1, "upload")
    assert start_gate.find_pushed(job, 2) == ""
    os.makedirs(job.pushed("upload"))
    Path(job.pushed("upload"), "pushed.json").touch()
    assert start_gate.find_pushed(job, 2) == job.pushed("upload")


# -- cancels ----------------------------------------------------------------------------------------


def test_of_several_cancels_the_highest_attempt_counts_and_a_mark_is_never_lowered(job: JobPaths) -> None:
    cancel_mark.mark_before_arrival(job, 3)
    cancel_mark.mark_before_arrival(job, 2)
    assert cancel_mark.cancelled_up_to(job) == 3
    cancel_mark.mark_cancelled(job, 1, supervised=False)
    assert cancel_mark.cancelled_up_to(job) == 3
    cancel_mark.mark_before_arrival(job, 4)
    assert cancel_mark.cancelled_up_to(job) == 4


def test_a_mark_that_cannot_be_understood_stops_every_attempt(job: JobPaths) -> None:
    for content in ("no record", '{"attempt": "1"}', '{"attempt": -1}', "[]"):
        Path(job.cancel_mark).write_text(content)
        assert cancel_mark.cancelled_up_to(job) == cancel_mark.EVERY_ATTEMPT


def test_a_mark_that_the_disk_cannot_read_now_asks_for_nothing(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: str) -> None:
        raise job_records.Unreadable(errno.EIO, "Input/output error")

    monkeypatch.setattr(job_records, "read_json", fails)
    with pytest.raises(job_records.Unreadable):
        cancel_mark.cancelled_up_to(job)


def asked_to_cancel(paths: JobPaths, **more: Any) -> str:
    query = {"workdir": workdir_of(paths), "job": JOB, "attempt": 1, "ledger": None, "volume": None}
    return cancel.cancel({**query, "wait_s": 0.0, **more})


def test_a_cancel_touches_no_job_of_another_ledger(job: JobPaths) -> None:
    assert asked_to_cancel(job, ledger="another ledger") == "foreign"
    assert cancel_mark.cancelled_up_to(job) is None
    assert asked_to_cancel(job, ledger="a ledger") == "asked"
    assert cancel_mark.cancelled_up_to(job) == 1


def test_a_job_that_has_not_arrived_is_marked_only_on_the_disk_that_it_was_sent_to(job: JobPaths) -> None:
    absent = JobPaths.of(workdir_of(job), "demo-b")
    for volume in (None, "another disk"):
        assert asked_to_cancel(job, job="demo-b", volume=volume) == "absent"
        assert cancel_mark.cancelled_up_to(absent) is None
    assert asked_to_cancel(job, job="demo-b", volume=volume_of(job), attempt=2) == "marked"
    assert cancel_mark.cancelled_up_to(absent) == 2


def test_a_cancel_of_a_later_attempt_raises_the_mark_of_an_earlier_one(job: JobPaths) -> None:
    cancel_mark.mark_cancelled(job, 1, supervised=False)
    start_gate.ask_for(job, 2)
    asked_to_cancel(job, attempt=2)
    assert cancel_mark.cancelled_up_to(job) == 2


def test_only_the_payload_of_a_supervisor_that_is_known_to_be_dead_is_ended(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_of: list[Any] = []
    monkeypatch.setattr(cancel, "_end_orphan", lambda *_: ended_of.append(alive))
    for alive in (None, False):
        holder = {"supervisor": {"pid": 1, "alive": alive}}
        seen = {"ledger": None, "attempts": [], "asked": 1, "lock": "held", "holder": holder}
        monkeypatch.setattr(status, "look", lambda *_, seen=seen: seen)
        assert asked_to_cancel(job) == "asked"
    assert ended_of == [False]


def ended(job: JobPaths, number: int, state: JobState = JobState.FAILED) -> None:
    start_gate.pass_gate(job, number)
    outcome = AttemptOutcome(state, 1, "because")
    exit_record.write_exit_record(
        job.attempt(number), outcome, elapsed_s=1.0, spec=SPEC, spec_sha256="0" * 64
    )


def test_an_ended_attempt_is_no_end_of_a_job_whose_next_attempt_was_asked_for(job: JobPaths) -> None:
    ended(job, 1)
    assert asked_to_cancel(job) == "ended" and cancel_mark.cancelled_up_to(job) is None
    start_gate.ask_for(job, 2)
    assert asked_to_cancel(job, attempt=2) == "asked"
    assert cancel_mark.cancelled_up_to(job) == 2


def orphan(job: JobPaths, **more: Any) -> None:
    """Attempt 1 passed its gate; the supervisor that its record names is dead."""
    start_gate.pass_gate(job, 1)
    here = boot_identity.read_boot_identity(workdir_of(job))
    who = {"incarnation": here, "supervisor": DEAD, "gpus": [], "lock_path": "", "lock_inode": 0}
    job_records.write_json(job.attempt(1).who, {**who, **more})


def test_an_orphan_of_this_pod_is_cancelled_with_a_record_and_one_of_another_pod_is_not(
    job: JobPaths,
) -> None:
    here = boot_identity.read_boot_identity(workdir_of(job))
    orphan(job, incarnation={**here, "boot_id": "another", "volume": "another"})
    cancel._end_orphan(job, JOB, 1, here)
    assert not exit_record.has_exit_record(job.attempt(1))
    os.unlink(job.attempt(1).who)
    orphan_record = {"incarnation": here, "supervisor": DEAD, "gpus": ["GPU-1"]}
    job_records.write_json(job.attempt(1).who, orphan_record)
    cancel._end_orphan(job, JOB, 1, here)
    first = Path(job.attempt(1).end).read_bytes()
    assert json.loads(first)["state"] == "cancelled"
    job_records.write_json(job.attempt(1).end, {"state": "succeeded"})
    cancel._end_orphan(job, JOB, 1, here)
    assert json.loads(Path(job.attempt(1).end).read_bytes()) == {"state": "succeeded"}


# -- a supervisor that must not start ----------------------------------------------------------------


def supervisor_of(job: JobPaths, number: int = 1) -> Supervisor:
    made = Supervisor.__new__(Supervisor)  # without its signal handlers
    made.workdir, made.job, made.number, made.paths = workdir_of(job), JOB, number, job
    made.spec, made.spec_sha256 = SPEC, "0" * 64
    made.incarnation = boot_identity.read_boot_identity(made.workdir)
    made._answer, made._ticket, made._queue, made._give_up = None, None, None, None
    wakeups: Any = SimpleNamespace(wait=time.sleep)
    made.wakeups = wakeups
    return made


def why_not(supervisor: Supervisor, act: Any) -> str:
    with pytest.raises(NothingToDo) as raised:
        act()
    return str(raised.value.args[0])


def test_an_attempt_starts_only_if_nothing_says_that_it_must_not(job: JobPaths) -> None:
    supervisor = supervisor_of(job)
    assert supervisor._is_unfinished() is False
    cancel_mark.mark_cancelled(job, 1, supervised=False)
    assert why_not(supervisor, supervisor._is_unfinished) == "cancelled"
    assert supervisor_of(job, 2)._is_unfinished() is False  # the cancel was of attempt 1
    start_gate.ask_for(job, 2)
    assert why_not(supervisor, supervisor._is_unfinished) == "overtaken"


def test_an_attempt_that_passed_its_gate_is_never_started_again(job: JobPaths) -> None:
    supervisor = supervisor_of(job)
    start_gate.pass_gate(job, 1)
    assert supervisor._is_unfinished() is True
    lock = locks.take_all(locks.job_locks(JOB))
    assert lock is not None
    try:
        assert why_not(supervisor, lambda: supervisor._run_locked(lock)) == "held"
        ended(job, 1)
        assert why_not(supervisor, supervisor._is_unfinished) == "ended"
    finally:
        locks.release(lock)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"supervisor": "this process"}, "held"),
        ({"supervisor": {"pid": 1, "start": None}}, "held"),  # whether it lives cannot be seen
        ({"incarnation": {**HERE, "volume": "another"}}, "lost"),
        ({"incarnation": None}, "lost"),
    ],
)
def test_an_orphan_is_looked_after_only_where_its_supervisor_died_and_no_other_pod_has_it(
    job: JobPaths, more: dict[str, Any], expected: str
) -> None:
    if more.get("supervisor") == "this process":
        more = {"supervisor": processes.identify(os.getpid())}
    orphan(job, **more)
    supervisor = supervisor_of(job)
    assert why_not(supervisor, lambda: supervisor._finish(None)) == expected
    assert not exit_record.has_exit_record(job.attempt(1))


def test_the_note_of_a_lock_names_the_attempt_that_it_is_of_and_no_other(job: JobPaths) -> None:
    start_gate.pass_gate(job, 1)
    lock = locks.take_all(locks.job_locks(JOB))
    assert lock is not None
    for fd in lock:
        locks.write_note(fd, {"attempt": 1, "supervisor": DEAD, "incarnation": HERE})
    try:
        first, second = (OrphanRecords.read(JOB, job, number) for number in (1, 2))
    finally:
        locks.release(lock)
    assert first is not None and first.supervisor_died and second is None
    assert not OrphanRecords({"supervisor": {"pid": 1, "start": None}}, {}).supervisor_died


@pytest.mark.parametrize(
    ("heartbeat", "verifies", "expected"),
    [
        ({"step": 1, "payload": None}, True, True),
        ({"step": 0, "payload": {"pid": 1, "start": 1}}, True, True),
        ({"step": 0, "payload": None}, True, False),  # that step was only announced
        ({"step": 1, "payload": None}, False, False),
        ({}, True, False),
    ],
)
def test_an_orphan_is_judged_by_its_files_only_where_a_last_step_can_verify_all_others(
    job: JobPaths, heartbeat: dict[str, Any], verifies: bool, expected: bool
) -> None:
    spec = {**SPEC, "steps": [SPEC["steps"][0], {**SPEC["steps"][1], "verifies": verifies}]}
    wakeups: Any = SimpleNamespace(wait=time.sleep)
    records = OrphanRecords({"supervisor": DEAD}, heartbeat)
    found = OrphanedAttempt(job, spec, 1, records, HERE, wakeups)
    assert found._can_be_verified is expected


# -- forgetting -------------------------------------------------------------------------------------


def asked_to_forget(job: JobPaths, **more: Any) -> str:
    query = {"workdir": workdir_of(job), "job": JOB, "attempt": 1, "volume": volume_of(job), "dry_run": False}
    return forget.forget({**query, **more})[0]


def test_a_job_is_forgotten_whole_and_never_starts_again(job: JobPaths) -> None:
    ended(job, 1)
    neighbour = JobPaths.of(workdir_of(job), JOB + "b")
    for upload in (f"{JOB}.2.aa", f"{JOB}b.2.bb"):
        os.makedirs(job.pushed(upload))
    assert asked_to_forget(job, dry_run=True) == "forgotten" and os.path.isdir(job.folder)
    assert asked_to_forget(job) == "forgotten"
    assert not os.path.exists(job.folder) and not os.path.exists(job.pushed(f"{JOB}.2.aa"))
    assert os.path.isdir(job.pushed(f"{JOB}b.2.bb"))
    assert tombstone.is_forgotten(job) and not tombstone.is_forgotten(neighbour)
    assert cancel_mark.cancelled_up_to(job) == cancel_mark.EVERY_ATTEMPT


@pytest.mark.parametrize("more", [{"volume": None}, {"volume": "another disk"}, {"attempt": 0}])
def test_a_job_on_another_disk_or_with_a_newer_attempt_is_not_forgotten(
    job: JobPaths, more: dict[str, Any]
) -> None:
    ended(job, 1)
    assert asked_to_forget(job, **more) in ("elsewhere", "newer")
    assert os.path.isdir(job.folder) and not tombstone.is_forgotten(job)


def test_a_forget_leaves_its_mark_before_it_removes_anything(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    ended(job, 1)
    monkeypatch.setattr(forget, "remove_whole", fails)
    with pytest.raises(OSError):
        asked_to_forget(job)
    assert tombstone.is_forgotten(job) and os.path.isdir(job.folder)


# -- locks, tickets, processes ------------------------------------------------------------------------


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = locks.watch_lock(JOB), locks.is_still
    asked: list[bool] = []

    def removed_once(name: str, fd: int) -> bool:
        if not asked:
            os.unlink(name)
        asked.append(real(name, fd))
        return asked[-1]

    monkeypatch.setattr(locks, "is_still", removed_once)
    fd = locks.take(path)
    assert fd is not None and asked == [False, True] and os.fstat(fd).st_ino == os.stat(path).st_ino
    os.close(fd)


def test_of_a_lock_of_two_files_none_stays_taken_where_one_is_held(job: JobPaths, tmp_path: Path) -> None:
    first, second = (f"{locks.folder()}/{name}" for name in ("a.lock", "b.lock"))
    held = locks.take(second)
    assert held is not None and locks.take_all([first, second]) is None
    free = locks.take(first)
    assert free is not None
    assert locks.probe_all([first, str(tmp_path / "none")])[0] == "held"
    assert locks.probe_all([str(tmp_path / "none"), str(tmp_path / "none 2")])[0] == "missing"
    locks.release([held, free])
    assert locks.probe_all([str(tmp_path / "none"), first])[0] == "free"


def test_two_that_look_at_a_free_lock_at_once_both_find_it_free(job: JobPaths) -> None:
    path = locks.watch_lock(JOB)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with open(path, "rb") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        assert locks.probe(path)[0] == "free"


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o750])
def test_locks_in_a_folder_that_others_can_enter_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "mine/locks").mkdir()
    os.chmod(tmp_path / "mine/locks", mode)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "mine/locks"))
    with pytest.raises(PermissionError, match="open to others"):
        locks.folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_locks_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 1234, 1234)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "theirs/locks"))
    with pytest.raises(PermissionError, match="not ours"):
        locks.folder()


def test_each_ticket_is_behind_all_others(job: JobPaths) -> None:
    drawn = [tickets.draw(lambda: 5), tickets.draw(lambda: 0)]
    holder = tickets.Tickets(drawn[0])
    assert [number for number, _ in drawn] == [6, 7]
    assert holder.others_up_to(7) == [7] and holder.others_up_to(6) == []
    assert tickets.Tickets().others_up_to(6) == [6]
    for _, fd in drawn:
        os.close(fd)


def test_a_process_that_cannot_be_seen_is_neither_alive_nor_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = processes.identify(os.getpid())
    assert processes.is_alive(me) is True and processes.is_alive(DEAD) is False
    assert processes.is_alive({**me, "start": me["start"] + 1}) is False
    assert processes.is_alive({"pid": os.getpid(), "start": None}) is None
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/proc/self/stat" and real(path))
    assert processes.is_alive(me) is None


def test_a_process_that_ended_and_was_not_collected_is_dead() -> None:
    child = subprocess.Popen(["true"])
    identity = processes.identify(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.is_alive(identity) is not True and processes.read_stat(child.pid) is None
    child.wait()


def test_a_session_under_a_number_that_another_process_has_by_now_is_not_the_payloads() -> None:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        leader = processes.identify(child.pid)
        assert processes.find_session(leader, "demo-a/1") == [child.pid]
        assert processes.find_session({**leader, "start": leader["start"] - 1}, "demo-a/1") == []
    finally:
        child.kill()
        child.wait()


# -- records, logs ------------------------------------------------------------------------------------


def test_a_record_is_replaced_whole_and_a_shorter_one_leaves_nothing_of_the_reserved_room(
    job: JobPaths,
) -> None:
    os.makedirs(job.attempt(1).folder)
    exit_record.reserve_room(job.attempt(1))
    ended(job, 1)
    text = Path(job.attempt(1).end).read_text()
    assert text.endswith("}\n") and json.loads(text)["state"] == "failed"
    assert not os.path.exists(job.attempt(1).end_reserved)


def test_an_exit_record_is_written_though_the_payload_removed_the_attempts_folder(job: JobPaths) -> None:
    start_gate.pass_gate(job, 1)
    os.rmdir(job.attempt(1).folder)
    ended(job, 1)
    assert exit_record.has_exit_record(job.attempt(1))


def test_a_link_or_a_large_file_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    for name, limit in (("link.json", 100), ("real.json", 1)):
        with pytest.raises(ValueError):
            job_records.read_bytes(str(tmp_path / name), limit)
    assert job_records.read_bytes(str(tmp_path / "real.json"), 2) == b"{}"


def test_a_disk_that_fails_to_sync_is_an_error_and_one_that_offers_no_sync_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(number: int) -> Any:
        def fsync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        return fsync

    for number, raises in ((errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)):
        monkeypatch.setattr(os, "fsync", refuse(number))
        with pytest.raises(OSError) if raises else contextlib.nullcontext():
            disk_features.sync_descriptor(0)


def test_a_rename_over_another_file_is_refused_also_on_a_disk_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileExistsError):
        disk_features.rename_new(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"
    disk_features.rename_new(tmp_path / "new", tmp_path / "third")
    assert (tmp_path / "third").read_text() == "new"


def test_a_log_that_is_opened_again_keeps_to_its_bound(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    for _ in range(3):
        log = FoldedLog(path, 64)
        log.feed(b"x" * 39 + b"\n")
        log.finish()
    assert os.path.getsize(path) == 64
    assert b"".join(Path(part).read_bytes() for _, part in newest_log.find_parts(path)).count(b"x") == 117


def test_the_last_lines_of_a_log_are_as_many_as_were_asked_for(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    Path(path).write_bytes(b"one\ntwo\nthree\n")
    found = [Path(path).read_bytes()[newest_log.offset_of_last_lines(path, n) :] for n in (1, 2, 3, 9)]
    assert found == [b"three\n", b"two\nthree\n", b"one\ntwo\nthree\n", b"one\ntwo\nthree\n"]


def test_what_was_written_lately_is_shown_from_before_its_time_on(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    Path(path).write_bytes(b"x" * 30)
    now = int(time.time())
    Path(path + ".times").write_text(f"{now - 100} 0\n{now - 65} 10\n{now - 20} 20\n")
    assert newest_log.offset_since(path, 60.0) == 10  # it may have been written up to ten seconds later
    assert newest_log.offset_since(path, 5.0) == 30


def test_a_log_is_over_when_the_attempt_ended_or_the_next_one_began(tmp_path: Path) -> None:
    folder = tmp_path / "attempts/1"
    folder.mkdir(parents=True)
    assert log_stream.why_over(str(folder)) is None
    (tmp_path / "attempts/2").mkdir()
    assert log_stream.why_over(str(folder)) == "superseded"
    (folder / "end.json").touch()
    assert log_stream.why_over(str(folder)) == "ended"


def test_a_stall_counts_from_the_last_new_frame_and_a_heartbeat_goes_on_after_the_last_one(
    job: JobPaths,
) -> None:
    start_gate.pass_gate(job, 1)
    work = Path(job.attempt(1).work)
    work.mkdir()
    beats = HeartbeatWriter(job.attempt(1), {"total": None, "glob": "*.frame"})
    (work / "1.frame").touch()
    beats.count()
    beats._grew_at -= 100
    beats.count()
    assert beats.stalled_s >= 100 and beats.frames_done == 1
    (work / "2.frame").touch()
    beats.count()
    assert beats.stalled_s < 100
    beats.continue_from({"beat": 41, "frames_done": 2})
    beats.write(JobState.RUNNING, 0, {})
    assert json.loads(Path(job.attempt(1).progress).read_text())["beat"] == 42


def test_frames_are_counted_in_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    paths = JobPaths(str(tmp_path / "jobs/[demo]-a")).attempt(1)
    os.makedirs(paths.work)
    Path(paths.work, "1.frame").touch()
    beats = HeartbeatWriter(paths, {"total": 1, "glob": "*.frame"})
    beats.count()
    assert beats.frames_done == 1


# -- programs, uploads, submits -----------------------------------------------------------------------


def test_programs_are_used_only_with_the_bytes_of_their_hash(tmp_path: Path) -> None:
    data = b"an archive"
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(ValueError, match="damaged"):
        program_store.store(str(tmp_path), b"another", sha256)
    assert not program_store.is_stored(str(tmp_path), sha256)
    program_store.store(str(tmp_path), data, sha256)
    assert program_store.is_stored(str(tmp_path), sha256)
    (tmp_path / ".programs" / sha256).write_bytes(b"an archivf")
    assert not program_store.is_stored(str(tmp_path), sha256)


def test_a_submit_that_is_cut_short_or_finds_no_programs_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="cut short"):
        offer._read(io.BytesIO(b"12"), 3)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    claims = zlib.compress(b'{"jobs": []}\n')
    request = json.dumps({"workdir": str(tmp_path), "programs": "0" * 64, "wait_s": 0.0})
    with pytest.raises(SystemExit, match="removed meanwhile"):
        offer.main(request, io.BytesIO(b"0 %d\n" % len(claims) + claims))


def test_a_supervisor_that_says_nothing_in_time_is_silent_and_one_that_ended_is_an_error() -> None:
    reader, writer = os.pipe()
    assert claim._read_answer(reader, time.monotonic() + 0.05) == ("silent", None)
    os.close(writer)
    reader, writer = os.pipe()
    os.close(writer)
    assert claim._read_answer(reader, time.monotonic() + 5)[0] == "error"


def taken(into: Path, name: bytes, size: int, mtime_ns: int, offset: int, data: bytes) -> None:
    header = [base64.b64encode(name).decode(), size, mtime_ns, 0o644, offset]
    receive.take_file(os.fsencode(into), header, io.BytesIO(data))


def test_an_upload_continues_only_the_very_version_that_was_begun(tmp_path: Path) -> None:
    into = os.fsencode(tmp_path)
    assert receive.partial_path(into, b"a", 5, 1) != receive.partial_path(into, b"a", 5, 2)
    with pytest.raises(SystemExit, match="cut short"):
        taken(tmp_path, b"a", 5, 10, 0, b"ab")
    assert receive.count_held(into, b"a", 5, 10) == 2 and receive.count_held(into, b"a", 5, 11) == 0
    taken(tmp_path, b"a", 5, 10, 2, b"cde")
    assert (tmp_path / "a").read_bytes() == b"abcde"
    assert receive.count_held(into, b"a", 5, 10) is None
    os.utime(tmp_path / "a", ns=(0, 11))
    assert receive.count_held(into, b"a", 5, 10) == 0


def test_an_upload_is_as_long_as_was_said_and_goes_through_no_link(tmp_path: Path) -> None:
    partial = Path(os.fsdecode(receive.partial_path(os.fsencode(tmp_path), b"a", 3, 10)))
    partial.parent.mkdir()
    partial.write_bytes(b"longer than it")
    taken(tmp_path, b"a", 3, 10, 0, b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"
    partial.parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").write_bytes(b"mine")
    partial.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        taken(tmp_path, b"a", 3, 10, 0, b"abc")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def sent(path: Path, held: list[list[int]], most: int = 1 << 20) -> bytes:
    out = io.BytesIO()
    send.send_file(0, os.fsencode(path), held, most, out)
    return out.getvalue()


def test_a_file_is_not_sent_only_if_its_size_and_second_are_here_and_no_more_of_it_than_asked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abcde")
    second = path.stat().st_mtime_ns // 1_000_000_000
    assert sent(path, [[5, second]]) == b""
    for held in ([], [[5, second - 1]], [[4, second]]):
        assert b"abcde" in sent(path, held)
    assert b"abc" in sent(path, [], most=3) and b"abcd" not in sent(path, [], most=3)


# -- waiting, GPUs --------------------------------------------------------------------------------------


def test_a_wait_ends_at_its_limit_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    assert WaitLimits(60.0, since=now - 30).find_exceeded(None, "r") is None
    assert WaitLimits(60.0, since=now - 61).find_exceeded(None, "r") is not None
    assert WaitLimits(None, since=now - 1e6).find_exceeded(None, "r") is None


def waiter_on(job: JobPaths) -> waiter.Waiter:
    made = waiter.Waiter.__new__(waiter.Waiter)
    made._workdir = workdir_of(job)
    return made


def test_only_an_attempt_that_may_still_start_keeps_its_place_in_the_queue(job: JobPaths) -> None:
    keeper, first, second = waiter_on(job), WaitingAttempt(1, JOB, 1), WaitingAttempt(2, JOB, 2)
    start_gate.ask_for(job, 1)
    assert keeper._can_start(first)
    cancel_mark.mark_cancelled(job, 1, supervised=False)
    assert not keeper._can_start(first) and keeper._can_start(second)
    start_gate.ask_for(job, 2)
    assert keeper._can_start(second)
    start_gate.pass_gate(job, 2)
    assert not keeper._can_start(second)
    assert not keeper._can_start(WaitingAttempt(3, "demo-gone", 1))


def test_a_job_leaves_the_queue_with_all_its_attempts_up_to_that_one(job: JobPaths) -> None:
    folder = waiting_records.boot_folder(workdir_of(job), BOOT)
    other = waiting_records.boot_folder(workdir_of(job), {**BOOT, "boot_id": "c"})
    places = [WaitingAttempt(n, JOB, n) for n in (1, 2, 3)] + [WaitingAttempt(4, "demo-b", 1)]
    for place in places:
        waiting_records.add_waiting(folder, place, {})
    waiting_records.add_waiting(other, places[0], {})
    assert waiting_records.list_other_boots(workdir_of(job), folder) == [places[0]]
    waiting_records.remove_job(workdir_of(job), places[1], keep=None)
    assert waiting_records.list_waiting(folder) == places[2:]
    assert waiting_records.list_waiting(other) == []


def test_each_workdir_has_a_waiter_of_its_own(job: JobPaths, tmp_path: Path) -> None:
    first, second = (waiting_records.waiter_lock(str(tmp_path / name), BOOT) for name in ("a", "b"))
    assert first != second


def test_a_gpu_is_busy_by_its_memory_or_by_its_use(job: JobPaths) -> None:
    text = "0, GPU-1, A, 80000, 2000, 0\n1, GPU-2, A, 80000, 4, 90\n2, GPU-3, A, 80000, 4, 0"
    assert [gpu["busy"] for gpu in parse(text)[0]] == [True, True, False]
    outlook = gpu_lease.look_for(1, parse(text)[0], None)
    assert outlook.free == ["GPU-3"]
    assert find_obstacle(parse(text)[0], None, 3) == (None, False)
    assert find_obstacle(parse(text)[0], None, 4)[0] is not None


def test_a_gpu_whose_memory_cannot_be_read_is_broken_unless_it_shares_the_hosts() -> None:
    text = "0, GPU-1, A, 80000, [N/A], 0\n1, GPU-2, A, [N/A], [N/A], 0\n2, GPU-3, A, [N/A], [N/A], [N/A]"
    assert [gpu["broken"] is not None for gpu in parse(text)[0]] == [True, False, True]


def test_gpus_are_leased_all_or_none(job: JobPaths) -> None:
    one = gpu_lease.lease("demo-a", 1, ["GPU-1"])
    assert one is not None
    assert gpu_lease.lease("demo-b", 2, ["GPU-1", "GPU-2"]) is None
    two = gpu_lease.lease("demo-b", 1, ["GPU-1", "GPU-2"])
    assert two is not None and two[0] == ["GPU-2"]
    leased = gpu_lease.with_leases(
        parse("0, GPU-1, A, 8, 4, 0\n1, GPU-2, A, 8, 4, 0\n2, GPU-3, A, 8, 4, 0")[0]
    )
    assert [gpu["job"] for gpu in leased] == ["demo-a", "demo-b", None]
    for fd in (*one[1], *two[1]):
        locks.write_note(fd, {})
    nameless = gpu_lease.look_for(1, parse("0, GPU-1, A, 8, 4, 0\n1, GPU-3, A, 8, 4, 0")[0], None)
    assert nameless.free == ["GPU-3"]  # a lease that does not say whose it is is one all the same
    locks.release([*one[1], *two[1]])


# -- status ---------------------------------------------------------------------------------------------


def test_an_attempt_that_was_made_after_its_lock_was_found_free_is_looked_at_again(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks.probe_all

    def started_meanwhile(paths: list[str]) -> Any:
        found = real(paths)
        start_gate.pass_gate(job, 1)
        return found

    start_gate.ask_for(job, 1)
    monkeypatch.setattr(locks, "probe_all", started_meanwhile)
    seen = status.look(workdir_of(job), JOB)
    assert seen is not None and [one["attempt"] for one in seen["attempts"]] == [1]


def test_an_end_that_was_written_during_a_look_is_seen(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_gate.pass_gate(job, 1)
    real = job_records.read_json

    def read(path: str) -> Any:
        found = real(path)
        if path.endswith("progress.json"):
            ended(job, 1, JobState.SUCCEEDED)
        return found

    monkeypatch.setattr(job_records, "read_json", read)
    assert status._attempt(job, 1, {})["end"]["state"] == "succeeded"


def test_an_old_attempts_end_is_no_end_of_the_attempt_that_was_asked_for(job: JobPaths) -> None:
    ended(job, 1)
    start_gate.ask_for(job, 2)
    cancel_mark.mark_cancelled(job, 2, supervised=False)
    seen = status.look(workdir_of(job), JOB)
    assert seen is not None and (seen["asked"], seen["cancel"], seen["lock"]) == (2, 2, "missing")


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_a_claim_wrote_is_for_its_user_alone(tmp_path: Path) -> None:
    claim.write_files({"a/b": b"x"}, str(tmp_path / "j"))
    assert stat.S_IMODE((tmp_path / "j/a/b").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        claim.write_files({"a/b": b"y"}, str(tmp_path / "j"))


def test_a_claim_is_on_the_disk_before_it_is_called_made_and_leaves_nothing_of_a_job_forgotten_meanwhile(
    job: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(job_records, "sync_folder", synced.append)
    monkeypatch.setattr(claim.program_store, "give_to_job", lambda *_: None)
    for name, forgotten in (("demo-b", False), ("demo-c", True)):
        arrived = JobPaths.of(workdir_of(job), name)
        staging = f"{job.jobs}/.staging-{name}"
        os.mkdir(staging)
        monkeypatch.setattr(claim, "is_forgotten", lambda _, forgotten=forgotten: forgotten)
        synced.clear()
        answer = claim._store({"spec.json": b"{}"}, staging, arrived, "", {"attempt": 1, "pushed": None})
        assert (answer, os.path.exists(arrived.folder)) == (
            "forgotten" if forgotten else "made",
            not forgotten,
        )
        assert synced[-1] == job.jobs
