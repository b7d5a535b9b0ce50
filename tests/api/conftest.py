"""A notebook's folder: an inventory, the host `a100` on this machine, the actor `roman`, a backup."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from gpu_card import Card

import being_remote
from being_remote.demo.actor import make_actor
from being_remote.demo.checkout import install

FRAMES = 6


@pytest.fixture(scope="session")
def checkout_of_roman(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the stand-in tracker and a finished run of `roman`; copy it."""
    checkout = tmp_path_factory.mktemp("notebook") / "metrical-tracker"
    checkout.mkdir()
    install(checkout, make_actor(checkout, "roman", frames=FRAMES, size_wh=(640, 360), video=True))
    return checkout


@pytest.fixture
def notebook(checkout_of_roman: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    folder, disk = tmp_path / "notebook", tmp_path / "disk"
    folder.mkdir()
    shutil.copytree(checkout_of_roman, disk / "metrical-tracker")
    shutil.copy(checkout_of_roman / "input/roman/video.mp4", folder / "roman.mp4")
    host = {
        "kind": "local",
        "workdir": str(disk / "Being"),
        "python": sys.executable,
        "tracker": {"root": str(disk / "metrical-tracker"), "python": sys.executable},
    }
    document = {"hosts": {"a100": host}, "actors": {"roman": {"video": "roman.mp4"}}, "backups": "backups"}
    (folder / "inventory.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(folder)
    Card(tmp_path / "gpu")
    monkeypatch.setenv("PATH", f"{tmp_path / 'gpu'}{os.pathsep}{os.environ['PATH']}")
    # Named, so that nothing asks whether its local host may run programs.
    monkeypatch.setenv("BEING_REMOTE_INVENTORY", str(folder / "inventory.yaml"))
    being_remote.sync("roman")
    return folder
