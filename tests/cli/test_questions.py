"""What is asked of a person: only at a terminal, never under --json, and what follows from the answer."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from programs import PROGRAMS

from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory

BEING_REMOTE, INVOKE = PROGRAMS["being-remote"], PROGRAMS["invoke"]
QUESTION = "Trust it?"


class Ran(NamedTuple):
    code: int
    out: str
    terminal: str


def run_at_terminal(
    words: list[str], cwd: Path, answer: str = "n", *, stdin: bool = True, stderr: bool = True
) -> Ran:
    """Run with a terminal as stdin and stderr; `answer` is typed when the question stands there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        stdin=theirs if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs if stderr else subprocess.DEVNULL,
    )
    os.close(theirs)
    said, answered = b"", False
    with contextlib.suppress(OSError):  # the last user of the terminal has closed it
        while stdin or stderr:
            part = os.read(ours, 4096)
            said += part
            if QUESTION.encode() in said and not answered:
                os.write(ours, answer.encode() + b"\n")
                answered = True
            if not part:
                break
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    return Ran(process.returncode, out.decode(), said.decode())


@pytest.fixture
def stranger(make_inventory: Callable[..., Inventory], pod: Pod) -> Path:
    """A folder with the inventory of a pod whose key nobody trusts yet."""
    return make_inventory({"pod": pod}, trusted=False).path.parent


@pytest.mark.parametrize(
    ("options", "stdin", "stderr"),
    [(["--json"], True, True), ([], False, True), ([], True, False), (["--json"], False, False)],
    ids=["json", "no stdin", "no stderr", "neither"],
)
def test_trust_asks_nothing_under_json_or_without_a_terminal(
    options: list[str], stdin: bool, stderr: bool, stranger: Path
) -> None:
    words = [*BEING_REMOTE, "trust", "--host", "pod", *options]
    ran = run_at_terminal(words, stranger, "y", stdin=stdin, stderr=stderr)
    assert ran.code == 4
    assert QUESTION not in ran.out + ran.terminal
    assert not (stranger / "state" / "known_hosts").exists()
    if options:
        assert json.loads(ran.out)["error"]["class"] == "HostKeyUnknown"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 4), ("", 4)])
def test_trust_asks_at_a_terminal_and_stores_the_key_after_a_yes_only(
    answer: str, code: int, stranger: Path
) -> None:
    ran = run_at_terminal([*BEING_REMOTE, "trust", "--host", "pod"], stranger, answer)
    assert (ran.code, ran.terminal.count(QUESTION)) == (code, 1)
    assert (stranger / "state" / "known_hosts").exists() == (code == 0)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose ssh configuration runs a program, which leaves a mark."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "ssh_config").write_text(f"Match exec \"touch '{folder}/ran'\"\n")
    (folder / "inventory.yaml").write_text(
        "hosts: {pod: {address: 127.0.0.1, port: 1, user: root, workdir: /w, connect_timeout_s: 2}}\n"
        "actors: {demo: {}}\nssh_config: ssh_config\nsearch_roots: []\n"
    )
    return folder


@pytest.mark.parametrize("program", [BEING_REMOTE, INVOKE], ids=["being-remote", "invoke"])
def test_init_adds_to_no_inventory_that_can_run_programs_until_somebody_agrees(
    program: list[str], project: Path
) -> None:
    inventory = project / "inventory.yaml"
    inventory.write_text("hosts:\n  a: {workdir: /w}\nssh_config: ssh_config\n")
    before = inventory.read_text()
    ran = run_at_terminal([*program, "init", "root@127.0.0.1:1", "--add"], project, stdin=False)
    assert ran.code == 4 and "--trust-inventory" in ran.terminal
    assert inventory.read_text() == before and not (project / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("program", [BEING_REMOTE, INVOKE], ids=["being-remote", "invoke"])
def test_an_inventory_that_can_run_programs_is_not_used_until_somebody_agrees(
    program: list[str], project: Path
) -> None:
    for options in ([], ["--json"]):
        ran = run_at_terminal([*program, "sync", *options], project, stdin=False)
        assert ran.code == 4
        assert "ssh_config" in ran.terminal and "--trust-inventory" in ran.terminal
    assert json.loads(ran.out)["error"]["class"] == "InventoryUntrusted"
    assert not (project / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("program", [BEING_REMOTE, INVOKE], ids=["being-remote", "invoke"])
def test_an_inventory_is_asked_about_once_and_again_when_its_programs_change(
    program: list[str], project: Path
) -> None:
    # sync, which may draw bars on this terminal; its host cannot be reached: 4, too, but for that.
    refused = run_at_terminal([*program, "sync"], project, "n")
    assert (refused.code, refused.terminal.count(QUESTION)) == (4, 1)
    assert "\x1b" not in refused.terminal  # bars that are redrawn would wipe the question out
    assert not (project / "ran").exists()
    allowed = run_at_terminal([*program, "sync"], project, "y")
    assert (allowed.code, allowed.terminal.count(QUESTION)) == (4, 1)
    assert "127.0.0.1" in allowed.terminal and (project / "ran").exists()
    text = (project / "inventory.yaml").read_text()
    (project / "inventory.yaml").write_text(text + "backups: elsewhere\n")  # this runs nothing
    assert "127.0.0.1" in run_at_terminal([*program, "sync"], project, stdin=False).terminal
    (project / "ssh_config").write_text("Match exec true\n")
    changed = run_at_terminal([*program, "sync"], project, "n")
    assert "has changed" in changed.terminal and QUESTION in changed.terminal


@pytest.mark.slow
def test_trust_by_an_option_holds_once_and_is_not_kept(project: Path) -> None:
    words = [*BEING_REMOTE, "sync", "--trust-inventory"]
    assert "127.0.0.1" in run_at_terminal(words, project, stdin=False).terminal
    assert "--trust-inventory" in run_at_terminal([*BEING_REMOTE, "sync"], project, stdin=False).terminal


@pytest.mark.slow
def test_an_inventory_that_is_named_is_trusted_without_a_question(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = str(project / "inventory.yaml")
    words = [*BEING_REMOTE, "sync", "--inventory", named]
    assert "127.0.0.1" in run_at_terminal(words, tmp_path, stdin=False).terminal
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", named)
    assert "127.0.0.1" in run_at_terminal([*BEING_REMOTE, "sync"], tmp_path, stdin=False).terminal
