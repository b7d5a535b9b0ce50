"""One actor with a stand-in tracker for all tests of this folder."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from plan_runner import MakePlan, planned
from tracker_checkout import install

from being_remote.demo.actor import ActorTruth, make_actor


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    """An actor of 12 frames in a checkout, tracked once; tests do not change it."""
    checkout = tmp_path_factory.mktemp("mt")
    truth = make_actor(checkout, "demo", frames=12, size_wh=(640, 360), video=False)
    install(checkout, truth)
    return truth


@pytest.fixture
def checkout(tracked: ActorTruth) -> Path:
    return tracked.input_folder.parent.parent


@pytest.fixture
def make_plan(checkout: Path) -> MakePlan:
    return functools.partial(planned, checkout)
