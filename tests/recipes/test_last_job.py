"""Which earlier run of an actor the next one is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from being_remote.inventory import Actor
from being_remote.jobs.ledger import Intent, Ledger
from being_remote.jobs.spec import CommandStep, JobSpec
from being_remote.pod.job_states import JobState
from being_remote.recipes.earlier_runs import _last_job
from being_remote.recipes.tracking_files import NAME


def test_the_last_run_is_the_newest_tracking_that_succeeded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    anna: Any = Actor.model_construct(name="anna")
    for job, recipe, actor, end in (
        ("earlier", NAME, "anna", JobState.SUCCEEDED),
        ("good", NAME, "anna", JobState.SUCCEEDED),
        ("failed", NAME, "anna", JobState.FAILED),
        ("command", "command", "anna", JobState.SUCCEEDED),
        ("bert", NAME, "bert", JobState.SUCCEEDED),
    ):
        intent = {"settings": {"batch": job}}
        spec = JobSpec(job, "ledger", recipe, actor, "pod", intent, (CommandStep("running", ("true",)),))
        ledger.intend(Intent.of(spec, b"{}"))
        ledger.record(job, 1, end, {})
    found = _last_job(ledger, anna)
    assert found is not None and found.job == "good" and found.settings == {"batch": "good"}
    nobody: Any = Actor.model_construct(name="carl")
    assert _last_job(ledger, nobody) is None
