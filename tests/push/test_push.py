"""`push`: a video, frames, an identity and a tracker's checkout reach a pod whole, or nothing changes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest
from faults import FaultProxy, small_disk
from video_factory import write_video

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import (
    DataError,
    HostError,
    InconsistentData,
    NoSpace,
    NotFoundError,
    UnsafeFile,
    UsageError,
)
from being_remote.inventory import Inventory
from being_remote.pod_client.placement import STAGE
from being_remote.session import TransferProgress
from being_remote.tracker.layout import CHECKOUT_FILES
from being_remote.transfer.staged_upload import push_files
from being_remote.transport import open_session
from being_remote.workflows.push import PushReport, push

MakeInventory = Callable[..., Inventory]
SIZE = (64, 48)
TORN_WATCH_S = 0.0005


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mov", frames=12, size_wh=SIZE)


class Setting:
    """A laptop with one actor, and a host."""

    def __init__(self, inventory: Inventory, tracker: Path) -> None:
        self.inventory, self.tracker = inventory, tracker
        self.input = tracker / "input/roman"
        self.identity = inventory.backups / "roman/actor/identity.npy"
        self.identity.parent.mkdir(parents=True)
        np.save(self.identity, np.linspace(-1, 1, 300, dtype=np.float32))

    def push(self, **options: Any) -> PushReport:
        return push(self.inventory, **options)

    def there(self, folder: Path | None = None) -> dict[str, bytes]:
        """All files over there below the actor's input (or `folder`), the stage included."""
        top = folder or self.input
        return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


Build = Callable[..., Setting]


@pytest.fixture
def build(tmp_path: Path, make_inventory: MakeInventory, video: Path) -> Build:
    """Make a setting of a host: a Pod, or this machine. `actor` says more of the actor."""

    def make(host: Any, tracker: Path, **actor: Any) -> Setting:
        told = {"video": str(video), **actor}
        return Setting(make_inventory({"host": host}, {"roman": told}), tracker)

    return make


@pytest.fixture
def here(build: Build, tmp_path: Path) -> Setting:
    return build(local(tmp_path), tmp_path / "disk/tracker")


@pytest.fixture
def there(build: Build, own_pod: Pod) -> Setting:
    return build(own_pod, own_pod.root / "metrical-tracker")


@pytest.fixture
def own_pod(tmp_path: Path) -> Iterator[Pod]:
    with start_pod(tmp_path / "own_pod") as running:
        yield running


