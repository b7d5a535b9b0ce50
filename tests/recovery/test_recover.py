"""`recover` on generated runs: the true camera comes back, and what is doubtful is said or refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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

from being_remote.backup.history import History
from being_remote.camera.crop import crop_from_box, resize_only
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.demo.actor import ActorTruth, GeneratedRun, make_actor, write_run
from being_remote.demo.tracker_recipe import frame_dict
from being_remote.errors import BeingRemoteError, InconsistentData, NotFoundError, UnsafeFile, UsageError
from being_remote.inventory import Inventory
from being_remote.workflows.recover import RecoverReport

FOCAL_LIMIT_PX, CENTRE_LIMIT_PX = 5e-4, 1e-4  # float32 storage


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return make_actor(tmp_path_factory.mktemp("tracker"), frames=2)


# The right cameras


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right", "none"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_true_camera_comes_back_to_the_limit_of_float32(
    here: Path, tmp_path: Path, edge: str, seed: int
) -> None:
    truth = numbers_only(tmp_path / "mt", edge=edge, seed=seed)
    report = run_of(truth)
    off = np.abs(np.array(report.K) - truth.K_source)
    assert off[0, 0] < FOCAL_LIMIT_PX and off[1, 1] < FOCAL_LIMIT_PX
    assert off[:2, 2].max() < CENTRE_LIMIT_PX
    assert np.allclose(np.array(report.K) - report.K_opencv, [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    assert (report.crop.scale_x, report.crop.scale_y) == truth.scale_xy
    assert report.crop.origin == truth.origin_xy
    assert (report.frames, report.grade) == (2, "bbox")
    assert all("overlay" in w for w in report.warnings)  # no video was named; nothing else is in doubt


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"edge": "none", "seed": 3},
        {"box": (510, 1410, 150, 1079)},  # odd: padded unevenly, so fx and fy differ
        {"box": (0, 1919, 1, 1079)},
        {"size_wh": (640, 360), "edge": "left"},
        {"crop_image": False, "image_size_wh": (960, 540)},
        {"crop_image": False, "image_size_wh": (512, 512)},
    ],
)
def test_in_float64_the_formula_gives_the_true_camera_to_a_billionth_of_a_pixel(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    truth = numbers_only(tmp_path, frames=1, **options)
    sizes = (truth.size_wh, truth.image_size_wh)
    crop = crop_from_box(truth.box, *sizes) if truth.box else resize_only(*sizes)
    assert np.abs(intrinsics_in_source(truth.K_crop, crop) - truth.K_source).max() < 1e-9


@pytest.mark.slow
def test_every_vertex_of_every_frame_lands_where_the_true_camera_puts_it(
    here: Path, drawn: ActorTruth
) -> None:
    run_of(drawn)
    document = json.loads((here / "recovered/demo/cameras.json").read_text())
    for i, frame in enumerate(document["frames"]):
        ours = np.array(document["K"]) @ (
            np.array(frame["R"]) @ drawn.vertices.T + np.array(frame["t"])[:, None]
        )
        true = drawn.K_source @ (drawn.R[i] @ drawn.vertices.T + drawn.t[i][:, None])
        assert np.abs(ours[:2] / ours[2] - true[:2] / true[2]).max() < 2e-3


@pytest.mark.slow
def test_dots_measured_in_the_original_pictures_lie_where_the_recovered_camera_puts_them(
    here: Path, drawn: ActorTruth
) -> None:
    run_of(drawn)
    document = json.loads((here / "recovered/demo/cameras.json").read_text())
    guide_off_px = []
    for frame in document["frames"]:
        picture = cv2.imread(str(drawn.input_folder / "source" / frame["file"])).mean(axis=2)
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
        for marker in drawn.markers:
            point = np.array(frame["R"]) @ marker + frame["t"]
            xy = (np.array(document["K"]) @ point / point[2])[:2]
            near = np.hypot(x - xy[0], y - xy[1]) < 8
            weight = np.clip(picture[near] - 30, 0, None)
            measured = np.array([(x[near] * weight).sum(), (y[near] * weight).sum()]) / weight.sum()
            assert np.linalg.norm(measured - xy) < 0.05
            # The guide's camera: the stored focal length, the centre moved by the box's corner.
            guide = np.array(document["K_crop"])
            guide[:2, 2] += [document["crop"]["x_min"], document["crop"]["y_min"]]
            guide_off_px.append(np.linalg.norm((guide @ point / point[2])[:2] - measured))
    assert min(guide_off_px) > 100


def test_an_odd_box_keeps_two_focal_lengths_and_warns(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", box=(510, 1410, 150, 1079))
    report = run_of(truth)
    assert report.K[0][0] / report.K[1][1] == pytest.approx(928 / 929, rel=1e-12)
    assert any("fx and fy differ" in w for w in report.warnings)


def test_a_run_without_a_crop_is_only_scaled_and_needs_no_box(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", crop_image=False, image_size_wh=(960, 540))
    report = run_of(truth)
    assert np.abs(np.array(report.K) - truth.K_source).max() < FOCAL_LIMIT_PX
    assert (report.grade, report.bbox, report.crop.scale_x) == ("whole frame", None, 2.0)
    with pytest.raises(UsageError, match="tracked without a crop"):
        run_of(truth, bbox=tmp_path / "bbox.pt")
    (tmp_path / "mt/input/demo/bbox.pt").write_bytes(b"an earlier run's")
    assert any("bbox.pt is not used" in w for w in run_of(truth).warnings)


def test_explain_gives_the_guides_answer_and_its_known_error(here: Path, tmp_path: Path) -> None:
    stored = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])
    output = tmp_path / "mt/output/roman"
    run = GeneratedRun(
        box=(510, 1410, 90, 990),
        begin_frames=1,
        image_size_wh=(512, 512),
        K_crop=stored,
        R=np.diag([1.0, -1, -1])[None],
        t=np.array([[0, 0, 1.0]]),
        vertices=np.zeros((3, 3)),
        faces=np.array([[0, 1, 2]], np.int32),
    )
    write_run(tmp_path / "mt", "roman", run, np.random.default_rng(0))
    report = recover(None, run=str(output), source_size=(1920, 1080), explain=True)
    assert np.allclose(report.K, [[4111.5234, 0, 958.2422], [0, 4111.5234, 529.4531], [0, 0, 1]], atol=1e-3)
    assert report.explain is not None
    assert np.allclose(report.explain.guide_K, [[2339, 0, 765], [0, 2339, 340], [0, 0, 1]], atol=1e-3)
    degrees = {e.where: round(e.degrees, 2) for e in report.explain.errors}
    assert (degrees["centre"], degrees["top left"], degrees["bottom right"]) == (6.69, 0.0, 12.46)
    assert report.explain.focal_ratio == pytest.approx(900 / 512)
    assert report.explain.errors[0].source_px == (960.0, 540.0)
    assert run_of_folder(output).explain is None


def run_of_folder(folder: Path, **more: Any) -> RecoverReport:
    return recover(None, **{"run": str(folder), "source_size": (1920, 1080), **more})


def test_settings_that_leave_out_more_images_than_any_source_holds_are_refused_in_words(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt")
    (config,) = (tmp_path / "mt/configs/actors").glob("*.yml")
    text = config.read_text().replace("begin_frames: 1", "begin_frames: 9999999")
    config.write_text(text + "end_frames: 10000000\n")
    with pytest.raises(InconsistentData, match="images are more than") as refused:
        run_of(truth)
    assert "begin_frames" in refused.value.hint


# From a backup, through the inventory


@pytest.mark.slow
def test_an_actors_backup_with_its_video_gives_cameras_overlay_numbers_and_times(
    here: Path, drawn: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    video = drawn.input_folder / "video.mp4"
    inventory = make_inventory({}, {"demo": {"video": str(video)}})
    home = make_backup(drawn, inventory.backups / "demo")
    record(home, lambda name: "a100")
    report = recover(inventory)
    assert (report.grade, report.warnings, report.actor, report.exit_code) == ("bbox", (), "demo", 0)
    top = here / "recovered/demo"
    there = {p for p in top.rglob("*") if p.is_file()}
    said = {Path(o) for o in report.outputs if not o.endswith("/")}
    folders = {Path(o) for o in report.outputs if o.endswith("/")}
    assert said <= there and all(any(f in p.parents for f in folders) for p in there - said)
    assert {"cameras.json", "cameras.npz", "overlay.png", "report.html"} <= {p.name for p in top.iterdir()}
    frames = json.loads(Path(report.outputs[0]).read_text())["frames"]
    assert [(f["source_number"], f["time_s"]) for f in frames] == [(2, 0.04), (3, 0.08)]
    overlay = cv2.imread(named(report, "overlay.png"))
    source = cv2.imread(str(drawn.input_folder / "source" / "00002.png"))
    inside = overlay[200:204, report.crop.x_min + 20 : report.crop.x_min + 120].astype(int)
    there = source[200:204, report.crop.x_min + 20 : report.crop.x_min + 120]
    assert np.abs(inside - there).mean() < 6  # the video's frame, up to its compression


def test_the_overlay_shows_the_right_frame_of_a_video_with_another_rate(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=40, size_wh=(320, 180))
    for i in range(30):
        (truth.output_folder / "checkpoint" / f"{i:05d}.frame").unlink()
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 50.0, truth.size_wh)
    for i in range(80):
        writer.write(np.full((180, 320, 3), 10 + 3 * i, np.uint8))
    writer.release()
    report = run_of(truth, video=path)
    # The first frame is 00030: source file 32, at 31 / 25 s, frame 62 of the video. Not 30, 31 or 32.
    assert truth.box is not None
    overlay = cv2.imread(named(report, "overlay.png"))
    inside = overlay[report.crop.y_max - 12, report.crop.x_min + 6]
    assert abs(inside.mean() - (10 + 3 * 62)) < 5


def test_the_overlay_shows_the_picture_of_a_frame_folder_that_carries_the_source_number(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt", size_wh=(320, 180))
    folder = truth.input_folder / "source"
    folder.mkdir()
    for i in range(1, 4):
        cv2.imwrite(str(folder / f"{i:05d}.png"), np.full((180, 320, 3), 60 * i, np.uint8))
    report = run_of(truth, video=folder)
    overlay = cv2.imread(named(report, "overlay.png"))
    # begin_frames is 1, so 00000.frame is 00002.png. Not 00001 or 00003.
    crop = report.crop
    assert np.median(overlay[crop.y_min + 10 : crop.y_min + 60, crop.x_min + 10 : crop.x_max - 10]) == 120


def test_a_backup_of_frames_and_box_alone_is_enough_and_what_is_assumed_is_reported(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    truth = numbers_only(tmp_path / "mt")
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    home = make_backup(truth, inventory.backups / "demo", config=False)
    shutil.rmtree(home / "run")
    report = recover(inventory, actor="demo")
    assert np.abs(np.array(report.K) - truth.K_source).max() < FOCAL_LIMIT_PX
    assert report.grade == "unverified"
    said = "\n".join(report.warnings)
    for words in ("unverified", "assume begin_frames 1", "plain canvas", "axes instead of a mesh"):
        assert words in said
    frames = json.loads(Path(report.outputs[0]).read_text())["frames"]
    assert [(f["source_number"], f["time_s"]) for f in frames] == [(2, None), (3, None)]


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (lambda name: None, "in the backup before the first sync"),
        (lambda name: "b200" if name == "bbox.pt" else "a100", "from 'b200', the frames from 'a100'"),
        (lambda name: "a100" if name == "bbox.pt" else None, "before the first sync"),
    ],
)
def test_a_box_whose_record_does_not_tie_it_to_the_frames_is_unverified(
    here: Path,
    tmp_path: Path,
    make_inventory: Callable[..., Inventory],
    hosts: Callable[[str], str | None],
    words: str,
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    record(make_backup(numbers_only(tmp_path / "mt"), inventory.backups / "demo"), hosts)
    report = recover(inventory, dry_run=True)
    assert report.grade == "unverified"
    assert any(w.startswith("unverified") and words in w for w in report.warnings)


def test_a_box_that_was_changed_after_its_download_is_unverified(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    home = make_backup(numbers_only(tmp_path / "mt"), inventory.backups / "demo")
    record(home, lambda name: "a100")
    assert recover(inventory, dry_run=True).grade == "bbox"
    torch.save(np.array([500, 1400, 90, 990]), home / "bbox.pt")
    assert recover(inventory, dry_run=True).grade == "unverified"


def test_a_box_that_only_the_history_has_is_named_with_its_snapshot_unless_another_run_has_it(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    home = make_backup(numbers_only(tmp_path / "mt"), inventory.backups / "demo")
    record(home, lambda name: "a100")
    history = History(home)
    kept = history.object(history.read(0).files["bbox.pt"].sha256)
    shutil.move(home / "bbox.pt", kept)
    with pytest.raises(NotFoundError, match="snapshot 0 of the backup has one") as caught:
        recover(inventory)
    assert caught.value.hint == "being-remote sync --actor demo --restore 0"
    files = {path: replace(e, sha256="0" * 64) for path, e in history.read(0).files.items()}
    with history.lock():
        history.commit({p: e for p, e in files.items() if p != "bbox.pt"}, why="sync", host="a100")
    with pytest.raises(NotFoundError, match=r"no bbox\.pt for run 'demo', nor crops") as caught:
        recover(inventory)
    assert "--restore" not in caught.value.hint


def test_a_box_named_on_the_command_line_is_verified_only_if_it_is_the_runs_own(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    truth = numbers_only(tmp_path / "mt")
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    record(make_backup(truth, inventory.backups / "demo"), lambda name: "a100")
    same = recover(inventory, bbox=truth.input_folder / "bbox.pt", dry_run=True)
    torch.save([510, 1410, 90, 990], tmp_path / "other.pt")
    other = recover(inventory, bbox=tmp_path / "other.pt", dry_run=True)
    assert (same.grade, other.grade) == ("bbox", "unverified")
    assert other.crop.x_min == 510


def test_a_run_may_be_named_by_actor_by_backup_or_by_its_checkpoint_folder(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    actor = {"source_size": [1920, 1080]}
    inventory = make_inventory({}, {"demo": actor, "other": actor})
    home = make_backup(numbers_only(tmp_path / "mt"), inventory.backups / "demo")
    by = [recover(inventory, run=r, dry_run=True) for r in ("demo", str(home), str(home / "checkpoint"))]
    assert [(r.run, r.actor, r.K) for r in by] == [("demo", "demo", by[0].K)] * 3
    (here / "demo").mkdir()  # a folder of the actor's name does not get in the way
    assert recover(inventory, run="demo", dry_run=True).actor == "demo"
    with pytest.raises(UsageError, match="2 actors"):
        recover(inventory)


def test_the_box_of_the_input_folder_that_the_settings_name_is_the_runs_own(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt")
    second = truth.output_folder.with_name("demo_v2")  # a second settings file for the same input folder
    shutil.copytree(truth.output_folder, second)
    configs = tmp_path / "mt" / "configs" / "actors"
    other = truth.input_folder.with_name("demo_v2") / "bbox.pt"
    other.parent.mkdir()
    torch.save([510, 1410, 90, 990], other)
    unsure = run_of(truth, run=str(second), dry_run=True)
    assert (unsure.bbox, unsure.grade) == (str(other), "unverified")
    assert any("no settings file says" in w for w in unsure.warnings)
    shutil.copy(configs / "demo.yml", configs / "demo_v2.yml")
    sure = run_of(truth, run=str(second), dry_run=True)
    assert (sure.bbox, sure.grade) == (str(truth.input_folder / "bbox.pt"), "bbox")


def test_a_box_that_is_short_where_no_border_cuts_it_is_doubted(here: Path, tmp_path: Path) -> None:
    def doubts(folder: str, box: tuple[int, int, int, int]) -> list[str]:
        report = run_of(numbers_only(tmp_path / folder, box=box), dry_run=True)
        return [w for w in report.warnings if "not square" in w]

    assert doubts("a", (0, 900, 150, 850))  # cut at the left, but it is the height that is short
    assert not doubts("b", (0, 700, 90, 990))
    assert not doubts("c", (510, 1410, 1, 701))


def test_settings_of_another_run_are_noticed_by_their_image_size(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", crop_image=False, image_size_wh=(960, 540))
    config = tmp_path / "mt" / "configs" / "actors" / "demo.yml"
    config.write_text(config.read_text().replace("540, 960", "270, 480"))
    assert any("says images of 480x270" in w for w in run_of(truth, dry_run=True).warnings)
    config.write_text(config.read_text().replace("crop_image: false", "crop_image: true"))
    with pytest.raises(InconsistentData, match=r"960x540 .* crops to squares only"):
        run_of(truth)
    config.unlink()  # unknown settings: an image that is not square was never cropped
    assert run_of(truth, dry_run=True).grade == "whole frame"


def test_a_size_unlike_the_inventorys_is_used_with_a_warning(
    here: Path, tmp_path: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    box = (100, 1000, 100, 1000)  # fits either way round
    make_backup(numbers_only(tmp_path / "mt", box=box), inventory.backups / "demo")
    report = recover(inventory, source_size=(1080, 1920), dry_run=True)
    assert any("the inventory says 1920x1080, not 1080x1920" in w for w in report.warnings)
    plain = recover(inventory, source_size=(1920, 1080), dry_run=True)
    assert not any("the inventory says" in w for w in plain.warnings)


# What is written


def test_a_dry_run_computes_all_and_writes_nothing(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt")
    planned = run_of(truth, dry_run=True)
    assert list(here.iterdir()) == []
    done = run_of(truth)
    assert planned.dry_run and planned.outputs == done.outputs and planned.K == done.K
    assert all(Path(o).exists() for o in done.outputs)


def test_only_the_exports_named_are_written_and_in_the_folder_named(here: Path, tmp_path: Path) -> None:
    report = run_of(numbers_only(tmp_path / "mt"), exports=["nerfstudio"], out=here / "x")
    names = {str(p.relative_to(here / "x")) for p in (here / "x").rglob("*") if p.is_file()}
    assert names == {"nerfstudio/transforms.json", "overlay.png", "recovered.json", "report.html"}
    assert any("orientation-method none" in note for note in report.notes)


# What is refused. Nothing is written then.

Spoil = Callable[[ActorTruth], dict[str, Any]]


def no_frames(truth: ActorTruth) -> dict[str, Any]:
    for path in (truth.output_folder / "checkpoint").iterdir():
        path.unlink()
    return {}


def no_box(truth: ActorTruth) -> dict[str, Any]:
    (truth.input_folder / "bbox.pt").unlink()
    return {}


def hostile_box(truth: ActorTruth) -> dict[str, Any]:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("the box ran code",)

    torch.save({"box": Bomb()}, truth.input_folder / "bbox.pt")
    return {}


def two_cameras(truth: ActorTruth) -> dict[str, Any]:
    K = truth.K_crop.copy()
    K[0, 0] += 1
    rng = np.random.default_rng(0)
    shape = np.zeros((1, 300), np.float32)
    frame = frame_dict(1, K, truth.R[1], truth.t[1], (512, 512), shape, rng)
    torch.save(frame, truth.output_folder / "checkpoint" / "00001.frame")
    return {}


def torn_frame(truth: ActorTruth) -> dict[str, Any]:
    path = truth.output_folder / "checkpoint" / "00001.frame"
    path.write_bytes(path.read_bytes()[:-100])
    return {}


def small_video(truth: ActorTruth) -> dict[str, Any]:
    folder = truth.input_folder / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "00001.png"), np.zeros((1920, 1080, 3), np.uint8))
    return {"video": folder}


def y_first_box(truth: ActorTruth) -> dict[str, Any]:
    folder = truth.input_folder / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "00001.png"), np.zeros((1080, 1920, 3), np.uint8))
    torch.save([1, 837, 618, 1598], truth.input_folder / "bbox.pt")
    return {"video": folder, "source_size": None}


def playlist(truth: ActorTruth) -> dict[str, Any]:
    path = truth.input_folder / "video.mp4"
    path.write_text("#EXTM3U\n/etc/passwd\n")
    return {"video": path, "source_size": None}


@pytest.mark.parametrize(
    ("spoil", "error", "exit_code", "words"),
    [
        (no_frames, NotFoundError, 3, "holds no .frame"),
        (no_box, NotFoundError, 3, "find-bbox"),
        (hostile_box, UnsafeFile, 6, "bbox.pt"),
        (torn_frame, BeingRemoteError, 6, "00001.frame"),
        (small_video, UsageError, 2, "swapped"),
        (playlist, UnsafeFile, 6, "video.mp4"),
        (lambda t: {"source_size": (1080, 1920)}, UsageError, 2, "--source-size 1920x1080"),
        (y_first_box, InconsistentData, 6, "store y first"),
        (lambda t: {"source_size": (99999, 99999)}, UsageError, 2, "more than any video"),
        (lambda t: {"source_size": (640, 360)}, InconsistentData, 6, "outside a frame of 640x360"),
        (lambda t: {"source_size": None}, UsageError, 2, "--source-size WIDTHxHEIGHT"),
        (lambda t: {"video": Path("missing.mp4")}, NotFoundError, 3, "missing.mp4"),
        (lambda t: {"bbox": Path("missing.pt")}, NotFoundError, 3, "missing.pt"),
        (lambda t: {"exports": ["blender"]}, UsageError, 2, "json, npz, nerfstudio"),
        (lambda t: {"run": "unknown"}, NotFoundError, 3, "'unknown' is neither"),
        (lambda t: {"run": None}, UsageError, 2, "--run FOLDER"),
    ],
)
def test_bad_input_is_refused_with_its_exit_code_and_the_next_step(
    here: Path, tmp_path: Path, spoil: Spoil, error: type[BeingRemoteError], exit_code: int, words: str
) -> None:
    truth = numbers_only(tmp_path / "mt")
    with pytest.raises(error) as caught:
        run_of(truth, **spoil(truth))
    assert words in str(caught.value)
    assert caught.value.exit_code == exit_code
    assert list(here.iterdir()) == []


def test_an_actor_name_with_a_slash_is_an_unknown_actor(
    here: Path, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    with pytest.raises(UsageError, match=r"no actor named '\.\./demo'"):
        recover(inventory, actor="../demo")
    with pytest.raises(NotFoundError, match="being-remote sync --actor demo"):
        recover(inventory)


def test_the_inventorys_video_and_size_must_agree(
    here: Path, drawn: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    video = str(drawn.input_folder / "source")
    inventory = make_inventory({}, {"demo": {"video": video, "source_size": [1280, 720]}})
    make_backup(drawn, inventory.backups / "demo")
    with pytest.raises(UsageError, match=r"1280x720 but the video .* says 1920x1080"):
        recover(inventory)
    # What is said on the command line is not overruled.
    assert recover(inventory, source_size=(1920, 1080), dry_run=True).source_size_wh == (1920, 1080)


def test_gaps_are_named_and_the_rest_keeps_its_numbers(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=5)
    for i in (1, 3):
        (truth.output_folder / "checkpoint" / f"{i:05d}.frame").unlink()
    report = run_of(truth)
    assert report.missing_ids == (1, 3)
    assert any("1, 3" in w for w in report.warnings)
    frames = json.loads(Path(report.outputs[0]).read_text())["frames"]
    assert [(f["frame_id"], f["source_number"]) for f in frames] == [("00000", 2), ("00002", 4), ("00004", 6)]
    assert np.allclose(frames[1]["t"], truth.t[2], atol=1e-6)


def test_loading_the_workflow_loads_no_heavy_library() -> None:
    code = (
        "import sys, being_remote.workflows.recover\n"
        "print(*{'numpy', 'cv2', 'torch', 'fabric', 'paramiko'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.slow
def test_recovering_loads_no_torch(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt")
    code = (
        "import sys; from being_remote.workflows.recover import EvidenceChoice, RunChoice, recover\n"
        f"recover(None, RunChoice({str(truth.output_folder)!r}), EvidenceChoice({truth.size_wh!r}))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
