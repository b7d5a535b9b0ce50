"""The memory and CPUs that a container may use, by the files of both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from being_remote.pod import cgroup_limits, cgroups, memory_kills


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "TOP", str(tmp_path / "cgroup"))
    monkeypatch.setattr(cgroups, "OWN", str(tmp_path / "own"))
    return tmp_path


def write(kernel: Path, own: str, files: dict[str, str]) -> None:
    (kernel / "own").write_text(own)
    for name, text in files.items():
        path = kernel / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


NO_LIMIT_1 = "9223372036854771712"


@pytest.mark.parametrize(
    ("own", "files", "memory", "cpus"),
    [
        ("0::/\n", {"memory.max": "8589934592", "cpu.max": "150000 100000"}, 8 << 30, 1.5),
        ("0::/\n", {"memory.max": "max", "cpu.max": "max 100000"}, None, None),
        # The tightest limit counts, of the group and of those above it.
        ("0::/pod/job\n", {"pod/memory.max": "4096", "pod/job/memory.max": "max"}, 4096, None),
        ("0::/pod/job\n", {"pod/cpu.max": "800000 100000", "pod/job/cpu.max": "50000 100000"}, None, 0.5),
        # Inside a container the path may be the machine's, and the files are at the top.
        ("0::/system.slice/docker-1f.scope\n", {"memory.max": "1024"}, 1024, None),
        (
            "5:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n",
            {
                "memory/memory.limit_in_bytes": "17179869184",
                "cpu,cpuacct/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            16 << 30,
            4.0,
        ),
        (
            "5:memory:/\n4:cpu:/\n",
            {"memory/memory.limit_in_bytes": NO_LIMIT_1, "cpu/cpu.cfs_quota_us": "-1"},
            None,
            None,
        ),
        # The path may lead out of what is mounted, where a service of the machine entered the container.
        ("0::/../../system.slice/ssh\n", {"memory.max": "2048"}, 2048, None),
        ("", {}, None, None),
        ("nonsense\n0::/../../etc\n", {"memory.max": "x" * 99}, None, None),
    ],
)
def test_the_limits_of_a_container_are_read_from_cgroups_of_both_versions(
    kernel: Path, own: str, files: dict[str, str], memory: int | None, cpus: float | None
) -> None:
    write(kernel, own, files)
    assert cgroup_limits.find_limits() == {"memory_bytes": memory, "cpus": cpus}


@pytest.mark.parametrize("own", ["0::/../../system.slice/ssh\n", "5:memory:/../docker/1f\n"])
def test_kills_for_want_of_memory_are_counted_where_the_groups_path_leads_out_of_what_is_mounted(
    kernel: Path, own: str
) -> None:
    files = {"memory.events": "oom_kill 3", "memory/memory.oom_control": "oom_kill_disable 0\noom_kill 3"}
    write(kernel, own, files)
    assert memory_kills.count_oom_kills() == 3


def test_a_system_without_cgroups_has_no_limits(kernel: Path) -> None:
    assert cgroup_limits.find_limits() == {"memory_bytes": None, "cpus": None}
