"""The taker of streams as a pod runs it, by Python 3.8: whole files under their names, the rest aside."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pythons import old_python

from being_remote.pod import os_problem, receive
from being_remote.pod_client.runner import program_stdin, start_words

WHEN = 1_700_000_000_123_456_789
NAME, DATA = b"d/a b\n\xff", bytes(range(256)) * 40


def run(do: str, into: Path, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    request = {"do": do, "into": base64.b64encode(os.fsencode(into)).decode()}
    argv = start_words("receive", request, old_python())
    return subprocess.run(argv, input=program_stdin("receive") + stdin, capture_output=True, check=False)


def held(into: Path, name: bytes = NAME, size: int = len(DATA), when: int = WHEN) -> Any:
    (answer,) = json.loads(run("look", into, json.dumps([[encoded(name), size, when]]).encode()).stdout)
    return answer


def stream(data: bytes, *, name: bytes = NAME, size: int = len(DATA), offset: int = 0) -> bytes:
    return json.dumps([encoded(name), size, WHEN, 0o755, offset]).encode() + b"\n" + data


def encoded(name: bytes) -> str:
    return base64.b64encode(name).decode()


def test_whole_files_get_their_names_times_and_modes(tmp_path: Path) -> None:
    into = tmp_path / "into"
    assert held(into) == 0
    done = run("take", into, stream(DATA) + stream(b"", name=b"empty", size=0))
    assert (done.returncode, done.stderr) == (0, b"")
    file = os.path.join(os.fsencode(into), NAME)
    found = os.stat(file)
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (WHEN, 0o755)
    assert Path(os.fsdecode(file)).read_bytes() == DATA and (into / "empty").read_bytes() == b""
    assert held(into) is None and held(into, b"empty", 0) is None
    assert sorted(os.listdir(into)) == ["d", "empty"]


@pytest.mark.parametrize("cut", [0, 1, 5000, len(DATA) - 1])
def test_what_was_cut_stays_aside_and_the_next_stream_goes_on_behind_it(tmp_path: Path, cut: int) -> None:
    into = tmp_path / "into"
    done = run("take", into, stream(DATA[:cut]))
    assert (done.returncode, done.stderr) == (1, b"cut short\n")
    assert not (into / "d").exists()
    assert held(into) == cut
    assert held(into, when=WHEN + 1) == 0  # another version of the file
    assert run("take", into, stream(DATA[cut:], offset=cut)).returncode == 0
    assert Path(os.fsdecode(os.path.join(os.fsencode(into), NAME))).read_bytes() == DATA


def test_a_stream_that_goes_on_behind_what_is_not_here_is_refused(tmp_path: Path) -> None:
    done = run("take", tmp_path / "into", stream(DATA[100:], offset=100))
    assert done.returncode == 1 and b"is missing" in done.stderr
    assert not (tmp_path / "into/d").exists()


def test_a_link_in_a_files_place_gives_its_target_no_other_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, mine = tmp_path / "into", tmp_path / "mine"
    into.mkdir()
    mine.write_text("mine")
    before = mine.stat().st_mtime_ns
    (into / "f").symlink_to(mine)
    size = os.lstat(into / "f").st_size

    def other_stream_was_first(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "replace", other_stream_was_first)
    receive.take_file(os.fsencode(into), [encoded(b"f"), size, WHEN, 0o644, 0], io.BytesIO(bytes(size)))
    assert mine.stat().st_mtime_ns == before


def test_an_older_file_is_replaced_as_a_whole_and_a_link_is_not_written_through(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (tmp_path / "mine").write_text("mine")
    (into / "f").symlink_to(tmp_path / "mine")
    assert held(into, b"f") == 0
    assert run("take", into, stream(DATA, name=b"f")).returncode == 0
    assert (into / "f").read_bytes() == DATA and not (into / "f").is_symlink()
    assert (tmp_path / "mine").read_text() == "mine"
    aside = receive.partial_path(os.fsencode(into), b"g", len(DATA), WHEN)
    os.makedirs(os.path.dirname(aside))
    os.symlink(tmp_path / "mine", aside)
    assert held(into, b"g") == 0
    assert run("take", into, stream(DATA, name=b"g")).returncode == os_problem.EXIT_CODE
    assert (tmp_path / "mine").read_text() == "mine"
