"""`forget JOB` and `jobs --forget`: what finished jobs left on a host goes once it is local."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from being_remote.errors import NotFoundError, UsageError
from being_remote.jobs.spec import JobSpec
from being_remote.pod import cancel_mark, processes, tombstone
from being_remote.pod.boot_identity import read_volume
from being_remote.pod.job_paths import JobPaths
from being_remote.workflows.forget import forget, forget_finished
from being_remote.workflows.jobs import jobs
from being_remote.workflows.logs import logs
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume

MAKE = "echo one > one.txt"


@pytest.mark.slow
def test_a_job_whose_results_are_local_leaves_its_host_and_stays_in_the_ledger(works: Any) -> None:
    job = str(works.command(MAKE, follow_it=True).job)
    pull(works.inventory, job, all_files=True)
    report = forget(works.inventory, job)
    assert report.exit_code == 0 and report.jobs[0].forgotten and report.jobs[0].freed_bytes > 0
    assert not (works.workdir / "jobs" / job).exists()
    assert os.listdir(works.workdir / "jobs/.forgotten") == []
    (row,) = jobs(works.inventory).jobs
    assert (row.job, row.state, row.exit_code) == (job, "succeeded", 0)
    again = forget(works.inventory, job)
    assert again.exit_code == 0 and again.jobs[0].reason == "nothing of it is on the host"


@pytest.mark.slow
def test_a_job_with_a_result_that_is_not_local_is_kept_until_the_user_gives_it_up(works: Any) -> None:
    job = str(works.command(MAKE, follow_it=True).job)
    report = forget(works.inventory, job)
    assert report.exit_code == 6 and "one.txt" in report.jobs[0].reason
    assert f"pull {job} --all" in report.jobs[0].reason and (works.workdir / "jobs" / job).exists()
    folder = pull(works.inventory, job, all_files=True).folder
    (folder / "one.txt").write_text("ONE\n")  # it rotted here since
    assert forget(works.inventory, job).exit_code == 6
    assert forget(works.inventory, job, discard_results=True).exit_code == 0
    assert not (works.workdir / "jobs" / job).exists()


@pytest.mark.parametrize("discard", [False, True])
def test_a_job_that_runs_is_never_forgotten(works: Any, discard: bool) -> None:
    job = str(works.command("sleep 60").job)
    with pytest.raises(UsageError, match="it is running"):
        forget(works.inventory, job, discard_results=discard)
    works.ledger.record(job, 1, "abandoned", {})  # the user said that the pod is gone, and it is not
    with pytest.raises(UsageError, match="it is running"):
        forget(works.inventory, job, discard_results=discard)
    assert (works.workdir / "jobs" / job).exists()


@pytest.mark.slow
def test_a_process_that_outlived_its_job_keeps_the_folder(works: Any) -> None:
    job = str(works.command("true", follow_it=True).job)
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARK: processes.mark_of(job, 1)})
    try:
        report = forget(works.inventory, job, discard_results=True)
    finally:
        child.kill()
        child.wait()
    assert report.exit_code == 4 and "still runs" in report.jobs[0].reason


@pytest.mark.slow
def test_a_rehearsal_of_forgetting_removes_nothing(works: Any) -> None:
    job = str(works.command("true", follow_it=True).job)
    before = sorted(p.relative_to(works.folder) for p in works.folder.rglob("*"))
    report = forget(works.inventory, job, dry_run=True)
    assert (report.jobs[0].forgotten, report.jobs[0].reason) == (
        True,
        "its folder would be removed, with its log",
    )
    assert sorted(p.relative_to(works.folder) for p in works.folder.rglob("*")) == before


@pytest.mark.slow
def test_all_finished_jobs_whose_results_are_local_are_forgotten_and_no_other(works: Any) -> None:
    local = str(works.command(MAKE, follow_it=True).job)
    pull(works.inventory, local, all_files=True)
    remote = str(works.command("echo two > two.txt", follow_it=True).job)
    nothing = str(works.command("exit 3", follow_it=True).job)
    runs = str(works.command("sleep 60").job)
    rehearsed = forget_finished(works.inventory, dry_run=True)
    report = forget_finished(works.inventory)
    for said in (rehearsed, report):
        assert {j.job: j.forgotten for j in said.jobs} == {local: True, remote: False, nothing: True}
        assert said.exit_code == 6
    left = {name for name in os.listdir(works.workdir / "jobs") if not name.startswith(".")}
    assert left == {remote, runs}
    assert [j.job for j in forget_finished(works.inventory).jobs] == [remote]


@pytest.mark.slow
def test_a_forgotten_job_says_so_and_keeps_its_end_in_the_ledger(works: Any) -> None:
    job = str(works.command("exit 3", follow_it=True).job)
    forget(works.inventory, job)
    for ask in (resume, pull, logs):
        with pytest.raises(NotFoundError, match="it was forgotten"):
            ask(works.inventory, job)
    (row,) = jobs(works.inventory).jobs
    assert (row.attempt, row.state, row.exit_code) == (1, "failed", 3)


def test_a_late_claim_of_a_forgotten_job_stores_and_starts_nothing(desk: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    spec = desk.spec("sh", "-c", f"echo >> {ran}")
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    said = _forget(desk, spec)
    assert said["forget"] == "forgotten" and not desk.folder(spec.job).exists()
    with pytest.raises(Exception, match="was forgotten"):
        desk.submit(spec)
    with pytest.raises(Exception, match="was forgotten"):
        desk.submit(spec, attempt=2)
    assert not desk.folder(spec.job).exists() and ran.read_text() == "\n"


def test_a_cancel_that_comes_late_leaves_the_tombstone(tmp_path: Path) -> None:
    job = JobPaths.of(tmp_path, "roman-k3x7a2bq")
    tombstone.leave(job)
    cancel_mark.mark_before_arrival(job, 1)
    assert tombstone.is_forgotten(job) and (cancel_mark.cancelled_up_to(job) or 0) > 9999


def test_a_supervisor_that_comes_late_does_not_start_a_forgotten_job(desk: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    spec = desk.spec("sh", "-c", f"echo >> {ran}")
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    tombstone.leave(JobPaths.of(desk.workdir, spec.job))  # killed here: the folder is still whole
    with pytest.raises(Exception, match="was forgotten"):
        desk.submit(spec, attempt=2)
    assert ran.read_text() == "\n"
    assert _forget(desk, spec)["forget"] == "forgotten"
    assert not desk.folder(spec.job).exists()


_KILLED = """
import json, os, signal, sys
from being_remote.pod import forget
left = int(sys.argv[1])
def hook(name, args):
    global left
    if name in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "shutil.rmtree"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
