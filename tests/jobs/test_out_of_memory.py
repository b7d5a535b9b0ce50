"""A payload that the kernel kills for want of memory: its end says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk

from being_remote.pod import cgroups, memory_kills

GREEDY = "hold = bytearray(300 << 20)"
GREEDY_CHILD = f"import os\nif os.fork() == 0:\n    {GREEDY}\nos.wait()\nos._exit(3)"


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory cgroup of 150 MB."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    versions = {
        "": ("memory.max", Path("/sys/fs/cgroup")),
        "memory": ("memory.limit_in_bytes", Path("/sys/fs/cgroup/memory")),
    }
    for _, controllers, path in own:
        name, top = versions.get(controllers, ("", Path()))
        made = top / path.lstrip("/") / f"test-{os.getpid()}"
        try:
            made.mkdir()
            (made / name).write_text(str(150 << 20))
        except OSError:
            continue
        yield made
        made.rmdir()
        return
    pytest.skip("no memory cgroup can be made here")


def in_group(desk: Desk, group: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho $$ > {group}/cgroup.procs\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    desk.host = desk.host.model_copy(update={"python": str(python)})


@pytest.mark.parametrize(
    ("script", "how"), [(GREEDY, "was killed by signal 9"), (GREEDY_CHILD, "ended with 3")]
)
def test_a_step_during_which_the_kernel_killed_for_memory_says_out_of_memory(
    desk: Desk, group: Path, tmp_path: Path, script: str, how: str
) -> None:
    in_group(desk, group, tmp_path)
    spec = desk.spec("python3", "-c", script)
    desk.submit(spec)
    ended = desk.until(spec.job, "failed", "succeeded")
    assert ended.reason == f"python3 {how}; out of memory: the kernel killed a process of this pod"


def test_a_kill_by_somebody_else_is_not_called_out_of_memory(desk: Desk, group: Path, tmp_path: Path) -> None:
    in_group(desk, group, tmp_path)
    spec = desk.spec("sh", "-c", "kill -9 $$")
    desk.submit(spec)
    assert desk.until(spec.job, "failed").reason == "sh was killed by signal 9"


def test_where_the_kills_cannot_be_read_a_kill_is_possibly_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "OWN", str(tmp_path / "cgroup"))
    assert memory_kills.count_oom_kills() is None
    assert memory_kills.explain_end(-9, None) == "was killed by signal 9, possibly out of memory"
    assert memory_kills.explain_end(-15, None) == "was killed by signal 15"


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/", "memory.events"),
        ("0::/docker/ab", "memory.events"),  # the machine's path: the container's own is at the top
        ("0::/a/b", "a/b/memory.events"),
        ("4:cpu,memory:/a", "memory/a/memory.oom_control"),
        ("4:memory:/docker/ab", "memory/memory.oom_control"),
    ],
)
def test_the_kills_of_both_versions_of_cgroups_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, file: str
) -> None:
    (tmp_path / "own").write_text(f"2:cpuset:/x\n{line}\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("low 0\noom 9\noom_kill 7\noom_group_kill 0\n")
    monkeypatch.setattr(cgroups, "OWN", str(tmp_path / "own"))
    monkeypatch.setattr(cgroups, "TOP", str(tmp_path))
    assert memory_kills.count_oom_kills() == 7
    assert memory_kills.explain_end(1, 5).endswith("the kernel killed 2 processes of this pod")
    assert memory_kills.explain_end(1, 7) == "ended with 1"
