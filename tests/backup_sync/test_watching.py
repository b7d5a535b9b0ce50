"""`sync --watch`: round by round over one connection, through pods that go away, until Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import FaultProxy, small_disk
from live_watcher import LiveWatcher, whole
from numbered_frames import numbered

from being_remote.backup.history import History
from being_remote.backup_sync import watch as watching
from being_remote.backup_sync.watch import WatchPause, WatchReport, WatchRound
from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import HostKeyChanged, HostKeyUnknown, InconsistentData, UsageError
from being_remote.inventory import Inventory
from being_remote.workflows.sync import sync, watch

MakeInventory = Callable[..., Inventory]
EVERY_S = 0.05


class Tracking:
    """A run that grows frame by frame, as the test says."""

    def __init__(self, finished: Path, tracker: Path) -> None:
        self.finished = finished / "output/demo/checkpoint"
        self.tracker, self.checkpoint = tracker, tracker / "output/demo/checkpoint"
        shutil.copytree(finished, tracker, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.frame"))

    def add(self, *numbers: int) -> None:
        for number in numbers:
            shutil.copy(self.finished / f"{number:05d}.frame", self.checkpoint)

    def tear(self, number: int) -> None:
        data = (self.finished / f"{number:05d}.frame").read_bytes()
        (self.checkpoint / f"{number:05d}.frame").write_bytes(data[: len(data) // 2])


@pytest.fixture
def tracking(actor: Path, tmp_path: Path) -> Tracking:
    """A run on this machine's own disk."""
    return Tracking(actor, tmp_path / "disk/tracker")


@pytest.fixture
def inventory(tracking: Tracking, tmp_path: Path, make_inventory: MakeInventory) -> Inventory:
    """This machine as the host that holds it."""
    entry = {"kind": "local", "workdir": str(tmp_path / "w"), "tracker": {"root": str(tracking.tracker)}}
    return make_inventory({"here": entry})


def home(inventory: Inventory) -> set[str]:
    """The frames in the live tree."""
    return {p.name for p in (inventory.backups / "demo/checkpoint").glob("*.frame")}


def frames(*numbers: int) -> set[str]:
    return {f"{n:05d}.frame" for n in numbers}


class Script:
    """What happens at each thing that a watch says; after the last of it, Ctrl-C."""

    def __init__(self, *steps: Callable[[], Any]) -> None:
        self._steps, self.said = list(steps), []

    def __call__(self, line: WatchRound | WatchPause) -> None:
        self.said.append(line)
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()

    @property
    def kinds(self) -> list[str]:
        return [line.waiting_for if isinstance(line, WatchPause) else "came" for line in self.said]

    def watch(self, inventory: Inventory, **options: Any) -> WatchReport:
        return watch(inventory, every_s=EVERY_S, say=self, **options)


def nothing() -> None:
    """At this, nothing happens."""


@pytest.mark.slow
def test_what_is_new_is_downloaded_round_by_round_and_the_last_line_has_the_totals(
    tracking: Tracking, inventory: Inventory
) -> None:
    tracking.add(0, 1)
    script = Script(lambda: tracking.add(2), lambda: tracking.add(3, 4))
    report = script.watch(inventory)
    first, second, third = script.said
    assert (second.transferred_files, third.transferred_files) == (1, 2)
    assert home(inventory) == frames(0, 1, 2, 3, 4)
    assert report.transferred_files == first.transferred_files + 3 and report.files == third.files
    assert (report.exit_code, report.snapshot, report.away_s) == (130, third.snapshot, 0.0)


