"""Finished runs of the actor `demo`, the hosts that hold them, and what happens around a fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_actor import FRAMES, SyncedActor, local_actor
from remote_homes import Homes, empty, homes_on

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory

MakeInventory = Callable[..., Inventory]


@pytest.fixture(scope="session")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker's checkout with a finished run of 6 frames, without pictures; copied by each test."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=FRAMES, pictures=False, video=False)
    return root


@pytest.fixture(scope="session")
def second_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same actor tracked again: another box, another camera, 3 frames."""
    root = tmp_path_factory.mktemp("again") / "tracker"
    make_actor(root, "demo", frames=3, seed=5, edge="none", pictures=False, video=False)
    return root


@pytest.fixture
def here(tmp_path: Path, actor: Path, make_inventory: MakeInventory) -> SyncedActor:
    """This machine as a host that holds the run: the same way, without a network."""
    return local_actor(tmp_path, actor, make_inventory)


@pytest.fixture
def homes(actor: Path, pod: Pod, make_inventory: MakeInventory) -> Iterator[Homes]:
    """The run on the pod, by a real sshd."""
    made = homes_on(pod, actor, make_inventory)
    yield made
    empty(made.tracker)
