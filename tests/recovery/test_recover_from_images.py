"""`recover` without bbox.pt, and with one that the pixels are asked about: the right crop, or none."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from recover_options import recover
from tracked_runs import make_backup, named, numbers_only, run_of
from video_factory import write_video

from being_remote.demo import head
from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.demo.tracker_recipe import project
from being_remote.errors import (
    BeingRemoteError,
    HostError,
    InconsistentData,
    NotFoundError,
    TornFile,
    UnsafeFile,
    UsageError,
)
from being_remote.inventory import Inventory
from being_remote.tracker.box_file import read_box
from being_remote.tracker.box_note import read_note
from being_remote.workflows.recover import RecoverReport

SIZE, IMAGE = (640, 360), (256, 256)  # small, so that a search takes half a second


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return make_actor(tmp_path_factory.mktemp("tracker"), frames=6, size_wh=SIZE, image_size_wh=IMAGE)


@pytest.fixture
def lost(filmed: ActorTruth, tmp_path: Path) -> ActorTruth:
    """A checkout of its own whose bbox.pt is gone."""
    return without_box(copied(filmed, tmp_path / "mt"))


def copied(truth: ActorTruth, root: Path) -> ActorTruth:
    from dataclasses import replace

    shutil.copytree(truth.input_folder.parents[1], root)
    return replace(
        truth, input_folder=root / "input" / truth.name, output_folder=root / "output" / truth.name
    )


def without_box(truth: ActorTruth) -> ActorTruth:
    (truth.input_folder / "bbox.pt").unlink()
    return truth


def source(truth: ActorTruth) -> Path:
    return truth.input_folder / "source"


def is_the_truth(report: RecoverReport, truth: ActorTruth) -> bool:
    assert report.K is not None and report.crop is not None
    off = np.abs(np.array(report.K) - truth.K_source)
    return bool(off.max() < 1e-3 and report.crop.origin == truth.origin_xy)


# Without bbox.pt


@pytest.mark.slow
def test_explain_adds_the_offset_of_a_crop_that_was_found_by_pictures(here: Path, filmed: ActorTruth) -> None:
    by_box = run_of(filmed, explain=True).explain
    found = run_of(filmed, from_images=source(filmed), explain=True).explain
    assert by_box is not None and found is not None
    assert found.guide_K == by_box.guide_K
    assert found.errors == by_box.errors


def test_without_a_box_the_runs_own_crops_and_source_images_give_the_crop_exactly(
    here: Path, lost: ActorTruth
) -> None:
    report = recover(None, run=str(lost.output_folder))  # not even the size is said: source/ has it
    assert is_the_truth(report, lost)
    assert (report.grade, report.crop_by, report.bbox, report.exit_code) == ("exact", "images", None, 0)
    assert report.evidence is not None
    assert report.evidence.reason == "" and report.evidence.focal_std_percent == 0.0
    assert len(report.evidence.frames) == 5 and all(f.equal for f in report.evidence.frames)
    assert report.evidence.evidence.startswith("5 of 6 stored crops in")
    document = json.loads(Path(named(report, "cameras.json")).read_text())
    assert document["grade"] == "exact"


def test_a_backup_with_crops_and_the_actors_video_gives_the_crop_verified(
    here: Path, lost: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"video": str(lost.input_folder / "video.mp4")}})
    make_backup(lost, inventory.backups / "demo", crops=True)
    report = recover(inventory)
    assert is_the_truth(report, lost)
    assert (report.grade, report.actor) == ("verified", "demo")
    assert report.evidence is not None and report.evidence.margin is not None
    assert report.evidence.margin > 0 and not any(f.equal for f in report.evidence.frames)


def test_phantom_crops_of_no_frame_are_left_out_and_counted(here: Path, lost: ActorTruth) -> None:
    crops = lost.output_folder / "input"
    for phantom in ("00101", "00201", "00301"):
        shutil.copy(crops / "00000.png", crops / f"{phantom}.png")
    (crops / "notes.png").write_bytes(b"not a picture at all")
    report = run_of(lost, dry_run=True)
    assert report.evidence is not None and report.evidence.phantoms == 3
    assert report.grade == "exact" and {f.frame_id for f in report.evidence.frames} <= set(range(6))


@pytest.mark.slow
def test_images_are_numbered_like_the_source_and_strips_hold_the_crop_at_their_left(
    here: Path, lost: ActorTruth
) -> None:
    shutil.rmtree(lost.output_folder / "input")
    report = run_of(lost, dry_run=True)
    assert report.evidence is not None and str(lost.input_folder / "images") in report.evidence.evidence
    # 00000.frame is images/00002.png: another one would be found at another frame.
    assert report.grade == "exact" and is_the_truth(report, lost)
    assert {(f.source_number - f.frame_id, f.frame_offset) for f in report.evidence.frames} == {(2, 0)}
    shutil.rmtree(lost.input_folder / "images")
    report = run_of(lost, dry_run=True)
    assert report.evidence is not None and str(lost.output_folder / "video") in report.evidence.evidence
    assert report.grade == "verified" and is_the_truth(report, lost)


@pytest.mark.slow
def test_another_take_ends_in_unknown_and_writes_nothing(
    here: Path, lost: ActorTruth, tmp_path: Path
) -> None:
    other = make_actor(tmp_path / "other", frames=4, size_wh=SIZE, seed=5, image_size_wh=IMAGE)
    report = run_of(lost, from_images=source(other))
    assert (report.grade, report.crop, report.K, report.exit_code) == ("unknown", None, None, 6)
    assert report.evidence is not None and report.evidence.reason
    assert report.warnings[0] == f"the crop is unknown: {report.evidence.reason}"
    assert report.outputs == () and list(here.iterdir()) == []


@pytest.mark.slow
def test_a_source_that_lacks_its_first_frames_is_numbered_by_its_pixels_with_a_warning(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    truth = copied(filmed, tmp_path / "mt")
    trimmed = tmp_path / "trimmed"
    trimmed.mkdir()
    for old in range(2, 8):  # one frame less: number k is the tracker's k + 1
        shutil.copy(source(truth) / f"{old:05d}.png", trimmed / f"{old - 1:05d}.png")
    report = run_of(truth, from_images=trimmed)
    assert is_the_truth(report, truth)
    assert (report.numbering.by, report.numbering.offset, report.numbering.first) == ("pixels", -1, 1)
    assert any("frame_id + 1 of" in w and "not + 2" in w for w in report.warnings)
    frames = json.loads(Path(named(report, "cameras.json")).read_text())["frames"]
    assert [f["source_number"] for f in frames] == [1, 2, 3, 4, 5, 6]  # not 2..7
    (trimmed / "00001.png").unlink()
    for old in range(2, 7):
        (trimmed / f"{old:05d}.png").rename(trimmed / f"{old - 1:05d}.png")
    report = run_of(truth, from_images=trimmed, out=here / "later")
    assert any("1 of 6 poses are of earlier frames and have no number" in w for w in report.warnings)
    frames = json.loads((here / "later" / "cameras.json").read_text())["frames"]
    assert [f["source_number"] for f in frames] == [None, 1, 2, 3, 4, 5]
    assert [f["video_frame"] for f in frames] == [None, 0, 1, 2, 3, 4]
    with pytest.raises(InconsistentData, match="pictures cannot be made"):
        run_of(truth, from_images=trimmed, out=here / "no", exports=["insta"], with_images=True)


@pytest.mark.slow
def test_landmarks_keep_the_trackers_numbers_where_the_frames_at_hand_have_others(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    trimmed = tmp_path / "trimmed"
    trimmed.mkdir()
    for old in range(2, 8):
        shutil.copy(source(filmed) / f"{old:05d}.png", trimmed / f"{old - 1:05d}.png")
    for name, frames in (("whole", source(filmed)), ("trimmed", trimmed)):
        run_of(filmed, video=frames, exports=["gaussiantalker"], out=here / name)
    whole, cut = (
        [m.read_text() for m in sorted((here / name).rglob("*.lms"))] for name in ("whole", "trimmed")
    )
    assert len(set(whole)) == 6 and whole == cut


@pytest.mark.slow
def test_without_settings_the_pixels_say_which_frames_they_are(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    truth = make_actor(tmp_path / "mt", frames=4, size_wh=SIZE, begin_frames=3, image_size_wh=IMAGE)
    (tmp_path / "mt/configs/actors/demo.yml").unlink()  # begin_frames 1 is assumed then, and wrong
    report = run_of(truth, dry_run=True)
    assert (report.numbering.by, report.numbering.offset, report.numbering.first) == ("pixels", 2, 4)
    assert any("not + 2 as was assumed" in w for w in report.warnings)


def test_a_stored_box_that_differs_from_the_one_found_is_reported(here: Path, lost: ActorTruth) -> None:
    torch.save(np.array([100, 500, 20, 420]), lost.input_folder / "bbox.pt")
    report = run_of(lost, from_images=source(lost), dry_run=True)
    assert is_the_truth(report, lost)
    assert any("bbox.pt holds another box" in w for w in report.warnings)


def test_two_ways_to_one_crop_and_a_way_to_no_crop_are_refused(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--bbox and --from-images are two ways"):
        run_of(filmed, bbox=tmp_path / "b.pt", from_images=source(filmed))
    with pytest.raises(UsageError, match="name two originals"):
        run_of(filmed, video=tmp_path / "v.mp4", from_images=source(filmed))
    whole = numbers_only(tmp_path / "whole", crop_image=False)
    with pytest.raises(UsageError, match="tracked without a crop"):
        run_of(whole, from_images=source(filmed), source_size=None, video=None)


# --write-bbox


@pytest.mark.slow
def test_the_box_found_is_stored_as_the_tracker_has_it_with_its_note(here: Path, lost: ActorTruth) -> None:
    place = lost.input_folder / "bbox.pt"
    assert run_of(lost, write_bbox=True, dry_run=True).wrote_bbox == str(place)
    assert not place.exists()
    report = run_of(lost, write_bbox=True)
    assert report.wrote_bbox == str(place)
    assert read_box(place) == lost.box
    note = read_note(place)
    assert note is not None and (note.grade, note.box) == ("exact", lost.box)
    again = run_of(lost, write_bbox=True)  # the box is there now, and the run's own
    assert (again.wrote_bbox, again.grade, again.bbox) == (None, "exact", str(place))


def test_a_box_is_stored_in_the_backup_and_is_known_there_by_its_note(
    here: Path, lost: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"video": str(lost.input_folder / "video.mp4")}})
    home = make_backup(lost, inventory.backups / "demo", crops=True)
    assert recover(inventory, write_bbox=True).wrote_bbox == str(home / "bbox.pt")
    elsewhere = {"check": False, "dry_run": True, "out": here / "elsewhere"}
    assert recover(inventory, **elsewhere).grade == "bbox"
    (home / "bbox.found.json").unlink()
    assert recover(inventory, **elsewhere).grade == "unverified"


def test_a_note_of_another_fit_says_nothing_of_this_one(here: Path, lost: ActorTruth, tmp_path: Path) -> None:
    home = make_backup(lost, tmp_path / "home", crops=True)
    options = {"run": str(home), "video": source(lost)}
    recover(None, **options, write_bbox=True)
    assert recover(None, **options, check=False, out=here / "x", dry_run=True).grade == "bbox"
    other = numbers_only(tmp_path / "other", seed=3, size_wh=SIZE, image_size_wh=IMAGE)
    shutil.rmtree(home / "checkpoint")
    shutil.copytree(other.output_folder / "checkpoint", home / "checkpoint")
    assert recover(None, **options, check=False, out=here / "x", dry_run=True).grade == "unverified"


def test_a_box_is_never_stored_over_another_one_nor_from_an_estimate(
    here: Path, lost: ActorTruth, tmp_path: Path
) -> None:
    place = lost.input_folder / "bbox.pt"
    torch.save(np.array([100, 500, 20, 420]), place)
    before = place.read_bytes()
    with pytest.raises(InconsistentData, match="is not replaced"):
        run_of(lost, from_images=source(lost), write_bbox=True)
    assert place.read_bytes() == before and list(here.iterdir()) == []
    place.unlink()
    with pytest.raises(InconsistentData, match="'landmark' is not stored"):
        run_of(lost, from_landmarks=full_frame_landmarks(lost, tmp_path / "found"), write_bbox=True)
    assert not place.exists() and list(here.iterdir()) == []


@pytest.mark.slow
def test_a_box_from_a_copy_of_the_video_is_stored_only_where_its_size_is_known_to_be_the_tracked_one(
    here: Path, lost: ActorTruth, tmp_path: Path
) -> None:
    home = make_backup(lost, tmp_path / "home", crops=True)
    video = lost.input_folder / "video.mp4"
    assert recover(None, run=str(home), from_images=video, dry_run=True).grade == "verified"
    with pytest.raises(InconsistentData, match="may be a rescaled copy") as refused:
        recover(None, run=str(home), from_images=video, write_bbox=True)
    assert "--source-size" in str(refused.value.hint)
    assert not (home / "bbox.pt").exists() and list(here.iterdir()) == []
    stored = recover(None, run=str(home), from_images=video, source_size=SIZE, write_bbox=True)
    assert stored.wrote_bbox == str(home / "bbox.pt") and read_box(home / "bbox.pt") == lost.box


def full_frame_landmarks(truth: ActorTruth, folder: Path) -> Path:
    """478 points of every source frame, half a pixel of noise each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(len(truth.R_source)):
        points = project(truth.K_source, truth.R_source[i], truth.t_source[i], head.landmarks_478())
        np.save(folder / f"{i + 1:05d}.npy", points + rng.normal(0, 0.5, points.shape))
    return folder


