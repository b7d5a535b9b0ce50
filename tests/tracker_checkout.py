"""A checkout whose tracker can misbehave."""

from __future__ import annotations

import shutil
from pathlib import Path

import misbehaving_tracker

from being_remote.demo import checkout as demo_checkout
from being_remote.demo import stand_in_tracker
from being_remote.demo.actor import ActorTruth


def install(checkout: Path, truth: ActorTruth) -> None:
    """As `being_remote.demo.checkout.install`, with faults to choose: see `misbehaving_tracker`."""
    demo_checkout.install(checkout, truth)
    shutil.copyfile(stand_in_tracker.__file__, checkout / "stand_in_tracker.py")
    shutil.copyfile(misbehaving_tracker.__file__, checkout / "tracker.py")