def local(tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "disk/tracker"
    return {"kind": "local", "workdir": str(tmp_path / "disk"), "tracker": {"root": str(root)}}


def proxied(pod: Pod, proxy: FaultProxy, setting: Setting) -> Inventory:
    """The setting's inventory with the pod behind a proxy."""
    host = setting.inventory.hosts["host"].model_copy(update={"port": proxy.port, "connect_timeout_s": 2.0})
    setting.inventory.state.mkdir(mode=0o700, exist_ok=True)
    (setting.inventory.state / "known_hosts").write_text(proxy.known_host(pod))
    return setting.inventory.model_copy(update={"hosts": {"host": host}})


# -- an actor ----------------------------------------------------------------------------------------


def test_a_video_and_an_identity_reach_a_pod_and_a_second_push_moves_nothing(
    there: Setting, video: Path
) -> None:
    seen: list[TransferProgress] = []
    report = there.push(on_progress=seen.append)
    assert there.there() == {"video.mp4": video.read_bytes(), "identity.npy": there.identity.read_bytes()}
    total = video.stat().st_size + there.identity.stat().st_size
    assert (report.files, report.bytes, report.verified, report.exit_code) == (2, total, 2, 0)
    assert (report.transferred_files, report.transferred_bytes) == (2, total)
    (part,) = report.parts
    assert (part.what, part.source, part.method, part.notes) == ("actor", "roman", "rsync", ())
    assert part.into == PurePosixPath(there.input)
    assert seen[0].what == "hashing" and "sending" in {p.what for p in seen}
    again = there.push()
    assert (again.transferred_files, again.transferred_bytes, again.parts[0].already) == (0, 0, 2)
    assert (again.round_trips, again.verified) == (1, 2)


@pytest.mark.slow
def test_a_pod_without_rsync_is_served_all_the_same(build: Build, tmp_path: Path, video: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "mkdir"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "bin/python3").symlink_to(Path(sys.executable).resolve())
    with start_pod(tmp_path / "bare", path=str(tmp_path / "bin")) as bare:
        setting = build(bare, bare.root / "metrical-tracker")
        assert setting.push().parts[0].method == "stream"
        assert setting.there()["video.mp4"] == video.read_bytes()
        assert setting.push().transferred_files == 0


def test_a_folder_of_frames_goes_to_source(build: Build, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(1, 4):
        cv2.imwrite(str(frames / f"{number:05d}.png"), np.full((*SIZE[::-1], 3), number, np.uint8))
    (frames / "notes.txt").write_text("mine")
    setting = build(local(tmp_path), tmp_path / "disk/tracker", video=str(frames))
    setting.push()
    assert set(setting.there()) == {"identity.npy", *(f"source/{n:05d}.png" for n in (1, 2, 3))}
    assert setting.push().transferred_files == 0
    (setting.input / "source/00004.png").write_bytes(b"of another video")
    with pytest.raises(InconsistentData, match=r"'source' holds 1 other files there"):
        setting.push()


@pytest.mark.parametrize(
    ("name", "size_wh", "words"),
    [("00002.PNG", SIZE, "in small letters"), ("00002.png", (32, 32), "32x32 pixels, the first one 64x48")],
)
def test_frames_that_the_tracker_would_trip_over_are_refused_before_any_host_is_asked(
    build: Build, tmp_path: Path, name: str, size_wh: tuple[int, int], words: str
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "00001.png"), np.zeros((*SIZE[::-1], 3), np.uint8))
    cv2.imwrite(str(frames / name), np.zeros((*size_wh[::-1], 3), np.uint8))
    with pytest.raises(InconsistentData, match=words):
        build(nowhere(), tmp_path, video=str(frames)).push()


def nowhere() -> dict[str, Any]:
    """A host that can never be reached."""
    return {"address": "127.0.0.1", "port": 1, "workdir": "/w", "tracker": {"root": "/w/tracker"}}


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\nfile:///etc/passwd\n", b"\0\0\0\x18ftypmp42" + bytes(200), b""]
)
def test_what_is_no_video_is_refused_before_any_host_is_asked(
    build: Build, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(DataError):
        build(nowhere(), tmp_path, video=str(tmp_path / "clip.mp4")).push()


def test_a_video_of_another_size_than_the_inventory_says_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(InconsistentData, match="has 64x48 pixels, but the inventory's source_size of roman"):
        build(nowhere(), tmp_path, source_size=[1920, 1080]).push()


@pytest.mark.parametrize(
    "numbers", [np.zeros(299), np.full(300, np.nan), np.array([object()] * 300), np.zeros((300, 1))]
)
def test_an_identity_that_is_none_is_never_sent(build: Build, tmp_path: Path, numbers: np.ndarray) -> None:
    setting = build(nowhere(), tmp_path)
    np.save(setting.identity, numbers, allow_pickle=True)
    with pytest.raises(DataError, match=r"identity\.npy"):
        setting.push()


def test_without_an_identity_the_video_goes_alone_and_it_is_said_what_makes_one(here: Setting) -> None:
    kept = here.identity.rename(here.identity.with_name("kept.npy"))
    report = here.push()
    assert set(here.there()) == {"video.mp4"}
    (note,) = report.parts[0].notes
    assert "no identity.npy" in note and "MICA" in note
    shutil.copyfile(kept, here.input / "identity.npy")
    assert here.push().parts[0].notes == ()


def test_what_is_missing_here_is_3_and_nothing_is_asked(build: Build, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.mp4"):
        build(nowhere(), tmp_path, video=str(tmp_path / "none.mp4")).push()
    shutil.rmtree(tmp_path / "backups")
    setting = build(nowhere(), tmp_path, video=None)
    setting.identity.unlink()
    with pytest.raises(NotFoundError, match="nothing to push for roman"):
        setting.push()


def test_a_host_without_a_tracker_is_2(build: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="host has no `tracker:`"):
        build({"kind": "local", "workdir": str(tmp_path)}, tmp_path).push()


def test_another_video_over_there_stays_and_nothing_is_changed(here: Setting) -> None:
    here.input.mkdir(parents=True)
    (here.input / "video.mp4").write_bytes(b"another")
    with pytest.raises(InconsistentData, match=r"'video\.mp4' is another file there; nothing") as caught:
        here.push()
    assert caught.value.exit_code == 6
    assert here.there() == {"video.mp4": b"another"}


def test_a_file_in_the_place_of_the_folder_is_named_and_left_as_it_is(here: Setting) -> None:
    here.input.parent.parent.mkdir(parents=True, exist_ok=True)
    here.input.parent.write_bytes(b"no folder")
    with pytest.raises(InconsistentData, match="lies behind a link or a file there; nothing was") as caught:
        here.push()
    assert caught.value.exit_code == 6
    assert here.input.parent.read_bytes() == b"no folder"


def test_old_frames_beside_a_new_video_are_told_of(here: Setting) -> None:
    (here.input / "source").mkdir(parents=True)
    (here.input / "source/00001.png").write_bytes(b"x")
    (note,) = here.push().parts[0].notes
    assert "the host has source/ with 1 files" in note


def test_a_folder_over_there_may_be_a_link_to_a_volume(here: Setting, tmp_path: Path, video: Path) -> None:
    (tmp_path / "volume").mkdir()
    here.tracker.mkdir(parents=True)
    (here.tracker / "input").symlink_to(tmp_path / "volume")
    here.push()
    assert (tmp_path / "volume/roman/video.mp4").read_bytes() == video.read_bytes()


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(there: Setting, tmp_path: Path) -> None:
    def everything() -> list[tuple[str, int]]:
        return sorted((str(p), p.lstat().st_mtime_ns) for p in tmp_path.rglob("*") if "log" not in p.name)

    before = everything()
    report = there.push(dry_run=True)
    assert (report.transferred_files, report.files, report.verified, report.dry_run) == (2, 2, 0, True)
    assert report.transferred_bytes == report.bytes > 0
    assert everything() == before


def test_a_disk_over_there_that_is_too_small_is_said_before_anything_travels(
    here: Setting, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    host = here.inventory.the_host(None)
    with (
        small_disk(tmp_path / "small") as small,
        open_session(host, here.inventory) as session,
        pytest.raises(NoSpace, match=r"the host's disk is full: 3\.1 MB are needed, 2\.1 MB are free"),
    ):
        push_files(session, host, {"big": tmp_path / "big"}, PurePosixPath(small / "into"))
    assert not (tmp_path / "small/into").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "", f"{STAGE}/x", "a/../b"])
def test_a_name_that_leaves_the_folder_is_never_pushed(here: Setting, video: Path, name: str) -> None:
    host = here.inventory.the_host(None)
    with open_session(host, here.inventory) as session, pytest.raises(UnsafeFile):
        push_files(session, host, {name: video}, PurePosixPath(here.input))
    assert not here.input.exists()


@pytest.mark.slow
def test_a_file_that_changes_here_between_hashing_and_sending_is_not_placed(
    here: Setting, tmp_path: Path
) -> None:
    growing, host = tmp_path / "growing", here.inventory.the_host(None)
    growing.write_bytes(b"x" * 1000)

    def grow(progress: TransferProgress) -> None:
        if progress.what == "hashing":
            growing.write_bytes(b"y" * 1001)

    with open_session(host, here.inventory) as session:
        with pytest.raises(InconsistentData, match=r"1 file \('a'\) did not arrive as hashed here"):
            push_files(session, host, {"a": growing}, PurePosixPath(here.input), on_progress=grow)
        assert here.there() == {}
        assert push_files(session, host, {"a": growing}, PurePosixPath(here.input)).files == 1
    assert here.there() == {"a": b"y" * 1001}


def test_what_lies_spoilt_in_the_stage_with_the_right_size_and_time_is_sent_again(
    here: Setting, tmp_path: Path
) -> None:
    import hashlib

    file, host = tmp_path / "f", here.inventory.the_host(None)
    file.write_bytes(b"good")
    staged = here.input / STAGE / hashlib.sha256(b"good").hexdigest()
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"evil")
    os.utime(staged, ns=(file.stat().st_mtime_ns,) * 2)
    with open_session(host, here.inventory) as session:
        placed = push_files(session, host, {"a/f": file}, PurePosixPath(here.input))
    assert here.there() == {"a/f": b"good"} and placed.transferred_files == 1


