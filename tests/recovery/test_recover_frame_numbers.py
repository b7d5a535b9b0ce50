"""`recover` and the frame that each pose is of: by pixels, whatever was done to the video; or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import video_factory
from timed_runs import (
    AT_25,
    BOX,
    EVERY_FRAME,
    IMAGE,
    UNEVEN_MS,
    TimedRun,
    cameras_in,
    ffmpeg,
    filmed,
    filmed_again,
    pictured,
    re_encoded,
    track,
)

from being_remote.demo.tracker_recipe import crop_image
from being_remote.errors import InconsistentData, UsageError
from being_remote.recovery import frame_search

PICTURES = {"exports": ["json", "npz", "nerfstudio"], "with_images": True}


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames of a phone: 20 to 120 ms each."""
    folder = tmp_path_factory.mktemp("uneven")
    return video_factory.write_video(folder / "a.mp4", 60, times_ms=UNEVEN_MS)


@pytest.fixture(scope="module")
def at_30(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 30 fps."""
    return video_factory.write_video(tmp_path_factory.mktemp("even") / "a.mp4", 60, rate=30)


@pytest.fixture(scope="module")
def every_frame_run(uneven: Path, tmp_path_factory: pytest.TempPathFactory) -> TimedRun:
    return track(tmp_path_factory.mktemp("mt"), uneven, *EVERY_FRAME)


@pytest.fixture(scope="module")
def run_at_25(at_30: Path, tmp_path_factory: pytest.TempPathFactory) -> TimedRun:
    return track(tmp_path_factory.mktemp("mt"), at_30, *AT_25)


@pytest.mark.slow
def test_where_source_holds_every_frame_of_an_uneven_video_each_pose_gets_its_own(
    here: Path, uneven: Path, every_frame_run: TimedRun
) -> None:
    report = every_frame_run.recover(uneven, out=here / "a", **PICTURES)
    assert every_frame_run.tracked == tuple(range(1, 60))
    assert pictured(here / "a") == list(range(1, 60))
    frames = cameras_in(here / "a")["frames"]
    assert [f["source_number"] for f in frames] == list(range(2, 61))
    assert [f["video_frame"] for f in frames] == list(range(1, 60))
    assert np.allclose([f["time_s"] for f in frames], np.array(UNEVEN_MS[1:]) / 1000, atol=1e-6)
    assert (report.numbering.by, report.numbering.source_holds) == ("pixels", "every frame of it")
    assert (report.numbering.crops_found, report.exit_code) == (59, 0)
    assert any("source/ holds every frame of it; the pixels are followed" in w for w in report.warnings)
    # By the settings, as it was, poses got frames that are up to so many others away.
    unasked = every_frame_run.recover(uneven, out=here / "b", check=False, **PICTURES)
    assert any("not proven by pixels: --no-check" in warning for warning in unasked.warnings)
    assert max(abs(a - b) for a, b in zip(pictured(here / "b"), range(1, 60), strict=True)) > 9


def test_without_crops_the_numbers_of_an_uneven_video_are_reported_as_not_proven(
    tmp_path: Path, uneven: Path, every_frame_run: TimedRun
) -> None:
    shutil.copytree(every_frame_run.output, tmp_path / "clip", ignore=shutil.ignore_patterns("input"))
    run = TimedRun(tmp_path / "clip", every_frame_run.tracked, tmp_path / "none")
    report = run.recover(uneven, box=BOX, dry_run=True)
    assert report.numbering.by in ("settings", "assumption")
    assert any("not proven by pixels: no stored crop is local" in warning for warning in report.warnings)


@pytest.mark.slow
def test_where_source_was_cut_at_25_fps_each_pose_gets_the_frame_that_ffmpeg_put_there(
    here: Path, tmp_path: Path, uneven: Path, at_30: Path, run_at_25: TimedRun
) -> None:
    for name, run, video in (
        ("even", run_at_25, at_30),
        ("uneven", track(tmp_path / "mt", uneven, *AT_25), uneven),
    ):
        report = run.recover(video, out=here / name, **PICTURES)
        assert pictured(here / name) == list(run.tracked)
        frames = cameras_in(here / name)["frames"]
        assert [f["source_number"] for f in frames] == list(range(2, len(frames) + 2))
        assert [f["video_frame"] for f in frames] == list(run.tracked)
        assert np.allclose([f["time_s"] for f in frames], np.arange(1, len(frames) + 1) / 25)
        assert (report.numbering.source_holds, report.numbering.offset) == ("it at 25 fps", 0)
        assert [w for w in report.warnings if "pixels" in w] == []


@pytest.mark.slow
def test_each_chunk_of_a_run_is_checked_in_the_frames_that_the_pixels_gave_it(
    here: Path, tmp_path: Path, uneven: Path, every_frame_run: TimedRun
) -> None:
    checkout = tmp_path / "mt"
    shutil.copytree(every_frame_run.output.parents[1], checkout)
    output = checkout / "output" / "clip"
    for i, path in enumerate(sorted((output / "checkpoint").iterdir())):
        content = torch.load(path, weights_only=False)
        focal = 600 + 10 * (i // 8)
        content["opencv"]["K"][0, [0, 1], [0, 1]] = focal
        content["camera"]["fl"][:] = focal / 64
        torch.save(content, path)
    run = TimedRun(output, every_frame_run.tracked, output / "input")
    report = run.recover(uneven, out=here / "a", **PICTURES)
    assert len(report.K_per_frame) == 8
    assert (report.grade, report.numbering.by) == ("exact", "pixels")
    assert not any("no stored crop of them" in warning for warning in report.warnings)
    assert pictured(here / "a") == list(run.tracked)


@pytest.mark.slow
def test_frames_at_another_rate_than_the_settings_are_reported_as_such(
    here: Path, uneven: Path, every_frame_run: TimedRun, tmp_path: Path
) -> None:
    whole = every_frame_run.recover(uneven)
    assert (whole.numbering.at_fps, whole.numbering.frames_at_hand) == (False, 60)
    early = re_encoded(uneven, "early.mp4", "-vf", "select=lt(n\\,50)", *EVERY_FRAME)
    with pytest.raises(UsageError, match="holds the cameras of this run numbered otherwise"):
        every_frame_run.recover(early)
    said = every_frame_run.recover(early, out=here / "a")
    assert [w for w in said.warnings if "ends too early" in w] and not any(
        "at 25 fps" in w for w in said.warnings
    )
    # Without a rule the frames are not counted, and none of them comes after the last pose.
    mixed = filmed_again(tmp_path, uneven, [n for n in range(60) for _ in range(1 + (n % 9 == 4))], 18)
    said = every_frame_run.recover(mixed, out=here / "b", **PICTURES)
    assert (said.numbering.source_holds, said.numbering.frames_at_hand) == ("", None)
    assert not any("continues for" in w for w in said.warnings)
    assert pictured(here / "b") == list(every_frame_run.tracked)


@pytest.mark.slow
@pytest.mark.parametrize("crf", [18, 30])
def test_a_copy_that_lacks_frames_and_repeats_others_gives_each_pose_its_own_or_none(
    here: Path, tmp_path: Path, uneven: Path, every_frame_run: TimedRun, crf: int
) -> None:
    # Every seventh frame is dropped, and of what is left every ninth comes twice.
    left = [n for n in range(60) if n % 7 != 3]
    shown = [n for i, n in enumerate(left) for _ in range(1 + (i % 9 == 4))]
    copy = filmed_again(tmp_path, uneven, shown, crf)
    report = every_frame_run.recover(copy, out=here / "a")
    frames = cameras_in(here / "a")["frames"]
    for frame, own in zip(frames, every_frame_run.tracked, strict=True):
        if own % 7 == 3:
            assert frame["video_frame"] is None and frame["source_number"] is None
        else:
            assert shown[frame["video_frame"]] == own
    assert report.numbering.without_number == sum(n % 7 == 3 for n in every_frame_run.tracked)
    with pytest.raises(InconsistentData, match=r"pictures cannot be made: their frames are unknown"):
        every_frame_run.recover(copy, out=here / "b", exports=["insta"], with_images=True)
    assert not (here / "b").exists()


@pytest.mark.parametrize("crf", [18, 30])
def test_a_video_trimmed_at_both_ends_numbers_the_poses_as_far_as_it_goes(
    here: Path, at_30: Path, run_at_25: TimedRun, crf: int
) -> None:
    trimmed = re_encoded(
        at_30, f"trim{crf}.mp4", "-vf", "select=between(n\\,11\\,49),setpts=PTS-STARTPTS", crf=crf
    )
    report = run_at_25.recover(trimmed, out=here / "a")
    frames = cameras_in(here / "a")["frames"]
    for frame, own in zip(frames, run_at_25.tracked, strict=True):
        assert frame["video_frame"] == (own - 11 if 11 <= own <= 49 else None)
    early = sum(n < 11 for n in run_at_25.tracked)
    late = sum(n > 49 for n in run_at_25.tracked)
    assert any(f"{early} of {len(frames)} poses are of earlier frames" in w for w in report.warnings)
    assert any(f"the last {late} of {len(frames)} poses are of later frames" in w for w in report.warnings)
    assert report.exit_code == 0 and report.numbering.by == "pixels"
    with pytest.raises(InconsistentData, match="pictures cannot be made"):
        run_at_25.recover(trimmed, out=here / "b", exports=["insta"], with_images=True)


@pytest.mark.slow
def test_an_offset_of_any_size_is_found(here: Path, tmp_path: Path) -> None:
    video = video_factory.write_video(tmp_path / "long.mp4", 160)
    part = re_encoded(video, "part.mp4", "-vf", "select=gte(n\\,100),setpts=PTS-STARTPTS")
    run = track(tmp_path / "mt", part, *AT_25)
    report = run.recover(video, out=here / "a", **PICTURES)  # 100 frames off: far beyond 30
    assert pictured(here / "a") == list(run.tracked) == list(range(101, 160))
    assert (report.numbering.offset, report.numbering.by, report.grade) == (100, "pixels", "verified")


@pytest.mark.slow
def test_without_a_box_too_frames_that_are_far_from_where_the_settings_put_them_are_found(
    here: Path, tmp_path: Path
) -> None:
    """Something moves before a wall: what stands still tells the crop, and the crop tells the frames."""

    def drawn(n: int) -> np.ndarray:
        moving, picture = video_factory.numbered_frame(n), video_factory.numbered_frame(0)
        picture[:16], picture[90:160, 120:200] = moving[:16], moving[90:160, 120:200]
        return picture

    video = filmed(map(drawn, range(120)), tmp_path / "whole.mp4", 25, crf=12)
    part = re_encoded(video, "part.mp4", "-vf", "select=gte(n\\,75),setpts=PTS-STARTPTS", crf=12)
    run = track(tmp_path / "mt", part, *AT_25)
    (tmp_path / "mt/input/clip/bbox.pt").unlink()
    report = run.recover(video)
    assert report.crop is not None and report.grade == "verified"
    assert (report.crop.x_min, report.crop.x_max, report.crop.y_min, report.crop.y_max) == BOX
    assert (report.numbering.by, report.numbering.offset) == ("pixels", 75)


@pytest.mark.slow
def test_a_run_without_settings_on_a_video_of_another_rate_is_numbered_by_its_pixels(
    here: Path, tmp_path: Path, at_30: Path
) -> None:
    run = track(tmp_path / "mt", at_30, "-vf", "fps=24", begin_frames=5, settings=False)
    run.recover(at_30, out=here / "a", **PICTURES)
    assert pictured(here / "a") == list(run.tracked)


@pytest.mark.slow
def test_another_take_gives_no_numbers_and_no_pictures(
    here: Path, tmp_path: Path, uneven: Path, every_frame_run: TimedRun
) -> None:
    """The box fits, where it is not checked by pixels; the frames are others."""
    rng = np.random.default_rng(0)
    # The first, middle and last crop are where they should be, and all others are shuffled.
    keep = {1, 30, 31, 59}
    loose = iter(rng.permutation([n for n in range(60) if n not in keep]).tolist())
    mixed = filmed_again(tmp_path, uneven, [n if n in keep else next(loose) for n in range(60)], 18)
    report = every_frame_run.recover(mixed, out=here / "a", exports=["insta"], with_images=True)
    assert (report.exit_code, report.K, report.numbering.first) == (6, None, None)
    assert not (here / "a").exists()


def test_where_all_crops_cannot_be_compared_the_settings_are_taken_if_a_few_crops_do_not_deny_them(
    here: Path,
    uneven: Path,
    at_30: Path,
    every_frame_run: TimedRun,
    run_at_25: TimedRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_search, "MOST_FRAMES", 59)
    report = run_at_25.recover(at_30, dry_run=True)
    assert (report.numbering.by, report.numbering.offset) == ("settings", 0)
    assert any("not proven by pixels: there are more than 59 frames" in w for w in report.warnings)
    report = every_frame_run.recover(uneven, out=here / "a")
    assert (report.numbering.by, report.numbering.first) == ("unknown", None)
    assert report.warnings[0].startswith("WHICH FRAME OF")
    document = cameras_in(here / "a")
    assert document["numbers_by"] == "unknown"
    assert {f["source_number"] for f in document["frames"]} == {None}
    assert {f["time_s"] for f in document["frames"]} == {None}
    assert report.exit_code == 0
    with pytest.raises(InconsistentData, match="59 of 59 pictures cannot be made"):
        every_frame_run.recover(uneven, out=here / "b", exports=["insta"], with_images=True)
    assert not (here / "b").exists()


@pytest.mark.slow
def test_a_folder_of_frames_with_one_of_a_huge_number_is_read_within_bounds(
    here: Path, tmp_path: Path, at_30: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    ffmpeg("-i", at_30, *EVERY_FRAME, frames / "%05d.png")
    shutil.copy(frames / "00060.png", frames / "999999999.png")
    run = track(tmp_path / "mt", at_30, *EVERY_FRAME, begin_frames=30)
    run.recover(frames, out=here / "a", **PICTURES)
    assert pictured(here / "a") == list(run.tracked)


@pytest.mark.slow
@pytest.mark.parametrize("moved", [range(20, 28), range(40, 59)])
def test_crops_that_another_box_cut_give_no_camera_wherever_in_the_run_they_lie(
    here: Path, tmp_path: Path, uneven: Path, moved: range
) -> None:
    """As where the box was deleted and made again before the run continued: K stays."""
    run = track(tmp_path / "mt", uneven, *EVERY_FRAME)
    frames = sorted((tmp_path / "mt" / "cut").iterdir())[1:]
    x0, x1, y0, y1 = BOX
    for i in moved:
        crop = crop_image(cv2.imread(str(frames[i])), (x0 - 20, x1 - 20, y0, y1), IMAGE)
        cv2.imwrite(str(run.crops / f"{i:05d}.png"), crop)
    report = run.recover(uneven, out=here / "a")
    assert (report.exit_code, report.K) == (6, None) and not (here / "a").exists()


def test_one_crop_that_agrees_is_no_proof_of_a_whole_run(
    here: Path, tmp_path: Path, at_30: Path, run_at_25: TimedRun
) -> None:
    checkout = tmp_path / "mt"
    shutil.copytree(run_at_25.output.parents[1], checkout)
    output = checkout / "output" / "clip"
    run = TimedRun(output, run_at_25.tracked, output / "input")
    for crop in sorted(run.crops.iterdir())[1:]:
        crop.unlink()
    report = run.recover(at_30, out=here / "a")
    assert report.check is not None and report.check.agrees
    assert (report.numbering.by, report.numbering.crops_found) == ("settings", 1)
    assert any("not proven by pixels: only 1 of 1 stored crops" in w for w in report.warnings)
    assert cameras_in(here / "a")["numbers_by"] == "settings"


@pytest.mark.slow
def test_frames_that_all_look_alike_keep_the_settings_numbers_with_a_warning(
    here: Path, tmp_path: Path
) -> None:
    still = filmed([video_factory.numbered_frame(7)] * 40, tmp_path / "still.mp4", 30)
    run = track(tmp_path / "mt", still, *AT_25)
    report = run.recover(still, out=here / "a", **PICTURES)
    assert report.numbering.source_holds == "it at 25 fps" and report.exit_code == 0
    assert any(w.startswith("little moves") for w in report.warnings)
    # Numbers that the settings do not give are unknown: there are many that fit.
    other = track(tmp_path / "other", still, *AT_25)
    longer = re_encoded(still, "short.mp4", "-vf", "select=lt(n\\,20)")
    said = other.recover(longer, out=here / "b")
    assert said.numbering.by in ("unknown", "pixels") and said.numbering.offset == 0
