"""What `recover` writes for trainers and people: on the right canvas, never mixed, never over another run."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from recover_options import recover
from tracked_runs import make_backup, named, numbers_only, run_of

from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.errors import InconsistentData, NotFoundError, UsageError
from being_remote.inventory import Inventory, load_inventory
from being_remote.recovery import output_folder
from being_remote.workflows.recover import RecoverReport

SIZE = (640, 360)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return make_actor(tmp_path_factory.mktemp("tracker"), frames=3, size_wh=SIZE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return numbers_only(tmp_path_factory.mktemp("plain"), frames=3)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def exported(report: RecoverReport, name: str) -> Any:
    return next(e for e in report.exports if e.name == name)


# One folder, one run


def test_a_folder_of_another_run_is_refused_and_force_moves_it_aside_whole(
    here: Path, plain: ActorTruth, tmp_path: Path
) -> None:
    run_of(plain)
    before = files_below(here / "recovered")
    other = numbers_only(tmp_path / "mt", seed=4)  # another fit of the same name
    with pytest.raises(UsageError, match="its stored K differs") as caught:
        run_of(other)
    assert "--force" in caught.value.hint
    assert files_below(here / "recovered") == before
    planned = run_of(other, force=True, dry_run=True)
    assert planned.moved_aside is not None and files_below(here / "recovered") == before
    report = run_of(other, force=True)
    assert report.moved_aside is not None
    aside = Path(report.moved_aside)
    assert aside.parent == here / "recovered" and aside.name.startswith("demo.until-20")
    assert files_below(aside) == {k.removeprefix("demo/"): v for k, v in before.items()}
    note = json.loads((here / "recovered/demo/recovered.json").read_text())
    assert np.allclose(note["K_crop"], other.K_crop, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bbox": Path("other.pt")}, "this run by another crop"),
        ({"source_size": (2000, 1080)}, "a video of another size"),
    ],
)
def test_the_same_run_by_another_crop_or_size_is_not_mixed_in(
    here: Path, plain: ActorTruth, change: dict[str, Any], words: str
) -> None:
    torch.save([510, 1410, 90, 990], here / "other.pt")
    run_of(plain)
    run_of(plain)  # the same again is accepted
    with pytest.raises(UsageError, match=words):
        run_of(plain, **change)


def test_the_same_run_numbered_otherwise_is_not_mixed_in(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    run_of(truth)
    config = tmp_path / "mt/configs/actors/demo.yml"
    config.write_text(config.read_text().replace("begin_frames: 1", "begin_frames: 4"))
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="this run numbered otherwise") as caught:
            run_of(truth, dry_run=dry_run)
        assert "--force" in caught.value.hint
    assert run_of(truth, force=True).moved_aside is not None


def test_weaker_cameras_do_not_replace_surer_ones_without_force(here: Path, filmed: ActorTruth) -> None:
    video, note = filmed.input_folder / "source", here / "recovered/demo/recovered.json"
    assert run_of(filmed, video=video).numbering.by == "pixels"
    before = files_below(here)
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=r"surer cameras.*frame numbers by 'pixels'; these: 'settings'"):
            run_of(filmed, video=video, check=False, dry_run=dry_run)
    assert files_below(here) == before
    surer = {**json.loads(note.read_text()), "numbers_by": "settings", "grade": "exact"}
    note.write_text(json.dumps(surer))
    run_of(filmed, video=video)  # surer numbers, and a box of this run is as sure as one found
    for grade in ("bbox", "verified", "estimated"):
        note.write_text(json.dumps({**json.loads(note.read_text()), "grade": grade}))
        weaker = {"estimated": "landmark"}.get(grade, "unverified")
        assert output_folder.compare_strength({"grade": grade}, {"grade": weaker, "numbers_by": "pixels"})
        assert not output_folder.compare_strength({"grade": weaker}, {"grade": grade, "numbers_by": "pixels"})
    for said in ({}, {"grade": None}, {"grade": "of a newer version"}, {"numbers_by": 7}):
        assert not output_folder.compare_strength(said, {"grade": "unverified", "numbers_by": "unknown"})
    assert run_of(filmed, video=video, check=False, force=True).moved_aside is not None


@pytest.mark.slow
def test_other_frames_of_the_video_under_the_same_numbers_are_not_mixed_in(
    here: Path, filmed: ActorTruth
) -> None:
    video, note = filmed.input_folder / "source", here / "recovered/demo/recovered.json"
    run_of(filmed, video=video)
    said = json.loads(note.read_text())
    note.write_text(json.dumps({**said, "video_frames_sha256": "0" * 64}))
    with pytest.raises(UsageError, match="other frames of its video"):
        run_of(filmed, video=video)
    for earlier in ({**said, "video_frames_sha256": None}, {k: said[k] for k in said if k[0] not in "vgn"}):
        note.write_text(json.dumps(earlier))  # by settings alone, or by an older version
        run_of(filmed, video=video)


def test_more_frames_of_the_same_run_may_follow(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=4)
    last = truth.output_folder / "checkpoint" / "00003.frame"
    kept = last.read_bytes()
    last.unlink()
    assert run_of(truth).frames == 3
    last.write_bytes(kept)
    assert run_of(truth).frames == 4


def test_the_folder_that_was_moved_aside_is_named_as_it_is_however_long_the_rest_takes(
    here: Path, plain: ActorTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(plain)
    seconds = itertools.count()
    monkeypatch.setattr(time, "strftime", lambda _: f"{next(seconds)} s")
    report = run_of(numbers_only(tmp_path / "mt", seed=4), force=True)
    assert report.moved_aside is not None and Path(report.moved_aside).is_dir()


def test_other_frames_of_the_same_run_are_refused_before_anything_is_written_and_force_moves_them(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=5)
    folder = truth.output_folder / "checkpoint"
    run_of(truth, exports=["json", "flashavatar"])
    before = files_below(here / "recovered/demo")
    (folder / "00002.frame").rename(tmp_path / "00002.frame")
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=r"cameras of 5 other frames.* first ones of these 4") as caught:
            run_of(truth, exports=["json", "flashavatar"], dry_run=dry_run)
        assert caught.value.exit_code == 2 and "--force" in caught.value.hint
    assert files_below(here / "recovered/demo") == before
    planned = run_of(truth, exports=["json", "flashavatar"], force=True, dry_run=True)
    assert planned.moved_aside is not None and files_below(here / "recovered/demo") == before
    report = run_of(truth, exports=["json", "flashavatar"], force=True)
    assert report.moved_aside is not None and files_below(Path(report.moved_aside)) == before
    (tmp_path / "00002.frame").rename(folder / "00002.frame")
    with pytest.raises(UsageError, match="cameras of 4 other frames"):  # it grew, but not at its end
        run_of(truth, exports=["json"])


def test_what_a_killed_call_left_where_a_trainer_counts_is_refused_before_anything_is_written(
    here: Path, plain: ActorTruth
) -> None:
    run_of(plain, exports=["flashavatar"])
    litter = here / "recovered/demo/flashavatar/metrical-tracker/output/demo/checkpoint/.00001.frame.4711"
    litter.touch()
    before = files_below(here)
    with pytest.raises(UsageError, match=r"other files than this export's 3 \(1,"):
        run_of(plain, exports=["json", "flashavatar"], dry_run=True)
    assert files_below(here) == before


def test_another_canvas_of_one_trainer_is_not_mixed_in(here: Path, plain: ActorTruth) -> None:
    run_of(plain, exports=["gaussian-avatars"])
    run_of(plain, exports=["nerfstudio"], canvas=(768, 768))
    with pytest.raises(UsageError, match="gaussian-avatars for another canvas"):
        run_of(plain, exports=["gaussian-avatars"], canvas=(768, 768))
    note = json.loads((here / "recovered/demo/recovered.json").read_text())
    assert set(note["exports"]) == {"gaussian-avatars", "nerfstudio"}


def test_files_of_our_names_without_a_note_are_left_alone(here: Path, plain: ActorTruth) -> None:
    folder = here / "mine"
    folder.mkdir()
    (folder / "cameras.json").write_text("precious")
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"holds cameras\.json, and no note"):
        run_of(plain, out=folder)
    run_of(plain, out=folder, exports=["nerfstudio"])  # beside them is accepted
    assert (folder / "thesis.txt").read_text() == (folder / "cameras.json").read_text() == "precious"
    (here / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        run_of(plain, out=here / "file")


def test_the_current_folder_is_never_moved_away(here: Path, plain: ActorTruth) -> None:
    (here / "cameras.json").write_text("precious")
    with pytest.raises(UsageError, match="is the current folder"):
        run_of(plain, out=here, force=True)
    assert (here / "cameras.json").read_text() == "precious"


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b"\xff", b'{"run": 7}', b"[" * 100_000])
def test_a_note_that_cannot_be_read_is_of_something_else(here: Path, plain: ActorTruth, note: bytes) -> None:
    folder = here / "recovered/demo"
    folder.mkdir(parents=True)
    (folder / "recovered.json").write_bytes(note)
    with pytest.raises(UsageError, match="another run"):
        run_of(plain)
    assert (folder / "recovered.json").read_bytes() == note


def test_an_export_that_cannot_be_made_leaves_nothing_half_done(here: Path, plain: ActorTruth) -> None:
    with pytest.raises(UsageError, match="pictures of 512x512 only"):
        run_of(plain, exports=["json", "flashavatar"], canvas=(768, 768))
    assert list(here.iterdir()) == []


def with_nan(truth: ActorTruth) -> str:
    """Spoil one expression of the run; returns what is said of it."""
    path = truth.output_folder / "checkpoint" / "00001.frame"
    content = torch.load(path, weights_only=False)
    content["flame"]["exp"][0, 3] = np.nan
    torch.save(content, path)
    return "flame.exp holds numbers that are not finite"


def test_a_default_export_that_the_runs_files_do_not_give_is_left_out_with_the_reason(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    reason = with_nan(truth)
    planned, report = run_of(truth, dry_run=True), run_of(truth)
    for said in (planned.warnings, report.warnings):
        (left_out,) = (w for w in said if "left out" in w)
        assert left_out.startswith("gaussian-avatars is left out: ") and left_out.endswith(reason)
        assert "00001.frame" in left_out
    assert [e.name for e in report.exports] == ["json", "npz", "nerfstudio", "colmap", "insta"]
    assert {"overlay.png", "report.html", "insta"} <= {p.name for p in (here / "recovered/demo").iterdir()}
    assert not (here / "recovered/demo/gaussian-avatars").exists()


@pytest.mark.parametrize("name", ["gaussian-avatars", "flashavatar"])
def test_what_was_named_and_the_runs_files_do_not_give_stops_before_anything_is_written(
    here: Path, tmp_path: Path, name: str
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    reason = with_nan(truth)
    with pytest.raises(InconsistentData, match=rf"00001\.frame: {reason}"):
        run_of(truth, exports=["json", name])
    assert list(here.iterdir()) == []


def test_meshes_of_two_runs_stop_gaussiantalker_before_anything_is_written(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    (mesh,) = truth.output_folder.rglob("00001.ply")
    mesh.unlink()
    with pytest.raises(NotFoundError, match=r"1 of 3 meshes are missing, first 00001\.ply"):
        run_of(truth, exports=["json", "gaussiantalker"])
    assert list(here.iterdir()) == []


# More than 99,999 source images


def renumbered(truth: ActorTruth, frame_ids: list[int], *, end_frames: int = 0) -> None:
    """The run's frames under other ids."""
    folder = truth.output_folder / "checkpoint"
    for old, new in reversed(list(zip(sorted(folder.iterdir()), frame_ids, strict=True))):
        content = torch.load(old, weights_only=False)
        old.unlink()
        torch.save({**content, "frame_id": f"{new:05d}"}, folder / f"{new:05d}.frame")
    config = truth.input_folder.parents[1] / "configs/actors" / f"{truth.name}.yml"
    config.write_text(config.read_text() + f"\nend_frames: {end_frames}\n")


