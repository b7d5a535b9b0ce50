"""Opening videos and frame folders: right frames, and nothing but local videos."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from being_remote.errors import NotFoundError, TornFile, UnsafeFile
from being_remote.video import image_size, open_source

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


@pytest.mark.parametrize(("name", "fourcc"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v")])
def test_a_video_says_its_size_rate_and_length_and_gives_frames_in_any_order(
    tmp_path: Path, name: str, fourcc: str
) -> None:
    with open_source(write_video(tmp_path / name, fourcc=fourcc)) as source:
        assert (source.size_wh, source.frame_count, source.fps) == (SIZE_WH, 10, 25.0)
        assert source.rotation_deg == 0
        for i in (0, 1, 2, 7, 3, 9):
            assert abs(source.frame(i).mean() - numbered(i).mean()) < 4


def test_a_video_that_asks_to_be_turned_is_turned_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    data = path.read_bytes()
    # The track header's matrix is the identity; put a quarter turn in its place.
    one, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    w = (1 << 30).to_bytes(4, "big")
    upright = one + zero * 3 + one + zero * 3 + w
    turned = zero + one + zero + minus + zero * 4 + w
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    with open_source(path) as source:
        assert source.size_wh == SIZE_WH[::-1]
        assert source.rotation_deg in (90, 270)
        assert source.frame(0).shape == (SIZE_WH[0], SIZE_WH[1], 3)


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i + 1:05d}.png"), numbered(i))
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_source(tmp_path) as source:
        assert (source.size_wh, source.frame_count, source.fps) == (SIZE_WH, 3, None)
        assert [int(source.frame(i)[0, 0, 0]) for i in range(3)] == [20, 40, 60]
        with pytest.raises(NotFoundError, match="no frame 3: there are 3"):
            source.frame(3)


def test_a_picture_of_another_size_in_a_folder_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "00001.png"), numbered(0))
    cv2.imwrite(str(tmp_path / "00002.png"), numbered(0)[:32])
    with open_source(tmp_path) as source, pytest.raises(TornFile, match=r"00002\.png: frame 1 is 96x32"):
        source.frame(1)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_pictures_size_is_read_from_its_header(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), numbered(0))
    assert image_size(path) == SIZE_WH
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises((TornFile, UnsafeFile)):
        image_size(path)


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "00001.png"
    cv2.imwrite(str(path), numbered(0))
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(UnsafeFile, match="claims 60000x60000"):
        open_source(tmp_path)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("content", [PLAYLIST, b"ffconcat version 1.0\nfile a.mp4\n", b"v=0\no=- 0 0\n", b""])
def test_a_playlist_named_mp4_is_refused_unopened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(UnsafeFile, match=re.escape(str(path)) + ".*was not opened"):
        open_source(path)


def test_the_decoder_itself_is_held_to_the_allowed_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flv = write_video(tmp_path / "a.flv", fourcc="FLV1")
    monkeypatch.setattr("being_remote.video._is_video", lambda start: True)
    with pytest.raises(TornFile):
        open_source(flv)
    monkeypatch.setattr("being_remote.video._DECODER", {})
    with open_source(flv) as source:  # without the restriction it would have been decoded
        assert source.size_wh == SIZE_WH


def test_a_cut_video_a_pipe_and_nothing_are_different_refusals(tmp_path: Path) -> None:
    cut = write_video(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(TornFile, match="nothing in it can be decoded"):
        open_source(cut)
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
        "import sys, pathlib; from being_remote.video import open_source\n"
        "try: open_source(pathlib.Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cut)], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("TornFile", "")


def test_the_environment_is_as_before_after_opening(tmp_path: Path) -> None:
    before = dict(os.environ)
    open_source(write_video(tmp_path / "a.mp4")).close()
    assert dict(os.environ) == before
