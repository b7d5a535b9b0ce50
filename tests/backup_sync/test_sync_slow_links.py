"""Links that are far, narrow, lossy or dead: a sync completes, or ends in time and the next one continues."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import FaultProxy, when
from network import Cable, cabled_pod
from remote_homes import Homes, empty, homes_on

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.errors import HostError
from being_remote.inventory import Inventory

MakeInventory = Callable[..., Inventory]
# The time-outs of 2 s for connecting and for silence, three attempts, and the waits between them.
AT_MOST_S = 45.0


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a log of 2 MB, so that there is a middle to be harmed in."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=6, pictures=False, video=False)
    (root / "output/demo/logs/large.bin").write_bytes(os.urandom(2 << 20))
    return root


@pytest.fixture
def homes(actor: Path, pod: Pod, make_inventory: MakeInventory) -> Iterator[Homes]:
    with FaultProxy((pod.address, pod.port)) as proxy:
        made = homes_on(pod, actor, make_inventory, proxy)
        yield made
    empty(made.tracker)


@pytest.fixture
def cabled(actor: Path, make_inventory: MakeInventory, tmp_path: Path) -> Iterator[tuple[Homes, Cable]]:
    with cabled_pod(tmp_path / "far") as (pod, cable):
        yield homes_on(pod, actor, make_inventory), cable


def check_whole(homes: Homes) -> None:
    with homes.watched():
        report = homes.sync()
    assert report.exit_code == 0 and len(homes.live()) == report.files
    assert homes.sync().transferred_files == 0
    homes.check_history()


def fails_in_time(homes: Homes) -> None:
    started = time.monotonic()
    with homes.watched(), pytest.raises(HostError):
        homes.sync()
    assert time.monotonic() - started < AT_MOST_S


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delay_s", "rate"),
    [(0.04, 2e6), *(pytest.param(*p, marks=pytest.mark.soak) for p in [(0.2, None), (0, 2e5)])],
)
def test_a_link_that_is_far_or_narrow_only_takes_longer(
    homes: Homes, delay_s: float, rate: float | None
) -> None:
    homes.proxy.delay_s, homes.proxy.rate = delay_s, rate
    check_whole(homes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "part"),
    [("mute", 0.5)]
    + [
        pytest.param(mode, part, marks=pytest.mark.soak)
        for mode in ("hang", "mute", "deaf")
        for part in (0.001, 0.003, 0.01, 0.3, 0.9, 0.999)
    ],
)
def test_a_link_that_falls_silent_ends_the_sync_in_time_and_the_next_one_continues(
    homes: Homes, mode: str, part: float
) -> None:
    proxy = homes.proxy
    total = sum(p.stat().st_size for p in homes.tracker.rglob("*") if p.is_file())
    proxy.rate = 4e6
    when(lambda: proxy.bytes_from_target > part * total, lambda: setattr(proxy, "mode", mode))
    fails_in_time(homes)
    proxy.mode = "ok"
    proxy.cut()  # what was held back has nobody to go to
    check_whole(homes)


@pytest.mark.slow
def test_a_silence_that_is_shorter_than_the_time_out_goes_unnoticed(homes: Homes) -> None:
    proxy = homes.proxy
    proxy.rate = 4e6

    def pause() -> None:
        proxy.mode = "hang"
        time.sleep(1.2)
        proxy.mode = "ok"

    when(lambda: proxy.bytes_from_target > 1 << 20, pause)
    connections = proxy.connections
    check_whole(homes)
    assert proxy.connections <= connections + 4  # two for each sync: none had to connect again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("percent", "rate"),
    [
        (3, "60mbit"),
        *(pytest.param(*p, marks=pytest.mark.soak) for p in [(0, "4mbit"), (10, "60mbit"), (20, "60mbit")]),
    ],
)
def test_over_a_cable_that_loses_packets_a_sync_is_downloaded(
    cabled: tuple[Homes, Cable], percent: int, rate: str
) -> None:
    homes, cable = cabled
    cable.rate(rate)
    if percent:
        cable.drop(percent)
    patient(homes)


@pytest.mark.soak
@pytest.mark.parametrize("harm", ["mute", "unplug", "drop"])
def test_a_cable_that_is_silently_dead_ends_the_sync_in_time_and_the_next_one_continues(
    cabled: tuple[Homes, Cable], harm: str
) -> None:
    homes, cable = cabled
    cable.rate("30mbit")
    harms = {"mute": cable.mute, "unplug": cable.unplug, "drop": lambda: cable.drop(100)}
    when(lambda: cable.sent_bytes() > 1 << 20, harms[harm])
    fails_in_time(homes)
    cable.heal()
    cable.plug()
    check_whole(homes)


@pytest.mark.slow
def test_a_cable_pulled_for_a_moment_goes_unnoticed(cabled: tuple[Homes, Cable]) -> None:
    homes, cable = cabled
    cable.rate("30mbit")

    def pull() -> None:
        cable.unplug()
        time.sleep(1.0)
        cable.plug()

    when(lambda: cable.sent_bytes() > 1 << 20, pull)
    check_whole(homes)


def patient(homes: Homes) -> None:
    """Over a link this bad a sync may give up, but each one gets further, and in the end all is home."""
    for _ in range(5):
        try:
            return check_whole(homes)
        except HostError:
            continue
    pytest.fail("five syncs did not bring it home")
