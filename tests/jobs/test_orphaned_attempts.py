"""An attempt whose supervisor was killed: looked after again, judged by its files, started only once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from local_jobs import supervisors_of, wait_until

from being_remote.jobs.job_status import JobStatus
from being_remote.jobs.spec import CommandStep, FileProgress, JobSpec

FRAMES = 3
# Makes its frames, and then waits to be let go.
TRACK = (
    "echo $$ >> ../../../starts; mkdir -p o; for i in 1 2 3; do touch o/$i.frame; done;"
    " touch ../up; while [ ! -e ../go ]; do sleep 0.02; done"
)
VERIFY = 'echo $$ >> ../../../checks; test -e o/3.frame || { echo "3.frame is missing"; exit 3; }'


def tracking(
    desk: Any, *, track: str = TRACK, verify: str = VERIFY, begin: str = "true", **more: Any
) -> JobSpec:
    steps = (
        CommandStep("running", ("sh", "-c", begin)),
        CommandStep("running", ("sh", "-c", track)),
        CommandStep("transforming", ("sh", "-c", verify), verifies=True),
    )
    spec: JobSpec = desk.spec(steps=steps, progress=FileProgress("o/*.frame", FRAMES), **more)
    return spec


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def supervisor_of(desk: Any, job: str) -> int:
    return int(json.loads((desk.folder(job, 1) / "who.json").read_text())["supervisor"]["pid"])


def kill_supervisor(desk: Any, job: str) -> int:
    pid = supervisor_of(desk, job)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    return pid


def start_orphan(desk: Any, spec: JobSpec) -> Path:
    """Start the job and kill its supervisor while its payload runs; returns the attempt's folder."""
    desk.submit(spec)
    folder: Path = desk.folder(spec.job, 1)
    wait_until((folder / "up").exists)
    kill_supervisor(desk, spec.job)
    return folder


def lines_in(path: Path) -> int:
    return len(path.read_text().split()) if path.exists() else 0


def ended(desk: Any, job: str) -> JobStatus:
    wait_until((desk.folder(job, 1) / "end.json").exists)
    found: JobStatus = desk.see(job)
    return found


def test_a_payload_that_finished_without_its_supervisor_is_a_success_once_its_files_are_verified(
    desk,
) -> None:
    spec = tracking(desk)
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    desk.submit(spec)
    seen = ended(desk, spec.job)
    assert (seen.state, seen.exit_code, seen.done, seen.total) == ("succeeded", 0, FRAMES, FRAMES)
    assert seen.reason == "its supervisor died; its last step verified all its files"
    assert lines_in(desk.folder(spec.job) / "starts") == 1 == lines_in(desk.folder(spec.job) / "checks")


@pytest.mark.slow
def test_a_supervisor_put_back_over_a_living_payload_takes_the_job_to_its_success(desk) -> None:
    spec = tracking(desk)
    folder = start_orphan(desk, spec)
    assert desk.see(spec.job).evidence["supervised"] is False
    assert desk.submit(spec).supervisor == "held"
    assert desk.see(spec.job).evidence["supervised"] is True
    beat = desk.see(spec.job).evidence["beat"]
    wait_until(lambda: desk.see(spec.job).evidence["beat"] > beat)
    (folder / "go").touch()
    assert ended(desk, spec.job).state == "succeeded"
    assert lines_in(desk.folder(spec.job) / "starts") == 1


@pytest.mark.slow
def test_files_that_are_not_whole_are_lost_with_the_true_count_of_frames_and_the_reason(desk) -> None:
    spec = tracking(desk, track=TRACK.replace("1 2 3", "1 2"))
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    assert desk.submit(spec).supervisor in ("started", "lost")
    seen = ended(desk, spec.job)
    assert (seen.state, seen.done, seen.total) == ("lost", 2, FRAMES)
    assert "its files are not whole" in seen.reason and "3.frame is missing" in seen.reason
    assert desk.submit(spec).supervisor == "ended"
    assert lines_in(desk.folder(spec.job) / "starts") == 1


def test_a_step_that_never_ran_is_not_made_up_for_by_the_last_one(desk) -> None:
    begin = "mkdir o; touch o/3.frame ../up; while [ ! -e ../go ]; do sleep 0.02; done"
    spec = tracking(desk, begin=begin)
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    assert desk.submit(spec).state == "lost"
    assert ended(desk, spec.job).state == "lost"
    assert not (desk.folder(spec.job) / "starts").exists() and not (desk.folder(spec.job) / "checks").exists()


def test_a_job_without_a_verifying_step_is_lost_for_good_and_says_why(desk) -> None:
    spec = desk.spec("sh", "-c", TRACK, progress=FileProgress("o/*.frame", FRAMES))
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    assert desk.submit(spec).supervisor == "lost"
    seen = ended(desk, spec.job)
    assert (seen.state, seen.exit_code, seen.done) == ("lost", None, FRAMES)
    assert seen.reason == "its supervisor died; its exit code is unknown, and no step verifies its files"


@pytest.mark.slow
def test_a_supervisor_killed_while_the_last_step_verifies_is_put_back_and_verifies_again(desk) -> None:
    verify = f"{VERIFY}; touch ../verifying; while [ ! -e ../verified ]; do sleep 0.02; done"
    spec = tracking(desk, verify=verify)
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.submit(spec)
    wait_until((folder / "verifying").exists)
    kill_supervisor(desk, spec.job)
    desk.submit(spec)
    assert desk.see(spec.job).state == "transforming"
    (folder / "verified").touch()
    assert ended(desk, spec.job).state == "succeeded"
    assert lines_in(desk.folder(spec.job) / "starts") == 1
    assert lines_in(desk.folder(spec.job) / "checks") == 2


