"""Placing as a pod does it: by Python 3.8, whole or not at all, never over another file, killed anywhere."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pod_programs import program_words, run_program_here
from pythons import old_python

from being_remote.pod import disk_features, placement

KILLED = """
import json, os, sys
from being_remote.pod import placement
left = int(sys.argv[2])
def count(event, args):
    global left
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(count)
placement.main(sys.argv[1], sys.stdin.buffer)
"""


def b64(value: bytes | str | Path) -> str:
    return base64.b64encode(os.fsencode(value)).decode()


class Spot:
    """A folder on a pod, its stage, and the files that are to lie there."""

    def __init__(self, folder: Path) -> None:
        self.into, self.stage = folder / "input/roman", folder / "input/roman/.stage"
        self.files: dict[bytes, tuple[bytes, bool]] = {}

    def want(self, name: bytes, data: bytes, *, executable: bool = False) -> None:
        self.files[name] = (data, executable)

    def put_into_stage(self) -> None:
        self.stage.mkdir(parents=True, exist_ok=True)
        for data, _ in self.files.values():
            (self.stage / hashlib.sha256(data).hexdigest()).write_bytes(data)

    def request(self, do: str, *beside: str) -> str:
        names = [b64(name) for name in beside]
        return json.dumps({"do": do, "into": b64(self.into), "stage": b64(self.stage), "beside": names})

    @property
    def rows(self) -> bytes:
        rows = [[b64(n), len(d), hashlib.sha256(d).hexdigest(), x] for n, (d, x) in self.files.items()]
        return json.dumps(rows).encode()

    def ask(self, do: str, *beside: str, python: str = sys.executable) -> dict[str, Any]:
        """Run the program as it is sent to a pod."""
        words = program_words(json.loads(self.request(do, *beside)), python=python)
        done = run_program_here("placement", None, self.rows, words=words)
        assert done.returncode == 0, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def there(self) -> dict[bytes, bytes]:
        """What lies there, the stage aside."""
        found, top = {}, os.fsencode(self.into)
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if os.fsencode(self.stage) not in path and os.path.isfile(path):
                    with open(path, "rb") as f:
                        found[os.path.relpath(path, top)] = f.read()
        return found


@pytest.fixture
def spot(tmp_path: Path) -> Spot:
    made = Spot(tmp_path)
    made.want(b"video.mp4", b"moving" * 1000)
    made.want(b"source/00001.png", b"picture")
    made.want(b"source/same.png", b"picture")
    made.want(b"tools/run me\n\xff", b"#!", executable=True)
    made.want(b"empty", b"")
    made.want(b"also empty", b"")
    return made


@pytest.mark.parametrize("python", sorted({sys.executable, old_python()}))
def test_what_was_staged_whole_is_placed_and_a_second_time_is_there_already(spot: Spot, python: str) -> None:
    wanted = {name: data for name, (data, _) in spot.files.items()}
    before = spot.ask("look", python=python)
    assert before["files"] == ["absent"] * 6 and not spot.into.exists()
    spot.put_into_stage()
    assert spot.ask("look", python=python)["staged_bytes"] == 6000 + 7 + 2
    assert spot.there() == {}
    after = spot.ask("place", python=python)
    assert after["files"] == ["same"] * 6
    assert (after["staged_bytes"], after["left_over_bytes"]) == (0, 0) and after["free_bytes"] > 0
    assert spot.there() == wanted and not spot.stage.exists()
    modes = {n: os.stat(os.path.join(os.fsencode(spot.into), n)).st_mode & 0o777 for n in wanted}
    assert modes == {n: 0o755 if x else 0o644 for n, (_, x) in spot.files.items()}
    inodes = {os.stat(os.path.join(os.fsencode(spot.into), n)).st_ino for n in wanted}
    assert len(inodes) == 6  # equal files are files of their own
    for do in ("look", "place"):
        assert spot.ask(do, python=python)["files"] == ["same"] * 6


@pytest.mark.parametrize(
    "kind", ["different", "shorter", "link", "folder", "special", "behind", "behind a file"]
)
def test_where_something_else_stands_nothing_at_all_is_changed(spot: Spot, kind: str, tmp_path: Path) -> None:
    spot.put_into_stage()
    at = spot.into / "source"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "behind":
        at.symlink_to(elsewhere)
    elif kind == "behind a file":
        at.write_text("a file")
    else:
        at.mkdir()
    in_the_way = at / "same.png"
    if kind in ("different", "shorter"):
        in_the_way.write_bytes(b"PICTURE"[: 7 if kind == "different" else 3])
    elif kind == "link":
        in_the_way.symlink_to(at / "00001.png")
    elif kind == "folder":
        in_the_way.mkdir()
    elif kind == "special":
        os.mkfifo(in_the_way)
    before = (spot.there(), sorted(os.listdir(spot.stage)))
    answer = spot.ask("place")
    state = {"shorter": "different", "behind a file": "behind"}.get(kind, kind)
    assert answer["files"][2] == state and "same" not in answer["files"]
    assert (spot.there(), sorted(os.listdir(spot.stage))) == before
    assert os.listdir(elsewhere) == []


def test_the_folder_itself_may_be_a_link_to_a_volume(spot: Spot, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    spot.into.parent.mkdir(parents=True)
    spot.into.symlink_to(volume)
    spot.put_into_stage()
    assert set(spot.ask("place")["files"]) == {"same"}
    assert (volume / "source/00001.png").read_bytes() == b"picture"


@pytest.mark.parametrize("spoilt", ["torn", "other bytes", "missing", "link"])
def test_what_did_not_arrive_whole_is_taken_out_of_the_stage_and_nothing_is_placed(
    spot: Spot, spoilt: str
) -> None:
    spot.put_into_stage()
    staged = spot.stage / hashlib.sha256(b"picture").hexdigest()
    staged.unlink()
    if spoilt == "link":
        staged.symlink_to("/etc/passwd")
    elif spoilt != "missing":
        staged.write_bytes(b"pict" if spoilt == "torn" else b"PICTURE")
    others = {p.name for p in spot.stage.iterdir()} - {staged.name}
    answer = spot.ask("place")
    assert set(answer["files"]) == {"absent"} and spot.there() == {}
    assert {p.name for p in spot.stage.iterdir()} == others
    assert Path("/etc/passwd").exists()
    staged.write_bytes(b"picture")
    assert set(spot.ask("place")["files"]) == {"same"}


def test_files_of_others_are_counted_and_left_where_they_are(spot: Spot) -> None:
    spot.put_into_stage()
    (spot.stage / "of another push").write_bytes(b"x" * 100)
    (spot.into / "source").mkdir()
    (spot.into / "source/of another video.png").write_bytes(b"x")
    (spot.into / "bbox.pt").write_bytes(b"x")
    answer = spot.ask("look", "source", "bbox.pt", "video.mp4", "nothing")
    assert answer["beside"] == [1, 1, 0, 0] and answer["left_over_bytes"] == 100
    assert spot.ask("place", "source")["left_over_bytes"] == 100
    assert os.listdir(spot.stage) == ["of another push"]


def test_what_other_pushes_left_long_ago_is_removed(spot: Spot, monkeypatch: pytest.MonkeyPatch) -> None:
    spot.put_into_stage()
    cut = spot.stage / ".being-remote-partial"
    cut.mkdir()
    for left in (spot.stage / "of another push", cut / "half"):
        left.write_bytes(b"x")
    mine = {hashlib.sha256(data).hexdigest() for data, _ in spot.files.values()}
    wanted = {os.fsencode(name) for name in mine}
    placement.remove_abandoned(os.fsencode(spot.stage), wanted)
    assert cut.exists() and (spot.stage / "of another push").exists()
    monkeypatch.setattr(placement, "ABANDONED_S", -60)
    placement.remove_abandoned(os.fsencode(spot.stage), wanted)
    assert {path.name for path in spot.stage.iterdir()} == mine


def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    disk_features.rename_new(os.fsencode(source), os.fsencode(target))
    assert (target.read_text(), source.exists()) == ("new", False)
    source.write_text("newer")
    with pytest.raises(FileExistsError):
        disk_features.rename_new(os.fsencode(source), os.fsencode(target))
    assert (target.read_text(), source.read_text()) == ("new", "newer")


def test_without_hard_links_nothing_is_put_where_the_disk_cannot_say_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("there")
    with monkeypatch.context() as disk:
        disk.setattr(os, "link", refuse)
        disk.setattr(os, "lstat", stale)
        with pytest.raises(OSError, match="Stale"):
            disk_features.rename_new(os.fsencode(source), os.fsencode(target))
    assert (target.read_text(), source.read_text()) == ("there", "new")


def test_a_disk_that_refuses_is_one_line(spot: Spot) -> None:
    spot.into.mkdir(parents=True)
    spot.want(b"x" * 256, b"whatever")  # longer than a name may be
    program = "import sys; from being_remote.pod import os_problem, placement; "
    program += "os_problem.run(lambda: placement.main(sys.argv[1], sys.stdin.buffer))"
    argv = [sys.executable, "-c", program, spot.request("look")]
    done = subprocess.run(argv, input=spot.rows, capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (74, 1) and b"ENAMETOOLONG" in done.stderr


@pytest.mark.slow
def test_killed_at_any_change_of_the_disk_no_file_is_torn_and_the_next_time_completes_it(
    spot: Spot, tmp_path: Path
) -> None:
    wanted = {name: data for name, (data, _) in spot.files.items()}
    changes = 0
    while True:
        shutil.rmtree(spot.into, ignore_errors=True)
        spot.put_into_stage()
        argv = [sys.executable, "-c", KILLED, spot.request("place"), str(changes)]
        done = subprocess.run(argv, input=spot.rows, capture_output=True, check=False)
        found = spot.there()
        assert found.items() <= wanted.items()
        if done.returncode == 0:
            break
        assert done.returncode == 9, done.stderr
        again = spot.ask("place")["files"]
        if "absent" in again:  # what is staged once for several names is sent once more
            spot.put_into_stage()
            again = spot.ask("place")["files"]
        assert set(again) == {"same"} and spot.there() == wanted
        assert len({os.stat(os.path.join(os.fsencode(spot.into), n)).st_ino for n in wanted}) == 6
        assert not spot.stage.exists()
        changes += 1
    assert found == wanted and changes >= 20