# From landmarks


def test_landmarks_give_an_estimate_with_error_bars_that_hold_the_truth(here: Path, tmp_path: Path) -> None:
    truth = without_box(numbers_only(tmp_path / "mt", frames=12))
    report = run_of(truth, from_landmarks=full_frame_landmarks(truth, tmp_path / "found"))
    assert (report.grade, report.crop_by, report.exit_code) == ("landmark", "landmarks", 0)
    assert report.warnings[0].startswith("the crop is an estimate: landmarks alone")
    found = report.evidence
    assert found is not None and found.focal_std_percent and found.side_std_px and report.K is not None
    off = np.abs(np.array(report.K) - truth.K_source)
    assert off[0, 0] < 4 * found.focal_std_percent / 100 * truth.K_source[0, 0]
    assert found.focal_std_percent == pytest.approx(100 * found.side_std_px / found.side_px, rel=1e-9)
    for axis in (0, 1):
        bar = found.principal_std_px[axis]
        assert bar is not None and off[axis, 2] < 4 * bar


class KnowsTheFrames:
    """A detector that knows the drawn frames, and so where their points are."""

    def __init__(self, truth: ActorTruth) -> None:
        self.points = {}
        for i in range(len(truth.R_source)):
            picture = cv2.imread(str(source(truth) / f"{i + 1:05d}.png"))
            points = project(truth.K_source, truth.R_source[i], truth.t_source[i], head.landmarks_478())
            self.points[picture.tobytes()] = points

    def find(self, picture: Any, around: Any = None) -> Any:
        return self.points[picture.tobytes()]

    def __enter__(self) -> KnowsTheFrames:
        return self

    def __exit__(self, *exc: object) -> None: ...


