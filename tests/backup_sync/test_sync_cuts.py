"""Links cut and laptops killed in the middle of a real sync over ssh: the next one completes it.

All the while a watcher reads the live tree: nothing but whole files is ever seen there.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import FaultProxy
from remote_homes import Homes, empty, homes_on, told

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import HostError
from being_remote.inventory import Inventory
from being_remote.transport import stream_download

MakeInventory = Callable[..., Inventory]
KILLED = Path(__file__).with_name("killed_cli.py")
SEED = 20240611
CUTS = 50
KILLS = 50
HANDSHAKE = 8000
# What both sides say besides the files: logins, the listing, checksums of blocks.
TALK_BYTES = 30_000


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker checkout with one finished run; no two of its files are alike."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=6, pictures=False, video=False)
    for number, mesh in enumerate(sorted((root / "output/demo/mesh").iterdir())):
        mesh.write_bytes(mesh.read_bytes()[:-1] + bytes([number]))
    contents = [p.read_bytes() for p in root.rglob("*") if p.is_file()]
    assert len(set(contents)) == len(contents)
    return root


@pytest.fixture
def homes(actor: Path, pod: Pod, make_inventory: MakeInventory) -> Iterator[Homes]:
    with FaultProxy((pod.address, pod.port)) as proxy:
        made = homes_on(pod, actor, make_inventory, proxy)
        yield made
    empty(made.tracker)


def undisturbed(homes: Homes) -> tuple[dict[str, bytes], int]:
    """What a first sync brings, and how many bytes the pod says for it."""
    start = homes.proxy.bytes_from_target
    homes.sync()
    live = homes.live()
    homes.forget()
    return live, homes.proxy.bytes_from_target - start


def check_next(homes: Homes, live: dict[str, bytes]) -> int:
    """The next sync completes it and fetches only what was missing; returns how much that was."""
    missing = homes.missing_bytes(live)
    before = {c for c in homes.contents() if c in homes.whole}
    with homes.watched():
        report = homes.sync()
    assert homes.live() == live and report.exit_code == 0
    assert report.transferred_bytes <= missing
    assert before <= homes.contents()
    homes.check_history()
    return missing


@pytest.mark.slow
@pytest.mark.parametrize("heals", [False, True], ids=["dead", "heals"])
def test_a_first_sync_cut_at_some_bytes_is_completed_by_the_next(homes: Homes, heals: bool) -> None:
    cut_at_bytes(homes, sample=2, heals=heals)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("heals", [False, True], ids=["dead", "heals"])
def test_a_first_sync_cut_at_each_of_50_bytes_is_completed_by_the_next(homes: Homes, heals: bool) -> None:
    cut_at_bytes(homes, sample=None, heals=heals)


@pytest.mark.slow
@pytest.mark.parametrize("heals", [False, True], ids=["dead", "heals"])
def test_a_first_sync_by_stream_cut_at_some_bytes_is_completed_by_the_next(
    homes: Homes, heals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_download, "MANY", 1)
    cut_at_bytes(homes, sample=2, heals=heals)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("heals", [False, True], ids=["dead", "heals"])
def test_a_first_sync_by_stream_cut_at_each_of_50_bytes_is_completed_by_the_next(
    homes: Homes, heals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_download, "MANY", 1)
    cut_at_bytes(homes, sample=None, heals=heals)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_first_sync_without_rsync_cut_at_each_of_50_bytes_is_completed_by_the_next(
    actor: Path, tmp_path: Path, make_inventory: MakeInventory
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "env", "python3"):
        found = sys.executable if name == "python3" else shutil.which(name)
        assert found
        (tmp_path / "bin" / name).symlink_to(Path(found).resolve())
    with (
        start_pod(tmp_path / "bare", path=str(tmp_path / "bin")) as bare,
        FaultProxy((bare.address, bare.port)) as proxy,
    ):
        homes = homes_on(bare, actor, make_inventory, proxy)
        assert homes.sync().method == "stream"
        homes.forget()
        cut_at_bytes(homes, sample=None, heals=False)


def cut_at_bytes(homes: Homes, sample: int | None, *, heals: bool) -> None:
    live, total = undisturbed(homes)
    early = [HANDSHAKE * i // 15 for i in range(1, 16)]
    late = [HANDSHAKE + (total - HANDSHAKE) * i // 36 for i in range(1, 36)]
    positions = early + late
    assert len(positions) == CUTS
    if sample is not None:
        positions = sorted(random.Random(SEED + heals).sample(positions, sample))
    failed = 0
    for position in positions:
        homes.forget()
        proxy = homes.proxy
        proxy.heals, proxy.cut_after = heals, proxy.bytes_from_target + position
        with homes.watched():
            try:
                homes.sync()
            except HostError:
                failed += 1
        proxy.cut_after = None
        proxy.cut()
        start = proxy.bytes_from_target
        missing = check_next(homes, live)
        talk = total - sum(map(len, live.values())) + TALK_BYTES
        assert proxy.bytes_from_target - start <= missing + talk
    assert heals or failed == len(positions)


@pytest.mark.slow
def test_a_sync_killed_at_some_moment_is_completed_by_the_next(homes: Homes) -> None:
    kill_at_moments(homes, kills=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_sync_killed_at_each_of_50_moments_is_completed_by_the_next(homes: Homes) -> None:
    kill_at_moments(homes, kills=KILLS)


def kill_at_moments(homes: Homes, kills: int) -> None:
    """By bytes while they come, so that a slow machine is no other test; by time once they are here."""
    live, total = undisturbed(homes)
    draw = random.Random(SEED)
    killed = 0
    for number in range(kills):
        homes.forget()
        moment = draw.uniform(0, 1.3)
        limit = homes.proxy.bytes_from_target + min(moment, 1.0) * total * 0.98
        with homes.watched(), homes.start() as process:
            while homes.proxy.bytes_from_target < limit and process.poll() is None:
                time.sleep(0.001)
            time.sleep(max(0.0, moment - 1))
            process.kill()
            killed += process.wait() == -signal.SIGKILL
        if number % 2:
            homes.proxy.cut()  # the laptop is gone as a whole; else its rsync lives on for a while
        check_next(homes, live)
    assert killed >= kills / 2


@pytest.mark.slow
@pytest.mark.parametrize("way", ["rsync", "stream"])
def test_a_sync_over_ssh_killed_at_some_change_is_completed_by_the_next(homes: Homes, way: str) -> None:
    kill_at_changes(homes, way, sample=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["rsync", "stream"])
def test_a_sync_over_ssh_killed_at_every_single_change_is_completed_by_the_next(
    homes: Homes, way: str
) -> None:
    kill_at_changes(homes, way, sample=None)


def kill_at_changes(homes: Homes, way: str, sample: int | None) -> None:
    live, _ = undisturbed(homes)
    whole = changing(homes, way, 10**6)
    assert whole.returncode == 99, whole.stderr
    changes = int(whole.stderr.splitlines()[-1])
    assert changes > 50
    numbers = list(range(1, changes + 1))
    if sample is not None:
        numbers = sorted(random.Random(SEED).sample(numbers, sample))
    for number in numbers:
        homes.forget()
        with homes.watched():
            assert changing(homes, way, number).returncode == -signal.SIGKILL, number
        check_next(homes, live)


def changing(homes: Homes, way: str, kill_at: int) -> subprocess.CompletedProcess[str]:
    words = ["sync", "--inventory", homes.inventory.path]
    argv = [sys.executable, KILLED, homes.root, str(kill_at), way, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_of_two_syncs_started_together_one_refuses_or_waits_and_nothing_mixes(
    homes: Homes, rounds: int
) -> None:
    live, _ = undisturbed(homes)
    for _ in range(rounds):
        homes.forget()
        with homes.watched():
            ended = [told(process) for process in (homes.start(), homes.start())]
        codes = sorted(code for code, _, _ in ended)
        assert codes in ([0, 0], [0, 4]), ended
        assert all("another command holds this backup" in err for code, _, err in ended if code == 4)
        assert homes.live() == live
        brought = sum(said["transferred_files"] for code, said, _ in ended if code == 0)
        assert brought == len(live) and homes.history.snapshot_numbers() == [0]
        homes.check_history()


@pytest.mark.slow
def test_programs_that_write_into_live_files_leave_the_history_as_it_was(homes: Homes) -> None:
    homes.sync()
    good = homes.live()
    for path in good:
        with open(homes.root / path, "r+b") as file:
            file.write(b"\0" * 16)
    homes.check_history()
    homes.sync()
    homes.check_history()
    assert homes.live() == good
    # What was written into a file of which nobody can say whether it is whole is kept as well.
    log = homes.history.read(1).files["run/logs/train.log"]
    assert homes.history.object(log.sha256).read_bytes() == bytes(16) + good["run/logs/train.log"][16:]


@pytest.mark.soak
def test_a_large_file_that_was_cut_in_the_middle_is_resumed_there(homes: Homes) -> None:
    size, large = 60 << 20, homes.tracker / "output/demo/logs/large.bin"
    large.write_bytes(os.urandom(size))
    homes.known()
    proxy = homes.proxy
    proxy.heals, proxy.cut_after = False, proxy.bytes_from_target + size * 2 // 3
    with homes.watched(), pytest.raises(HostError):
        homes.sync()
    proxy.cut_after = None
    start = proxy.bytes_from_target
    report = homes.sync()
    assert report.exit_code == 0 and homes.live()["run/logs/large.bin"] == large.read_bytes()
    assert report.transferred_bytes < size * 0.45 + (1 << 20)
    assert proxy.bytes_from_target - start < size * 0.45 + (2 << 20)


@pytest.mark.slow
def test_a_large_file_is_resumed_in_the_middle_after_a_power_cut_and_no_half_file_stays(
    homes: Homes,
) -> None:
    large = homes.tracker / "output/demo/logs/large.bin"
    large.write_bytes(os.urandom(8 << 20))
    homes.known()
    homes.proxy.rate = 4e6
    with homes.start(start_new_session=True) as process:
        start = homes.proxy.bytes_from_target
        while homes.proxy.bytes_from_target < start + (5 << 20):
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)  # rsync with it: it has no time to keep its half file
    homes.proxy.cut()
    homes.proxy.rate = None
    report = homes.sync()
    assert homes.live()["run/logs/large.bin"] == large.read_bytes()
    assert report.transferred_bytes < 6 << 20
    assert [p for p in homes.history.incoming.rglob("*") if p.is_file()] == []
