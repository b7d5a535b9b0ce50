"""Killed at the N-th change of the disk, for every N: nothing is lost, and the next sync completes it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from folder_sync import FolderHost
from sync_scenes import SCENES, check_settled, ever, precious

from being_remote.inventory import LocalHost
from being_remote.session import Pull, TransferResult
from being_remote.transport.local_session import LocalSession

KILLED = Path(__file__).with_name("killed_sync.py")
SEED = 20240611


def prepared(folder: Path, scene: Callable[[FolderHost], None]) -> tuple[FolderHost, dict[str, str], int]:
    """The scene, how its live tree ends when nothing happens, and how many changes that takes."""
    host = FolderHost(folder / "host", folder / "home")
    host.root.mkdir()
    scene(host)
    whole = killed(host, folder, [10**6])[str(10**6)]
    undisturbed = FolderHost(host.folder, folder / str(10**6))
    return host, undisturbed.live(), int(whole)


def killed(host: FolderHost, folder: Path, numbers: Sequence[int | str]) -> dict[str, str]:
    """A copy of the backup for each number (or numbers, as "5,17": the next sync is killed as well),
    and what became of the last sync of it that was killed there."""
    for n in numbers:
        subprocess.run(["cp", "-a", host.root, folder / str(n)], check=True)
    argv = [sys.executable, KILLED, host.folder, folder / "{n}", *map(str, numbers)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def check_one(host: FolderHost, folder: Path, n: int | str, live: dict[str, str]) -> None:
    before, known = precious(host), ever(host)
    after = FolderHost(host.folder, folder / str(n))
    lost = before - after.contents()
    assert not lost, f"killed at {n}: lost {lost}"
    assert set(after.live().values()) <= known, f"killed at {n}: torn: {after.live()}"

    after.settle()
    shown, old = after.live(), {"old box", "new box"} & set(after.live().values())
    mixed = {"old box"} == old and any(t.startswith("new ") and t != "new box" for t in shown.values())
    mixed |= {"new box"} == old and any(t.startswith("old ") and t != "old box" for t in shown.values())
    assert not (mixed and live["bbox.pt"] == "new box"), f"killed at {n}: two runs are live: {shown}"
    check_settled(after, live, before, f"killed at {n}", disturbed=1 + str(n).count(","))


class RewrittenThenKilled(LocalSession):
    """The host rewrites a file behind the first fetch; in the middle of the second one the laptop dies."""

    def __init__(self, host: FolderHost) -> None:
        super().__init__(LocalHost(name="here", workdir=PurePosixPath("/")))
        self._rewrites, self._pulls = host, 0

    def pull(self, request: Pull, *rest: Any) -> TransferResult:
        self._pulls += 1
        if self._pulls == 2:
            raise KeyboardInterrupt
        pulled = super().pull(request, *rest)
        self._rewrites.put("checkpoint/00000.frame", "other END", 1_700_000_050)
        return pulled


def test_killed_in_the_second_fetch_all_of_the_first_one_is_local_though_the_host_is_gone_since(
    host: FolderHost,
) -> None:
    for i in range(4):
        host.put(f"checkpoint/0000{i}.frame", f"first {i} END")
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=RewrittenThenKilled(host))
    shutil.rmtree(host.folder)
    host.sync(offers=[])
    rest = {f"checkpoint/0000{i}.frame": f"first {i} END" for i in range(1, 4)}
    assert rest.items() <= host.live().items()


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__)
def test_when_the_next_sync_is_killed_as_well_the_one_after_it_completes_it(
    tmp_path: Path, scene: Callable[[FolderHost], None]
) -> None:
    enumerate_double_kills(tmp_path, scene, sample=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__)
def test_when_the_next_sync_is_killed_at_150_pairs_of_changes_the_one_after_it_completes_it(
    tmp_path: Path, scene: Callable[[FolderHost], None]
) -> None:
    enumerate_double_kills(tmp_path, scene, sample=150)


def enumerate_kills(folder: Path, scene: Callable[[FolderHost], None], sample: int | None) -> None:
    host, live, changes = prepared(folder, scene)
    assert changes > 30
    numbers = list(range(1, changes + 1))
    if sample is not None:
        numbers = sorted(random.Random(SEED).sample(numbers, sample))
    said = killed(host, folder, numbers)
    assert set(said.values()) == {"killed"}, said
    for n in numbers:
        check_one(host, folder, n, live)
        shutil.rmtree(folder / str(n))


def enumerate_double_kills(folder: Path, scene: Callable[[FolderHost], None], sample: int) -> None:
    host, live, changes = prepared(folder, scene)
    draw = random.Random(SEED)
    # The second one has less to do the later the first one was killed.
    drawn = (f"{draw.randint(1, changes)},{draw.randint(1, changes // 3)}" for _ in range(sample))
    pairs = list(dict.fromkeys(drawn))
    said = killed(host, folder, pairs)
    assert "killed" in said.values()
    for pair in pairs:
        check_one(host, folder, pair, live)
        shutil.rmtree(folder / pair)