def test_more_than_99999_source_images_are_numbered_in_the_trackers_text_order(
    here: Path, tmp_path: Path
) -> None:
    truth = numbers_only(tmp_path / "mt", frames=4)  # begin_frames 1
    renumbered(truth, [0, 9_998, 9_999, 99_990], end_frames=20)
    # 1 + 99,990 + 1 + 20 images: as text, 100000 to 100012 come before 10002.
    names = sorted(f"{n:05d}" for n in range(1, 100_013))
    report = run_of(truth, exports=["npz"])
    with np.load(named(report, "cameras.npz")) as arrays:
        numbers, times_s = arrays["source_numbers"].tolist(), arrays["times_s"]
    assert numbers == [int(names[1 + i]) for i in (0, 9_998, 9_999, 99_990)] == [2, 10_000, 100_000, 99_979]
    assert np.allclose(times_s, (np.array(numbers) - 1) / 25)
    assert any("at least 100012 images" in w and "as text" in w for w in report.warnings)


def test_the_source_files_at_hand_say_how_many_there_are(here: Path, tmp_path: Path) -> None:
    truth = numbers_only(tmp_path / "mt", frames=3)
    renumbered(truth, [0, 9_998, 9_999])
    folder = tmp_path / "frames"
    folder.mkdir()
    blank = np.zeros((truth.size_wh[1], truth.size_wh[0], 3), np.uint8)
    for number in (1, 100_011):  # a long clip, of which only the beginning was tracked
        cv2.imwrite(str(folder / f"{number:05d}.png"), blank)
    for video, wanted in ((None, [2, 10_000, 10_001]), (folder, [2, 10_000, 100_000])):
        report = run_of(truth, exports=["npz"], video=video, out=here / str(wanted[-1]), dry_run=False)
        with np.load(named(report, "cameras.npz")) as arrays:
            assert arrays["source_numbers"].tolist() == wanted