@pytest.mark.slow
def test_rounds_that_only_add_are_one_snapshot_and_one_that_changes_something_is_another(
    tracking: Tracking, inventory: Inventory
) -> None:
    history = History(inventory.backups / "demo")
    tracking.add(0)
    sync(inventory)
    tracking.add(1)
    counts: list[int] = []

    def then(act: Callable[[], Any]) -> Callable[[], None]:
        def step() -> None:
            counts.append(len(history.snapshot_numbers()))
            act()

        return step

    changed = tracking.tracker / "output/demo/checkpoint/00001.frame"

    def fit_again() -> None:
        frame = torch.load(changed, weights_only=False)
        torch.save({**frame, "global_step": frame["global_step"] + 1}, changed)

    Script(
        then(lambda: tracking.add(2)),
        then(lambda: tracking.add(3)),
        then(fit_again),
        then(lambda: tracking.add(4)),
    ).watch(inventory)
    # The sync's own stays, and so does what was before the change.
    assert counts == [2, 2, 2, 3] and len(history.snapshot_numbers()) == 3
    assert home(inventory) == frames(0, 1, 2, 3, 4)
    old = history.read(history.snapshot_numbers()[1]).files["checkpoint/00001.frame"]
    assert history.object(old.sha256).read_bytes() == (tracking.finished / "00001.frame").read_bytes()


@pytest.mark.slow
def test_a_log_that_grows_round_by_round_is_kept_once_and_not_once_a_round(
    tracking: Tracking, inventory: Inventory
) -> None:
    history = History(inventory.backups / "demo")
    tracking.add(0)
    train_log = tracking.tracker / "output/demo/train.log"
    first = train_log.read_bytes()
    sync(inventory)

    def grow() -> None:
        with open(train_log, "ab") as log:
            log.write(b"one more line\n")

    def grow_and_add(*numbers: int) -> Callable[[], None]:
        return lambda: (grow(), tracking.add(*numbers))[0]

    grow()
    Script(*(grow_and_add(n) for n in (1, 2, 3))).watch(inventory)
    kept = {p.read_bytes() for p in history.objects.iterdir() if b"one more line" in p.read_bytes()}
    assert kept == {train_log.read_bytes()}
    # What the sync before the watch brought is in a snapshot of its own, and stays.
    before, _ = map(history.read, history.snapshot_numbers())
    old = next(e for e in before.files.values() if e.path.endswith("train.log"))
    assert history.object(old.sha256).read_bytes() == first


