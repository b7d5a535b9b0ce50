"""Killed at the N-th change of the disk, for every N: nothing is lost, and the next sync completes it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_sync import FolderHost

KILLED = Path(__file__).with_name("killed_sync.py")
SEED = 20240611


def first(host: FolderHost) -> None:
    """Nothing here yet."""
    fill_old(host)


def by_hand(host: FolderHost) -> None:
    """A backup made by hand, one file of it torn; the host has more."""
    fill_old(host)
    host.hand("checkpoint/00000.frame", "by hand END")
    host.hand("checkpoint/00009.frame", "only here END")
    host.hand("checkpoint/00008.frame", "only here and torn")


def more(host: FolderHost) -> None:
    """Changed, new, torn and vanished over there; changed, damaged and removed here."""
    fill_old(host)
    host.sync()
    host.put("checkpoint/00000.frame", "again 0 END", 1_700_000_100)
    host.put("checkpoint/00004.frame", "new 4 END", 1_700_000_100)
    host.put("checkpoint/00001.frame", "torn", 1_700_000_100)
    (host.folder / "checkpoint/00002.frame").unlink()
    host.hand("run/logs/train.log", "my own notes")
    host.hand("checkpoint/00002.frame", "damaged")
    (host.root / "checkpoint/00003.frame").unlink()


def another_run(host: FolderHost) -> None:
    """The host tracked again with another box; fewer frames so far."""
    fill_old(host)
    host.sync()
    shutil.rmtree(host.folder)
    host.put("bbox.pt", "new box", 1_700_000_100)
    for i in range(2):
        host.put(f"checkpoint/0000{i}.frame", f"new {i} END", 1_700_000_100)
    host.put("run/logs/train.log", "new log", 1_700_000_100)


def fill_old(host: FolderHost) -> None:
    host.put("bbox.pt", "old box")
    for i in range(4):
        host.put(f"checkpoint/0000{i}.frame", f"old {i} END")
    host.put("run/logs/train.log", "old log")


def prepared(folder: Path, scene: Callable[[FolderHost], None]) -> tuple[FolderHost, dict[str, str], int]:
    """The scene, how its live tree ends when nothing happens, and how many changes that takes."""
    host = FolderHost(folder / "host", folder / "home")
    host.root.mkdir()
    scene(host)
    whole = killed(host, folder, [10**6])[10**6]
    undisturbed = FolderHost(host.folder, folder / str(10**6))
    return host, undisturbed.live(), int(whole)


def killed(host: FolderHost, folder: Path, numbers: list[int]) -> dict[int, str]:
    """A copy of the backup for each number, and what became of a sync of it that was killed there."""
    for n in numbers:
        subprocess.run(["cp", "-a", host.root, folder / str(n)], check=True)
    argv = [sys.executable, KILLED, host.folder, folder / "{n}", *map(str, numbers)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {int(n): said for n, said in (line.split() for line in done.stdout.splitlines())}


def check_one(host: FolderHost, folder: Path, n: int, before: set[bytes], live: dict[str, str]) -> None:
    after = FolderHost(host.folder, folder / str(n))
    lost = before - after.contents()
    assert not lost, f"killed at {n}: lost {lost}"

    after.settle()
    shown, old = after.live(), {"old box", "new box"} & set(after.live().values())
    mixed = {"old box"} == old and any(t.startswith("new ") and t != "new box" for t in shown.values())
    mixed |= {"new box"} == old and any(t.startswith("old ") and t != "old box" for t in shown.values())
    assert not (mixed and live["bbox.pt"] == "new box"), f"killed at {n}: two runs are live: {shown}"

    after.sync()
    assert after.live() == live, f"killed at {n}"
    _, planned, arrival = after.sync()
    assert planned.wanted == () and arrival.transferred_files == 0, f"killed at {n}"
    generations = after.history.generations()
    for number in generations:
        for entry in after.history.read(number).files.values():
            assert after.history.object(entry.sha256).stat().st_size == entry.bytes, f"killed at {n}"
    assert len(generations) <= 4 and before <= after.contents(), f"killed at {n}"


SCENES = [first, by_hand, more, another_run]


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__)
def test_a_sync_killed_at_some_changes_loses_nothing_and_the_next_one_completes_it(
    tmp_path: Path, scene: Callable[[FolderHost], None]
) -> None:
    enumerate_kills(tmp_path, scene, sample=12)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__)
def test_a_sync_killed_at_every_single_change_loses_nothing_and_the_next_one_completes_it(
    tmp_path: Path, scene: Callable[[FolderHost], None]
) -> None:
    enumerate_kills(tmp_path, scene, sample=None)


def enumerate_kills(folder: Path, scene: Callable[[FolderHost], None], sample: int | None) -> None:
    host, live, changes = prepared(folder, scene)
    assert changes > 30
    numbers = list(range(1, changes + 1))
    if sample is not None:
        numbers = sorted(random.Random(SEED).sample(numbers, sample))
    before = {c for c in FolderHost(host.folder, host.root).contents() if b"process" not in c}
    before -= {b"0\n", b""}
    before = {c for c in before if not c.startswith(b"{")}  # manifests and notes are followed by newer ones
    said = killed(host, folder, numbers)
    assert set(said.values()) == {"killed"}, said
    for n in numbers:
        check_one(host, folder, n, before, live)
        shutil.rmtree(folder / str(n))
    assert os.listdir(host.folder)