# Canvases


def test_the_trackers_own_crop_keeps_its_stored_camera(here: Path, plain: ActorTruth) -> None:
    report = run_of(plain, exports=["nerfstudio", "json"], canvas="crop", dry_run=True)
    crop = exported(report, "nerfstudio")
    assert np.allclose(crop.K, report.K_crop, atol=1e-9) and crop.canvas.out_size_wh == (512, 512)
    assert exported(report, "json").K == report.K  # it always describes the original frames
    with pytest.raises(UsageError, match="always describe the original frames"):
        run_of(plain, exports=["json", "npz"], canvas="crop")


def test_a_window_has_the_principal_point_in_its_middle_and_the_focal_length_as_it_is(
    here: Path, plain: ActorTruth
) -> None:
    report = run_of(plain, exports=["nerfstudio"], canvas=(768, 600), dry_run=True)
    K = np.array(exported(report, "nerfstudio").K)
    assert np.abs(K[:2, 2] - (384, 300)).max() <= 0.5
    assert report.K is not None and K[0, 0] == pytest.approx(report.K[0][0])


def test_an_off_centre_camera_needs_an_option_and_its_error_is_reported(
    here: Path, plain: ActorTruth
) -> None:
    with pytest.raises(UsageError, match=r"px left of.*degrees off") as caught:
        run_of(plain, exports=["gaussian-avatars"], canvas="crop")
    assert "--allow-off-centre" in caught.value.hint
    report = run_of(plain, exports=["gaussian-avatars"], canvas="crop", allow_off_centre=True)
    assert any("gaussian-avatars:" in w and "degrees off" in w for w in report.warnings)
    assert exported(report, "gaussian-avatars").off_centre
    assert not exported(run_of(plain, dry_run=True, out=here / "x"), "gaussian-avatars").off_centre
    # Nobody named it: it is left out, and the others are written.
    rest = run_of(plain, canvas="crop", out=here / "y", dry_run=True)
    assert any("gaussian-avatars is left out" in w for w in rest.warnings)
    assert "nerfstudio" in {e.name for e in rest.exports}


