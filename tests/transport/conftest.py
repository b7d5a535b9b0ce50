"""Fixtures for tests of the ways to a host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy

from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import Inventory
from being_remote.session import Session
from being_remote.transport import open_session

QUICK: dict[str, Any] = {"connect_timeout_s": 2.0, "answer_timeout_s": 10.0}


@pytest.fixture
def session(pod: Pod, make_inventory: Callable[..., Inventory]) -> Iterator[Session]:
    """An open session to the healthy pod."""
    inventory = make_inventory({"pod": pod})
    with open_session(inventory.host("pod"), inventory) as opened:
        yield opened


@pytest.fixture
def own_pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod of this test's own, to be harmed."""
    with start_pod(tmp_path / "own_pod") as running:
        yield running


@pytest.fixture
def proxy(pod: Pod) -> Iterator[FaultProxy]:
    with FaultProxy((pod.address, pod.port)) as running:
        yield running


@pytest.fixture
def proxied(pod: Pod, proxy: FaultProxy, make_inventory: Callable[..., Inventory]) -> Inventory:
    """An inventory whose host `pod` lies behind the proxy, trusted, with short time-outs."""
    inventory = make_inventory({"pod": {**pod.inventory_entry(), "port": proxy.port, **QUICK}})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
    return inventory


@pytest.fixture(scope="session")
def bare_pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod without rsync."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bin").mkdir()
    for name in ("sh", "bash", "env", "cat", "sleep", "mkdir"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (folder / "bin" / name).symlink_to(found)
    (folder / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    with start_pod(folder / "pod", path=str(folder / "bin")) as running:
        yield running


@pytest.fixture(params=["rsync", "stream", "here"])
def way(
    request: pytest.FixtureRequest, pod: Pod, bare_pod: Pod, make_inventory: Callable[..., Inventory]
) -> Iterator[Session]:
    """A session to a pod with rsync, to one without, and to this machine; its host is named so."""
    hosts: dict[str, Any] = {"rsync": pod, "stream": bare_pod, "here": {"kind": "local", "workdir": "/tmp"}}
    inventory = make_inventory({request.param: hosts[request.param]})
    with open_session(inventory.host(request.param), inventory) as session:
        yield session


@pytest.fixture(params=["rsync", "stream"])
def there(request: pytest.FixtureRequest, pod: Pod, bare_pod: Pod) -> Pod:
    """A pod with rsync, and one without."""
    return {"rsync": pod, "stream": bare_pod}[request.param]
