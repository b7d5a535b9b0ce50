"""Payloads whose processes let go of the lock, of their environment, or of the job's folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_jobs import wait_until

from being_remote.jobs.spec import FileProgress
from being_remote.pod import cancel, lock_heirs, processes
from being_remote.pod.boot_identity import read_boot_identity
from being_remote.pod.job_paths import JobPaths

# A daemon in a session of its own, without our mark; its parent ends at once.
DAEMON = (
    "(env -i setsid sh -c 'echo $$ > ../daemon; exec sleep 60' &);"
    " while [ ! -s ../daemon ]; do sleep 0.01; done"
)
WAITS = "while [ ! -e ../go ]; do sleep 0.02; done"
# Python closes what it was not told to pass on: the child holds no lock. The second attempt looks for it.
DROPS_THE_LOCK = """
import os, subprocess, sys, time
if sys.argv[1] == "2":
    try:
        state = open("/proc/%s/stat" % open("../../1/child").read()).read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        state = "Z"
    if state != "Z":
        open("../both", "w").close()
    sys.exit(0)
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
open("../child", "w").write(str(child.pid))
open("../up", "w").close()
while not os.path.exists("../go"):
    time.sleep(0.02)
"""


def is_alive(pid: int) -> bool:
    return processes.read_stat(pid) is not None


def number_in(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip() != "")
    return int(path.read_text())


def kill_supervisor(folder: Path) -> None:
    pid = json.loads((folder / "who.json").read_text())["supervisor"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


@pytest.mark.parametrize("how", ["cancel", "end"])
def test_a_daemon_that_cleared_its_environment_ends_with_its_job(desk: Any, how: str) -> None:
    spec = desk.spec("sh", "-c", f"{DAEMON}; {WAITS}")
    desk.submit(spec)
    daemon = number_in(desk.folder(spec.job, 1) / "daemon")
    assert processes.mark_of(spec.job, 1).encode() not in Path(f"/proc/{daemon}/environ").read_bytes()
    if how == "cancel":
        assert desk.cancel(spec.job).state == "cancelled"
    else:
        (desk.folder(spec.job, 1) / "go").touch()
        assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    assert not is_alive(daemon)


def test_dead_daemons_are_collected_and_the_exit_code_is_still_the_payloads(desk: Any) -> None:
    spec = desk.spec("sh", "-c", f"for i in 1 2 3 4 5; do (setsid true &); done; {WAITS}; exit 7")
    desk.submit(spec)
    supervisor = desk.supervisor(spec.job)
    wait_until(lambda: len(dead_children(supervisor)) == 0)
    (desk.folder(spec.job, 1) / "go").touch()
    assert desk.until(spec.job, "failed").exit_code == 7


@pytest.mark.parametrize("then", ["cancel", "submit", "resume"])
def test_a_daemon_that_nothing_but_the_lock_tells_of_ends_after_its_supervisor_was_killed(
    desk: Any, then: str
) -> None:
    spec = desk.spec("sh", "-c", f"test {{attempt}} = 2 || {{ {DAEMON}; {WAITS}; }}")
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    daemon = number_in(folder / "daemon")
    kill_supervisor(folder)
    (folder / "go").touch()
    wait_until(lambda: processes.find_marked(processes.mark_of(spec.job, 1)) == [])
    assert is_alive(daemon) and desk.see(spec.job).evidence["lock"] == "held"
    try:
        if then == "cancel":
            assert desk.cancel(spec.job).state == "cancelled"
        elif then == "submit":
            desk.submit(spec)
            assert desk.until(spec.job, "lost", "failed", timeout_s=10).state == "lost"
        else:
            desk.submit(spec, attempt=2)
            assert desk.until(spec.job, "succeeded", "failed", timeout_s=10).state == "succeeded"
        assert not is_alive(daemon)
    finally:
        if is_alive(daemon):
            os.kill(daemon, signal.SIGKILL)


# A daemon without our mark that keeps only what it is told to: the lease of its GPU, or nothing.
KEEPS_LITTLE = """
import os, subprocess, sys, time
if sys.argv[1] == "2":
    sys.exit(0)
held = []
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        if "/gpu-" in os.readlink("/proc/self/fd/%d" % fd):
            held.append(fd)
    except OSError:
        pass
