"""`ssh HOST`: a real shell on a real sshd, in a real terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import PROGRAMS, run_in

from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory


def type_in_a_terminal(words: list[str], cwd: Path, typed: str) -> tuple[int, str]:
    """Run `words` at a terminal, type, and return the exit code and the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    screen = b""
    with contextlib.suppress(OSError):  # the last user of the terminal has closed it
        while part := os.read(ours, 4096):
            screen += part
    os.close(ours)
    return process.wait(timeout=60), screen.decode()


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_ssh_opens_a_shell_with_the_pinned_key_and_ends_with_its_exit_code(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path, program: str
) -> None:
    make_inventory({"pod": pod})
    typed = "tty && echo in$((20+22))\nexit 7\n"
    code, screen = type_in_a_terminal([*PROGRAMS[program], "ssh", "pod"], tmp_path, typed)
    assert code == 7, screen
    assert "/dev/pts/" in screen and "in42" in screen


@pytest.mark.slow
def test_ssh_opens_nothing_while_no_key_is_trusted_or_another_one_is_shown(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    make_inventory({"pod": pod}, trusted=False)
    done = run_in(tmp_path, *PROGRAMS["being-remote"], "ssh")
    assert (done.returncode, done.stdout) == (4, "")
    assert "a host key that is not trusted yet" in done.stderr
    assert f"trust --host pod --fingerprint {pod.fingerprint}" in done.stderr
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzWGSmSPq9sKLpgYXR2PYvjGGGX4m7ZKMyhvMAuHeNo"
    make_inventory({"pod": {**pod.inventory_entry(), "host_key": other}})
    done = run_in(tmp_path, *PROGRAMS["being-remote"], "ssh")
    assert (done.returncode, done.stdout) == (4, "")
    assert "verification failed" in done.stderr or "IDENTIFICATION HAS CHANGED" in done.stderr


@pytest.mark.slow
def test_ssh_has_no_json_and_no_shell_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text("hosts: {here: {kind: local, workdir: /w}}\n")
    named = (*PROGRAMS["being-remote"], "ssh", "--inventory", "inventory.yaml")
    assert run_in(tmp_path, *named).returncode == 2
    assert run_in(tmp_path, *named, "--json").returncode == 2
