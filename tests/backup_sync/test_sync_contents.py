"""What a sync lets replace what is here: only files that are what their names say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from local_actor import FRAMES, SyncedActor

from being_remote.backup_sync import sync_pass
from being_remote.backup_sync.watch import WatchRound
from being_remote.demo.actor import make_actor
from being_remote.errors import InconsistentData
from being_remote.tracker.frame_file import read_frame
from being_remote.workflows.snapshots import prune_snapshots, restore_snapshot
from being_remote.workflows.sync import watch

FRAME = "checkpoint/00002.frame"
OLD_S = 1_700_000_000


def host_frame(here: SyncedActor) -> Path:
    """The frame that these tests change on the host."""
    return here.checkpoint / "00002.frame"


def live_frame(here: SyncedActor) -> bytes:
    """Its bytes in the backup."""
    return (here.root / FRAME).read_bytes()


def settled(file: Path, write: Callable[[Path], object]) -> None:
    """Write the file as if that were long ago: nobody is at it any more."""
    write(file)
    os.utime(file, (OLD_S, OLD_S))


def with_focal(file: Path, factor: float) -> None:
    """The same frame seen by another sound camera."""
    frame = torch.load(file, weights_only=False)
    frame["camera"]["fl"] *= np.float32(factor)
    for axis in (0, 1):
        frame["opencv"]["K"][0, axis, axis] *= np.float32(factor)
    torch.save(frame, file)


def without_a_finite_camera(file: Path) -> None:
    frame = torch.load(file, weights_only=False)
    frame["opencv"]["K"][0, 0, 0] = np.nan
    torch.save(frame, file)


BAD = {
    "a list": lambda file: torch.save([], file),
    "a box": lambda file: torch.save(np.array([1, 2, 3, 4]), file),
    "another frame": lambda file: shutil.copy(file.with_name("00003.frame"), file),
    "no finite camera": without_a_finite_camera,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_frame_never_replaces_a_good_one_and_is_never_verified(
    here: SyncedActor, what: str
) -> None:
    files, good = here.sync().files, live_frame(here)
    settled(host_frame(here), BAD[what])
    report = here.sync(verify=True)
    assert (report.exit_code, report.verified) == (6, files - 1)
    (aside,) = report.quarantined
    assert aside.path == FRAME and aside.kept_as is not None
    assert aside.kept_as.read_bytes() == host_frame(here).read_bytes()
    assert live_frame(here) == good
    again = here.sync()
    assert (again.exit_code, again.transferred_files, live_frame(here)) == (6, 0, good)


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_frame_does_not_become_live_where_nothing_is_either(here: SyncedActor, what: str) -> None:
    settled(host_frame(here), BAD[what])
    report = here.sync(verify=True)
    assert (report.exit_code, [q.path for q in report.quarantined]) == (6, [FRAME])
    assert report.verified == report.files - 1
    assert "00002.frame" not in here.frames() and len(here.frames()) == FRAMES - 1


def test_what_is_whole_and_no_frame_is_quarantined_though_it_was_written_just_now(here: SyncedActor) -> None:
    """It is not half written, so nothing better is on its way."""
    BAD["a list"](host_frame(here))
    report = here.sync()
    assert [q.path for q in report.quarantined] == [FRAME] and report.being_written.count == 0


def test_a_stray_frame_is_quarantined_and_all_others_are_downloaded(here: SyncedActor) -> None:
    settled(here.checkpoint / "best.frame", lambda file: shutil.copy(host_frame(here), file))
    report = here.sync()
    assert (report.exit_code, [q.path for q in report.quarantined]) == (6, ["checkpoint/best.frame"])
    assert len(here.frames()) == FRAMES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("input/demo/bbox.pt", "bbox.pt"),
        ("input/demo/identity.npy", "actor/identity.npy"),
        ("input/demo/kpt/00001.npy", "actor/kpt/00001.npy"),
        ("input/demo/kpt_dense/00001.npy", "actor/kpt_dense/00001.npy"),
        ("output/demo/mesh/00000.ply", "run/mesh/00000.ply"),
    ],
)
def test_a_file_with_the_content_of_another_kind_never_replaces_a_good_one(
    here: SyncedActor, file: str, path: str
) -> None:
    empty_mesh = b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nend_header\n"
    other: dict[str, Callable[[Path], object]] = {
        ".pt": lambda file: torch.save([], file),
        ".npy": lambda file: np.save(file, np.zeros((3, 3))),
        ".ply": lambda file: file.write_bytes(empty_mesh),
    }
    here.sync()
    good = (here.root / path).read_bytes()
    settled(here.tracker / file, other[Path(file).suffix])
    report = here.sync()
    assert (report.exit_code, [q.path for q in report.quarantined]) == (6, [path])
    assert (here.root / path).read_bytes() == good


@pytest.mark.parametrize("fitted_again", [(), ("00001", "00003")])
def test_a_frame_with_another_camera_is_a_new_version_that_is_reported_and_the_old_one_is_kept(
    here: SyncedActor, fitted_again: tuple[str, ...]
) -> None:
    """The host still holds frames of the earlier camera: this is no other run."""
    here.sync()
    old, focal = live_frame(here), read_frame(here.root / FRAME).K[0, 0]
    settled(host_frame(here), lambda file: with_focal(file, 1.5))
    for name in fitted_again:
        settled(here.checkpoint / f"{name}.frame", lambda file: with_focal(file, 1.0))
    report = here.sync()
    assert (report.exit_code, report.quarantined, report.new_run) == (0, (), None)
    assert live_frame(here) == host_frame(here).read_bytes() != old
    kept = here.history.read(0).files[FRAME].sha256
    assert here.history.object(kept).read_bytes() == old
    assert (report.camera_changed.count, report.camera_changed.examples) == (1, (FRAME,))
    (said,) = [w for w in report.warnings if "another camera" in w]
    assert f"before, in snapshot 0, f {focal:.3f}" in said and f"f {1.5 * focal:.3f}" in said
    assert here.sync().camera_changed.count == 0


@pytest.mark.slow
def test_a_frame_that_was_fitted_again_with_the_same_camera_is_not_reported(here: SyncedActor) -> None:
    here.sync()
    settled(host_frame(here), lambda file: with_focal(file, 1.0))
    report = here.sync()
    assert report.transferred_files == 1 and report.camera_changed.count == 0


@pytest.mark.slow
def test_a_watch_keeps_the_good_frame_and_reports_that_the_camera_changed(here: SyncedActor) -> None:
    here.sync()
    good, lines = live_frame(here), list[WatchRound]()
    other = here.checkpoint / "00003.frame"
    steps = [
        lambda: settled(host_frame(here), BAD["a list"]),
        lambda: settled(other, lambda file: with_focal(file, 1.5)),
    ]
    steps.pop(0)()

    def say(line: object) -> None:
        if isinstance(line, WatchRound):
            lines.append(line)
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    watch(here.inventory, every_s=0.05, say=say)
    assert [q.path for q in lines[0].quarantined] == [FRAME] and live_frame(here) == good
    assert any("another camera" in w and "00003.frame" in w for w in lines[1].warnings)


@pytest.mark.slow
def test_verify_names_a_live_file_that_is_not_what_its_name_says(here: SyncedActor) -> None:
    """It came before anybody looked at that, or was put here by hand."""
    (here.root / "checkpoint").mkdir(parents=True)
    torch.save([], here.root / FRAME)
    shutil.copy(here.root / FRAME, host_frame(here))
    os.utime(host_frame(here), (OLD_S, OLD_S))
    os.utime(here.root / FRAME, (OLD_S, OLD_S))
    here.sync()
    report = here.sync(verify=True)
    assert (report.exit_code, report.unsound.examples) == (6, (FRAME,))
    assert report.verified == report.files - 1
    assert any(FRAME in w and "invalid here" in w for w in report.warnings)


def test_a_content_that_rotted_is_not_put_in_the_place_of_a_live_file_that_is_missing(
    here: SyncedActor,
) -> None:
    files, good = here.sync().files, live_frame(here)
    rotten = here.history.object(here.history.read(0).files[FRAME].sha256)
    rotten.write_bytes(good[:-1] + b"!")
    (here.root / FRAME).unlink()
    with pytest.raises(InconsistentData, match="corrupt in the history") as refused:
        here.sync()
    assert refused.value.file == str(rotten) and "sync --verify" in refused.value.hint
    assert "00002.frame" not in here.frames()
    report = here.sync(verify=True)
    (rot,) = report.rotten
    assert (rot.repaired_from, report.verified, report.exit_code) == ("host", files, 0)
    assert live_frame(here) == good == rotten.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["here", "host"])
def test_nothing_is_called_repaired_whose_bytes_are_other_than_its_name_says(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    here.sync()
    content = here.history.object(here.history.read(0).files[FRAME].sha256)
    good = content.read_bytes()
    content.write_bytes(good[:-1] + b"!")
    if source == "host":
        (here.root / FRAME).unlink()
    real = sync_pass.download_changed

    def download_changed(*words: Any, **more: Any) -> Any:
        came = real(*words, **more)
        assert content.read_bytes() == good
        content.write_bytes(good[:-1] + b"?")  # a disk that forgets again
        return came

    monkeypatch.setattr(sync_pass, "download_changed", download_changed)
    report = here.sync(verify=True)
    (rot,) = report.rotten
    assert (rot.repaired_from, report.exit_code) == (None, 6)
    assert any("lost here" in w for w in report.warnings)


def emptied(here: SyncedActor) -> None:
    """A newest snapshot that holds no frame and was not made live yet; nobody knows where it came from."""
    newest = here.history.read(0)
    files = {path: entry for path, entry in newest.files.items() if "checkpoint" not in path}
    with here.history.lock():
        here.history.commit(files, why="sync", host="here", new_tree=True)


@pytest.mark.slow
@pytest.mark.parametrize("verify", [False, True])
def test_a_snapshot_with_fewer_frames_is_made_live_only_with_a_warning_and_the_way_back(
    here: SyncedActor, verify: bool
) -> None:
    here.sync()
    good = live_frame(here)
    emptied(here)
    report = here.sync(verify=verify, only=["logs"])
    assert report.replaced is not None and report.snapshot == 1
    assert (report.replaced.frames, report.replaced.frames_before, report.replaced.restore) == (0, FRAMES, 0)
    (said,) = [w for w in report.warnings if "snapshot 1 is live" in w]
    assert f"frames in it: 0, before {FRAMES}; `sync --restore 0`" in said
    for dry_run in (True, False):
        with pytest.raises(InconsistentData, match=f"{FRAMES} in snapshot 0, 0 in the newest one") as refused:
            prune_snapshots(here.inventory, 1, dry_run=dry_run)
        assert refused.value.exit_code == 6 and "--force" in refused.value.hint
    restore_snapshot(here.inventory, 0)
    assert live_frame(here) == good
    assert prune_snapshots(here.inventory, 1).removed == (0, 1)


def test_a_watch_reports_that_an_interrupted_replacement_is_complete(here: SyncedActor) -> None:
    here.sync()
    emptied(here)
    lines = list[WatchRound]()

    def say(line: object) -> None:
        if isinstance(line, WatchRound):
            lines.append(line)
        raise KeyboardInterrupt

    watch(here.inventory, only=["logs"], every_s=0.05, say=say)
    assert any("before 6; `sync --restore 0`" in w for w in lines[0].warnings)


@pytest.mark.slow
def test_a_run_with_fewer_frames_that_becomes_live_is_reported_with_the_way_back(
    here: SyncedActor, tmp_path: Path
) -> None:
    here.sync()
    shutil.rmtree(here.tracker)
    make_actor(here.tracker, "demo", frames=2, seed=5, edge="none", pictures=False, video=False)
    report = here.sync()
    assert report.replaced is not None and report.replaced.restore == 0
    assert any(f"frames in it: 2, before {FRAMES}; `sync --restore 0`" in w for w in report.warnings)


@pytest.mark.parametrize("left", [2, 3])
def test_prune_refuses_only_where_the_newest_holds_under_half_of_the_frames(
    here: SyncedActor, left: int
) -> None:
    here.sync()
    newest = here.history.read(0)
    frames = sorted(path for path in newest.files if path.startswith("checkpoint/"))
    files = {path: entry for path, entry in newest.files.items() if path not in frames[left:]}
    with here.history.lock():
        here.history.commit(files, why="sync", host="here")
        here.history.show(1)
    too_few = 2 * left < FRAMES
    if too_few:
        with pytest.raises(InconsistentData):
            prune_snapshots(here.inventory, 1)
        assert here.history.snapshot_numbers() == [0, 1]
        assert prune_snapshots(here.inventory, 2).removed == ()  # the fuller one is kept
    assert prune_snapshots(here.inventory, 1, force=too_few).removed == (0,)


def put_by_hand(here: SyncedActor) -> None:
    """A backup made by hand, one frame of it a list; then the host brought the good one."""
    shutil.copytree(here.checkpoint, here.root / "checkpoint")
    settled(here.root / FRAME, BAD["a list"])
    assert here.sync(only=["checkpoints"]).snapshot == 1
    assert live_frame(here) == host_frame(here).read_bytes()


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_restore_puts_nothing_that_is_no_frame_over_a_good_one(here: SyncedActor, dry_run: bool) -> None:
    put_by_hand(here)
    done = restore_snapshot(here.inventory, 0, dry_run=dry_run)
    (refused,) = done.quarantined
    assert refused.path == FRAME and refused.kept_as is not None
    assert torch.load(refused.kept_as, weights_only=False) == []
    assert (done.exit_code, done.files) == (0 if dry_run else 6, FRAMES)
    assert live_frame(here) == host_frame(here).read_bytes()


@pytest.mark.slow
def test_a_restore_of_another_run_leaves_out_what_is_no_frame_and_mixes_nothing(here: SyncedActor) -> None:
    put_by_hand(here)
    shutil.rmtree(here.tracker)
    make_actor(here.tracker, "demo", frames=FRAMES, seed=5, edge="none", pictures=False, video=False)
    assert here.sync().new_run is not None
    done = restore_snapshot(here.inventory, 0)
    assert (done.exit_code, [q.path for q in done.quarantined]) == (6, [FRAME])
    assert len(here.frames()) == FRAMES - 1 and "00002.frame" not in here.frames()
