"""The search as it runs over there: a real interpreter, the whole program on its stdin."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from pod_programs import program_words, run_program_here
from pydantic import ValidationError

from being_remote.bbox_search.host_search import make_request
from being_remote.inventory import Actor
from being_remote.pod_client.box_search import BoxFile, BoxSearchAnswer
from being_remote.pod_client.runner import BOOT
from being_remote.strict_model import first_problem
from being_remote.tracker import layout

# The oldest that pods have, where this machine has it too.
OLD_PYTHONS = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python"))]
PYTHONS = [sys.executable, *filter(None, OLD_PYTHONS[-1:])]
DEMO = Actor(name="demo", input=PurePosixPath("input/demo"), output=PurePosixPath("output/demo"))


def request(root: Path, *, known: tuple[Path, ...] = (), **limits: float) -> dict[str, Any]:
    made = make_request(DEMO, known=known, roots=[root], search_time_s=20)
    made["limits"].update(limits)
    return made


def ask(asked: dict[str, Any], python: str = sys.executable) -> BoxSearchAnswer:
    done = search(asked, program_words(python=python), check=True, timeout=30)
    assert done.stderr == b""
    return BoxSearchAnswer.model_validate_json(done.stdout)


def search(asked: dict[str, Any], words: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    return run_program_here("box_search", None, json.dumps(asked).encode(), words=words, **options)


def put(path: Path, data: bytes = b"box") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def paths(answer: BoxSearchAnswer) -> list[str]:
    return [os.fsdecode(c.path) for c in answer.candidates]


def only(answer: BoxSearchAnswer) -> BoxFile:
    (found,) = answer.candidates
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_it_finds_boxes_at_known_places_and_anywhere_below_the_roots_on_old_pythons_too(
    python: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    known = put(tmp_path / "outside" / "input" / "demo" / "bbox.pt", b"known")
    deep = put(disk / "a" / "b" / "c" / "d" / "bbox.pt", b"deep")
    found = ask(request(disk, known=(known.parent,)), python)
    assert {os.fsdecode(c.path): c.content for c in found.candidates} == {
        str(known): b"known",
        str(deep): b"deep",
    }
    assert found.truncated == []
    assert [c.mtime_ns for c in found.candidates] == [p.stat().st_mtime_ns for p in (known, deep)]


@pytest.mark.parametrize("python", PYTHONS)
def test_names_that_are_no_text_come_back_byte_for_byte(python: str, tmp_path: Path) -> None:
    names = [b"caf\xe9", b"new\nline", b" -rf $(id) 'q\"", "gr\u00fc\u00df".encode()]
    for name in names:
        os.makedirs(os.path.join(os.fsencode(tmp_path), name))
        with open(os.path.join(os.fsencode(tmp_path), name, b"bbox.pt"), "wb") as f:
            f.write(b"box")
    found = {os.path.basename(os.path.dirname(c.path)) for c in ask(request(tmp_path), python).candidates}
    assert found == set(names)


def test_what_is_no_small_regular_file_is_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "folder" / "bbox.pt").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "bbox.pt").symlink_to("/etc/passwd")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "bbox.pt")
    (tmp_path / "plug").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "plug" / "bbox.pt"))
    os.truncate(put(tmp_path / "huge" / "bbox.pt"), 1 << 40)
    put(tmp_path / "limit" / "bbox.pt", b"x" * (64 << 10))
    found = {PurePosixPath(os.fsdecode(c.path)).parent.name: c for c in ask(request(tmp_path)).candidates}
    listener.close()
    assert {k: (c.what, c.problem) for k, c in found.items()} == {
        "folder": ("directory", None),
        "link": ("symlink", None),
        "pipe": ("other", None),
        "plug": ("other", None),
        "huge": ("file", "TOO_BIG"),
        "limit": ("file", None),
    }
    assert found["link"].target == b"/etc/passwd"
    assert [k for k, c in found.items() if c.content is not None] == ["limit"]
    assert found["huge"].bytes == 1 << 40


def test_linked_folders_are_not_followed_but_a_root_that_is_a_link_is(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "bbox.pt")
    root = tmp_path / "root"
    root.mkdir()
    (root / "loop").symlink_to(root)
    (root / "away").symlink_to(tmp_path / "elsewhere")
    assert paths(ask(request(root))) == []
    linked = tmp_path / "linked_root"
    linked.symlink_to(tmp_path / "elsewhere")
    assert paths(ask(request(linked))) == [str(linked / "bbox.pt")]


def test_trees_of_programs_are_skipped(tmp_path: Path) -> None:
    for folder in (
        ".git",
        "lib/site-packages/x",
        "web/node_modules",
        "demo/.history/incoming",
        "conda/pkgs/x",
    ):
        put(tmp_path / folder / "bbox.pt")
    (tmp_path / "conda" / "conda-meta").mkdir()
    kept = put(tmp_path / "pkgs" / "bbox.pt")  # not conda's: no conda-meta beside it
    assert paths(ask(request(tmp_path))) == [str(kept)]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"depth": 1}, "deeper than 1 folders"),
        ({"entries": 10}, "more than 10 entries"),
        ({"seconds": 0.0}, "longer than 0.0 s"),
        ({"candidates": 2}, "more than 2 files of that name"),
        ({"carried_bytes": 64 << 10}, "more than 65536 bytes of contents"),
    ],
)
def test_a_bound_that_was_hit_is_named_and_what_was_known_is_still_told(
    limit: dict[str, float], reason: str, tmp_path: Path
) -> None:
    known = put(tmp_path / "input" / "demo" / "bbox.pt", b"known")
    for i in range(20):
        put(tmp_path / "more" / str(i) / "bbox.pt")
    found = ask(request(tmp_path, known=(known.parent,), **limit))
    assert found.truncated == [reason]
    assert os.fsencode(tmp_path) in found.unfinished
    assert found.candidates[0].content == b"known"


def test_of_a_folder_that_a_limit_cuts_what_was_counted_is_told(tmp_path: Path) -> None:
    known = tmp_path / "output" / "demo"
    for i in range(3):
        put(known / layout.CROPS / f"{i}.png")
    for i in range(20):
        put(known / layout.SOURCE / f"{i}.png")
    found = ask(request(tmp_path, known=(known,), entries=10))
    assert found.truncated == ["more than 10 entries"]
    (folder,) = found.folders
    assert os.fsdecode(folder.path) == str(known) and folder.counts["crop_images"] == 3


def test_a_search_that_saw_all_has_nothing_unfinished_though_folders_of_runs_were_not_all_counted(
    tmp_path: Path,
) -> None:
    for i in range(3):
        put(tmp_path / str(i) / "checkpoint" / "00000.frame")
    found = ask(request(tmp_path, folders=2))
    assert (found.truncated, found.unfinished) == (["more than 2 folders of actors and runs"], [])


def test_likely_places_are_searched_before_all_others_and_unlikely_ones_last(tmp_path: Path) -> None:
    likely = put(tmp_path / "z" / "metrical-tracker" / "input" / "roman" / "bbox.pt")
    named = put(tmp_path / "z" / "y" / "demo" / "bbox.pt")
    plain = put(tmp_path / "a" / "b" / "c" / "d" / "bbox.pt")
    thrown = put(tmp_path / ".Trash" / "x" / "bbox.pt")
    of_jobs = put(tmp_path / "jobs" / "demo-k3x7a2bq" / "bbox.pt")
    asked = request(tmp_path)
    asked["last_paths"] = [str(tmp_path / "jobs")]
    order = paths(ask(asked))
    assert set(order[:2]) == {str(likely), str(named)}
    assert order[2] == str(plain)
    assert set(order[3:]) == {str(thrown), str(of_jobs)}


def test_only_the_roots_that_were_not_searched_to_the_end_are_unfinished(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    for i in range(20):
        (tmp_path / "large" / str(i) / "below").mkdir(parents=True)
    asked = request(tmp_path / "small", entries=25)
    asked["roots"].append(str(tmp_path / "large"))
    found = ask(asked)
    assert found.unfinished == [os.fsencode(tmp_path / "large")]


def test_an_endless_tree_ends_in_time(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / str(i)).mkdir()
    started = time.monotonic()
    found = ask(request(tmp_path, seconds=0.0))
    assert time.monotonic() - started < 5
    assert found.truncated == ["longer than 0.0 s"]


def test_missing_roots_and_folders_that_may_not_be_read_are_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert ask(request(gone)).missing_roots == [os.fsencode(gone)]
    assert ask(request(tmp_path)).unreadable == 0
    asked = request(tmp_path)
    (tmp_path / "closed").mkdir(mode=0o000)
    if os.geteuid() != 0:  # root reads everything
        assert ask(asked).unreadable == 1


def test_runs_are_told_with_their_first_and_last_frame_by_number(tmp_path: Path) -> None:
    run = tmp_path / "output" / "demo"
    for number in (99999, 100000, 7, 10):
        os.utime(put(run / "checkpoint" / f"{number:05d}.frame", b"frame %d" % number), (number, number))
    put(run / "checkpoint" / "notes.txt")
    put(tmp_path / "configs" / "actors" / "demo.yml", b"actor: ./input/demo\n")
    (folder,) = ask(request(tmp_path)).folders
    assert folder.path == os.fsencode(run)
    assert folder.frames is not None
    assert (folder.frames.count, folder.frames.first, folder.frames.last) == (4, b"00007", b"100000")
    assert folder.frames.content == b"frame 7"
    assert (folder.frames.oldest_ns, folder.frames.newest_ns) == (7 * 10**9, 100000 * 10**9)
    assert [(os.fsdecode(c.path), c.content) for c in folder.configs] == [
        (str(tmp_path / "configs" / "actors" / "demo.yml"), b"actor: ./input/demo\n")
    ]


def test_settings_and_frames_that_are_links_or_pipes_are_not_opened(tmp_path: Path) -> None:
    run = tmp_path / "output" / "demo"
    (run / "checkpoint").mkdir(parents=True)
    os.mkfifo(run / "checkpoint" / "00000.frame")
    put(tmp_path / "secret", b"secret")
    (run / "config.yml").symlink_to(tmp_path / "secret")
    (folder,) = ask(request(tmp_path)).folders
    assert folder.frames is not None
    assert (folder.frames.content, folder.frames.problem) == (None, "IRREGULAR")
    assert [(c.content, c.problem) for c in folder.configs] == [(None, "ELOOP")]


def test_evidence_is_counted_in_the_checkout_and_in_a_backup_alike(tmp_path: Path) -> None:
    layouts = {
        "input/demo": ["source/00001.png", "source/00002.png", "kpt/1.npy", "kpt_dense/1.npy", "video.mp4"],
        "output/demo": ["input/00000.png", "input/00001.jpg", "mesh/00000.ply", "video/00000.jpg"],
        "backup/demo": ["run/input/00000.png", "run/mesh/00000.ply", "actor/kpt/1.npy", "actor/kpt/2.npy"],
    }
    for folder, names in layouts.items():
        for name in names:
            put(tmp_path / folder / name)
    counts = {os.fsdecode(f.path): f.counts for f in ask(request(tmp_path)).folders}
    nothing = dict.fromkeys(("crop_images", "source_images", "landmarks", "meshes", "videos"), 0)
    assert counts == {
        str(tmp_path / "input/demo"): {**nothing, "source_images": 2, "landmarks": 1, "videos": 1},
        str(tmp_path / "output/demo"): {**nothing, "crop_images": 2, "meshes": 1},
        str(tmp_path / "backup/demo"): {**nothing, "crop_images": 1, "meshes": 1, "landmarks": 2},
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel shows no files there")
@pytest.mark.parametrize("link", ["/proc/self/cwd", "/proc/self/root", "/proc", "/dev/fd/../.."])
def test_no_link_leads_it_into_the_kernels_files_nor_through_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    stands_in = tmp_path / "another/input/demo"
    put(stands_in / "bbox.pt")
    put(stands_in / "checkpoint/00000.frame")
    for name in ("00001.png", "00001.frame", "config.yml"):
        put(stands_in / name)
    monkeypatch.chdir(stands_in)
    disk = tmp_path / "disk"
    put(disk / "input/demo/kpt/1.npy")
    for name in ("images", "checkpoint", "input", "actor"):
        (disk / "input/demo" / name).symlink_to(link)
    (disk / "away").symlink_to(link)
    answer = ask(request(disk))
    assert paths(answer) == []
    (folder,) = answer.folders
    assert [os.path.basename(config.path) for config in folder.configs if config.content] == []
    assert (folder.frames, folder.counts["crop_images"], folder.counts["landmarks"]) == (None, 0, 1)
    for asked in (request(disk / "away"), request(disk / "none", known=(disk / "away",))):
        answer = ask(asked)
        assert (answer.candidates, answer.folders) == ([], [])
        assert "leads into the kernel's own files" in answer.truncated[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_of_the_kernels_files_is_not_searched(tmp_path: Path) -> None:
    put(tmp_path / "input/demo/bbox.pt")
    (tmp_path / "proc").mkdir()
    script = 'mount -t proc proc "$1/proc" && exec "$2" -I -B -c "$3" "{}"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, BOOT]
    done = search(request(tmp_path), argv)
    if b"mount" in done.stderr or b"unshare" in done.stderr:
        pytest.skip("this system lets nobody mount")
    answer = BoxSearchAnswer.model_validate_json(done.stdout)
    assert len(answer.candidates) == 1 and answer.entries < 20


@pytest.mark.parametrize("python", PYTHONS)
def test_it_leaves_the_disk_as_it_was(python: str, tmp_path: Path) -> None:
    put(tmp_path / "disk" / "input" / "demo" / "bbox.pt")
    put(tmp_path / "disk" / "output" / "demo" / "checkpoint" / "00000.frame")

    def tree() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_ino) for p in tmp_path.rglob("*"))

    # A module of the standard library that was never compiled would be, without -B, and beside itself.
    before = tree()
    search(
        request(tmp_path / "disk"),
        program_words(python=python),
        cwd=tmp_path / "disk",
        env={"HOME": str(tmp_path), "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")},
        check=True,
    )
    assert tree() == before


def _answered(**changes: Any) -> bytes:
    answer = {
        "candidates": [],
        "folders": [],
        "missing_roots": [],
        "unreadable": 0,
        "truncated": [],
        "unfinished": [],
        "entries": 0,
        "seconds": 0.1,
        "python": "3.8.18",
    }
    return json.dumps({**answer, **changes}).encode()


BOX = {
    "path": "L2E=",
    "what": "file",
    "bytes": 1,
    "mtime_ns": 1,
    "target": None,
    "content": "eA==",
    "problem": None,
}


def test_an_answer_is_read_strictly_and_its_base64_undone() -> None:
    found = only(BoxSearchAnswer.model_validate_json(_answered(candidates=[BOX])))
    assert (found.path, found.content) == (b"/a", b"x")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        _answered()[:-2],
        _answered(more=1),
        _answered(unreadable=-1),
        _answered(unreadable="0"),
        _answered(seconds=float("nan")),
        _answered(python="3.8\x1b[31m"),
        _answered(truncated=["x" * 201]),
        _answered(candidates=[BOX] * 201),
        _answered(candidates=[{**BOX, "path": "YQ=="}]),  # relative
        _answered(candidates=[{**BOX, "path": "L2EvLi4vYg=="}]),  # /a/../b
        _answered(candidates=[{**BOX, "path": "L2EA"}]),  # a NUL
        _answered(candidates=[{**BOX, "path": "not base64!"}]),
        _answered(candidates=[{**BOX, "path": None}]),
        _answered(candidates=[{**BOX, "content": "eHh4" * 30_000}]),
        _answered(candidates=[{**BOX, "problem": "a sentence"}]),
        _answered(candidates=[{**BOX, "bytes": 1 << 80}]),
        _answered(folders=[{"path": "L2E=", "counts": {"bitcoin": 1}, "frames": None, "configs": []}]),
    ],
)
def test_an_answer_that_is_not_exactly_one_is_refused(said: bytes) -> None:
    with pytest.raises(ValidationError) as refused:
        BoxSearchAnswer.model_validate_json(said)
    problem = first_problem(refused.value)
    assert len(problem) < 250 and problem.isprintable()