# -- a tracker ---------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with model files, and with much that a pod does not need."""
    folder = tmp_path / "home/metrical-tracker"
    for number, name in enumerate(CHECKOUT_FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"needed %d" % number)
    runs = ("input/roman/video.mp4", "output/roman/checkpoint/00000.frame")
    for name in (".git/objects/x", ".env", "flame/__pycache__/x.pyc", "flame/old.pyc", *runs):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("left out")
    (folder / "install.sh").write_text("#!/bin/sh\n")
    (folder / "install.sh").chmod(0o700)
    (folder / "flame/input").mkdir()
    (folder / "flame/input/kept.py").write_text("")
    (folder / "flame/input/also.py").write_text("")
    return folder


KEPT = {*CHECKOUT_FILES, "install.sh", "flame/input/kept.py", "flame/input/also.py"}


def test_a_checkout_arrives_without_what_runs_and_git_left_in_it(there: Setting, checkout: Path) -> None:
    report = there.push(tracker=checkout)
    assert there.there(there.tracker) == {n: (checkout / n).read_bytes() for n in KEPT}
    assert os.access(there.tracker / "install.sh", os.X_OK)
    assert not os.access(there.tracker / "tracker.py", os.X_OK)
    assert (report.actor, report.files, report.verified) == (None, len(KEPT), len(KEPT))
    assert (report.parts[0].what, report.parts[0].source) == ("tracker", str(checkout))
    again = there.push(tracker=checkout, actor="roman")
    assert [(p.what, p.transferred_files) for p in again.parts] == [("tracker", 0), ("actor", 2)]


