"""A pod that restarted on a volume that others may see, or that is gone: the user's word ends its job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_jobs import Works
from rich.console import Console

from being_remote.cli.job_tables import show_jobs
from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory
from being_remote.pod import processes
from being_remote.workflows import job_context
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.resume import resume
from being_remote.workflows.safe_to_stop import safe_to_stop


@pytest.fixture
def volume() -> Iterator[Path]:
    """A disk that is not the pod's own: as far as it knows, other pods may see it."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    if folder.stat().st_dev == Path("/").stat().st_dev:
        pytest.skip("no second file system")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def restarted(volume: Path, make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Works]:
    hosts = {"here": {"kind": "local", "workdir": str(volume / "Being"), "python": sys.executable, "gpus": 0}}
    made = Works(make_inventory(hosts), tmp_path)
    yield made
    made.clean()


def start_and_restart(works: Works) -> str:
    """A job whose pod restarts: its processes are gone, and its records are of another boot."""
    job = str(works.command("touch ../up; sleep 60").job)
    attempt = works.attempt(job)
    works.until((attempt / "up").exists)
    who = json.loads((attempt / "who.json").read_text())
    os.kill(who["supervisor"]["pid"], signal.SIGKILL)
    processes.end_marked(processes.mark_of(job, 1), 0.1)
    who["incarnation"]["boot_id"] = "the one before"
    (attempt / "who.json").write_text(json.dumps(who))
    return job


@pytest.mark.slow
def test_after_a_restart_on_the_same_volume_the_users_word_makes_it_safe_to_stop_again(
    restarted: Works,
) -> None:
    job = start_and_restart(restarted)
    assert [row.state for row in jobs(restarted.inventory).jobs] == ["unknown"]
    assert safe_to_stop(restarted.inventory).verdict == "unknown"
    plain = cancel(restarted.inventory, job)
    assert (plain.state, plain.exit_code) == ("unknown", 4)
    assert f"cancel {job} --pod-is-gone" in plain.reason
    report = cancel(restarted.inventory, job, pod_is_gone=True)
    assert (report.state, report.reason, report.exit_code) == (
        "abandoned",
        "the user's word: its pod is gone",
        0,
    )
    checked = safe_to_stop(restarted.inventory)
    assert (checked.verdict, checked.reasons) == ("yes", ())
    again = cancel(restarted.inventory, job, pod_is_gone=True)
    assert (again.state, again.was_ended) == ("abandoned", True)


@pytest.mark.slow
def test_no_supervisor_of_another_boot_judges_an_attempt_on_a_volume_that_others_may_see(
    restarted: Works,
) -> None:
    job = start_and_restart(restarted)
    with pytest.raises(HostError, match="is unknown"):
        resume(restarted.inventory, job)
    restarted.command("touch ../up; sleep 60")
    assert not (restarted.attempt(job) / "end.json").exists()
    assert restarted.ledger.find(job).attempt == 1


@pytest.mark.slow
def test_an_attempt_on_a_host_that_gives_no_answer_is_abandoned_on_the_users_word(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = works.command("sleep 60").job
    with monkeypatch.context() as patched:
        patched.setattr(job_context, "session_opener", lambda *_, **__: away)
        with pytest.raises(HostError) as e:
            cancel(works.inventory, job)
        assert f"cancel {job} --pod-is-gone" in e.value.hint
        report = cancel(works.inventory, job, pod_is_gone=True)
    assert (report.state, report.was_ended, report.exit_code) == ("abandoned", False, 0)
    (change,) = [c for c in works.ledger.history(job) if c.state == "abandoned"]
    assert change.evidence["because"] == "no route"
    assert resume(works.inventory, job).attempt == 2


def away(host: str) -> Any:
    raise HostError("no route", host=host, hint="check its address")


def test_a_host_that_answers_is_asked_and_its_job_cancelled_whatever_the_users_word(works: Any) -> None:
    job = works.command("sleep 60").job
    assert cancel(works.inventory, job, pod_is_gone=True).state == "cancelled"


def test_the_users_word_is_not_about_a_host_that_the_job_left(works: Any) -> None:
    job = works.command("sleep 60").job
    with pytest.raises(UsageError, match="the attempt that counts"):
        cancel(works.inventory, job, host="here", pod_is_gone=True)


def test_a_job_that_was_never_seen_is_not_called_known_as_of_never(restarted: Works) -> None:
    start_and_restart(restarted)
    theirs = restarted.inventory.model_copy(update={"state": restarted.folder / "other-state"})
    console = Console(width=300)
    with console.capture() as captured:
        show_jobs(console, jobs(theirs))
    assert "unknown" in captured.get() and "never" not in captured.get()