def test_without_crops_the_stored_landmarks_are_found_again_in_the_frames(
    here: Path, lost: ActorTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (lost.output_folder / "input", lost.input_folder / "images"):
        shutil.rmtree(folder)
    shutil.rmtree(lost.output_folder / "video")
    detector = KnowsTheFrames(lost)
    monkeypatch.setattr("being_remote.recovery.crop_method.FaceMesh", lambda: detector)
    report = run_of(lost, dry_run=True)  # landmarks are all that is left
    assert (report.grade, report.crop_by) == ("landmark", "landmarks")
    off = np.abs(np.array(report.K) - lost.K_source)
    assert off[0, 0] < 1e-3 * lost.K_source[0, 0] and off[:2, 2].max() < 1
    shutil.rmtree(lost.input_folder / "kpt_dense")  # 68 points are another detector's
    with pytest.raises(NotFoundError, match="478-point"):
        run_of(lost, from_landmarks=source(lost))


def test_where_no_detector_is_installed_the_error_names_the_package(
    here: Path, lost: ActorTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UsageError, match="MediaPipe") as caught:
        run_of(lost, from_landmarks=source(lost))
    assert "being-remote[landmarks]" in caught.value.hint
    for folder in (lost.output_folder / "input", lost.input_folder / "images"):
        shutil.rmtree(folder)
    shutil.rmtree(lost.output_folder / "video")
    with pytest.raises(NotFoundError, match="only its landmarks are local") as missing:
        run_of(lost)
    assert "being-remote[landmarks]" in missing.value.hint


def test_landmarks_of_other_numbers_are_refused(here: Path, lost: ActorTruth, tmp_path: Path) -> None:
    found = full_frame_landmarks(lost, tmp_path / "found")
    for file in sorted(found.iterdir()):
        file.rename(found / f"9{file.name}")
    with pytest.raises(NotFoundError, match="none has landmarks in both"):
        run_of(lost, from_landmarks=found)


# A bbox.pt and the pixels


def test_a_box_that_the_pixels_contradict_gives_no_camera_and_the_first_warning_is_that(
    here: Path, lost: ActorTruth
) -> None:
    assert lost.box is not None
    x0, x1, y0, y1 = lost.box
    torch.save(np.array([x0 - 20, x1 - 20, y0, y1]), lost.input_folder / "bbox.pt")
    report = run_of(lost)
    assert report.check is not None and report.check.agrees is False
    assert (report.grade, report.exit_code, report.K, report.outputs) == ("unverified", 6, None, ())
    assert report.warnings[0].startswith("THE PIXELS DISAGREE")
    assert list(here.iterdir()) == []
    taken = run_of(lost, check=False)
    assert (taken.check, taken.grade, taken.exit_code) == (None, "bbox", 0)
    assert taken.crop is not None and taken.crop.x_min == x0 - 20


def test_a_box_that_is_off_by_one_pixel_is_denied(here: Path, lost: ActorTruth) -> None:
    assert lost.box is not None
    x0, x1, y0, y1 = lost.box
    torch.save(np.array([x0 + 1, x1 + 1, y0, y1]), lost.input_folder / "bbox.pt")
    assert run_of(lost, dry_run=True).exit_code == 6


def test_a_box_of_unknown_origin_is_confirmed_by_the_pixels(
    here: Path, filmed: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"video": str(filmed.input_folder / "video.mp4")}})
    make_backup(filmed, inventory.backups / "demo", crops=True)
    sure = recover(inventory, dry_run=True)
    assert (sure.grade, sure.warnings) == ("verified", ())
    assert sure.check is not None and (sure.check.agrees, sure.check.exact) == (True, False)
    assert recover(inventory, check=False, dry_run=True).grade == "unverified"


