"""The walk over a pod's disk as the pod runs it: by Python 3.8, bounded, following nothing."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_listing import old_python

from being_remote.pod import survey

SOURCE = Path(survey.__file__).read_bytes()
LIMITS = {"entries": 10_000, "folders": 100, "depth": 8, "seconds": 30}


def b64(path: object) -> str:
    return base64.b64encode(os.fsencode(str(path))).decode()


def ask(*roots: Path, python: str = sys.executable, **more: Any) -> dict[str, Any]:
    request = {
        "roots": [b64(root) for root in roots],
        "names": [b64("*.frame"), b64("bbox.pt")],
        "dated": [b64("end.json")],
        "count_below": [],
        "specs": [],
        "skip_names": [".history"],
        "skip_paths": [],
        "limits": LIMITS,
        **more,
    }
    done = subprocess.run(
        [python, "-I", "-B", "-c", SOURCE],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def where(held: list[dict[str, Any]], root: Path) -> dict[bytes, tuple[int, int]]:
    """Folder below the root -> (files, bytes)."""
    return {
        os.path.relpath(base64.b64decode(h["path"]), os.fsencode(root)): (h["files"], h["bytes"])
        for h in held
    }


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Two runs, one below a folder with an awkward name, and much that is none."""
    root = tmp_path / "disk"
    awkward = os.path.join(os.fsencode(root), b"gr\xfcn\n'$(x)", b"checkpoint")
    os.makedirs(awkward)
    (root / "a").mkdir()
    (root / ".history/objects").mkdir(parents=True)
    for name in (b"00000.frame", b"00001.frame", b"notes.txt"):
        with open(os.path.join(awkward, name), "wb") as f:
            f.write(b"12345")
    (root / "a/bbox.pt").write_bytes(b"box")
    (root / "a/video.mp4").write_bytes(bytes(100))
    (root / ".history/objects/1.frame").write_bytes(b"ours")
    (root / "a/link.frame").symlink_to(root / "a/bbox.pt")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/1.frame").write_bytes(b"frame")
    (root / "elsewhere").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "a/pipe.frame")
    return root


@pytest.mark.parametrize("python", sorted({sys.executable, old_python()}))
def test_frames_and_boxes_are_found_whatever_their_folders_are_called_behind_links_too(
    disk: Path, python: str
) -> None:
    before = sorted(disk.rglob("*"))
    answer = ask(disk, python=python)
    assert where(answer["folders"], disk) == {
        b"gr\xfcn\n'$(x)/checkpoint": (2, 10),
        b"a": (1, 3),
        b"../outside": (1, 5),
    }
    assert (answer["truncated"], answer["unreadable"], answer["counted"]) == ([], 0, [])
    assert sorted(disk.rglob("*")) == before


def test_all_files_are_counted_where_that_is_asked(disk: Path) -> None:
    answer = ask(disk, count_below=[b64(disk / "a")])
    assert where(answer["counted"], disk) == {b"a": (2, 103)}


def test_a_root_may_be_a_link_and_a_folder_is_visited_once(disk: Path) -> None:
    answer = ask(disk / "loop", disk, disk / "a", disk / "not-there")
    assert where(answer["folders"], disk).keys() == {b"loop/gr\xfcn\n'$(x)/checkpoint", b"a", b"../outside"}


def test_a_link_to_one_frame_shows_the_folder_that_it_lies_in_and_no_link_leads_into_what_is_skipped(
    disk: Path, tmp_path: Path
) -> None:
    (disk / "elsewhere").unlink()
    (disk / "a/1.frame").symlink_to(tmp_path / "outside/1.frame")
    (disk / "round").symlink_to("round")
    (disk / "gone.frame").symlink_to("nowhere")
    (disk / "proc").symlink_to("/proc/self")
    (disk / "kept").symlink_to(disk / ".history")
    found = where(ask(disk)["folders"], disk)
    assert set(found) == {b"gr\xfcn\n'$(x)/checkpoint", b"a", b"../outside"}
    assert found[b"a"] == (1, 3)  # the link itself holds nothing


def test_a_link_to_a_folder_above_is_not_walked_and_said(disk: Path) -> None:
    assert ask(disk / "a", disk)["truncated"] == []  # though `loop` leads above `a`
    (disk / "all").symlink_to("/")
    answer = ask(disk)
    assert len(answer["folders"]) == 3 and "leads to a folder above" in answer["truncated"][0]


def test_the_newest_change_is_of_runs_and_ends_and_by_this_clock(disk: Path) -> None:
    (disk / "elsewhere").unlink()
    for path in (disk / "a/video.mp4", disk / "end.json"):
        path.touch()
    for file in (*disk.rglob("*.frame"), disk / "a/bbox.pt", disk / "end.json"):
        if file.is_file():
            os.utime(file, ns=(1, 1_000), follow_symlinks=False)
    os.utime(disk / "end.json", ns=(1, 2_000))
    answer = ask(disk)
    assert answer["newest_ns"] == 2_000
    assert abs(answer["now_ns"] - time.time_ns()) < 60e9


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"entries": 2}, "more than 2 entries"),
        ({"folders": 1}, "more than 1 folders with files"),
        ({"depth": 1}, "deeper than 1 folders"),
    ],
)
def test_a_bound_that_was_hit_is_named(disk: Path, limit: dict[str, int], said: str) -> None:
    (disk / "b").mkdir()
    (disk / "b/bbox.pt").touch()
    assert ask(disk, limits={**LIMITS, **limit})["truncated"] == [said]


def test_a_jobs_recipe_is_read_from_its_spec_and_nothing_odd_is(tmp_path: Path) -> None:
    good, huge, odd, pipe = (tmp_path / name for name in ("good", "huge", "odd", "pipe"))
    good.write_text('{"recipe": "command"}')
    huge.write_text(json.dumps({"recipe": "command", "padding": "x" * (1 << 20)}))
    odd.write_text('{"recipe": ["command"]}')
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(good)
    asked = [b64(p) for p in (good, huge, odd, pipe, link, tmp_path, tmp_path / "gone")]
    assert ask(specs=asked)["recipes"] == ["command", *[None] * 6]
