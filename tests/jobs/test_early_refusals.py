"""What was typed wrong is said before any work: no run is read, and no host is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_jobs import retrack
from recover_options import recover

from being_remote.errors import NotFoundError, Unreachable, UsageError
from being_remote.inventory import Inventory


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"exports": ["nerfstudio", "nerfstudi"]}, "no export named 'nerfstudi'"),
        ({"exports": ["json"], "canvas": (512, 512)}, "always describe the original frames"),
        ({"what_if": ["bbox_scal=3"]}, "not a setting of the tracker"),
        ({"what_if": ["bbox_scale"]}, "is not KEY=VALUE"),
        ({"what_if": ["fps=30"]}, "does not change the crop"),
    ],
)
def test_a_recover_that_was_typed_wrong_is_refused_before_its_run_is_looked_for(
    asked: dict[str, Any], words: str, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({"pod": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}})
    with pytest.raises(NotFoundError):
        recover(inventory, run=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=words):
        recover(inventory, run=str(tmp_path / "nowhere"), **asked)


def test_a_preset_that_there_is_not_is_refused_before_its_host_is_asked(
    make_inventory: Callable[..., Inventory],
) -> None:
    pod = {"address": "127.0.0.1", "port": 1, "workdir": "/w", "tracker": {"root": "/w/mt"}}
    inventory = make_inventory({"pod": pod})
    with pytest.raises(Unreachable):
        retrack(inventory, preset="full-face", dry_run=True)
    with pytest.raises(UsageError, match="no preset named 'full-fac'"):
        retrack(inventory, preset="full-fac", dry_run=True)
