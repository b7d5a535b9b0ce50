"""Jobs from a notebook: submitted once, found again, unknown where their host gives no answer."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import yaml

import being_remote as br
from being_remote.api import submit
from being_remote.errors import NotFoundError
from being_remote.pod.job_states import JobState

WAITS = "import os, time\nwhile not os.path.exists('{go}'): time.sleep(0.02)"


def waiting(go: Path) -> br.Job:
    return br.submit(command=["python3", "-c", WAITS.format(go=go)], host="a100", gpus=0)


@pytest.mark.slow
def test_a_cell_that_is_run_twice_has_one_job(notebook: Path) -> None:
    first, again = waiting(notebook / "go"), waiting(notebook / "go")
    assert first == again == br.find_job(first.id) == br.find_job("last")
    assert first.status().attempt == 1
    assert first.cancel().state is JobState.CANCELLED
    assert first.wait().state is JobState.CANCELLED


def test_a_wait_ends_with_the_job_or_with_its_time_and_says_which(notebook: Path) -> None:
    job = waiting(notebook / "go")
    began = time.monotonic()
    assert not job.wait(0.3, every_s=0.1).state.ended
    assert time.monotonic() - began >= 0.3
    (notebook / "go").touch()
    assert job.wait(every_s=0.1).state is JobState.SUCCEEDED


@pytest.mark.slow
def test_a_job_that_nothing_will_start_is_not_waited_for(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = waiting(notebook / "go")
    running = job.status()
    lonely = dataclasses.replace(running, state=JobState.SUBMITTED, reason="no supervisor runs")
    shown = iter([lonely, running, lonely, lonely, running])
    monkeypatch.setattr(submit, "job_status", lambda *_: next(shown))
    assert job.wait(every_s=0.0) is lonely
    assert next(shown) is running  # once was not enough
    monkeypatch.undo()
    job.cancel()


def test_a_job_whose_host_is_gone_is_unknown_with_its_last_known_state(notebook: Path) -> None:
    job = waiting(notebook / "go")
    assert job.status().state is JobState.RUNNING
    document = yaml.safe_load((notebook / "inventory.yaml").read_text())
    document["hosts"] = {"b200": document["hosts"]["a100"]}
    (notebook / "inventory.yaml").write_text(yaml.safe_dump(document))
    seen = br.find_job(job.id).status()
    assert (seen.state, seen.last_known) == (JobState.UNKNOWN, JobState.RUNNING)
    assert "the inventory does not name this host" in seen.reason
    job.cancel()


@pytest.mark.slow
def test_an_input_that_may_be_run_here_may_be_run_there_and_another_may_not(notebook: Path) -> None:
    for name, mode in (("train.sh", 0o755), ("notes.sh", 0o644)):
        (notebook / name).write_text("#!/bin/sh\necho trained")
        (notebook / name).chmod(mode)
    inputs = ["train.sh", "notes.sh"]
    jobs = [br.submit(command=f"sh -c ./{name}", inputs=inputs, host="a100", gpus=0) for name in inputs]
    assert [job.wait(every_s=0.1).exit_code for job in jobs] == [0, 126]
    assert jobs[0].logs() == "trained"


@pytest.mark.slow
def test_the_log_of_a_job_is_text_and_its_end_a_few_lines(notebook: Path) -> None:
    job = br.submit(command="printf 'one\\ntwo\\nthree\\n'", host="a100", gpus=0)
    job.wait(every_s=0.1)
    assert job.logs() == "one\ntwo\nthree"
    assert job.logs(tail=2) == "two\nthree"


@pytest.mark.slow
def test_a_sweep_and_a_list_of_actors_give_a_list_of_jobs(notebook: Path) -> None:
    two = br.submit("roman", host="a100", sweep={"bbox_scale": [2.0, 2.5]})
    assert isinstance(two, list) and len({job.id for job in two}) == 2
    [one] = br.submit(["roman"], host="a100", settings={"bbox_scale": 2.0})
    assert one == two[0]
    for job in two:
        job.cancel()


def test_a_job_that_was_never_submitted_is_not_found(notebook: Path) -> None:
    with pytest.raises(NotFoundError):
        br.find_job("last")
