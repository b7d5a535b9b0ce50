"""`safe-to-stop --then CMD`: it runs after a yes and after nothing else, without a shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from programs import Program

from being_remote.cli.safe_to_stop import parse_command
from being_remote.errors import UsageError


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An empty workdir of this machine, and a host that is away."""
    (tmp_path / "disk").mkdir()
    hosts = {
        "here": {"kind": "local", "workdir": str(tmp_path / "disk"), "python": sys.executable},
        "away": {"address": "127.0.0.1", "port": 1, "user": "root", "workdir": "/w"},
    }
    document = {"hosts": hosts, "actors": {"demo": {}}, "ssh_config": "none", "search_roots": []}
    (tmp_path / "none").touch()
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "disk"


@pytest.fixture
def ask(program: Program, tmp_path: Path, disk: Path) -> Program:
    return lambda *words: program("safe-to-stop", f"--inventory={tmp_path}/inventory.yaml", *words)


@pytest.mark.slow
def test_after_a_yes_it_runs_without_a_shell_and_its_exit_code_is_ours(ask: Program, tmp_path: Path) -> None:
    done = ask("--host=here", "--then", "echo 'pod 7' $HOME; exit")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("yes: ") and lines[-1] == "pod 7 $HOME; exit"
    assert ask("--host=here", "--then", "sh -c 'exit 7'").returncode == 7
    assert ask("--host=here", "--then", "sh -c 'kill -9 $$'").returncode == 137
    done = ask("--host=here", "--then", "sh -c 'exit 130'")
    assert (done.returncode, done.stderr) == (130, "")  # its own code, not our Ctrl-C


def test_with_json_what_it_prints_goes_to_stderr_and_how_it_ended_is_in_the_document(ask: Program) -> None:
    done = ask("--host=here", "--json", "--then", "sh -c 'echo done; exit 3'")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (3, "done\n")
    assert document["verdict"] == "yes"
    assert document["then"] == {"command": ["sh", "-c", "echo done; exit 3"], "exit_code": 3}


@pytest.mark.slow
def test_after_a_no_and_where_it_is_not_known_it_does_not_run(
    ask: Program, disk: Path, tmp_path: Path
) -> None:
    (disk / "1.frame").write_bytes(b"only here")
    for host, code in (("here", 6), ("away", 4)):
        done = ask(f"--host={host}", "--then", f"touch {tmp_path}/ran")
        assert done.returncode == code and f"not run: touch {tmp_path}/ran" in done.stdout
        done = ask(f"--host={host}", "--json", "--then", f"touch {tmp_path}/ran")
        assert done.returncode == code and json.loads(done.stdout)["then"]["exit_code"] is None
    assert not (tmp_path / "ran").exists()


def test_a_dry_run_says_what_would_run(ask: Program, tmp_path: Path) -> None:
    done = ask("--host=here", "--dry-run", "--then", f"touch {tmp_path}/ran")
    assert done.returncode == 0 and f"would run: touch {tmp_path}/ran" in done.stdout
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "  ", "echo 'open", "no-such-program-here now"])
def test_what_cannot_run_is_refused_before_any_host_is_contacted(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_command(text)
    assert refused.value.where == "--then" and refused.value.exit_code == 2