def test_what_cannot_be_checked_is_reported_and_nothing_fails(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    truth = copied(filmed, tmp_path / "mt")

    def reason() -> str:
        report = run_of(truth, dry_run=True)
        assert report.check is not None and report.check.agrees is None and report.exit_code == 0
        return report.check.reason

    for crop in (truth.output_folder / "input").iterdir():
        crop.write_bytes(crop.read_bytes()[:-50])
    assert "00000.png" in reason()
    shutil.rmtree(source(truth))
    (truth.input_folder / "video.mp4").unlink()
    assert "no video is at hand" in reason()
    for folder in (
        truth.output_folder / "input",
        truth.input_folder / "images",
        truth.output_folder / "video",
    ):
        shutil.rmtree(folder)
    assert "no stored crops" in reason()


def test_a_run_that_cropped_nothing_has_no_box_to_check(here: Path, tmp_path: Path) -> None:
    truth = make_actor(tmp_path / "mt", frames=2, size_wh=SIZE, image_size_wh=IMAGE, crop_image=False)
    report = run_of(truth, dry_run=True)
    assert report.check is not None and "cropped nothing" in report.check.reason
    assert (report.check.agrees, report.grade, report.exit_code) == (None, "whole frame", 0)


# Nothing here tells the crop


def test_what_a_host_holds_is_named_with_the_command_that_downloads_it(
    here: Path, lost: ActorTruth, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    checkout = lost.input_folder.parents[1]
    host = {
        "kind": "local",
        "workdir": str(tmp_path / "Being"),
        "python": sys.executable,
        "search_roots": [str(checkout)],
        "tracker": {"root": str(checkout), "python": sys.executable},
    }
    (tmp_path / "Being").mkdir()
    actor = {"video": str(lost.input_folder / "video.mp4")}
    inventory = make_inventory({"here": host}, {"demo": actor}, search_roots=[])
    make_backup(lost, inventory.backups / "demo")
    with pytest.raises(NotFoundError, match="here holds 7 crop images") as caught:
        recover(inventory)
    assert "being-remote sync --actor demo --host here --only crops" in caught.value.hint
    torch.save(np.array(lost.box), lost.input_folder / "bbox.pt")
    with pytest.raises(NotFoundError) as caught:
        recover(inventory)
    assert caught.value.hint == "being-remote find-bbox --actor demo --host here --fetch"


def test_an_unreachable_host_leaves_the_crop_unknown(
    here: Path, lost: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    down = {"address": "127.0.0.1", "port": 1, "user": "root", "workdir": "/w"}
    inventory = make_inventory({"pod": down}, {"demo": {"source_size": list(SIZE)}}, search_roots=[])
    make_backup(lost, inventory.backups / "demo")
    with pytest.raises(HostError) as caught:
        recover(inventory)
    assert caught.value.exit_code == 4 and "unknown what these hosts hold" in caught.value.what


def test_crops_without_a_video_ask_for_one(here: Path, lost: ActorTruth, tmp_path: Path) -> None:
    home = make_backup(lost, tmp_path / "home", crops=True)
    with pytest.raises(NotFoundError, match="no video is at hand") as caught:
        recover(None, run=str(home), source_size=SIZE)
    assert "--from-images VIDEO" in caught.value.hint
    shutil.rmtree(home / "run" / "input")
    with pytest.raises(NotFoundError, match="no stored crops of run"):
        recover(None, run=str(home), from_images=source(lost))


# Bad input


def torn_crop(truth: ActorTruth) -> Path:
    for crop in (truth.output_folder / "input").iterdir():
        crop.write_bytes(crop.read_bytes()[:-50])
    return source(truth)


def crops_of_two_sizes(truth: ActorTruth) -> Path:
    cv2.imwrite(str(truth.output_folder / "input" / "00000.png"), np.zeros((128, 128, 3), np.uint8))
    return source(truth)


def vast_crop(truth: ActorTruth) -> Path:
    path = truth.output_folder / "input" / "00000.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    return source(truth)


def empty_folder(truth: ActorTruth) -> Path:
    (truth.input_folder / "empty").mkdir()
    return truth.input_folder / "empty"


def a_text(truth: ActorTruth) -> Path:
    path = truth.input_folder / "notes.mp4"
    path.write_text("a note, and no video")
    return path


def a_playlist(truth: ActorTruth) -> Path:
    path = truth.input_folder / "list.mp4"
    path.write_text("#EXTM3U\n/etc/passwd\n")
    return path


def a_stub(truth: ActorTruth) -> Path:
    path = truth.input_folder / "stub.mp4"
    path.write_bytes((truth.input_folder / "video.mp4").read_bytes()[:64])
    return path


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (torn_crop, TornFile, "00000.png"),
        (crops_of_two_sizes, InconsistentData, "is 128x128"),
        (vast_crop, UnsafeFile, "00000.png"),
        (empty_folder, NotFoundError, "empty"),
        (a_text, UnsafeFile, "notes.mp4"),
        (a_playlist, UnsafeFile, "list.mp4"),
        (a_stub, TornFile, "stub.mp4"),
        (lambda truth: Path("nowhere"), NotFoundError, "nowhere"),
    ],
)
def test_bad_pictures_and_videos_are_refused_in_words(
    here: Path,
    lost: ActorTruth,
    spoil: Callable[[ActorTruth], Path],
    error: type[BeingRemoteError],
    words: str,
) -> None:
    with pytest.raises(error) as caught:
        run_of(lost, from_images=spoil(lost), source_size=None)
    assert words in str(caught.value)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bit"])
def test_sources_in_other_pixel_formats_are_read_as_the_tracker_reads_them(
    here: Path, lost: ActorTruth, kind: str
) -> None:
    for path in source(lost).iterdir():
        picture = cv2.imread(str(path))
        if kind == "grey":
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        elif kind == "alpha":
            picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
        else:
            picture = picture.astype(np.uint16) * 257
        cv2.imwrite(str(path), picture)
    report = run_of(lost, dry_run=True)
    assert is_the_truth(report, lost)
    assert report.grade == ("verified" if kind == "grey" else "exact")


def test_a_video_of_pixels_that_are_not_square_is_refused_without_no_check(
    here: Path, lost: ActorTruth, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "wide.mp4", 8, pixel_aspect=Fraction(4, 3), size_wh=SIZE)
    with pytest.raises(InconsistentData, match=r"1\.333 times as wide as high") as refused:
        run_of(lost, from_images=video)
    assert "setsar=1" in str(refused.value.hint) and list(here.iterdir()) == []
    torch.save(np.array(lost.box), lost.input_folder / "bbox.pt")
    with pytest.raises(InconsistentData, match="one focal length"):
        run_of(lost, video=video)
    taken = run_of(lost, video=video, check=False, dry_run=True)
    assert is_the_truth(taken, lost)
    assert any("not square" in warning for warning in taken.warnings)
