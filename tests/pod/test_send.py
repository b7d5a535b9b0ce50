"""The sender of files as a pod runs it, by Python 3.8: figures, bytes and a hash of each, nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pythons import old_python

from being_remote.pod import send
from being_remote.pod_client.runner import program_stdin, start_words

WHEN = 1_700_000_000_123_456_789


class Sent(NamedTuple):
    number: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    data: bytes
    sound: bool
    good: int
    now_ns: int
    sha256: bytes


def request(folder: Path, names: list[tuple[bytes, list[tuple[int, int]]]], most: int = 1 << 30) -> bytes:
    rows = [(name.decode("latin-1"), held, most) for name, held in names]
    lines = [os.fsencode(folder).decode("latin-1"), rows[:2], rows[2:]]
    return zlib.compress(b"\n".join(json.dumps(line).encode() for line in lines))


def run(folder: Path, *names: Any) -> subprocess.CompletedProcess[bytes]:
    asked = [name if isinstance(name, tuple) else (name, []) for name in names]
    stdin = program_stdin("send") + request(folder, asked)
    argv = start_words("send", {}, old_python())
    return subprocess.run(argv, input=stdin, capture_output=True, check=False)


def read(stream: bytes, count: int) -> list[Sent]:
    """The files of a whole stream, by a reader of this test's own."""
    found, at = [], 0
    while True:
        number, *figures = struct.unpack_from("!IQqqQ", stream, at)
        at += struct.calcsize("!IQqqQ")
        if number == count:
            assert at == len(stream)
            return found
        size = figures[0]
        trailer = struct.unpack_from("!?Qq32s", stream, at + size)
        found.append(Sent(number, *figures, stream[at : at + size], *trailer))
        at += size + struct.calcsize("!?Qq32s")


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(WHEN, WHEN))


def test_each_file_comes_with_its_figures_its_bytes_and_their_hash(tmp_path: Path) -> None:
    large = os.urandom((1 << 20) + 7)
    put(tmp_path / "d/a b\n", b"small")
    put(tmp_path / "large", large)
    put(tmp_path / "empty", b"")
    done = run(tmp_path, b"d/a b\n", b"large", b"empty")
    assert (done.returncode, done.stderr) == (0, b"")
    for one, (name, data) in zip(
        read(done.stdout, 3), [("d/a b\n", b"small"), ("large", large), ("empty", b"")], strict=True
    ):
        at = (tmp_path / name).stat()
        assert one[1:5] == (at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
        assert (one.mtime_ns, one.data) == (WHEN, data)
        assert (one.sound, one.good, one.now_ns) == (True, len(data), WHEN)
        assert one.sha256 == hashlib.sha256(data).digest()


def test_what_is_held_gone_or_no_plain_file_is_left_out_and_numbers_stay_those_of_the_request(
    tmp_path: Path,
) -> None:
    put(tmp_path / "held", b"12345")
    put(tmp_path / "other size", b"123456")
    put(tmp_path / "other second", b"12345")
    put(tmp_path / "real", b"x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    second = WHEN // 10**9
    held = [(5, second)]
    names = [(b"gone", []), (b"no/such", []), (b"link", []), (b"folder", []), (b"pipe", [])]
    names += [(b"held", held), (b"other size", held), (b"other second", [(5, second + 1), (4, second)])]
    done = run(tmp_path, *names, b"real/below a file", b"real")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [(s.number, s.data) for s in read(done.stdout, 10)] == [(6, b"123456"), (7, b"12345"), (9, b"x")]


class Meddler(io.BytesIO):
    """What is written to; does something to the file when the first bytes of it have been sent."""

    def __init__(self, meddle: Any) -> None:
        super().__init__()
        self._meddle = meddle

    def write(self, data: Any) -> int:
        written = super().write(data)
        if len(data) > 1000 and self._meddle is not None:
            meddle, self._meddle = self._meddle, None
            meddle()
        return written


@pytest.mark.parametrize(
    "meddle, sound, good, tail",
    [
        (lambda f: f.write_bytes(b"b" * (2 << 20)), False, 2 << 20, b"b"),
        (lambda f: os.utime(f, ns=(WHEN, WHEN)), False, 2 << 20, b"a"),  # its ctime cannot be set back
        (lambda f: os.truncate(f, 1 << 20), False, 1 << 20, b"\0"),
        (lambda f: None, True, 2 << 20, b"a"),
    ],
    ids=["rewritten", "touched", "cut", "left alone"],
)
def test_a_file_that_is_written_while_it_is_read_says_so(
    tmp_path: Path, meddle: Any, sound: bool, good: int, tail: bytes
) -> None:
    file = tmp_path / "f"
    put(file, b"a" * (2 << 20))
    while time.time_ns() < file.stat().st_ctime_ns + 20_000_000:  # a kernel's clock may tick as slowly
        time.sleep(0.005)
    out = Meddler(lambda: meddle(file))
    send.send_all(io.BytesIO(request(tmp_path, [(b"f", [])])), out)
    (one,) = read(out.getvalue(), 1)
    assert one.data == b"a" * (1 << 20) + tail * (1 << 20)
    assert (one.sound, one.good, one.sha256) == (sound, good, hashlib.sha256(one.data).digest())
    assert one.now_ns == file.stat().st_mtime_ns


def test_of_a_file_that_grew_no_more_than_was_listed_comes(tmp_path: Path) -> None:
    put(tmp_path / "log", b"listed" + b"later")
    out = io.BytesIO()
    send.send_all(io.BytesIO(request(tmp_path, [(b"log", [])], most=6)), out)
    (one,) = read(out.getvalue(), 1)
    assert (one.size, one.data, one.good, one.sound) == (6, b"listed", 6, False)
    assert one.sha256 == hashlib.sha256(b"listed").digest()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run(tmp_path / "none", b"f")
    assert done.returncode == 74 and b"ENOENT" in done.stderr and done.stdout == b""


def test_a_file_that_cannot_be_read_is_said_at_the_end_and_the_others_come(tmp_path: Path) -> None:
    put(tmp_path / "good", b"y")
    done = run(tmp_path, b"n" * 300, b"good")
    assert [s.data for s in read(done.stdout, 2)] == [b"y"]
    assert done.returncode == 1 and b"File name too long" in done.stderr and b"nnn" in done.stderr
