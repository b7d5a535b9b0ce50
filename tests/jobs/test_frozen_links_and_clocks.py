"""Frozen links make states unknown and nothing follows; a pod's wrong clock changes no verdict."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy
from local_jobs import retrack

from being_remote.demo.pod import Pod
from being_remote.errors import HostError
from being_remote.inventory import Inventory
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.logs import logs
from being_remote.workflows.resume import resume

SHIFTED = """
#define _GNU_SOURCE
#include <time.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <unistd.h>
#define SHIFT (%d * 86400L)
int clock_gettime(clockid_t id, struct timespec *t) {
    int r = syscall(SYS_clock_gettime, id, t);
    if (r == 0 && id == CLOCK_REALTIME) t->tv_sec += SHIFT;
    return r;
}
time_t time(time_t *at) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (at) *at = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *v, void *zone) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    v->tv_sec = t.tv_sec;
    v->tv_usec = t.tv_nsec / 1000;
    return 0;
}
"""


def command(inventory: Inventory, text: str, **more: Any) -> Any:
    return retrack(inventory, recipe="command", command=text, gpus=0, **more)


@pytest.fixture
def far(pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Any]:
    """A pod behind a proxy that can freeze, with its own workdir."""
    with FaultProxy((pod.address, pod.port)) as proxy:
        entry = {**pod.inventory_entry(), "port": proxy.port, "workdir": str(tmp_path / "w")}
        inventory = make_inventory({"pod": {**entry, "connect_timeout_s": 1.0, "answer_timeout_s": 3.0}})
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
        yield inventory, proxy, tmp_path / "w" / "jobs"
        proxy.mode = "ok"
        for row in jobs(inventory).jobs:
            if row.state in ("running", "waiting", "submitted"):
                cancel(inventory, row.job)


@pytest.mark.slow
def test_over_a_frozen_link_a_job_is_unknown_nothing_follows_and_thawed_it_is_right_again(
    far: Any, tmp_path: Path
) -> None:
    inventory, proxy, folder = far
    go = tmp_path / "go"
    waits = command(inventory, f"sh -c 'while ! test -e {go}; do sleep 0.05; done'").job
    stays = command(inventory, "sleep 60").job
    known = {row.job: row for row in jobs(inventory).jobs}
    before = sorted(str(p) for name in (waits, stays) for p in (folder / name / "attempts").iterdir())
    proxy.mode = "hang"
    report = jobs(inventory)
    assert report.exit_code == 4 and {row.job for row in report.jobs} == {waits, stays}
    for row in report.jobs:
        assert (row.state, row.last_known) == ("unknown", "running")
        assert row.as_of == known[row.job].as_of and row.reason
    for harm in (cancel, resume):
        with pytest.raises(HostError):
            harm(inventory, stays)
    go.touch()  # it ends while nobody can see it
    end = folder / waits / "attempts/1/end.json"
    while not end.exists():
        assert jobs(inventory).jobs[0].state == "unknown"
    proxy.mode = "ok"
    assert {r.job: (r.state, r.attempt) for r in jobs(inventory).jobs} == {
        waits: ("succeeded", 1),
        stays: ("running", 1),
    }
    after = sorted(str(p) for name in (waits, stays) for p in (folder / name / "attempts").iterdir())
    assert after == before and not list(folder.glob("*/cancel"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc for a clock that is wrong")
@pytest.mark.parametrize("days", [-400, 9000])
def test_a_pod_whose_clock_is_wrong_by_days_changes_no_verdict(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path, days: int
) -> None:
    source, library, python = tmp_path / "shift.c", tmp_path / "shift.so", tmp_path / "python"
    source.write_text(SHIFTED % days)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", str(library), str(source)], check=True)
    # Nothing of the pod's Python, its supervisors and payloads sees the true time.
    python.write_text(f'#!/bin/sh\nexport LD_PRELOAD={library}\nexec python3 "$@"\n')
    python.chmod(0o755)
    inventory = make_inventory({"pod": pod})
    host = inventory.hosts["pod"].model_copy(update={"python": str(python), "workdir": tmp_path / "w"})
    inventory = inventory.model_copy(update={"hosts": {"pod": host}})

    told = command(inventory, "python3 -c 'import time; print(int(time.time()))'", follow_it=True)
    there = int(logs(inventory, told.job).lines[0].line)
    here = datetime.datetime.now(datetime.timezone.utc).timestamp()
    assert abs(there - here - days * 86400) < 3600  # the clock is wrong indeed
    ends = {
        told.job: "succeeded",
        command(inventory, "sh -c 'exit 3'", follow_it=True).job: "failed",
        command(inventory, "sleep 60", wall_s=1.0, follow_it=True).job: "failed",
    }
    runs = command(inventory, "sleep 60", wall_s=3600.0).job
    rows = {row.job: row for row in jobs(inventory).jobs}
    assert {job: row.state for job, row in rows.items()} == {**ends, runs: "running"}
    for row in rows.values():
        moment = datetime.datetime.fromisoformat(row.since)
        assert abs(moment.timestamp() - here) < 3600  # what is said is by the laptop's clock
    assert cancel(inventory, runs).state == "cancelled"