def test_a_trainer_that_needs_meshes_names_the_command_that_downloads_them(
    here: Path, plain: ActorTruth, make_inventory: Callable[..., Inventory]
) -> None:
    inventory = make_inventory({}, {"demo": {"source_size": [1920, 1080]}})
    home = make_backup(plain, inventory.backups / "demo")
    shutil.rmtree(home / "run" / "mesh")
    with pytest.raises(NotFoundError) as caught:
        recover(inventory, exports=["gaussiantalker"])
    assert "sync" in caught.value.hint and "--only meshes" in caught.value.hint


def test_a_folder_inside_of_a_file_is_refused_with_force_too(here: Path, plain: ActorTruth) -> None:
    (here / "file").touch()
    for force in (False, True):
        with pytest.raises(UsageError, match=r"cannot be made: .*/file is not a folder"):
            run_of(plain, out=here / "file" / "x" / "y", force=force)
    assert (here / "file").is_file()


# Pictures for trainers


@pytest.mark.slow
def test_pictures_are_made_on_the_trainers_canvas_and_not_made_again(here: Path, filmed: ActorTruth) -> None:
    video = filmed.input_folder / "source"
    report = run_of(filmed, video=video, exports=["nerfstudio"], canvas=(200, 160), with_images=True)
    out = exported(report, "nerfstudio")
    assert (out.images, out.images_kept) == (3, 0)
    made = sorted((here / "recovered/demo/nerfstudio/images").iterdir())
    assert [p.name for p in made] == ["00002.png", "00003.png", "00004.png"]
    full = cv2.imread(str(video / "00002.png"))
    x, y = out.canvas.x_min, out.canvas.y_min
    assert np.array_equal(cv2.imread(str(made[0])), full[y : y + 160, x : x + 200])
    times = [p.stat().st_mtime_ns for p in made]
    made[1].unlink()
    again = run_of(filmed, video=video, exports=["nerfstudio"], canvas=(200, 160), with_images=True)
    assert (exported(again, "nerfstudio").images, exported(again, "nerfstudio").images_kept) == (3, 2)
    assert [p.stat().st_mtime_ns == t for p, t in zip(made, times, strict=True)] == [True, False, True]
    assert any(o.endswith("nerfstudio/images/") for o in report.outputs)


