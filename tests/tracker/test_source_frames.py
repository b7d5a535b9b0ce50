"""Frames under the tracker's numbers, whether they lie in a folder or in a video of any rate."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import video_factory

from being_remote.errors import InconsistentData, NotFoundError, UnsafeFile
from being_remote.media.video import open_source
from being_remote.tracker.frame_numbering import frames_in_source
from being_remote.tracker.source_frames import KEPT_BYTES, SourceFrames, every_frame, source_frames

UNEVEN_MS = [int(t) for t in np.cumsum([0, *np.random.default_rng(3).choice([20, 33, 40, 60], 59)])]


def folder_of(path: Path, *names: str) -> Path:
    """Pictures whose grey tells their place among the names."""
    path.mkdir()
    for place, name in enumerate(names):
        cv2.imwrite(str(path / name), np.full((48, 64, 3), 10 * place, np.uint8))
    return path


def grey(frames: SourceFrames, number: int) -> int:
    return round(float(frames.frame(number).mean()))


def by_ffmpeg(video: Path, *how: str) -> list[int]:
    """The numbers in the pictures that the tracker's own command makes of a video."""
    folder = video.with_suffix(".source")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), *how]
    subprocess.run([*command, str(folder / "%05d.png")], check=True)
    return [video_factory.number_in(cv2.imread(str(path))) for path in sorted(folder.iterdir())]