keeps = held if sys.argv[2] == "lease" else []
sleep = ["env", "-i", "sleep", "60"]
daemon = subprocess.Popen(sleep, pass_fds=keeps, start_new_session=sys.argv[2] == "lease")
open("../daemon", "w").write(str(daemon.pid))
while not os.path.exists("../go"):
    time.sleep(0.02)
"""


def start_keeping(desk: Any, what: str) -> tuple[Any, Path, int]:
    """An attempt that ended without its supervisor, and left a daemon."""
    spec = desk.spec("python3", "-c", KEEPS_LITTLE, "{attempt}", what, gpus=1)
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    daemon = number_in(folder / "daemon")
    kill_supervisor(folder)
    (folder / "go").touch()
    wait_until(lambda: desk.see(spec.job).evidence["lock"] == "free")
    wait_until(lambda: processes.find_marked(processes.mark_of(spec.job, 1)) == [])
    assert is_alive(daemon)
    return spec, folder, daemon


@pytest.mark.slow
@pytest.mark.parametrize("what", ["lease", "session"])
@pytest.mark.parametrize("then", ["cancel", "submit", "resume"])
def test_a_daemon_that_only_its_gpu_or_its_session_tells_of_ends_after_its_supervisor_was_killed(
    desk: Any, card: Any, then: str, what: str
) -> None:
    spec, folder, daemon = start_keeping(desk, what)
    try:
        if then == "cancel":
            assert desk.cancel(spec.job).state == "cancelled"
        elif then == "submit":
            desk.submit(spec)
            assert desk.until(spec.job, "lost", "failed", timeout_s=10).state == "lost"
            wait_until((folder / "end.json").exists)
        else:
            desk.submit(spec, attempt=2)
            assert desk.until(spec.job, "succeeded", "failed", timeout_s=10).state == "succeeded"
        assert not is_alive(daemon)
    finally:
        if is_alive(daemon):
            os.kill(daemon, signal.SIGKILL)


def test_a_process_that_cannot_be_seen_and_holds_the_gpu_is_named_at_the_end(
    desk: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another user, where this one may not look into its processes."""
    spec, folder, daemon = start_keeping(desk, "lease")
    monkeypatch.setattr(lock_heirs, "find_heirs", lambda _: [])
    here = read_boot_identity(str(desk.workdir))
    cancel._end_orphan(JobPaths.of(desk.workdir, spec.job), spec.job, 1, here)
    os.kill(daemon, signal.SIGKILL)
    said = json.loads((folder / "end.json").read_text())["reason"]
    assert said.endswith("; a process that cannot be seen from here still holds its GPU")


@pytest.mark.slow
def test_the_record_of_an_orphan_that_a_cancel_ended_is_as_complete_as_any_other(
    desk: Any, card: Any
) -> None:
    frames = "mkdir o; touch o/1.frame o/2.frame"
    spec = desk.spec(
        "sh", "-c", f"{frames}; touch ../up; {WAITS}", gpus=1, progress=FileProgress("o/*.frame", 24)
    )
    began = time.monotonic()
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    wait_until((folder / "up").exists)
    gpus = json.loads((folder / "who.json").read_text())["gpus"]
    kill_supervisor(folder)
    time.sleep(0.5)
    assert desk.cancel(spec.job).state == "cancelled"
    end = json.loads((folder / "end.json").read_text())
    assert (end["frames_done"], end["frames_total"], end["gpus"]) == (2, 24, gpus)
    assert 0.5 < end["elapsed_s"] < time.monotonic() - began


def dead_children(parent: int) -> list[int]:
    found = []
    for pid in processes.list_pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == parent:
            found.append(pid)
    return found


@pytest.mark.parametrize("how", ["cancel", "end"])
def test_a_payload_that_removed_its_jobs_folder_can_be_cancelled_and_its_end_is_written(
    desk: Any, tmp_path: Path, how: str
) -> None:
    go = tmp_path / "go"
    spec = desk.spec(
        "sh", "-c", f'cd {{work}}/../../..; rm -rf "$PWD"; cd /; while [ ! -e {go} ]; do sleep 0.02; done'
    )
    desk.submit(spec)
    wait_until(lambda: not desk.folder(spec.job).exists())
    seen = desk.see(spec.job)
    assert (seen.state, seen.attempt) == ("unknown", 1)
    assert "it was removed; a process of the job still runs" in seen.reason
    if how == "cancel":
        assert desk.cancel(spec.job, ledger="a ledger").state == "cancelled"
    else:
        go.touch()
        assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    assert desk.see(spec.job).spec_sha256 == spec.sha256