@pytest.mark.slow
def test_pictures_of_another_video_are_refused_before_anything_is_written(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    video, other = filmed.input_folder / "source", tmp_path / "other"
    run_of(filmed, video=video, exports=["nerfstudio"], with_images=True)
    before = files_below(here)
    shutil.copytree(video, other)
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="pictures of another plan: source changed"):
            run_of(filmed, video=other, exports=["nerfstudio"], with_images=True, plot=True, dry_run=dry_run)
    assert files_below(here) == before


def test_pictures_need_the_original(here: Path, plain: ActorTruth) -> None:
    with pytest.raises(UsageError, match="no original video is at hand"):
        run_of(plain, with_images=True)
    assert list(here.iterdir()) == []


def test_a_video_that_ends_before_the_poses_is_reported_and_gives_no_pictures(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    shutil.copytree(filmed.input_folder / "source", short)
    (short / "00004.png").unlink()
    report = run_of(filmed, video=short, dry_run=True)
    assert any("ends too early" in w and "the last 1 of 3 poses" in w for w in report.warnings)
    assert (report.numbering.last, report.numbering.frames_at_hand) == (4, 3)
    with pytest.raises(InconsistentData, match="1 of 3 pictures cannot be made"):
        run_of(filmed, video=short, exports=["nerfstudio"], with_images=True)
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_a_video_that_continues_after_the_poses_is_reported(
    here: Path, filmed: ActorTruth, tmp_path: Path
) -> None:
    long = tmp_path / "long"
    shutil.copytree(filmed.input_folder / "source", long)

    def said() -> list[str]:
        return [w for w in run_of(filmed, video=long, dry_run=True).warnings if "continues for" in w]

    for number in (5, 6):
        assert said() == []  # one more may be a matter of counting
        shutil.copy(long / "00004.png", long / f"{number:05d}.png")
    (words,) = said()
    assert "continues for 2 frames after the last pose" in words


# What else


def test_what_if_forecasts_the_crop_and_refuses_what_changes_none(here: Path, plain: ActorTruth) -> None:
    report = run_of(plain, what_if=["bbox_scale=3.5", "image_size=[768, 768]"])
    assert report.what_if is not None and report.crop is not None and report.K is not None
    assert report.outputs == () and list(here.iterdir()) == []
    assert report.what_if.least.image_size_wh == (768, 768)
    assert report.what_if.least.side > 1.3 * report.crop.side and report.what_if.lines
    assert run_of(plain, dry_run=True).what_if is None
    for word in ("begin_frames=2", "bbox_scale", "bbox_scal=3", "image_size=[512, 768]"):
        with pytest.raises(UsageError):
            run_of(plain, what_if=[word])


def test_what_if_writes_what_is_named(here: Path, plain: ActorTruth) -> None:
    report = run_of(plain, what_if=["bbox_scale=3.5"], exports=["json"])
    assert report.what_if is not None and Path(named(report, "cameras.json")).is_file()


@pytest.mark.slow
def test_the_page_and_the_drawings_show_the_run(here: Path, filmed: ActorTruth) -> None:
    report = run_of(filmed, plot=True)
    page = Path(named(report, "report.html")).read_text()
    assert report.K is not None
    assert "<h1><bdi>demo</bdi></h1>" in page and f"{report.K[0][0]:.4f}" in page
    assert page.count("data:image/jpeg") >= 4  # three frames and the evidence
    for name in ("overlay.png", "evidence.png", "intrinsics.png", "camera_path.png"):
        assert cv2.imread(named(report, name)) is not None


def test_a_name_that_is_markup_stays_text_on_the_page(here: Path, plain: ActorTruth, tmp_path: Path) -> None:
    hostile = tmp_path / "<script>alert(1)</script>".replace("/", "")
    shutil.copytree(plain.output_folder, hostile)
    shutil.copy(plain.input_folder / "bbox.pt", hostile)
    page = Path(named(run_of(plain, run=str(hostile)), "report.html")).read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_a_jobs_results_are_a_run_by_id_by_its_beginning_and_by_last(
    here: Path, plain: ActorTruth, works: Any
) -> None:
    job = works.command("true").jobs[0].job
    with pytest.raises(NotFoundError) as caught:
        recover(works.inventory, run=job, source_size=plain.size_wh)
    assert caught.value.hint == f"being-remote pull {job} --all"
    home = works.inventory.backups / "runs" / job
    checkout = plain.input_folder.parents[1]
    shutil.copytree(checkout, home)
    for word in (job, "last", job[:-2]):
        report = recover(works.inventory, run=word, source_size=plain.size_wh, dry_run=True)
        assert (report.run, report.job, report.grade) == (job, job, "bbox")
        assert Path(report.outputs[0]).is_relative_to(here / "recovered" / job)
    with pytest.raises(NotFoundError, match="neither a folder nor a job"):
        recover(works.inventory, run="unknown", source_size=plain.size_wh)


def test_an_unknown_run_names_the_actors_only_where_there_are_some(here: Path) -> None:
    (here / "inventory.yaml").write_text("hosts: {}\nactors: {}\n")
    with pytest.raises(NotFoundError) as none:
        recover(load_inventory(here / "inventory.yaml"), run="unknown")
    assert none.value.what == "'unknown' is neither a folder nor a job"
    (here / "inventory.yaml").write_text("hosts: {}\nactors: {roman: {}, ana: {}}\n")
    with pytest.raises(NotFoundError, match=r"(?m)nor one of the actors: ana, roman$"):
        recover(load_inventory(here / "inventory.yaml"), run="unknown")
