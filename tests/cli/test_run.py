"""`run -- CMD...` as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from local_jobs import Works
from programs import PROGRAMS, run_in

INVENTORY = "--inventory=inventory.yaml"  # one that is named is trusted


@pytest.mark.slow
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_the_words_after_the_two_dashes_are_run_as_a_job_with_their_input(
    works: Works, program: str, tmp_path: Path
) -> None:
    (tmp_path / "say.py").write_text("import sys; print(*sys.argv[1:])")
    words = ("run", INVENTORY, "--gpus=0", "--input=say.py", "--follow", "--json", "--")
    done = run_in(
        tmp_path, *PROGRAMS[program], *words, sys.executable, "say.py", "--json", "-v", "{actor}", "a b"
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert "--json -v demo a b" in [line.get("line") for line in lines]
    assert lines[-1]["state"] == "succeeded"


@pytest.mark.slow
def test_without_the_two_dashes_all_after_the_first_word_belongs_to_the_command(
    works: Works, tmp_path: Path
) -> None:
    run = (*PROGRAMS["being-remote"], "run", INVENTORY, "--gpus", "0", "--dry-run", "--json")
    plain = json.loads(run_in(tmp_path, *run, "ls", "--all", "--host").stdout)
    assert plain == json.loads(run_in(tmp_path, *run, "--", "ls", "--all", "--host").stdout)
    assert plain["host"] == "here" and "ls --all --host" in plain["jobs"][0]["plan"]["commands"][0]
    assert run_in(tmp_path, *run).returncode == 2  # no command


@pytest.mark.slow
def test_the_next_step_of_a_program_that_is_not_there_names_no_log_and_that_of_one_that_fails_does(
    works: Works, tmp_path: Path
) -> None:
    run = (*PROGRAMS["being-remote"], "run", INVENTORY, "--gpus", "0", "--follow", "--")
    missing = run_in(tmp_path, *run, "nosuchprogram").stdout
    assert "'nosuchprogram' could not be started: No such file or directory" in missing
    assert "; then another command; or install what here lacks, and resume " in missing
    assert "logs" not in missing
    assert "; logs command-" in run_in(tmp_path, *run, "false").stdout


@pytest.mark.slow
def test_a_job_that_runs_is_called_running_and_nothing_of_its_lock_is_said(
    works: Works, tmp_path: Path
) -> None:
    being_remote = PROGRAMS["being-remote"]
    run_in(tmp_path, *being_remote, "run", INVENTORY, "--gpus", "0", "--", "sleep", "60")
    said = run_in(tmp_path, *being_remote, "logs", "last", INVENTORY)
    assert said.stderr.endswith(": running\n")
    assert "is running; " in run_in(tmp_path, *being_remote, "safe-to-stop", INVENTORY).stdout
