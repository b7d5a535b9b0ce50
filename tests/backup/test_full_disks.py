"""A disk that is full at every possible step is reported; nothing is lost; with room the sync continues."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import leave_room, small_disk
from folder_sync import FolderHost
from sync_scenes import SCENES, check_settled, ever, precious

from being_remote.durable_files import room_on_disk
from being_remote.errors import NoSpace

SEED = 20240611


def fill_at(folder: Path, scene: Callable[[FolderHost], None], what: str, sample: int | None) -> None:
    """Sync with room for 0, 1, 2, ... more, until it succeeds with so little."""
    made = FolderHost(folder / "host", folder / "made")
    made.root.mkdir()
    scene(made)
    whole = FolderHost(made.folder, folder / "whole")
    subprocess.run(["cp", "-a", made.root, whole.root], check=True)
    whole.sync()
    before, known, live = precious(made), ever(made), whole.live()

    def succeeds_with(disk: Path, count: int) -> bool:
        host = FolderHost(made.folder, disk / "home")
        leave_room(disk, "all", 0)
        shutil.rmtree(host.root, ignore_errors=True)
        subprocess.run(["cp", "-a", made.root, host.root], check=True)
        leave_room(disk, what, count)
        full = False
        try:
            with room_on_disk(host.root):
                host.sync()
        except NoSpace:
            full = True
        assert before <= host.contents(), f"room for {count}: lost {before - host.contents()}"
        assert set(host.live().values()) <= known, f"room for {count}: torn {host.live()}"
        leave_room(disk, "all", 0)
        check_settled(host, live, before, f"room for {count} {what}")
        return not full

    with small_disk(folder / "disk") as disk:
        enough = next(n for n in (8, 16, 32, 64, 128, 256) if succeeds_with(disk, n))
        counts = range(enough)
        if sample is not None:
            counts = random.Random(SEED).sample(counts, sample)
        ended = {count: succeeds_with(disk, count) for count in counts}
    assert not all(ended.values()), "it never was full"


@pytest.mark.parametrize("what", ["pages", "files"])
def test_a_disk_full_at_some_steps_loses_nothing_and_with_room_the_next_sync_completes_it(
    tmp_path: Path, what: str
) -> None:
    fill_at(tmp_path, random.Random(what).choice(SCENES), what, sample=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["pages", "files"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__)
def test_a_disk_full_at_every_single_step_loses_nothing_and_with_room_the_next_sync_completes_it(
    tmp_path: Path, scene: Callable[[FolderHost], None], what: str
) -> None:
    fill_at(tmp_path, scene, what, sample=None)
