"""What runs on a pod ends with its client: told by the pipes that sshd closes, for no signal comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pod_programs import start_program
from pythons import old_python

from being_remote.demo.pod import Pod
from being_remote.errors import AnswerTimeout
from being_remote.inventory import Inventory
from being_remote.pod import gpus, host_facts
from being_remote.pod_client.runner import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told by /proc")
PYTHONS = sorted({sys.executable, old_python()})


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvidia-smi that waits for a driver; the file names the process that it started."""
    folder, pids = tmp_path / "bin", tmp_path / "pids"
    folder.mkdir()
    os.mkfifo(pids)
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {pids}\nwait\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return pids


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("program", ["status", "checkup"])
def test_a_program_that_waits_for_a_driver_ends_when_nobody_reads_it_and_so_does_all_that_it_started(
    hanging: Path, tmp_path: Path, program: str, python: str
) -> None:
    if program == "status":
        process = start_program("status", {"workdir": str(tmp_path), "only": None}, python=python)
    else:
        process = start_program("host_facts", {"folder": str(tmp_path), "tracker": None}, python=python)
    grandchild = int(hanging.read_text())
    assert process.stdout is not None and lives(grandchild)
    process.stdout.close()
    process.wait(timeout=20)  # with any exit code: nobody reads that either
    until(lambda: not lives(grandchild))


def test_a_program_that_reads_a_disk_ends_when_nobody_reads_it(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    folder = {"path": str(tmp_path), "names": [["huge", None]]}
    payload = zlib.compress(json.dumps({"folders": [folder]}).encode())
    process = start_program("listing", {}, payload, python=PYTHONS[0])
    until(lambda: str(huge) in open_files(process.pid))
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=20) == 1


def open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


@pytest.mark.slow
def test_a_program_whose_client_gave_up_ends_on_the_pod(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    from being_remote.transport import open_session

    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    asked = {"folders": [{"path": str(tmp_path), "names": [["huge", None]]}]}
    inventory = make_inventory({"pod": pod})
    host = inventory.the_host(None)

    def readers() -> list[int]:
        return [
            int(p.name)
            for p in Path("/proc").iterdir()
            if p.name.isdigit() and str(huge) in open_files(int(p.name))
        ]

    with open_session(host, inventory) as session:
        with pytest.raises(AnswerTimeout):
            run_program(
                session,
                "listing",
                {},
                python=host.python,
                timeout_s=3,
                payload=zlib.compress(json.dumps(asked).encode()),
            )
        until(lambda: not readers())
        assert session.run(["echo", "on"]).stdout == b"on\n"  # the link itself is not given up


@pytest.mark.parametrize("probe", ["status", "doctor"])
def test_a_driver_that_gives_no_answer_leaves_no_process_behind(
    hanging: Path, monkeypatch: pytest.MonkeyPatch, probe: str
) -> None:
    monkeypatch.setattr(gpus, "SMI_S", 0.5)
    answers: list[Any] = []
    if probe == "status":
        query = gpus.GpuQuery()
        grandchild = int(hanging.read_text())
        answers.append(query.answer()[1])
    else:
        reader = subprocess.Popen(["cat", str(hanging)], stdout=subprocess.PIPE)
        answers.append(host_facts.run_tool(["nvidia-smi"], 0.5)["error"])
        grandchild = int(reader.communicate(timeout=20)[0])
    assert "no answer within" in answers[0]
    until(lambda: not lives(grandchild))
