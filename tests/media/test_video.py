"""Opening videos and frame folders: exactly the right frames, and nothing but local videos."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import video_factory

from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.media.video import open_source, small_grey

SIZE_WH = (96, 64)


def numbered(i: int) -> np.ndarray:
    """A frame that tells its number by its grey."""
    return np.full((SIZE_WH[1], SIZE_WH[0], 3), 20 + 20 * i, np.uint8)


def write_video(path: Path, frames: int = 10, fps: float = 25.0, fourcc: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, SIZE_WH)
    for i in range(frames):
        writer.write(numbered(i))
    writer.release()
    return path


def turn(path: Path, *, back: bool = False) -> None:
    """Make an mp4 ask its player for a quarter turn, clockwise or `back`."""
    data = path.read_bytes()
    # The track header's matrix is the identity; put a quarter turn in its place.
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    w = (1 << 30).to_bytes(4, "big")
    upright = one + zero * 3 + one + zero * 3 + w
    first, second = (minus, one) if back else (one, minus)
    turned = zero + first + zero + second + zero * 4 + w
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v")])
def test_a_video_has_its_size_and_length_and_gives_frames_in_any_order(
    tmp_path: Path, name: str, fourcc: str
) -> None:
    with open_source(write_video(tmp_path / name, fourcc=fourcc)) as source:
        assert (source.size_wh, source.frame_count, source.notes) == (SIZE_WH, 10, ())
        for i in (0, 1, 2, 7, 3, 9):
            assert abs(source.frame(i).mean() - numbered(i).mean()) < 4


def test_a_video_with_a_rotation_is_turned_and_it_is_noted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    turn(path)
    with open_source(path) as source:
        assert source.size_wh == SIZE_WH[::-1]
        assert any("turned by 90 degrees" in note for note in source.notes)
        assert source.frame(0).shape == (SIZE_WH[0], SIZE_WH[1], 3)


def test_a_quarter_turn_back_swaps_width_and_height_too(tmp_path: Path) -> None:
    turn(path := write_video(tmp_path / "a.mp4"), back=True)
    with open_source(path) as source:
        assert source.size_wh == SIZE_WH[::-1]
        assert any("turned by 270 degrees" in note for note in source.notes)
        assert source.frame(0).shape == (SIZE_WH[0], SIZE_WH[1], 3)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_no_frame_is_before_the_first(tmp_path: Path, kind: str) -> None:
    cv2.imwrite(str(tmp_path / "00001.png"), numbered(0))
    path = tmp_path if kind == "folder" else write_video(tmp_path / "a.mp4")
    with open_source(path) as source, pytest.raises(NotFoundError, match="no frame -1"):
        source.frame(-1)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_every_frame_has_a_small_grey_picture_of_the_window(tmp_path: Path, kind: str) -> None:
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i:05d}.png"), numbered(i))
    path = tmp_path if kind == "folder" else write_video(tmp_path / "a.mp4")
    with open_source(path) as source:
        found = dict(source.small_greys((0, 64, 0, 64), 32))
    assert list(found) == list(range(10))
    assert all(picture.shape == (32, 32) for picture in found.values())
    steps = np.diff([picture.mean() for picture in found.values()])
    assert steps.min() > 10  # each frame is that much brighter than the one before


def test_a_small_picture_is_made_of_averages_so_that_no_pixel_is_passed_over() -> None:
    stripes = np.tile(np.uint8([[0, 240]]), (64, 32))
    assert np.allclose(small_grey(stripes, 16), 120)
    stripes[:, 0] = 240
    assert np.allclose(small_grey(stripes, 16)[:, 0], 180)


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i + 1:05d}.png"), numbered(i))
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_source(tmp_path) as source:
        assert (source.size_wh, source.frame_count) == (SIZE_WH, 3)
        assert [int(source.frame(i)[0, 0, 0]) for i in range(3)] == [20, 40, 60]
        with pytest.raises(NotFoundError, match="no frame 3: there are 3"):
            source.frame(3)


def test_a_picture_of_another_size_in_a_folder_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "00001.png"), numbered(0))
    cv2.imwrite(str(tmp_path / "00002.png"), numbered(0)[:32])
    with open_source(tmp_path) as source, pytest.raises(InconsistentData, match=r"2\.png: frame 1 is 96x32"):
        source.frame(1)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("content", [PLAYLIST, b"ffconcat version 1.0\nfile a.mp4\n", b"v=0\no=- 0 0\n"])
def test_a_playlist_named_mp4_is_refused_unopened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(UnsafeFile, match=re.escape(str(path)) + ".*was not opened"):
        open_source(path)


def test_the_decoder_itself_is_held_to_the_allowed_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flv = write_video(tmp_path / "a.flv", fourcc="FLV1")
    monkeypatch.setattr("being_remote.media.video._is_video", lambda start: True)
    with pytest.raises(TornFile):
        open_source(flv)
    monkeypatch.setattr("being_remote.media.decoder._OPTIONS", {})
    with open_source(flv) as source:  # without the restriction it would have been decoded
        assert source.size_wh == SIZE_WH


def test_a_cut_video_a_pipe_and_nothing_are_different_refusals(tmp_path: Path) -> None:
    cut = write_video(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(TornFile, match="no frame in it can be decoded"):
        open_source(cut)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(TornFile, match=r"empty\.mp4: is empty\n  next: .*copy it here again"):
        open_source(tmp_path / "empty.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UnsafeFile, match="neither a file nor a folder"):
        open_source(tmp_path / "pipe.mp4")
    with pytest.raises(NotFoundError, match="No such file"):
        open_source(tmp_path / "missing.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"no \.png or \.jpg"):
        open_source(tmp_path / "empty")


def test_a_broken_video_leaves_stderr_clean(tmp_path: Path) -> None:
    cut = write_video(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:60])
    code = (
        "import sys, pathlib; from being_remote.media.video import open_source\n"
        "try: open_source(pathlib.Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cut)], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("TornFile", "")


UNEVEN_MS = [int(t) for t in np.cumsum([0, *np.random.default_rng(1).choice([20, 33, 40, 60], 39)])]
ODD_VIDEOS: dict[str, dict[str, Any]] = {
    "B-frames": {},
    "one key frame": {"key_every": 250},
    "rate of film": {"rate": Fraction(24000, 1001)},
    "uneven times": {"times_ms": UNEVEN_MS},
    "a long pause": {"times_ms": [40 * i + (1200 if i > 15 else 0) for i in range(40)]},
}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("kind", ODD_VIDEOS)
def test_jumping_to_a_frame_gives_the_pixels_that_decoding_from_the_start_gives(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    path = video_factory.write_video(tmp_path / f"a.{suffix}", **ODD_VIDEOS[kind])
    with open_source(path) as source:
        assert source.frame_count == 40
        truth = [source.frame(i) for i in range(40)]
        assert [video_factory.number_in(picture) for picture in truth] == list(range(40))
        for i in random.Random(0).sample(range(40), 20):
            assert np.array_equal(source.frame(i), truth[i]), i


def test_opencvs_own_seek_would_miss_frames_after_a_pause(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mp4", **ODD_VIDEOS["a long pause"])
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    for i in range(39, -1, -1):
        capture.set(cv2.CAP_PROP_POS_FRAMES, i)
        done, picture = capture.read()
        found.append(video_factory.number_in(picture) if done else None)
    capture.release()
    assert sum(a != b for a, b in zip(found, range(39, -1, -1), strict=True)) > 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_is_noted_with_the_time_of_every_frame(tmp_path: Path, suffix: str) -> None:
    path = video_factory.write_video(tmp_path / f"a.{suffix}", times_ms=UNEVEN_MS)
    with open_source(path) as source:
        assert any("variable" in note for note in source.notes)
        assert np.allclose(source.times_s, np.array(UNEVEN_MS) / 1000, atol=1e-9)
    even = video_factory.write_video(tmp_path / f"b.{suffix}", rate=Fraction(30000, 1001))
    with open_source(even) as source:
        assert source.notes == ()


def test_frames_of_an_avi_that_stores_no_times_are_counted_from_the_start(tmp_path: Path) -> None:
    with open_source(video_factory.write_video(tmp_path / "a.avi")) as source:
        assert [video_factory.number_in(source.frame(i)) for i in (39, 3, 38, 0)] == [39, 3, 38, 0]


def test_the_count_is_of_frames_even_where_the_container_lies(tmp_path: Path) -> None:
    times = [2000 + 40 * i for i in range(20)]
    path = video_factory.write_video(tmp_path / "a.mkv", 20, times_ms=times)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) != 20
    capture.release()
    with open_source(path) as source:
        assert source.frame_count == 20
        assert video_factory.number_in(source.frame(19)) == 19


def test_what_an_edited_mp4_leaves_out_at_its_beginning_is_no_frame_of_it(tmp_path: Path) -> None:
    import imageio_ffmpeg

    whole = video_factory.write_video(tmp_path / "whole.mp4", 40, key_every=12)
    cut = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-ss", "0.6", "-i", str(whole)]
    subprocess.run([*cut, "-c", "copy", str(tmp_path / "cut.mp4")], check=True, timeout=60)
    with open_source(tmp_path / "cut.mp4") as source:
        shown = [video_factory.number_in(source.frame(i)) for i in range(source.frame_count)]
    assert shown == list(range(15, 40))  # the packets begin with the key frame 12


@pytest.mark.parametrize("kind", ["plain", "deep", "odd", "odd width", "odd height", "turned", "turned back"])
def test_a_window_holds_the_very_pixels_of_the_whole_frame(tmp_path: Path, kind: str) -> None:
    size_wh = {"odd": (319, 239), "odd width": (319, 240), "odd height": (320, 239)}.get(kind, (320, 240))
    pixels = "yuv420p10le" if kind == "deep" else "yuv420p"
    if "odd" in kind:  # H.264 has no such sizes with colours for every second pixel
        path, codec = tmp_path / "a.mkv", {"codec": "ffv1", "b_frames": 0}
    else:
        path, codec = tmp_path / "a.mp4", {}
    video_factory.write_video(path, 3, size_wh=size_wh, pixels=pixels, **codec)
    if "turned" in kind:
        turn(path, back="back" in kind)
    quarters = {"turned": 1, "turned back": -1}.get(kind, 0)
    with open_source(path) as source:
        for window in ((101, 203, 57, 112), (0, 31, 1, 2), (200, source.size_wh[0], 3, source.size_wh[1])):
            x_min, x_max, y_min, y_max = window
            whole = source.frame(1)
            assert np.array_equal(source.frame(1, window), whole[y_min:y_max, x_min:x_max]), window
            assert video_factory.number_in(np.rot90(whole, quarters)) == 1


def test_pixels_that_are_not_square_are_noted_and_left_as_stored(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mp4", 5, pixel_aspect=Fraction(4, 3))
    with open_source(path) as source:
        assert source.pixel_aspect == pytest.approx(4 / 3)
        assert source.size_wh == (320, 240)
        assert "not square: each is shown 1.333 times as wide" in source.notes[0]


def test_a_frame_damaged_in_the_middle_never_shifts_those_after_it(tmp_path: Path) -> None:
    path = video_factory.write_video(tmp_path / "a.mp4", 60, codec="mpeg4", key_every=1)
    data = bytearray(path.read_bytes())
    at = [m.start() for m in re.finditer(rb"\x00\x00\x01\xb6", data)][20]
    data[at + 4 : at + 8] = b"\xff\xff\xff\xff"  # what kind of picture follows
    path.write_bytes(data)
    with open_source(path) as source:
        shown = []
        for i in range(15, 25):
            try:
                shown.append(video_factory.number_in(source.frame(i)))
            except TornFile as e:
                assert f"frame {i} of 60 cannot be decoded" in str(e)
                shown.append(None)
        assert shown[5] in (None, 20)
        assert [n for i, n in enumerate(shown, 15) if i != 20] == [15, 16, 17, 18, 19, 21, 22, 23, 24]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_title_that_is_not_utf8_is_no_reason_to_refuse_a_video(tmp_path: Path, suffix: str) -> None:
    path = video_factory.write_video(tmp_path / f"a.{suffix}", 3, title="XXXXYYYY")
    data = path.read_bytes()
    assert b"XXXXYYYY" in data
    path.write_bytes(data.replace(b"XXXXYYYY", b"\xff\xfe\xe9XX\xc3(Y"))
    with open_source(path) as source:
        assert video_factory.number_in(source.frame(2)) == 2


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    video_factory.write_sound(path)
    with pytest.raises(TornFile, match=r"sound\.mp4: begins like a video, but no frame in it"):
        open_source(path)


def _grey(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0]


def _deep(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.uint16) * 256 + 200


def _alpha(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.full(picture.shape[:2], 77, np.uint8)])


@pytest.mark.parametrize(
    ("made", "word"),
    [(_grey, "grey made three"), (_deep, "cut to the upper 8"), (_alpha, "alpha channel left")],
)
def test_a_folder_of_other_pictures_is_read_as_8_bit_colour_and_it_is_noted(
    tmp_path: Path, made: Callable[[np.ndarray], np.ndarray], word: str
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 1), np.uint8).repeat(3, 2)
    cv2.imwrite(str(tmp_path / "00001.png"), picture)
    cv2.imwrite(str(tmp_path / "00002.png"), made(picture))
    with open_source(tmp_path) as source:
        assert source.notes == ()
        assert np.array_equal(source.frame(1), picture)
        assert len(source.notes) == 1 and word in source.notes[0]
