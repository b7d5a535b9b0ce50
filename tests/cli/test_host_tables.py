"""What `doctor` prints of a host."""

from __future__ import annotations

from console_text import console_text

from being_remote.cli.host_tables import show_doctor, show_hosts
from being_remote.host_checks.host_report import HostReport
from being_remote.pod_client.host_facts import ContainerLimits
from being_remote.pod_client.job_answers import GpuFacts
from being_remote.workflows.hosts import HostsReport


def gpu(index: int, used: int | None, percent: int | None, broken: str | None = None) -> GpuFacts:
    return GpuFacts(
        index=index,
        uuid=f"GPU-{index}",
        name="A100",
        memory_total_mib=81920,
        memory_used_mib=used,
        utilization_percent=percent,
        busy=False,
        broken=broken,
    )


def test_doctor_shows_the_limits_of_the_container_and_which_gpu_is_broken() -> None:
    gpus = (gpu(0, 4, None), gpu(1, None, None, "nvidia-smi shows [GPU is lost]"))
    limits = ContainerLimits(memory_bytes=32 << 30, cpus=7.5)
    row = HostReport("p", "ssh", "p:22", True, True, python="3.10.1", gpus=gpus, limits=limits)
    assert "2, 1 broken" in console_text(show_hosts, HostsReport((row,)))
    lines = console_text(show_doctor, HostsReport((row,))).splitlines()
    assert lines[2:6] == [
        "  limit    34.4 GB of memory, by its cgroup",
        "  limit    7.5 CPUs, by its cgroup",
        "  GPU 0    A100: 4 of 81920 MiB used, ? % busy",
        "  GPU 1    A100: broken: nvidia-smi shows [GPU is lost]",
    ]


def test_hosts_says_why_a_field_is_empty() -> None:
    row = HostReport(
        "p", "ssh", "p:22", True, True, python="3.10.1", problems=("no rsync: apt-get install rsync",)
    )
    assert "  p: no rsync: apt-get install rsync\n" in console_text(show_hosts, HostsReport((row,)))