@pytest.mark.slow
def test_the_wall_time_counts_from_the_start_of_the_attempt_also_under_a_second_supervisor(desk) -> None:
    spec = tracking(desk, wall_s=3.0)
    began = time.monotonic()
    start_orphan(desk, spec)
    desk.submit(spec)
    seen = ended(desk, spec.job)
    assert (seen.state, seen.reason) == ("failed", "its wall time of 3 s was over")
    assert time.monotonic() - began < 8.0


@pytest.mark.slow
def test_finished_work_is_verified_also_after_the_wall_time_of_its_attempt(desk) -> None:
    spec = tracking(desk, verify=f"sleep 1.5; {VERIFY}", wall_s=3.0)
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    time.sleep(3.0)
    desk.submit(spec)
    assert ended(desk, spec.job).state == "succeeded"


@pytest.mark.slow
def test_a_payload_that_stands_still_is_ended_by_a_second_supervisor(desk) -> None:
    spec = tracking(desk, stall_s=1.0)
    start_orphan(desk, spec)
    desk.submit(spec)
    assert ended(desk, spec.job).reason == "no new frame for 1 s while running"


def test_a_cancel_reaches_the_supervisor_that_was_put_back(desk) -> None:
    spec = tracking(desk)
    start_orphan(desk, spec)
    desk.submit(spec)
    assert desk.cancel(spec.job).state == "cancelled"
    assert desk.see(spec.job).reason == "cancelled"
    assert not (desk.folder(spec.job) / "checks").exists()


@pytest.mark.slow
def test_of_many_submits_at_once_one_supervisor_is_put_back(desk) -> None:
    spec = tracking(desk)
    folder = start_orphan(desk, spec)
    left = supervisors_of(desk.folder(spec.job))  # the process that writes the log
    threads = [threading.Thread(target=desk.submit, args=(spec,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(supervisors_of(desk.folder(spec.job))) == len(left) + 1)
    assert {*supervisors_of(desk.folder(spec.job))} == {*left, supervisor_of(desk, spec.job)}
    (folder / "go").touch()
    assert ended(desk, spec.job).state == "succeeded"
    assert lines_in(desk.folder(spec.job) / "checks") == 1


@pytest.mark.slow
def test_the_next_attempt_ends_what_a_second_supervisor_looks_after(desk) -> None:
    spec = tracking(desk, track=f"test {{attempt}} = 2 && {{ mkdir o; touch o/3.frame; }} || {{ {TRACK}; }}")
    start_orphan(desk, spec)
    desk.submit(spec)
    pid = supervisor_of(desk, spec.job)
    desk.submit(spec, attempt=2)
    assert desk.until(spec.job, "succeeded", "failed", "lost").attempt == 2
    wait_until(lambda: not is_alive(pid))
    assert lines_in(desk.folder(spec.job) / "starts") == 1


@pytest.mark.slow
def test_what_a_payload_leaves_running_ends_with_it_under_a_second_supervisor(desk) -> None:
    spec = tracking(desk, track=f"setsid sh -c 'echo $$ > ../daemon; exec sleep 60' & {TRACK}")
    folder = start_orphan(desk, spec)
    desk.submit(spec)
    daemon = int((folder / "daemon").read_text())
    (folder / "go").touch()
    assert ended(desk, spec.job).state == "succeeded"
    assert not is_alive(daemon)


# A supervisor whose disk fails at its last look for the exit record, once the attempt's processes have ended.
LOOKS_IN_VAIN = """
import sys
from being_remote.pod import exit_record, supervisor
supervisor.WRITE_AGAIN_S = 0.01
look, looks = exit_record.has_exit_record, []
def fails_once(attempt):
    looks.append(attempt)
    if len(looks) == 2:
        raise OSError(116, "Stale file handle", attempt.end)
    return look(attempt)
exit_record.has_exit_record = fails_once
supervisor.main(sys.argv[1])
assert len(looks) == 3, looks
"""


def test_a_disk_that_fails_when_the_processes_have_ended_loses_no_finished_work(desk) -> None:
    spec = tracking(desk)
    folder = start_orphan(desk, spec)
    (folder / "go").touch()
    desk.until(spec.job, "lost")
    request = {"workdir": str(desk.workdir), "job": spec.job, "attempt": 1, "answer": None}
    done = subprocess.run([sys.executable, "-c", LOOKS_IN_VAIN, json.dumps(request)], check=False)
    assert done.returncode == 0 and desk.see(spec.job).state == "succeeded"


@pytest.mark.parametrize("lives", [True, False])
def test_a_lock_file_that_was_removed_starts_nothing_again(desk, locks_folder: Path, lives: bool) -> None:
    spec = tracking(desk)
    desk.submit(spec)
    folder = desk.folder(spec.job, 1)
    wait_until((folder / "up").exists)
    if not lives:
        kill_supervisor(desk, spec.job)
    (locks_folder / f"{spec.job}.lock").unlink()
    assert desk.submit(spec).supervisor == "held"  # at once, not when the payload ends
    assert desk.see(spec.job).state == "running"
    (folder / "go").touch()
    assert ended(desk, spec.job).state == "succeeded"
    assert lines_in(desk.folder(spec.job) / "starts") == 1
