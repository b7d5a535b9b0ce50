"""Completion as bash asks for it: the real shell loads the real script and completes a line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import BIN, PROGRAMS, run_in

COMPLETE_A_LINE = """
source ./script
COMP_WORDS=({line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_being_remote_completion being-remote
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def shell(tmp_path: Path, inventory: Path) -> Path:
    """A folder with an inventory, and the script that a person would install."""
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    made = subprocess.run(
        [*PROGRAMS["being-remote"], "--show-completion", "bash"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "script").write_text(made.stdout)
    return tmp_path


def complete(folder: Path, *words: str) -> list[str]:
    line = " ".join(f"'{word}'" for word in ("being-remote", *words))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    script = COMPLETE_A_LINE.format(line=line)
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
def test_bash_completes_commands_hosts_actors_presets_exports_and_kinds(shell: Path) -> None:
    assert complete(shell, "saf") == ["safe-to-stop"]
    assert complete(shell, "sync", "--host", "") == ["pod"]
    assert complete(shell, "sync", "--actor", "d") == ["demo"]
    assert complete(shell, "retrack", "--preset", "gau") == ["gaussiantalker-round2"]
    assert complete(shell, "recover", "--export", "gaussian-") == ["gaussian-avatars"]
    assert complete(shell, "sync", "--only", "c") == ["checkpoints", "configs", "crops"]


@pytest.mark.slow
def test_bash_completes_the_jobs_of_the_ledger_the_newest_first(shell: Path) -> None:
    assert complete(shell, "logs", "") == []
    make_two_jobs(shell)
    assert complete(shell, "logs", "") == ["last", "command-b", "command-a"]
    assert complete(shell, "jobs", "--why", "command-a") == ["command-a"]


def test_a_name_that_a_shell_would_evaluate_is_not_offered(shell: Path) -> None:
    inventory = shell / "inventory.yaml"
    text = inventory.read_text()
    inventory.write_text(text.replace("actors: {", "actors: {'$(touch hacked)': {}, '*': {}, 'a b': {}, "))
    assert complete(shell, "sync", "--actor", "") == ["demo"]
    assert not (shell / "hacked").exists()


def test_a_line_that_will_be_refused_is_completed_without_a_word(shell: Path) -> None:
    assert complete(shell, "sync", "--host", "a", "--host", "b", "--only", "che") == ["checkpoints"]


def test_a_broken_inventory_offers_nothing_and_prints_nothing(shell: Path) -> None:
    (shell / "inventory.yaml").write_text("hosts: [")
    assert complete(shell, "sync", "--host", "") == []


def test_the_inventory_that_the_line_names_is_the_one_whose_names_are_offered(shell: Path) -> None:
    (shell / "other.yaml").write_text("hosts: {b200: {workdir: /w}}\n")
    assert complete(shell, "sync", "--inventory", "other.yaml", "--host", "") == ["b200"]


@pytest.mark.parametrize("shell_name", ["zsh", "fish"])
def test_zsh_and_fish_are_offered_the_same_names(tmp_path: Path, inventory: Path, shell_name: str) -> None:
    environment = {
        "_BEING_REMOTE_COMPLETE": f"complete_{shell_name}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": "being-remote sync --host ",
    }
    done = subprocess.run(
        PROGRAMS["being-remote"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    expected = {"zsh": "_arguments '*: :((\"pod\"))'", "fish": "pod"}
    assert (done.stdout.strip(), done.stderr) == (expected[shell_name], "")


def make_two_jobs(folder: Path) -> None:
    """Write two jobs into the ledger of the folder's inventory."""
    code = (
        "from pathlib import Path\n"
        "from being_remote.inventory import load_inventory\n"
        "from being_remote.jobs.ledger import Intent, ledger_of\n"
        "ledger = ledger_of(load_inventory(Path('inventory.yaml')))\n"
        "for name in 'ab':\n"
        "    ledger.intend(Intent(f'command-{name}', 'pod', None, 'command', b'', '', b'', name))\n"
    )
    done = run_in(folder, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