query = json.loads(sys.argv[2])
sys.addaudithook(hook)
print(json.dumps(forget.forget(query)))
"""


def _forget(desk: Any, spec: JobSpec, at: int = 0) -> dict[str, Any]:
    query = {
        "workdir": str(desk.workdir),
        "job": spec.job,
        "attempt": 1,
        "volume": read_volume(f"{desk.workdir}/jobs"),
        "dry_run": False,
    }
    argv = [desk.python, "-c", _KILLED, str(at), json.dumps(query)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if done.returncode == -signal.SIGKILL:
        return {"forget": "killed"}
    assert done.returncode == 0, done.stderr
    return {"forget": json.loads(done.stdout)[0]}


@pytest.mark.slow
def test_a_forget_that_is_killed_anywhere_leaves_the_whole_folder_or_a_tombstone(
    desk: Any, tmp_path: Path
) -> None:
    at, outcome = 1, "killed"
    while outcome == "killed":
        ran = tmp_path / f"ran-{at}"
        spec = desk.spec("sh", "-c", f"echo >> {ran}; echo x > a; mkdir b; echo y > b/c")
        desk.submit(spec)
        desk.until(spec.job, "succeeded")
        folder = desk.folder(spec.job)
        whole = {p.relative_to(folder) for p in folder.rglob("*")}
        outcome = _forget(desk, spec, at)["forget"]
        forgotten = tombstone.is_forgotten(JobPaths.of(desk.workdir, spec.job))
        if folder.exists():
            assert {p.relative_to(folder) for p in folder.rglob("*")} == whole, at
        else:
            assert forgotten, at
        if forgotten:
            with pytest.raises(Exception, match="was forgotten"):
                desk.submit(spec)
        assert ran.read_text() == "\n"
        assert _forget(desk, spec)["forget"] in ("forgotten", "absent")
        assert os.listdir(Path(desk.workdir) / "jobs/.forgotten") == []
        at += 4
    assert at > 8