def test_another_laptops_job_without_its_folder_is_not_cancelled_unasked(desk: Any) -> None:
    spec = desk.spec("sh", "-c", "cd /; sleep 60")
    desk.submit(spec)
    desk.folder(spec.job).rename(desk.folder(spec.job).with_name(".kept"))
    with pytest.raises(Exception, match="another laptop"):
        desk.cancel(spec.job, ledger="another ledger")
    desk.folder(spec.job).with_name(".kept").rename(desk.folder(spec.job))


def start_dropping(desk: Any) -> tuple[Any, Path, int]:
    """A job without a supervisor whose payload has ended, and whose child lives on without its lock."""
    spec = desk.spec(sys.executable, "-c", DROPS_THE_LOCK, "{attempt}")
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    wait_until((folder / "up").exists)
    kill_supervisor(folder)
    (folder / "go").touch()
    wait_until(lambda: desk.see(spec.job).evidence["lock"] == "free")
    child = number_in(folder / "child")
    assert is_alive(child)
    return spec, folder, child


def test_a_process_of_an_earlier_attempt_that_dropped_the_lock_ends_before_the_next_one_starts(
    desk: Any,
) -> None:
    spec, _, child = start_dropping(desk)
    desk.submit(spec, attempt=2)
    assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    assert not is_alive(child) and not (desk.folder(spec.job, 2) / "both").exists()


def test_a_cancel_ends_a_process_that_dropped_the_lock_after_its_supervisor_died(desk: Any) -> None:
    spec, folder, child = start_dropping(desk)
    assert desk.cancel(spec.job).state == "cancelled"
    assert not is_alive(child)
    assert json.loads((folder / "end.json").read_text())["state"] == "cancelled"


def test_a_second_supervisor_ends_a_process_that_dropped_the_lock(desk: Any) -> None:
    spec, folder, child = start_dropping(desk)
    desk.submit(spec)
    wait_until((folder / "end.json").exists)
    assert not is_alive(child)


def test_the_record_of_a_cancel_tells_of_processes_that_could_not_be_killed(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process waits for a disk that hangs."""
    spec, folder, child = start_dropping(desk)
    monkeypatch.setattr(processes, "end_marked", lambda *_: False)
    here = read_boot_identity(str(desk.workdir))
    cancel._end_orphan(JobPaths.of(desk.workdir, spec.job), spec.job, 1, here)
    os.kill(child, signal.SIGKILL)
    said = json.loads((folder / "end.json").read_text())["reason"]
    assert "some of its processes could not be killed and still run" in said


# Starts a process of its session, says its number, and ends: its number is free for others from then on.
LEADER = """
import os, subprocess, sys
os.setsid()
child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
print(os.getpid(), child.pid, flush=True)
"""


@pytest.mark.parametrize("marked", [None, ("j-1", 1), ("j-1", 2), ("another", 1)])
def test_a_session_of_another_attempt_that_got_a_payloads_number_is_not_taken_for_the_payloads(
    marked: tuple[str, int] | None,
) -> None:
    env = {processes.MARK: processes.mark_of(*marked)} if marked else {}
    said = subprocess.run([sys.executable, "-c", LEADER], env=env, capture_output=True, check=True).stdout
    leader, child = map(int, said.split())
    try:
        found = processes.find_session({"pid": leader, "start": 1}, processes.mark_of("j-1", 1))
        assert found == ([child] if marked in (None, ("j-1", 1)) else [])
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_cancel_keeps_an_exit_record_that_appears_while_it_ends_the_processes(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = desk.spec("sh", "-c", f"touch ../up; {WAITS}")
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    wait_until((folder / "up").exists)
    kill_supervisor(folder)
    real = processes.end_marked

    def end_and_record(mark: str, grace_s: float, find_others: Callable[[], list[int]]) -> bool:
        (folder / "end.json").write_text('{"state": "succeeded"}')
        return real(mark, grace_s, find_others)

    monkeypatch.setattr(processes, "end_marked", end_and_record)
    here = read_boot_identity(str(desk.workdir))
    cancel._end_orphan(JobPaths.of(desk.workdir, spec.job), spec.job, 1, here)
    assert json.loads((folder / "end.json").read_text()) == {"state": "succeeded"}
    (folder / "end.json").unlink()
