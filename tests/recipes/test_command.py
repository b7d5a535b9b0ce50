"""Any command line as a job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from plan_runner import DEMO, run_plan

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import LocalHost
from being_remote.jobs.dispatch import intent_of
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


def options(*words: str, **typed: Any) -> Any:
    return find_recipe("command").parse_options(TypedOptions(words=words, **typed))


def test_local_files_and_folders_lie_beside_the_command_when_it_starts(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('trained')")
    (tmp_path / "configs" / "deep").mkdir(parents=True)
    (tmp_path / "configs" / "deep" / "a.yml").write_text("fps: 30")
    chosen = options(
        "sh", "-c", "cat train.py configs/deep/a.yml", inputs=(tmp_path / "train.py", tmp_path / "configs")
    )
    made = find_recipe("command").plan(JobRequest(HOST, chosen), None)
    assert made.prepare.folders == ("configs", "configs/deep")
    assert dict(made.prepare.copies)["inputs/configs/deep/a.yml"] == "configs/deep/a.yml"
    done = run_plan(made, tmp_path / "job")
    assert (done.codes, done.log) == ((0,), "print('trained')fps: 30")


def test_a_file_that_may_be_run_is_told_in_the_plan_and_where_none_may_nothing_is(tmp_path: Path) -> None:
    script, text = tmp_path / "train.sh", tmp_path / "notes.txt"
    for file in (script, text):
        file.write_text("#!/bin/sh\necho trained")
    script.chmod(0o755)
    recipe = find_recipe("command")
    made = recipe.plan(JobRequest(HOST, options("./train.sh", inputs=(script, text))), None)
    assert made.prepare.executables == ("train.sh",)
    again = recipe.repeat(made.spec("demo-k3x7a2bq", "ledger"), made.files, HOST, None)
    assert recipe.plan(again, None) == made
    script.chmod(0o644)  # after `chmod +x` a submit is another job
    plain = recipe.plan(JobRequest(HOST, options("./train.sh", inputs=(script, text))), None)
    assert "executables" not in plain.intent
    assert b"executables" not in plain.spec("demo-k3x7a2bq", "ledger").as_bytes


def test_the_environment_the_folder_and_the_actors_name_reach_the_command(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    chosen = options(
        "sh",
        "-c",
        'echo "{actor} $SEED $WHOSE"; pwd',
        env=("SEED=3", "WHOSE={actor}"),
        folder=f"{tmp_path}/{{actor}}",
    )
    made = find_recipe("command").plan(JobRequest(HOST, chosen, DEMO), None)
    assert run_plan(made, tmp_path / "job").log == f"demo 3 demo\n{tmp_path}/demo\n"


def test_a_changed_input_folder_or_variable_is_another_job_and_none_of_them_the_job_of_earlier_versions(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.py"
    file.write_text("1")

    def intent(**typed: Any) -> object:
        return find_recipe("command").plan(JobRequest(HOST, options("true", **typed)), None).intent

    before = intent(inputs=(file,))
    file.write_text("2")
    seen = [intent(), before, intent(inputs=(file,)), intent(env=("A=1",)), intent(folder="/w")]
    assert all(seen.count(one) == 1 for one in seen)
    assert intent() == {"recipe": "command", "host": "pod", "actor": None, "words": ["true"], "gpus": 1}


def test_a_job_that_is_repeated_elsewhere_has_the_inputs_that_it_had(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("1")
    recipe = find_recipe("command")
    chosen = options("cat", "a.py", inputs=(file,), env=("A=1",), folder="/w")
    made = recipe.plan(JobRequest(HOST, chosen), None)
    file.write_text("2")
    again = recipe.repeat(made.spec("demo-k3x7a2bq", "ledger"), made.files, HOST, None)
    assert recipe.plan(again, None) == made
    with pytest.raises(UsageError, match="lie only on pod"):  # another laptop sent it
        recipe.repeat(made.spec("demo-k3x7a2bq", "ledger"), {}, HOST, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"env": ("NOT A NAME=1",)}, "sets no variable"),
        ({"env": ("A",)}, "sets no variable"),
        ({"env": ("CUDA_VISIBLE_DEVICES=0",)}, "the job's lease sets"),
        ({"inputs": (Path("nowhere"),)}, "no such file"),
    ],
)
def test_what_cannot_be_given_to_a_command_is_refused_before_a_host_is_asked(
    typed: dict[str, Any], said: str
) -> None:
    with pytest.raises((UsageError, NotFoundError), match=said):
        options("true", **typed)


def test_inputs_that_are_too_large_to_travel_with_a_job_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate((4 << 20) + 1)
    with pytest.raises(UsageError, match="more than 4 MiB"):
        options("true", inputs=(tmp_path / "large",))


def test_an_input_that_cannot_arrive_as_it_is_is_refused_and_none_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    with pytest.raises(UsageError, match="an empty folder"):
        options("true", inputs=(folder,))
    (folder / "a.py").touch()
    (folder / "gone").symlink_to("nowhere")
    with pytest.raises(UsageError, match="gone is not a file"):
        options("true", inputs=(folder,))
    (folder / "gone").unlink()
    (folder / os.fsdecode(b"\xff")).touch()
    with pytest.raises(UsageError, match="rename"):
        options("true", inputs=(folder,))


def test_the_folder_above_is_named_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "code/inside"
    inside.mkdir(parents=True)
    (inside / "a.py").touch()
    monkeypatch.chdir(inside)
    assert list(options("true", inputs=(Path(".."),)).inputs) == ["code/inside/a.py"]


def test_a_description_that_no_host_would_read_is_refused_before_it_is_written_down() -> None:
    plan = find_recipe("command").plan(JobRequest(HOST, options("true", "x" * (1 << 20))), None)
    with pytest.raises(UsageError, match="more than 1 MiB"):
        intent_of(plan, "ledger")
