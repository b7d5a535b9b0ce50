"""One picture file: bounded before it is decoded, whole or refused, and read as the tracker reads it."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from being_remote.errors import NotFoundError, TornFile, UnsafeFile
from being_remote.media.picture import image_size, read_picture

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8), (96, 64))


def stored(path: Path, picture: np.ndarray = PICTURE) -> Path:
    cv2.imwrite(str(path), picture)
    return path


def with_size(path: Path, width: int, height: int) -> Path:
    """The same PNG with another size in its header, checksum right."""
    data = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    return path


def with_jpeg_size(path: Path, width: int, height: int) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_size_is_read_from_the_header_alone(tmp_path: Path, suffix: str) -> None:
    path = stored(tmp_path / f"a.{suffix}")
    assert image_size(path) == (96, 64)
    path.write_bytes(path.read_bytes()[: 200 if suffix == "jpg" else 40])
    if suffix == "png":
        assert image_size(path) == (96, 64)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TornFile, match="no size"):
        image_size(path)


def test_a_picture_of_100000_by_100000_is_refused_from_its_header(tmp_path: Path) -> None:
    path = with_size(stored(tmp_path / "a.png"), 100_000, 100_000)
    with pytest.raises(UnsafeFile, match="claims 100000x100000 pixels"):
        read_picture(path)
    path = with_jpeg_size(stored(tmp_path / "a.jpg"), 65_500, 65_500)  # a JPEG cannot claim more
    with pytest.raises(UnsafeFile, match="claims 65500x65500 pixels"):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_picture_cut_anywhere_is_refused_and_not_half_shown(
    tmp_path: Path, suffix: str, share: float
) -> None:
    path = stored(tmp_path / f"a.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TornFile, match="cut short"):
        read_picture(path)


def test_a_flipped_bit_in_a_png_is_noticed_and_leaves_stderr_clean(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    code = "import sys, pathlib, being_remote.media.picture as p; p.read_picture(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "is damaged between bytes" in done.stderr.splitlines()[-2]
    assert "libpng" not in done.stderr


def test_a_png_whose_header_claims_more_rows_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TornFile, match="cannot be decoded"):
        read_picture(with_size(stored(tmp_path / "a.png"), 96, 128))


def test_the_turn_in_a_photos_exif_tag_is_applied_and_noted(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.jpg")
    data = path.read_bytes()
    # One TIFF entry: orientation (0x0112), a short, 6: turn a quarter clockwise to view.
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    picture = read_picture(path)
    assert picture.pixels.shape == (96, 64, 3)
    assert np.array_equal(picture.pixels, cv2.imread(str(path)))  # what the tracker sees
    assert "EXIF" in picture.done
    assert image_size(path) == (96, 64)


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises((UnsafeFile, TornFile), match=r"a\.png"):
        read_picture(path)


def test_a_picture_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    for reader in (read_picture, image_size):
        with pytest.raises(NotFoundError, match=r"a\.png: cannot be opened: No such file"):
            reader(tmp_path / "a.png")
