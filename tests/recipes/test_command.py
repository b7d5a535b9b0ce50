"""Any command line as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plan_runner import DEMO, run_plan

from being_remote.errors import UsageError
from being_remote.inventory import LocalHost
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions
from being_remote.recipes.registry import find_recipe

HOST = LocalHost(name="pod", workdir="/w")


def plan(*words: str, **more: Any) -> JobPlan:
    command = find_recipe("command")
    return command.plan(JobRequest(HOST, command.parse_options(TypedOptions(words=words)), **more), None)


def test_the_words_reach_the_program_as_they_were_typed(tmp_path: Path) -> None:
    words = ("printf", "%s|", "a b", "$HOME", "'", "{}", "{print $1}", "{work}")
    done = run_plan(plan(*words), tmp_path / "job")
    assert done.codes == (0,)
    assert done.log == f"a b|$HOME|'|{{}}|{{print $1}}|{done.work}|"


def test_it_takes_one_gpu_by_default_and_keeps_its_limits() -> None:
    assert plan("true").gpus == 1
    made = plan("true", gpus=0, wall_s=60.0, stall_s=5.0).spec("a", "b")
    assert (made.gpus, made.wall_s, made.stall_s, made.progress) == (0, 60.0, 5.0, None)


def test_other_words_are_another_intent() -> None:
    assert plan("true").intent == plan("true").intent
    assert plan("true").intent != plan("true", "x").intent
    assert plan("true", actor=DEMO).intent["actor"] == "demo"


def test_no_words_and_settings_of_the_tracker_are_refused() -> None:
    for typed in (
        TypedOptions(words=()),
        TypedOptions(words=("",)),
        TypedOptions(words=("true",), preset="full-face"),
        TypedOptions(words=("true",), sets=("fps=1",)),
    ):
        with pytest.raises(UsageError):
            find_recipe("command").parse_options(typed)


def test_its_exit_code_is_all_there_is_to_verify(tmp_path: Path) -> None:
    find_recipe("command").verify_results(tmp_path)