def test_what_a_checkout_lacks_is_listed_and_no_host_is_asked(
    build: Build, tmp_path: Path, checkout: Path
) -> None:
    (checkout / "data/FLAME2020/generic_model.pkl").unlink()
    (checkout / "tracker.py").unlink()
    setting = build(nowhere(), tmp_path)
    with pytest.raises(
        NotFoundError, match=r"tracker\.py \(clone .*generic_model\.pkl \(FLAME 2020 from"
    ) as caught:
        setting.push(tracker=checkout)
    assert caught.value.exit_code == 3
    with pytest.raises(NotFoundError, match="no such folder"):
        setting.push(tracker=checkout / "none")


def test_linked_model_files_are_sent_and_links_that_lead_nowhere_or_round_are_not(
    here: Setting, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "data").rename(tmp_path / "models")
    (checkout / "data").symlink_to(tmp_path / "models")
    (checkout / "flame/round").symlink_to(checkout)
    (checkout / "nowhere").symlink_to("gone")
    os.mkfifo(checkout / "pipe")
    report = here.push(tracker=checkout)
    assert set(here.there(here.tracker)) == KEPT
    assert report.parts[0].notes == (
        "left out: input/, output/ and names that begin with a dot",
        "left out: 2 dead links, devices or pipes: 'nowhere', 'pipe'",
    )


def test_our_own_folders_in_a_checkout_stay_here(here: Setting, checkout: Path) -> None:
    ours = {"backups": "data/backups", "state": ".state", "path": "inventory.yaml"}
    moved = here.inventory.model_copy(update={key: checkout / name for key, name in ours.items()})
    for name in ("data/backups/roman/bbox.pt", ".state/known_hosts", "inventory.yaml"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("ours")
    push(moved, tracker=checkout)
    assert set(here.there(here.tracker)) == KEPT


def test_a_checkout_over_there_that_differs_is_named_and_one_that_is_equal_is_completed(
    here: Setting, checkout: Path
) -> None:
    here.tracker.mkdir(parents=True)
    shutil.copyfile(checkout / "tracker.py", here.tracker / "tracker.py")
    (here.tracker / "install.sh").write_text("their own")
    with pytest.raises(InconsistentData, match=r"'install\.sh' is another file there; nothing was changed"):
        here.push(tracker=checkout)
    assert set(here.there(here.tracker)) == {"tracker.py", "install.sh"}
    (here.tracker / "install.sh").unlink()
    report = here.push(tracker=checkout)
    assert (report.parts[0].already, report.transferred_files) == (1, len(KEPT) - 2)  # two are one content


# -- cuts and kills ------------------------------------------------------------------------------------


class Watch:
    """Looks all the time at a file over there: it is absent, or whole."""

    def __init__(self, path: Path, whole: bytes) -> None:
        self._path, self._whole, self._done = path, whole, threading.Event()
        self.torn: list[int] = []
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._done.wait(TORN_WATCH_S):
            try:
                size = self._path.stat().st_size
            except FileNotFoundError:
                continue
            if size != len(self._whole):
                self.torn.append(size)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(12 << 20))
    return file


