"""Killed or cut anywhere, then submitted again: started at most once, and what could run did."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import HostError
from being_remote.inventory import Inventory
from being_remote.jobs import job_archive
from being_remote.pod import claim, program_store
from being_remote.pod.boot_identity import mark_volume, read_volume
from being_remote.transport import open_session

KILLED = Path(__file__).with_name("killed_at.py")
SEED = 20250301
NEVER = 10**9
PAYLOAD = ("sh", "-c", "echo $$ >> ../../../starts-{attempt}; sleep 0.05")


def starts(desk, job: str, attempt: int) -> int:
    path = desk.folder(job) / f"starts-{attempt}"
    return len(path.read_text().split()) if path.exists() else 0


def check_after(desk, spec, n: int, *, may_be_lost: bool) -> str:
    """Submit again; returns how the job ended."""
    gate_passed = desk.folder(spec.job, 1).exists()
    desk.submit(spec)
    seen = desk.until(spec.job, "succeeded", "failed", "lost", "cancelled")
    assert starts(desk, spec.job, 1) <= 1, f"{n}: it started twice"
    if seen.state == "lost":
        assert may_be_lost and gate_passed, f"{n}: {seen}"
        desk.submit(spec, attempt=2)
        assert desk.until(spec.job, "succeeded", "failed", "lost").state == "succeeded", n
        assert starts(desk, spec.job, 2) == 1 and starts(desk, spec.job, 1) <= 1, n
        return "lost"
    assert seen.state == "succeeded" and starts(desk, spec.job, 1) == 1, f"{n}: {seen}"
    return "succeeded"


def killed(kind: str, n: int, request: dict[str, Any]) -> int | None:
    """How many events it saw; None if it was killed."""
    done = subprocess.run(
        [sys.executable, KILLED, kind, str(n), json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, -9), done.stderr
    return int(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def numbers(total: int, sample: int | None) -> list[int]:
    every = range(1, total + 1)
    return list(every) if sample is None else sorted(random.Random(SEED).sample(every, sample))


class EveryPoint:
    """Numbers of events to be killed at: a sample, or all up to the end, wherever that is this time.

    How many events there are wavers from run to run (it waits in a loop), so all means: until it came to its
    end alive three times in a row.
    """

    def __init__(self, total: int, sample: int | None) -> None:
        self.total, self._sample, self._alive, self.killed = total, sample, 0, 0

    def __iter__(self) -> Iterator[int]:
        for n in itertools.count(1) if self._sample is None else numbers(self.total, self._sample):
            yield n
            if self._alive == 3:
                return

    def came_to(self, n: int, events: int | None) -> None:
        """What became of it: None, or the number of its events if it outlived them all."""
        assert events is None or events < n, f"it was to be killed at {n} of {events}"
        self._alive = 0 if events is None else self._alive + 1
        self.killed += events is None


def one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0, GPU-0, NVIDIA L4, 23034, 1, 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


def claimed_job(desk, spec) -> None:
    """The job is stored and asked for; nothing runs yet."""
    jobs, programs = f"{desk.workdir}/jobs", job_archive.programs()
    sha256 = hashlib.sha256(programs).hexdigest()
    os.makedirs(jobs, 0o700, exist_ok=True)
    mark_volume(jobs)
    program_store.store(jobs, programs, sha256)
    asked = {
        "job": spec.job,
        "spec_sha256": spec.sha256,
        "attempt": 1,
        "nonce": "0",
        "pushed": None,
        "volume": read_volume(jobs),
    }
    query = {"workdir": str(desk.workdir), "programs": sha256}
    assert claim.claim(query, asked, job_archive.job_files(spec, {})) == "made"


def kill_supervisors(desk, sample: int | None) -> dict[str, int]:
    def claimed() -> Any:
        spec = desk.spec(*PAYLOAD, gpus=1)
        claimed_job(desk, spec)
        return spec, {"workdir": str(desk.workdir), "job": spec.job, "attempt": 1, "answer": None}

    spec, request = claimed()
    total = killed("supervisor", NEVER, request)
    assert total is not None and total > 80 and desk.see(spec.job).state == "succeeded"
    points, ends = EveryPoint(total, sample), {"succeeded": 0, "lost": 0}
    for n in points:
        spec, request = claimed()
        points.came_to(n, killed("supervisor", n, request))
        end = check_after(desk, spec, n, may_be_lost=True)
        ends[end] += 1
    return {**ends, "killed": points.killed}


@pytest.mark.slow
def test_a_supervisor_killed_at_some_events_and_submitted_again(desk, tmp_path, monkeypatch) -> None:
    one_gpu(tmp_path, monkeypatch)
    assert kill_supervisors(desk, sample=10)["killed"] >= 7


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_supervisor_killed_at_every_single_event_and_submitted_again(desk, tmp_path, monkeypatch) -> None:
    one_gpu(tmp_path, monkeypatch)
    ends = kill_supervisors(desk, sample=None)
    assert ends["succeeded"] > 20 and ends["lost"] > 20 and ends["killed"] > 300, ends
    print(ends)


def kill_submits(desk, program: str, request: Callable[[], Any], sample: int | None, least: int) -> int:
    """Kill one side of a submit at its events, and submit again; returns how often it was killed."""
    spec, asked = request()
    total = killed(program, NEVER, asked)
    assert total is not None and total > least
    desk.until(spec.job, "succeeded")
    points = EveryPoint(total, sample)
    for n in points:
        spec, asked = request()
        points.came_to(n, killed(program, n, asked))
        check_after(desk, spec, n, may_be_lost=False)
    assert os.listdir(f"{desk.workdir}/jobs/.in") == []
    return points.killed


def kill_claims(desk, sample: int | None) -> int:
    def request() -> Any:
        spec = desk.spec(*PAYLOAD)
        asked = {"workdir": str(desk.workdir), "spec": spec.as_bytes.decode(), "volume": volume}
        return spec, asked

    jobs = f"{desk.workdir}/jobs"
    os.makedirs(jobs, 0o700)
    mark_volume(jobs)
    volume = read_volume(jobs)
    return kill_submits(desk, "claim", request, sample, least=100)


@pytest.mark.slow
def test_a_claim_killed_at_some_events_and_submitted_again(desk) -> None:
    assert kill_claims(desk, sample=8) >= 6


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_claim_killed_at_every_single_event_and_submitted_again(desk) -> None:
    print(kill_claims(desk, sample=None), "events")


def kill_clients(desk, sample: int | None) -> int:
    def request() -> Any:
        spec = desk.spec(*PAYLOAD)
        return spec, {"workdir": str(desk.workdir), "spec": spec.as_bytes.decode()}

    return kill_submits(desk, "client", request, sample, least=20)


@pytest.mark.slow
def test_a_client_killed_at_some_events_of_a_submit_that_is_repeated(desk) -> None:
    assert kill_clients(desk, sample=8) >= 6


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_client_killed_at_every_single_event_of_a_submit_that_is_repeated(desk) -> None:
    print(kill_clients(desk, sample=None), "events")


class MessageCutter(FaultProxy):
    """Cuts every connection once, when the `cut_at`-th message in either direction has been counted."""

    cut_at = NEVER
    messages = 0

    def _left(self, amount: int) -> int | None:
        with self._lock:
            self.messages += 1
            return 0 if self.messages == self.cut_at else None

    _left_to_send = _left


@pytest.fixture
def cutter(tmp_path: Path) -> Iterator[tuple[Pod, MessageCutter]]:
    with start_pod(tmp_path / "pod") as pod, MessageCutter((pod.address, pod.port)) as proxy:
        yield pod, proxy


def cut_links(
    desk_class: Any, pod: Pod, proxy: MessageCutter, inventory: Inventory, sample: int | None
) -> int:
    workdir = pod.root / "Being"

    def submit_through(spec: Any) -> None:
        with open_session(inventory.host("pod"), inventory) as session:
            desk_class(session, workdir).submit(spec)

    with open_session(inventory.host("direct"), inventory) as direct:
        desk = desk_class(direct, workdir)
        spec = desk.spec(*PAYLOAD)
        submit_through(spec)
        total = proxy.messages
        assert total > 15
        desk.until(spec.job, "succeeded")
        for n in numbers(total, sample):
            spec = desk.spec(*PAYLOAD)
            proxy.messages, proxy.cut_at = 0, n
            with contextlib.suppress(HostError):
                submit_through(spec)
            proxy.cut_at = NEVER
            check_after(desk, spec, n, may_be_lost=False)
    return total


def both_ways(pod: Pod, proxy: FaultProxy, make_inventory: Callable[..., Inventory]) -> Inventory:
    quick = {"connect_timeout_s": 3.0, "answer_timeout_s": 30.0}
    inventory = make_inventory(
        {"pod": {**pod.inventory_entry(), "port": proxy.port, **quick}, "direct": pod.inventory_entry()}
    )
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    direct = f"[{pod.address}]:{pod.port} {pod.host_key_line}\n"
    (inventory.state / "known_hosts").write_text(proxy.known_host(pod) + direct)
    return inventory


@pytest.mark.slow
def test_a_link_cut_after_some_messages_and_submitted_again(cutter, desk, make_inventory) -> None:
    cut_links(type(desk), *cutter, both_ways(*cutter, make_inventory), sample=5)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_link_cut_after_every_single_message_and_submitted_again(cutter, desk, make_inventory) -> None:
    print(cut_links(type(desk), *cutter, both_ways(*cutter, make_inventory), sample=None), "messages")


def test_the_ssh_command_returns_at_once_while_the_payload_runs_on(pod, desk, make_inventory) -> None:
    inventory = make_inventory({"pod": pod})
    with open_session(inventory.host("pod"), inventory) as session:
        remote = type(desk)(session, pod.root / "Being")
        spec = remote.spec("sh", "-c", "while :; do echo noise; sleep 0.01; done")
        began = time.monotonic()
        assert remote.submit(spec).state == "running"
        assert time.monotonic() - began < 5.0
    with open_session(inventory.host("pod"), inventory) as session:  # the first connection is gone
        remote = type(desk)(session, pod.root / "Being")
        assert remote.see(spec.job).state == "running"
        assert remote.cancel(spec.job).state == "cancelled"


@pytest.mark.slow
def test_a_pod_killed_with_all_its_processes_has_lost_its_job_and_says_so(
    tmp_path, desk, make_inventory
) -> None:
    with start_pod(tmp_path / "pod") as pod:
        inventory = make_inventory({"pod": pod})
        with open_session(inventory.host("pod"), inventory) as session:
            remote = type(desk)(session, pod.root / "Being")
            spec = remote.spec(*PAYLOAD[:2], "sleep 60")
            assert remote.submit(spec).state == "running"
        pod.restart()
        with open_session(inventory.host("pod"), inventory) as session:
            remote = type(desk)(session, pod.root / "Being")
            assert remote.see(spec.job).state == "lost"
            assert remote.submit(spec).state == "lost"
            assert remote.submit(spec, attempt=2).state == "running"
            assert remote.cancel(spec.job).state == "cancelled"