def by_us(video: Path, fps: float) -> list[int]:
    """The numbers in the frames that we take for these pictures."""
    with open_source(video) as source:
        frames = source_frames(source, fps)
        assert not frames.lossless
        return [video_factory.number_in(frames.frame(k + 1)) for k in range(frames.count)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("fps", [12, 25, 30])
@pytest.mark.parametrize("kind", ["even", "film", "uneven"])
def test_a_video_gives_the_files_that_ffmpeg_makes_of_it(
    tmp_path: Path, kind: str, fps: int, suffix: str
) -> None:
    how = {"even": {"rate": 25}, "film": {"rate": Fraction(24000, 1001)}, "uneven": {"times_ms": UNEVEN_MS}}
    path = video_factory.write_video(tmp_path / f"a.{suffix}", 60, **how[kind])
    assert by_us(path, fps) == by_ffmpeg(path, "-vf", f"fps={fps}")


@pytest.mark.slow
@pytest.mark.parametrize(("last_ms", "files", "before"), [(20, 58, 61), (40, 58, 61), (400, 67, 61)])
def test_the_last_frame_is_shown_as_long_as_ffmpeg_shows_it(
    tmp_path: Path, last_ms: int, files: int, before: int
) -> None:
    times_ms = [*UNEVEN_MS[:-1], UNEVEN_MS[-2] + 160]  # the frame before it is a long one
    path = video_factory.write_video(tmp_path / "a.mkv", 60, times_ms=times_ms, last_ms=last_ms)
    assert len(by_ffmpeg(path, "-vf", "fps=25")) == files
    assert by_us(path, 25) == by_ffmpeg(path, "-vf", "fps=25")
    with open_source(path) as source:
        # As long as the one before it, as was assumed.
        assert len(frames_in_source(source.times_s, 25)) == before


@pytest.mark.slow
@pytest.mark.parametrize("late_ms", [10, 20, 50, 500])
@pytest.mark.parametrize("kind", ["even", "uneven"])
def test_a_video_whose_sound_begins_before_it_is_cut_from_the_sound_on(
    tmp_path: Path, kind: str, late_ms: int
) -> None:
    times_ms = UNEVEN_MS if kind == "uneven" else [40 * i for i in range(60)]
    late = [t + late_ms for t in times_ms]
    path = video_factory.write_video(tmp_path / "a.mp4", 60, times_ms=late, sound=True)
    made = by_ffmpeg(path, "-vf", "fps=25")
    assert by_us(path, 25) == made
    with open_source(path) as source:
        silent = frames_in_source(source.times_s, 25, last_s=source.last_s)  # as it was cut before
    assert (silent.tolist() == made) == (kind == "even" and late_ms == 10)


def test_every_frame_of_a_video_is_what_ffmpeg_makes_without_a_rate(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mp4", 40, times_ms=UNEVEN_MS[:40])
    with open_source(path) as source:
        frames = every_frame(source)
        ours = [video_factory.number_in(frames.frame(k + 1)) for k in range(frames.count)]
    assert ours == by_ffmpeg(path, "-fps_mode", "passthrough") == list(range(40))


def test_times_of_years_are_refused(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mkv", 3, times_ms=[0, 40, 2_000_000_000])
    with open_source(path) as source, pytest.raises(UnsafeFile, match="lasts 2000000 s"):
        source_frames(source, 25)


def test_numbers_outside_the_source_are_not_found(tmp_path: Path) -> None:
    with open_source(video_factory.write_video(tmp_path / "a.mp4", 10)) as source:
        frames = source_frames(source, 25)
        assert frames.count == 10
        assert video_factory.number_in(frames.frame(10)) == 9
        for number in (0, -1, 11):
            with pytest.raises(
                NotFoundError, match=f"no source frame {number}: they are numbered from 1 to 10"
            ):
                frames.frame(number)


def test_a_missing_file_shifts_no_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", "00001.png", "00002.png", "00004.png", "00005.png")
    with open_source(folder) as source:
        frames = source_frames(source, 25)
        assert (frames.count, frames.lossless, frames.size_wh) == (5, True, (64, 48))
        assert [grey(frames, k) for k in (1, 2, 4, 5)] == [0, 10, 20, 30]
        with pytest.raises(NotFoundError, match="no source frame 3"):
            frames.frame(3)
        assert frames.notes == ("1 of the numbers 1 to 5 are missing",)


def test_numbers_are_read_as_numbers_past_five_digits(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", "100000.png", "99999.png")
    with open_source(folder) as source:
        assert [grey(source_frames(source, 25), k) for k in (99_999, 100_000)] == [10, 0]


def test_a_folder_that_counts_from_0_is_moved_to_the_trackers_numbers_with_a_note(tmp_path: Path) -> None:
    with open_source(folder_of(tmp_path / "f", "0.jpg", "1.jpg", "2.jpg")) as source:
        frames = source_frames(source, 25)
        assert (frames.count, frames.lossless) == (3, False)
        assert [grey(frames, k) for k in (1, 3)] == [0, 20]
        assert frames.notes == ("the pictures are numbered from 0: the tracker would call the first one 1",)


def test_names_that_are_no_numbers_are_counted_in_order_with_a_note(tmp_path: Path) -> None:
    with open_source(folder_of(tmp_path / "f", "a7.png", "b3.png")) as source:
        frames = source_frames(source, 25)
        assert [grey(frames, k) for k in (1, 2)] == [0, 10]
        assert "in the order of their names" in frames.notes[0]


def test_two_pictures_of_one_number_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", "00001.png", "00001.jpg")
    with open_source(folder) as source, pytest.raises(InconsistentData, match="both have the number 1"):
        source_frames(source, 25)


def test_frames_read_again_are_not_decoded_again_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "f", *(f"{k:05d}.png" for k in range(1, 9)))
    asked: list[int] = []
    with open_source(folder) as source:
        plain = source.frame
        monkeypatch.setattr(source, "frame", lambda i: asked.append(i) or plain(i))
        monkeypatch.setattr("being_remote.tracker.source_frames.KEPT_BYTES", 3 * 48 * 64 * 3)
        frames = source_frames(source, 25)
        for number in (1, 2, 3, 1, 2, 3, 4, 3, 2, 1):
            frames.frame(number)
    assert asked == [0, 1, 2, 3, 0]
    assert KEPT_BYTES < 100 << 20


def test_a_stretched_video_is_reported(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mp4", 4, pixel_aspect=Fraction(8, 9))
    with open_source(path) as source:
        frames = source_frames(source, 25)
        assert not frames.square_pixels and "not square" in frames.notes[0]
