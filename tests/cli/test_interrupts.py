"""Ctrl-C, SIGTERM and a closed terminal: the exit code, at once, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from being_remote.cli import main
from being_remote.cli.command_list import COMMANDS
from being_remote.cli.interruption_notes import KEPT
from being_remote.cli.signals import obeyed
from being_remote.cli.usage import run
from being_remote.demo.pod import Pod, start_pod

BEING_REMOTE = str(Path(sys.executable).parent / "being-remote")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pod, Path]]:
    """A pod whose python says when it was started, and then nothing; and the laptop's folder."""
    folder = tmp_path_factory.mktemp("slow")
    python = folder / "python"
    python.write_text(f"#!/bin/sh\ntouch '{folder}/asked'\nexec sleep 600\n")
    python.chmod(0o755)
    with start_pod(folder / "pod") as pod:
        entry = {**pod.inventory_entry(), "python": str(python)}
        (folder / "inventory.yaml").write_text(
            json.dumps(
                {
                    "hosts": {"slow": {**entry, "tracker": {"root": "/tracker"}}},
                    "actors": {"demo": {}},
                    "search_roots": [],
                    "backups": str(folder / "backups"),
                    "state": str(folder / "state"),
                }
            )
        )
        trust = [BEING_REMOTE, "trust", "--host", "slow", "--yes"]
        subprocess.run(trust, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        yield pod, folder


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "being_remote.cli.app":
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "being_remote.cli.app", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["hosts"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "error: stopped by Ctrl-C; nothing was started\n"


def _interrupted(**_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize("ends", [_interrupted, lambda **_: 130])
def test_ctrl_c_before_a_command_has_begun_is_reported_once(
    ends: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(ends, ["hosts", "--json"])
    said = capsys.readouterr()
    assert caught.value.code == 130 and said.err.count("error: stopped by Ctrl-C") == 1
    assert json.loads(said.out)["exit_code"] == 130


def session_folders(process: subprocess.Popen[bytes]) -> list[Path]:
    """The folders of this process's sessions; other tests may be at work beside this one."""
    return list(Path("/tmp").glob(f"br-{process.pid}-*/config"))


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupt(folder: Path, words: Sequence[str], number: signal.Signals) -> tuple[int, bytes, bytes]:
    """The exit code and the output of a command that is stopped while it waits for the host's answer."""
    (folder / "asked").unlink(missing_ok=True)
    process = subprocess.Popen(
        [BEING_REMOTE, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # The folder too: an earlier test's command may ask late, when this one has not begun.
    wait_for(lambda: (folder / "asked").exists() and session_folders(process))
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert session_folders(process) == []
    return process.returncode, out, err


OF_A_JOB = [[command, "last"] for command in ("logs", "pull", "resume", "forget")]
RUN = ["run", "--force", "--host", "slow", "--", "true"]


# Once a command waits, all of them end by the same lines of code: three stand for the other two signals.
WAITING = [["find-bbox"], ["sync"], ["jobs"]]
ENDED = [(words, number) for words in WAITING for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
ENDED += [
    (words, signal.SIGINT) for words in (["hosts"], ["doctor"], ["retrack"], ["safe-to-stop"], RUN, *OF_A_JOB)
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "number"), ENDED, ids=lambda v: v[0] if isinstance(v, list) else v.name)
def test_a_command_that_waits_for_a_host_ends_at_once_and_leaves_nothing(
    words: list[str], number: signal.Signals, slow: tuple[Pod, Path]
) -> None:
    _, folder = slow
    command = words[0]
    if words in OF_A_JOB and not list(folder.rglob("ledger.sqlite")):
        interrupt(folder, RUN, signal.SIGINT)
    code, out, err = interrupt(folder, [command, "--json", *words[1:]], number)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}[number]
    assert b"Traceback" not in err
    if number == signal.SIGINT:
        document = json.loads(out)
        assert document["exit_code"] == 130
        kept, again = KEPT[command]
        assert document["error"]["what"] == f"stopped by Ctrl-C; {kept}"
        assert document["error"]["next"] == again
    else:
        assert out == b""


def test_every_command_says_what_ctrl_c_leaves() -> None:
    assert set(COMMANDS) == set(KEPT)


OVERSLEPT = """
import signal, sys, threading, time
from being_remote.cli.signals import obeyed
from being_remote.cli.usage import run

main = threading.get_ident()

def note():
    while sys._current_frames()[main].f_code.co_name != "oversleep":
        time.sleep(0.01)
    # Noted by Python, but no wait of the main thread is interrupted: as by one that came just before it.
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(60)
    lock.release()

def oversleep():
    lock.acquire()

lock = threading.Lock()
lock.acquire()
with obeyed():
    threading.Thread(target=note, daemon=True).start()
    oversleep()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_that_comes_in_the_moment_before_a_wait_is_obeyed_at_once(
    number: signal.Signals, code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OVERSLEPT, str(int(number))], stderr=subprocess.DEVNULL, timeout=30
    )
    assert ended.returncode == code


def test_signals_after_a_command_are_as_they_were_before_it() -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGURG)
    before = [signal.getsignal(number) for number in numbers]
    fds, threads = os.listdir("/proc/self/fd"), threading.active_count()
    with obeyed():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1
    wait_for(lambda: threading.active_count() == threads)
    assert os.listdir("/proc/self/fd") == fds


def test_ctrl_c_at_the_question_trusts_nothing_and_is_130(slow: tuple[Pod, Path], tmp_path: Path) -> None:
    inventory, state = (slow[1] / "inventory.yaml").read_text(), str(slow[1] / "state")
    (tmp_path / "inventory.yaml").write_text(inventory.replace(state, str(tmp_path / "state")))
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(BEING_REMOTE, [BEING_REMOTE, "trust", "--host", "slow"])
    said = b""
    while b"Trust it?" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # the end of the terminal: the command is gone
        while os.read(terminal, 4096):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    os.close(terminal)
    assert os.listdir(tmp_path) == ["inventory.yaml"]
