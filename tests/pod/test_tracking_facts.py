"""The look at a tracker's folders, as a pod runs it: by an old Python, on folders of every kind."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pod_programs import program_words, run_program_here
from pythons import old_python

from being_remote.pod import tracking_facts

NAMES = {
    "script": "tracker.py",
    "source": "source",
    "video": "video.mp4",
    "identity": "identity.npy",
    "box": "bbox.pt",
}


def look(root: Path) -> dict[str, Any]:
    request = {"root": str(root), "input": "input/a", "config": "configs/actors/a.yml", "names": NAMES}
    request["defaults"] = "configs/config.py"
    done = run_program_here(
        "tracking_facts", words=program_words(request, python=old_python()), timeout=20, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "input/a/source").mkdir(parents=True)
    return tmp_path


def test_an_empty_place_has_nothing_and_that_is_no_error(tmp_path: Path) -> None:
    found = look(tmp_path / "nowhere")
    assert found.pop("numpy") in (True, False)
    nothing = {"script": False, "folder": False, "images": 0, "head": None, "video": False}
    assert found == {**nothing, "identity": False, "box": None, "settings": None, "defaults": None}


def test_only_what_the_tracker_would_read_is_counted_and_the_first_is_its_first(root: Path) -> None:
    for name in ("00002.png", "00001.jpg", "00003.PNG", "note.txt", "00000.npy"):
        (root / "input/a/source" / name).write_bytes(name.encode() * 20)
    found = look(root)
    assert found["images"] == 2
    assert base64.b64decode(found["head"]) == (b"00001.jpg" * 20)[:32]


def test_links_to_the_data_are_followed_as_the_tracker_does(root: Path, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/00001.png").write_bytes(b"x")
    (root / "input/a/source").rmdir()
    (root / "input/a/source").symlink_to(tmp_path / "volume")
    (root / "identity.npy").write_bytes(b"x")
    (root / "input/a/identity.npy").symlink_to(root / "identity.npy")
    found = look(root)
    assert found["images"] == 1 and found["identity"] is True


def test_pipes_folders_and_large_files_are_not_carried_and_nothing_waits(root: Path) -> None:
    os.mkfifo(root / "input/a/bbox.pt")
    (root / "configs/actors/a.yml").mkdir(parents=True)
    assert (look(root)["box"], look(root)["settings"]) == (None, None)
    (root / "input/a/bbox.pt").unlink()
    (root / "input/a/bbox.pt").write_bytes(b"x" * 65537)
    assert look(root)["box"] is None
    (root / "input/a/bbox.pt").write_bytes(b"x" * 65536)
    assert len(base64.b64decode(look(root)["box"])) == 65536


def test_looking_changes_nothing(root: Path) -> None:
    (root / "tracker.py").write_text("")
    before = sorted((str(p), p.stat().st_mtime_ns) for p in root.rglob("*"))
    assert look(root)["script"] is True
    assert sorted((str(p), p.stat().st_mtime_ns) for p in root.rglob("*")) == before


@pytest.mark.parametrize(
    ("version", "usable"), [("1.17.4", False), ("1.20.0", True), ("2.4.1", True), ("what", False)]
)
def test_a_numpy_that_is_too_old_for_our_steps_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, usable: bool
) -> None:
    (tmp_path / f"numpy-{version}.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.1\nName: numpy\nVersion: {version}\n"
    (tmp_path / f"numpy-{version}.dist-info/METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    assert tracking_facts.has_numpy() is usable