SMALL = {f"d/{n:03d}": b"small" for n in range(50)}
# Of 12 MiB and a little: within the first question, within the file, behind it.
CUTS = [4_000, 30_000, 7 << 20, (12 << 20) + 20_000]


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
def test_a_link_cut_at_any_byte_is_made_good_by_the_next_push_which_sends_only_the_rest(
    there: Setting, own_pod: Pod, big: Path, cut: int
) -> None:
    cut_and_push_again(there, own_pod, big, cut)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_link_cut_at_fifty_byte_positions(there: Setting, own_pod: Pod, big: Path) -> None:
    for number in range(50):
        shutil.rmtree(there.input, ignore_errors=True)
        cut_and_push_again(there, own_pod, big, 2_000 + number * ((12 << 20) + 60_000) // 50)


def cut_and_push_again(there: Setting, own_pod: Pod, big: Path, cut: int) -> None:
    (big.parent / "small").write_bytes(b"small")
    files = {"big": big, **dict.fromkeys(SMALL, big.parent / "small")}
    content, sent = big.read_bytes(), []
    with (
        FaultProxy((own_pod.address, own_pod.port)) as proxy,
        Watch(there.input / "big", content) as watch,
    ):
        inventory = proxied(own_pod, proxy, there)
        host = inventory.the_host(None)
        for limit in (cut, None):
            start = proxy.bytes_to_target
            proxy.cut_after_sent = None if limit is None else start + limit
            try:
                with open_session(host, inventory) as session:
                    push_files(session, host, files, PurePosixPath(there.input))
                assert limit is None or proxy.bytes_to_target <= start + limit
            except HostError:
                assert limit is not None
            sent.append(proxy.bytes_to_target - start)
    assert there.there() == {"big": content, **SMALL}
    assert watch.torn == []
    assert sum(sent) < len(content) + (5 << 20)


def staged(there: Setting) -> int:
    """How much of the largest file lies in the stage."""
    try:
        return max((p.stat().st_size for p in (there.input / STAGE).iterdir()), default=0)
    except FileNotFoundError:
        return 0


@pytest.fixture
def clip(tmp_path: Path, video: Path) -> Path:
    """A real video with so much behind its end that a push of it can be killed half-way."""
    long = tmp_path / "long.mov"
    long.write_bytes(video.read_bytes() + os.urandom(24 << 20))
    return long


@pytest.mark.slow
def test_a_pod_that_dies_under_a_push_keeps_what_arrived(build: Build, own_pod: Pod, clip: Path) -> None:
    setting = build(own_pod, own_pod.root / "metrical-tracker", video=str(clip))

    def kill() -> None:
        while staged(setting) < 12 << 20:
            time.sleep(0.001)
        own_pod.stop()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(HostError):
        setting.push()
    killer.join()
    held = staged(setting)
    own_pod.start()
    report = setting.push()
    assert held >= 12 << 20
    assert report.transferred_bytes <= report.bytes - held + (64 << 10)
    assert setting.there()["video.mp4"] == clip.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "half", "placing"])
def test_a_push_whose_process_is_killed_is_completed_by_the_next_one(
    build: Build, own_pod: Pod, tmp_path: Path, clip: Path, moment: str
) -> None:
    content = clip.read_bytes()
    setting = build(own_pod, own_pod.root / "metrical-tracker", video=str(clip))
    target = setting.input / "video.mp4"
    until = {"before": 1, "half": len(content) // 2, "placing": len(content)}[moment]
    argv = [sys.executable, "-m", "being_remote", "push", "--inventory", str(setting.inventory.path)]
    with Watch(target, content) as watch:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
        while process.poll() is None and staged(setting) < until and not target.exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        held = staged(setting)
        report = setting.push()
    assert setting.there() == {"video.mp4": content, "identity.npy": setting.identity.read_bytes()}
    assert watch.torn == []
    assert report.transferred_bytes <= report.bytes - held + (64 << 10)
    assert setting.push().transferred_files == 0
