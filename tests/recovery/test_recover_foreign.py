"""`recover` on files of other forms: of forks and converters, of videos tracked in chunks, with strays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from recover_options import recover
from tracked_runs import make_backup, named, numbers_only, record, run_of

from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.demo.tracker_recipe import frame_dict
from being_remote.errors import InconsistentData, UsageError
from being_remote.inventory import Inventory
from being_remote.workflows.analyze import analyze
from being_remote.workflows.sync import sync

Change = Callable[[dict[str, Any]], dict[str, Any]]
SIZE, IMAGE = (640, 360), (256, 256)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return make_actor(
        tmp_path_factory.mktemp("tracker"), frames=6, size_wh=SIZE, image_size_wh=IMAGE, video=False
    )


def copied(truth: ActorTruth, root: Path) -> ActorTruth:
    shutil.copytree(truth.input_folder.parents[1], root)
    return replace(
        truth, input_folder=root / "input" / truth.name, output_folder=root / "output" / truth.name
    )


def rewrite(truth: ActorTruth, change: Change, **save: Any) -> None:
    """Every `.frame` of a run saved again."""
    for path in (truth.output_folder / "checkpoint").iterdir():
        torch.save(change(torch.load(path, weights_only=False)), path, **save)


def as_tensors(content: dict[str, Any]) -> dict[str, Any]:
    return {
        k: as_tensors(v) if isinstance(v, dict) else torch.from_numpy(v) if isinstance(v, np.ndarray) else v
        for k, v in content.items()
    }


def cameras_only(content: dict[str, Any]) -> dict[str, Any]:
    return {k: content[k] for k in ("opencv", "img_size", "frame_id")}


# Forks and converters


@pytest.mark.parametrize("change", [as_tensors, cameras_only])
def test_the_camera_is_the_same_whatever_form_the_files_have_and_the_form_is_reported(
    here: Path, tmp_path: Path, change: Change
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    plain = run_of(truth, out=Path("plain"))
    rewrite(truth, change)
    report = run_of(truth, out=Path("other"))
    assert (report.K, report.grade, report.exit_code) == (plain.K, "bbox", 0)
    assert Path(named(report, "cameras.json")).read_bytes() == Path(named(plain, "cameras.json")).read_bytes()
    assert any("not of metrical-tracker's own form" in warning for warning in report.warnings)
    seen = analyze(truth.output_folder / "checkpoint" / "00000.frame", source_size=truth.size_wh)
    assert seen.problems == () and seen.source is not None
    assert np.allclose(seen.source.K, report.K, rtol=0, atol=0)


def test_an_export_that_needs_more_than_the_camera_names_it(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    rewrite(truth, cameras_only)
    report = run_of(truth)
    assert {e.name for e in report.exports} == {"json", "npz", "nerfstudio", "colmap", "insta"}
    left_out = [w for w in report.warnings if w.startswith("gaussian-avatars is left out")]
    assert len(left_out) == 1 and "has no flame.exp" in left_out[0]
    for name in ("gaussian-avatars", "flashavatar"):
        with pytest.raises(InconsistentData, match=r"00000\.frame: has no flame\.(exp|shape)"):
            run_of(truth, exports=[name], out=Path(name))
    assert not Path("flashavatar").exists()


def test_tensors_are_as_good_as_arrays_for_every_export(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    names = ["gaussian-avatars", "flashavatar", "gaussiantalker"]
    plain = run_of(truth, exports=names, out=Path("plain"))
    rewrite(truth, as_tensors)
    other = run_of(truth, exports=names, out=Path("other"))
    for a, b in zip(plain.outputs, other.outputs, strict=True):
        files = [Path(a)] if Path(a).is_file() else [p for p in Path(a).rglob("*") if p.is_file()]
        for file in files:
            if file.suffix in (".frame", ".npz", ".json") and file.name != "recovered.json":
                assert file.read_bytes() == Path(b, file.relative_to(a)).read_bytes(), file


# Chunks


def in_chunks(truth: ActorTruth, first: int) -> None:
    """Frames from `first` on as tracked alone: another focal length, steps that count from 0."""
    K = truth.K_crop.copy()
    K[0, 0] = K[1, 1] = K[0, 0] * 1.02
    K[0, 2] += 3
    rng, shape = np.random.default_rng(0), np.zeros((1, 300), np.float32)
    for i in range(first, len(truth.R)):
        frame = frame_dict(i, K, truth.R[i], truth.t[i], truth.image_size_wh, shape, rng)
        frame["global_step"] = 200 * (i - first + 1)
        torch.save(frame, truth.output_folder / "checkpoint" / f"{i:05d}.frame")


def test_a_run_tracked_in_chunks_has_k_per_frame_in_what_can_hold_it(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=5)
    in_chunks(truth, 3)
    report = run_of(truth)
    assert {e.name for e in report.exports} == {"json", "npz", "nerfstudio", "colmap"}
    assert [(s.first_id, s.last_id) for s in report.K_per_frame] == [(0, 2), (3, 4)]
    first, second = (np.array(s.K) for s in report.K_per_frame)
    assert np.allclose(first, truth.K_source, atol=1e-3) and (report.K == report.K_per_frame[0].K)
    assert second[0, 0] / first[0, 0] == pytest.approx(1.02, abs=1e-6)
    want = np.array([first] * 3 + [second] * 2)

    cameras = json.loads(Path(named(report, "cameras.json")).read_text())
    assert cameras["K"] is None and cameras["K_crop"] is None
    np.testing.assert_array_equal([f["K"] for f in cameras["frames"]], want)
    with np.load(named(report, "cameras.npz"), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["K"], want)
        np.testing.assert_allclose(arrays["K_crop"][3:, 0, 0], truth.K_crop[0, 0] * 1.02, rtol=1e-6)
        np.testing.assert_allclose(arrays["K_opencv"][:, :2, 2], want[:, :2, 2] - 0.5)
    document = json.loads(Path(named(report, "transforms.json")).read_text())
    assert "fl_x" not in document
    got = [[f["fl_x"], f["fl_y"], f["cx"], f["cy"]] for f in document["frames"]]
    np.testing.assert_array_equal(got, want[:, [0, 1, 0, 1], [0, 1, 2, 2]])
    lines = Path(named(report, "cameras.txt")).read_text().splitlines()[1:]
    np.testing.assert_array_equal(
        [[float(v) for v in line.split()[4:]] for line in lines], want[[0, 3]][:, [0, 1, 0, 1], [0, 1, 2, 2]]
    )
    images = Path(named(report, "images.txt")).read_text().splitlines()[1::2]
    assert [line.split()[8] for line in images] == ["1", "1", "1", "2", "2"]


def test_a_run_tracked_in_chunks_is_refused_where_one_k_is_all(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=4)
    in_chunks(truth, 2)
    for name in ("insta", "gaussian-avatars", "flashavatar", "gaussiantalker"):
        with pytest.raises(UsageError, match="one K for all frames, and this run has K per frame: fx goes"):
            run_of(truth, exports=[name])
    assert list(here.iterdir()) == []


def test_chunks_that_no_pixels_confirm_are_unverified_and_their_stretches_are_named(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    truth = copied(filmed, tmp_path / "mt")
    in_chunks(truth, 3)
    sure = run_of(truth, dry_run=True)
    assert sure.grade == "exact" and len(sure.check.frames) == 6
    assert (
        "K changes within the run, in 2 stretches of frames (00000 to 00002, 00003 to 00005)"
        in sure.warnings[0]
    )
    blind = run_of(truth, dry_run=True, check=False)
    assert blind.grade == "unverified" and "frames 00000 to 00002 and 1 more" in blind.warnings[0]
    for i in range(3, 6):
        (truth.output_folder / "input" / f"{i:05d}.png").unlink()
        images = truth.input_folder / "images" / f"{i + 2:05d}.png"
        images.unlink(missing_ok=True)
    half = run_of(truth, dry_run=True)
    assert half.grade == "unverified" and "frames 00003 to 00005" in half.warnings[0]


@pytest.mark.slow
def test_chunks_cut_by_boxes_of_their_own_give_no_camera(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    truth = copied(filmed, tmp_path / "mt")
    in_chunks(truth, 3)
    for i in range(3, 6):  # the second chunk's crops are of another place
        path = truth.output_folder / "input" / f"{i:05d}.png"
        picture = cv2.imread(str(path))
        cv2.imwrite(str(path), np.roll(picture, 24, axis=1))
    report = run_of(truth)
    assert report.exit_code == 6 and report.K is None
    assert [w[:19] for w in report.warnings if "this box" in w or "the box" in w] == ["THE PIXELS DISAGREE"]


def test_an_output_folder_distinguishes_chunks_from_one_camera(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=4)
    run_of(truth)
    in_chunks(truth, 2)
    with pytest.raises(UsageError, match="another fit of this run: a K of its frames"):
        run_of(truth)


# Strays


def test_one_stray_frame_of_many_is_left_out_with_a_warning(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=8)
    folder = truth.output_folder / "checkpoint"
    (folder / "last.frame").write_bytes((folder / "00002.frame").read_bytes())
    (folder / "00500.frame").write_bytes((folder / "00003.frame").read_bytes())
    report = run_of(truth)
    assert (report.frames, report.missing_ids, report.grade, report.exit_code) == (8, (), "bbox", 0)
    said = "\n".join(report.warnings)
    assert "last.frame is left out: is not named by a frame_id" in said
    assert "00500.frame is left out: frame_id is '00003'" in said
    assert "gaussian-avatars" in {e.name for e in report.exports}


def test_a_stray_frame_that_no_host_has_puts_no_box_in_doubt_and_a_used_one_does(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    home = make_backup(numbers_only(tmp_path / "mt", frames=4), inventory.backups / "demo")
    folder = home / "checkpoint"
    (folder / "00077.frame").write_bytes((folder / "00002.frame").read_bytes())
    record(home, lambda name: None if "00077" in name else "a100")
    report = recover(inventory, dry_run=True)
    assert (report.grade, report.frames) == ("bbox", 4)
    record(home, lambda name: None if "00002" in name else "a100")
    assert recover(inventory, dry_run=True).grade == "unverified"


# Boxes that are typed, and numpy's


def test_a_typed_box_and_a_numpy_one_are_taken_and_are_unverified(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt")
    own = run_of(truth, dry_run=True)
    (truth.input_folder / "bbox.pt").unlink()
    for array in (np.array(truth.box), np.array([truth.box], np.float32)):
        np.save("box.npy", array)
        for options in ({"bbox": Path("box.npy")}, {"box": truth.box}):
            report = run_of(truth, dry_run=True, **options)
            assert (report.K, report.grade) == (own.K, "unverified")
            assert report.warnings[0].startswith(
                f"unverified: {report.bbox} is not known to be this run's: it"
            )
    assert report.bbox == "--box " + ",".join(map(str, truth.box))
    with pytest.raises(UsageError, match="--bbox and --box are two ways"):
        run_of(truth, bbox=Path("box.npy"), box=truth.box)


def test_a_numpy_box_with_y_first_or_objects_in_it_is_refused(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt")
    x0, x1, y0, y1 = truth.box
    np.save("box.npy", np.array([y0, y1, x0, x1]))
    with pytest.raises(UsageError, match="swapped"):
        run_of(truth, bbox=Path("box.npy"))
    for bad, says in (
        (np.array([x0, x1, y0]), "holds 3 numbers"),
        (np.array([x0, x1, y0, np.nan]), "not finite"),
        (np.array([x0 + 0.5, x1, y0, y1]), "whole numbers"),
        (np.array([x0, x1, y0, y1], object), "not a plain array"),
    ):
        np.save("bad.npy", bad)
        with pytest.raises(Exception, match=says):
            run_of(truth, bbox=Path("bad.npy"))


def test_a_typed_box_is_confirmed_or_denied_by_pixels(here: Path, filmed: ActorTruth) -> None:
    x0, x1, y0, y1 = filmed.box
    assert run_of(filmed, box=filmed.box, dry_run=True).grade == "exact"
    wrong = run_of(filmed, box=(x0 + 2, x1 + 2, y0, y1), dry_run=True)
    assert wrong.exit_code == 6 and f"the box --box {x0 + 2},{x1 + 2},{y0},{y1}" in wrong.warnings[0]


# What jobs and backups know


def test_a_job_s_own_box_is_found_though_its_settings_name_a_folder_of_its_host(
    here: Path, tmp_path: Path, works: Any
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    job = works.command("true").jobs[0].job
    home = works.inventory.backups / "runs" / job
    shutil.copytree(truth.input_folder.parents[1], home)
    (config,) = (home / "configs/actors").iterdir()
    text = config.read_text()
    assert "actor:" in text
    kept = [line for line in text.splitlines() if not line.startswith("actor:")]
    config.write_text("\n".join([f"actor: '/workspace/Being/jobs/{job}/work/input/{truth.name}'", *kept]))
    report = recover(works.inventory, run=job, source_size=truth.size_wh, dry_run=True)
    assert (report.grade, report.bbox) == ("bbox", str(home / "input" / truth.name / "bbox.pt"))


def test_the_box_and_the_size_in_a_job_s_intrinsics_do_without_box_and_video(
    here: Path, tmp_path: Path, works: Any
) -> None:
    from being_remote.tracker.finish import finish

    truth = make_actor(tmp_path / "mt", frames=3, size_wh=SIZE, image_size_wh=IMAGE, video=False)
    job = works.command("true").jobs[0].job
    home = works.inventory.backups / "runs" / job
    shutil.copytree(truth.input_folder.parents[1], home)
    request = {
        "folder": truth.name,
        "actor": truth.name,
        "crop_image": True,
        "image_size_hw": list(IMAGE[::-1]),
        "source_size_wh": None,
        "fps": 25,
        "begin_frames": 1,
        "end_frames": 0,
        "keyframes": [0],
    }
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tracking.json").write_text(json.dumps(request))
    finish(str(home), str(tmp_path / "files"))
    with_box = recover(works.inventory, run=job, check=False, dry_run=True)
    shutil.rmtree(home / "input" / truth.name)
    report = recover(works.inventory, run=job, dry_run=True)
    assert (report.grade, report.bbox) == ("bbox", str(home / "intrinsics.json"))
    assert report.K == with_box.K and report.source_size_wh == SIZE
    in_chunks(replace(truth, output_folder=home / "output" / truth.name), 0)
    with pytest.raises(InconsistentData, match="its K is not that of the run's frames"):
        recover(works.inventory, run=job, dry_run=True)


def test_frames_of_a_hand_made_backup_are_this_run_s_once_a_sync_has_confirmed_them(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    truth = numbers_only(tmp_path / "tracker", frames=3)
    entry = {
        "kind": "local",
        "workdir": str(tmp_path / "Being"),
        "tracker": {"root": str(tmp_path / "tracker")},
    }
    inventory = make_inventory({"this": entry}, {"demo": {"source_size": list(truth.size_wh)}})
    home = make_backup(truth, inventory.backups / "demo")
    (home / "bbox.pt").unlink()
    for path in (home / "checkpoint").iterdir():
        shutil.copystat(truth.output_folder / "checkpoint" / path.name, path)
    with pytest.raises(Exception, match=r"no bbox\.pt"):
        recover(inventory, dry_run=True)
    sync(inventory)
    report = recover(inventory, dry_run=True)
    assert not any("unverified" in warning for warning in report.warnings)
    assert report.grade == "bbox"


# Backgrounds that were replaced


@pytest.mark.slow
@pytest.mark.parametrize("behind", ["green", "another picture"])
def test_crops_with_another_background_confirm_the_box_by_the_face_with_a_note(
    here: Path, filmed: ActorTruth, tmp_path: Path, behind: str
) -> None:
    truth = copied(filmed, tmp_path / "mt")
    shutil.rmtree(truth.input_folder / "images", ignore_errors=True)
    rng = np.random.default_rng(1)
    room = cv2.resize(rng.integers(0, 255, (16, 16, 3), np.uint8), IMAGE, interpolation=cv2.INTER_CUBIC)
    for i in range(6):
        path = truth.output_folder / "input" / f"{i:05d}.png"
        points = np.load(truth.input_folder / "kpt_dense" / f"{i + 2:05d}.npy")
        mask = np.zeros(IMAGE[::-1], np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)
        mask = cv2.dilate(mask, np.ones((21, 21), np.uint8))[..., None]
        picture = cv2.imread(str(path))
        other = np.full_like(picture, (64, 177, 0)) if behind == "green" else room
        cv2.imwrite(str(path), np.where(mask, picture, other))
    seen = run_of(truth, dry_run=True)
    assert seen.grade in ("exact", "verified") and seen.exit_code == 0, seen.warnings
    assert any("background of the stored pictures was replaced" in w for w in seen.warnings)
    (truth.input_folder / "bbox.pt").unlink()
    found = run_of(truth, dry_run=True)
    assert found.grade in ("exact", "verified", "estimated"), found.warnings
    assert found.crop is not None and abs(found.crop.side - seen.crop.side) < 1