@pytest.mark.slow
def test_a_frame_that_is_being_written_is_not_reported_and_is_downloaded_when_it_is_whole(
    tracking: Tracking, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.add(0)
    looks = 0
    real = watching.SyncPass.run

    def counted(*args: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 4:
            tracking.add(1)
        elif looks > 1:
            tracking.tear(1)  # its time is now
        return real(*args, **more)

    monkeypatch.setattr(watching.SyncPass, "run", counted)
    script = Script(nothing)
    report = script.watch(inventory)
    assert [line.transferred_files for line in script.said][1:] == [1]
    assert report.quarantined == () and home(inventory) == frames(0, 1)


@pytest.mark.slow
def test_a_manual_sync_goes_between_two_rounds(tracking: Tracking, inventory: Inventory) -> None:
    tracking.add(0)

    def by_hand() -> None:
        tracking.add(1)
        assert sync(inventory).transferred_files == 1
        tracking.add(2)

    script = Script(by_hand)
    script.watch(inventory)
    assert (script.kinds, script.said[1].transferred_files) == (["came", "came"], 1)
    assert home(inventory) == frames(0, 1, 2)


def test_a_backup_that_another_sync_holds_is_waited_for_and_that_is_reported_once(
    tracking: Tracking, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.add(0)
    tried = threading.Semaphore(0)
    with ExitStack() as other:
        other.enter_context(History(inventory.backups / "demo").lock())
        real = History.lock
        monkeypatch.setattr(History, "lock", lambda history: (tried.release(), real(history))[1])

        def release_later() -> None:
            def release() -> None:
                for _ in range(4):  # some more rounds find it taken
                    tried.acquire()
                other.close()

            threading.Thread(target=release).start()

        script = Script(release_later, nothing)
        script.watch(inventory)
    assert script.kinds == ["busy", "back", "came"] and "another command" in script.said[0].reason


def test_a_host_that_holds_nothing_of_the_actor_yet_is_waited_for_and_no_folder_is_made(
    actor: Path, tmp_path: Path, make_inventory: MakeInventory
) -> None:
    tracker = tmp_path / "later"
    tracker.mkdir()
    entry = {"kind": "local", "workdir": str(tmp_path / "w"), "tracker": {"root": str(tracker)}}
    inventory = make_inventory({"here": entry})

    def begin() -> None:
        assert not inventory.backups.exists()
        Tracking(actor, tracker).add(0)

    script = Script(begin, nothing)
    script.watch(inventory)
    assert script.kinds == ["empty", "back", "came"] and home(inventory) == frames(0)


def proxied(pod: Pod, proxy: FaultProxy, make_inventory: MakeInventory, **more: Any) -> Inventory:
    entry = {**pod.inventory_entry(), "port": proxy.port, **more}
    inventory = make_inventory({"pod": entry})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
    return inventory


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_WAIT_S", 0.05)


@pytest.mark.slow
def test_rounds_share_one_connection_and_a_cut_link_is_waited_for(
    pod: Pod, actor: Path, make_inventory: MakeInventory, short_waits: None
) -> None:
    tracking = Tracking(actor, pod.root / "metrical-tracker")
    tracking.add(0)
    accepted: list[int] = []
    with FaultProxy((pod.address, pod.port)) as proxy:
        inventory = proxied(pod, proxy, make_inventory)

        def next_frame() -> None:
            accepted.append(proxy.connections)
            tracking.add(len(accepted))

        def cut() -> None:
            accepted.append(proxy.connections)
            proxy.mode = "refuse"
            proxy.cut()

        def mend() -> None:
            proxy.mode = "ok"
            tracking.add(4)

        script = Script(next_frame, next_frame, cut, mend, nothing)
        report = script.watch(inventory)
    assert script.kinds == ["came", "came", "came", "away", "back", "came"]
    assert accepted == [2, 2, 2]  # requests, and streams
    assert home(inventory) == frames(0, 1, 2, 4) and report.away_s > 0
    for child in tracking.tracker.iterdir():
        shutil.rmtree(child)


@pytest.mark.slow
def test_a_frozen_link_and_a_pod_that_is_killed_are_waited_for_and_a_new_key_ends_it(
    tmp_path: Path, actor: Path, make_inventory: MakeInventory, short_waits: None
) -> None:
    with start_pod(tmp_path / "pod") as pod:
        entry = {**pod.inventory_entry(), "answer_timeout_s": 1, "connect_timeout_s": 2}
        inventory = make_inventory({"pod": entry})
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
        tracking = Tracking(actor, pod.root / "metrical-tracker")
        tracking.add(0)

        def another(number: int, then: Callable[[], None]) -> Callable[[], None]:
            def act() -> None:
                tracking.add(number)
                then()

            return act

        script = Script(
            pod.pause, another(1, pod.resume), nothing, pod.stop, another(2, pod.start), nothing, pod.stop
        )
        script._steps.append(lambda: pod.restart(new_host_key=True))
        with pytest.raises(HostKeyChanged):
            script.watch(inventory)
    assert script.kinds == ["came", "away", "back", "came", "away", "back", "came", "away"]
    assert home(inventory) == frames(0, 1, 2)


def test_a_key_that_was_never_trusted_ends_it_at_once(pod: Pod, make_inventory: MakeInventory) -> None:
    with pytest.raises(HostKeyUnknown):
        watch(make_inventory({"pod": pod}, trusted=False), every_s=EVERY_S)


def test_a_host_without_a_tracker_ends_it_at_once(tmp_path: Path, make_inventory: MakeInventory) -> None:
    with pytest.raises(UsageError, match="no folder to list"):
        watch(make_inventory({"here": {"kind": "local", "workdir": str(tmp_path)}}), every_s=EVERY_S)


@pytest.mark.slow
def test_a_full_disk_is_reported_once_and_the_watch_continues_when_there_is_room(
    tracking: Tracking, tmp_path: Path, make_inventory: MakeInventory, short_waits: None
) -> None:
    tracking.add(0)
    with small_disk(tmp_path / "small") as small:
        ballast = small / "ballast"
        entry = {"kind": "local", "workdir": str(tmp_path / "w"), "tracker": {"root": str(tracking.tracker)}}
        inventory = make_inventory({"here": entry}, backups=str(small / "backups"))

        def fill() -> None:
            free = shutil.disk_usage(small).free
            ballast.write_bytes(bytes(free - (free % 4096)))
            tracking.add(1)

        script = Script(fill, ballast.unlink, nothing)
        script.watch(inventory)
        assert script.kinds == ["came", "full", "back", "came"] and "disk is full" in script.said[1].reason
        assert home(inventory) == frames(0, 1)


@pytest.mark.slow
def test_a_reader_of_the_live_tree_never_finds_a_torn_file(tracking: Tracking, inventory: Inventory) -> None:
    tracking.add(0)

    def half() -> None:
        tracking.add(1)
        tracking.tear(2)

    script = Script(half, lambda: tracking.add(2), lambda: tracking.add(3), lambda: tracking.add(4, 5))
    with LiveWatcher(inventory.backups / "demo", whole):
        script.watch(inventory)
    assert home(inventory) >= frames(0, 1, 2, 3)


@pytest.mark.slow
def test_ctrl_c_ends_it_with_the_totals_as_the_last_line_and_130(
    tracking: Tracking, inventory: Inventory
) -> None:
    tracking.add(0, 1)
    words = [sys.executable, "-m", "being_remote", "sync", "--watch", "--every=1", "--json"]
    process = subprocess.Popen(
        [*words, f"--inventory={inventory.path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    came = json.loads(process.stdout.readline())
    assert came["transferred_files"] == came["files"] and came["round"] == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    (last,) = map(json.loads, out.splitlines())
    assert (last["transferred_files"], last["snapshot"]) == (came["files"], came["snapshot"])


@pytest.mark.parametrize("more", [["--dry-run"], ["--verify"], ["--every=0.5"]])
def test_invalid_arguments_of_a_watch_are_refused(more: list[str], inventory: Inventory) -> None:
    words = [sys.executable, "-m", "being_remote", "sync", "--watch", *more, f"--inventory={inventory.path}"]
    assert subprocess.run(words, capture_output=True, timeout=20).returncode == 2
    assert not os.path.exists(inventory.backups)


def test_an_interval_without_a_watch_is_refused(inventory: Inventory) -> None:
    words = [sys.executable, "-m", "being_remote", "sync", "--every=5", f"--inventory={inventory.path}"]
    assert subprocess.run(words, capture_output=True, timeout=20).returncode == 2


def test_another_run_among_the_kinds_that_are_watched_ends_it(
    tracking: Tracking, inventory: Inventory, tmp_path: Path
) -> None:
    tracking.add(0)
    other = make_actor(tmp_path / "other", "demo", frames=3, seed=5, pictures=False, video=False)

    def replace() -> None:
        for name in ("00000.frame", "00001.frame"):
            shutil.copy(other.output_folder / "checkpoint" / name, tracking.checkpoint)

    with pytest.raises(InconsistentData, match="another run"):
        Script(replace).watch(inventory, only=["checkpoints"])


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_pod_that_is_killed_costs_a_watch_at_most_the_last_ten_seconds(
    tmp_path: Path, actor: Path, make_inventory: MakeInventory
) -> None:
    with start_pod(tmp_path / "pod") as pod:
        inventory = make_inventory({"pod": pod})
        tracking = Tracking(actor, pod.root / "metrical-tracker")
        over, written = threading.Event(), {}
        first = (actor / "output/demo/checkpoint/00000.frame").read_bytes()

        def track() -> None:
            for number in range(10_000):
                path, data = tracking.checkpoint / f"{number:05d}.frame", numbered(first, number)
                with open(path, "wb") as f:
                    f.write(data[:3000])
                    f.flush()
                    if over.wait(0.1):
                        return
                    f.write(data[3000:])
                written[path.name] = time.time()
                if over.wait(0.1):
                    return

        def say(line: WatchRound | WatchPause) -> None:
            if over.is_set():
                raise KeyboardInterrupt

        tracker = threading.Thread(target=track)
        watcher = threading.Thread(target=lambda: watch(inventory, say=say))
        tracker.start()
        watcher.start()
        time.sleep(10 + random.Random().uniform(4, 12))
        over.set()
        pod.stop()
        killed = time.time()
        tracker.join()
        watcher.join()
        old = {name for name, at in written.items() if at < killed - 10}
        assert old and old <= home(inventory), sorted(old - home(inventory))
