"""A full device behind stdout or stderr ends in an exit code and a sentence, never in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from being_remote.demo.actor import make_actor
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import ledger_of

BEING_REMOTE = str(Path(sys.executable).parent / "being-remote")
FULL = "/dev/full"


@pytest.fixture
def laptop(tmp_path: Path, make_inventory: Callable[..., Inventory]) -> Inventory:
    make_actor(tmp_path / "mt", "demo", frames=2, pictures=False, video=False)
    host = {"kind": "local", "workdir": str(tmp_path / "Being"), "python": sys.executable}
    return make_inventory({"here": {**host, "tracker": {"root": str(tmp_path / "mt")}}}, {"demo": {}})


def named(folder: Path) -> dict[str, str]:
    """The environment in which the inventory is named, so that it may run programs."""
    return {**os.environ, "BEING_REMOTE_INVENTORY": str(folder / "inventory.yaml")}


def run(
    folder: Path, *words: str, out: str = os.devnull, err: str | None = None, buffered: bool = True
) -> tuple[int, str]:
    env = {**named(folder), "PYTHONUNBUFFERED": "" if buffered else "1"}
    with open(out, "w") as stdout, open(err or folder / "stderr", "w") as stderr:
        argv = [BEING_REMOTE, *words]
        done = subprocess.run(argv, cwd=folder, stdout=stdout, stderr=stderr, env=env, timeout=60)
    return done.returncode, "" if err else (folder / "stderr").read_text()


@pytest.mark.parametrize(
    ("words", "buffered"),
    [
        (("--help",), True),
        (("sync", "--help"), False),
        (("--version",), False),
        (("hosts",), True),
        (("hosts", "--json"), True),
        (("hosts", "--json"), False),
        (("logs", "nope", "--json"), True),
        (("nope", "--json"), True),
        (("retrack", "--show-preset", "full-face"), False),
        (("sync", "--watch", "--json"), True),  # a full backup it would wait for; this disk is not its own
        (("sync", "--watch"), True),
    ],
)
def test_an_answer_that_cannot_be_written_is_6_with_a_message(
    words: tuple[str, ...], buffered: bool, laptop: Inventory
) -> None:
    code, err = run(laptop.path.parent, *words, out=FULL, buffered=buffered)
    assert code == 6, err
    assert "standard output: cannot be written: No space left on device" in err
    assert "Traceback" not in err and "Exception ignored" not in err


@pytest.mark.slow
def test_a_full_stderr_loses_the_message_and_not_the_exit_code(laptop: Inventory, tmp_path: Path) -> None:
    folder = laptop.path.parent
    assert run(folder, "logs", "nope", err=FULL)[0] == 3
    assert run(folder, "nope", err=FULL)[0] == 2
    answer = tmp_path / "answer.json"
    assert run(folder, "logs", "nope", "--json", out=str(answer), err=FULL)[0] == 3
    assert json.loads(answer.read_text())["exit_code"] == 3
    assert run(folder, "hosts", "--json", out=FULL, err=FULL)[0] == 6


@pytest.mark.slow
def test_a_job_that_is_followed_into_a_full_file_keeps_running(laptop: Inventory) -> None:
    words = ("retrack", "--recipe=command", "--gpus=0", "--command=sh -c 'echo a; sleep 1; echo b'")
    code, err = run(laptop.path.parent, *words, "--follow", out=FULL)
    assert code == 6 and "Traceback" not in err
    code, err = run(laptop.path.parent, "logs", "last", "--follow")
    assert code == 0, err
    assert ledger_of(laptop).find("last").state == "succeeded"


@pytest.mark.slow
def test_streams_that_are_closed_are_no_bug(laptop: Inventory) -> None:
    for closed, words, code in ((">&-", "hosts --json", 0), ("2>&-", "logs nope", 3)):
        shell = ["sh", "-c", f"exec '{BEING_REMOTE}' {words} {closed}"]
        done = subprocess.run(shell, cwd=laptop.path.parent, env=named(laptop.path.parent), timeout=60)
        assert done.returncode == code
