"""The walk over a pod's disk as the pod runs it: by Python 3.8, bounded, never among the kernel's files."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from pod_programs import program_words, run_program_here
from pythons import old_python

from being_remote.pod_client.disk_survey import WALKED_LAST
from being_remote.pod_client.runner import BOOT
from being_remote.safe_to_stop.result_names import ODD_NAMES

LIMITS = {"entries": 10_000, "folders": 100, "odd": 10, "depth": 8, "seconds": 30}


def b64(path: object) -> str:
    return base64.b64encode(os.fsencode(str(path))).decode()


def ask(
    *roots: Path,
    python: str = sys.executable,
    cwd: Path | None = None,
    argv: list[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    request = {
        "roots": [b64(root) for root in roots],
        "main": b64(roots[-1]) if roots else "",
        "apart": [],
        "results": [(None, [b64("*.frame"), b64("bbox.pt")]), (b64("mesh"), [b64("*.ply")])],
        "dated": [b64("end.json")],
        "odd": base64.b64encode(ODD_NAMES).decode(),
        "others": [b64("*.tar"), b64("*.tmp")],
        "count_below": [],
        "specs": [],
        "last_names": [".git"],
        "limits": LIMITS,
        **more,
    }
    done = run_program_here(
        "disk_survey",
        None,
        json.dumps(request).encode(),
        words=argv or program_words(python=python),
        check=True,
        cwd=cwd,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def where(held: list[dict[str, Any]], root: Path) -> dict[bytes, tuple[int, int]]:
    """Folder below the root -> (files, bytes)."""
    return {
        os.path.relpath(base64.b64decode(h["path"]), os.fsencode(root)): (h["files"], h["bytes"])
        for h in held
    }


def paths(told: dict[str, Any]) -> list[str]:
    """The examples, as text."""
    return [os.fsdecode(base64.b64decode(path)) for path in told["examples"]]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Two runs, one below a folder with an awkward name, and much that is none."""
    root = tmp_path / "disk"
    awkward = os.path.join(os.fsencode(root), b"gr\xfcn\n'$(x)", b"checkpoint")
    os.makedirs(awkward)
    (root / "a").mkdir()
    for name in (b"00000.frame", b"00001.frame", b"notes.txt"):
        with open(os.path.join(awkward, name), "wb") as f:
            f.write(b"12345")
    (root / "a/bbox.pt").write_bytes(b"box")
    (root / "a/video.mp4").write_bytes(bytes(100))
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
    assert (answer["truncated"], answer["unreadable"]["count"], answer["counted"]) == ([], 0, [])
    assert paths(answer["outside"]) == [str(disk.parent / "outside")]
    assert sorted(disk.rglob("*")) == before


def test_all_files_are_counted_where_that_is_asked(disk: Path) -> None:
    answer = ask(disk, count_below=[b64(disk / "a")])
    assert where(answer["counted"], disk) == {b"a": (2, 103)}


def test_a_root_may_be_a_link_and_a_folder_is_visited_once(disk: Path) -> None:
    answer = ask(disk / "loop", disk, disk / "a", disk / "not-there")
    assert where(answer["folders"], disk).keys() == {b"loop/gr\xfcn\n'$(x)/checkpoint", b"a", b"../outside"}


def test_a_link_to_one_frame_shows_the_folder_that_it_lies_in(disk: Path, tmp_path: Path) -> None:
    (disk / "elsewhere").unlink()
    (disk / "a/1.frame").symlink_to(tmp_path / "outside/1.frame")
    (disk / "round").symlink_to("round")
    (disk / "gone.frame").symlink_to("nowhere")
    found = where(ask(disk)["folders"], disk)
    assert set(found) == {b"gr\xfcn\n'$(x)/checkpoint", b"a", b"../outside"}
    assert found[b"a"] == (1, 3)  # the link itself holds nothing


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel shows no files there")
@pytest.mark.parametrize(
    "link",
    ["/proc/self", "/proc/self/cwd", "/proc/self/root/proc/self/cwd", "/proc", "/sys", "/dev/fd/../.."],
)
def test_no_link_leads_into_the_kernels_files_nor_through_them_to_what_a_process_stands_in(
    disk: Path, tmp_path: Path, link: str
) -> None:
    stands_in = tmp_path / "another/checkpoint"
    stands_in.mkdir(parents=True)
    (stands_in / "2.frame").write_bytes(b"frame")
    (disk / "a/away").symlink_to(link)
    answer = ask(disk, cwd=stands_in.parent)
    assert set(where(answer["folders"], disk)) == {b"gr\xfcn\n'$(x)/checkpoint", b"a", b"../outside"}
    assert paths(answer["away"]) == [str(disk / "a/away")]
    # Nor does a root, by whatever way; that it was not looked through is said.
    for root in (disk / "a/away", Path("/proc/self/cwd"), disk / "../../../../../../../../../proc/self"):
        answer = ask(disk, root, cwd=stands_in.parent)
        assert answer["unreadable"]["count"] == 1
        assert b"../another/checkpoint" not in where(answer["folders"], disk)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_of_the_kernels_files_is_not_entered_and_one_of_a_tmpfs_is(disk: Path) -> None:
    for name in ("a/proc", "a/memory"):
        (disk / name).mkdir()
    script = (
        'mount -t proc proc "$1/a/proc" && mount -t tmpfs tmpfs "$1/a/memory"'
        ' && touch "$1/a/memory/3.frame" && exec "$2" -I -B -c "$3" "{}"'
    )
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(disk), sys.executable, BOOT]
    try:
        answer = ask(disk, argv=argv)
    except subprocess.CalledProcessError:
        pytest.skip("this system lets nobody mount")
    assert set(where(answer["folders"], disk)) >= {b"a", b"a/memory"}
    assert paths(answer["away"]) == [str(disk / "a/proc")]


def test_a_folder_is_walked_whatever_it_is_called_and_the_unlikely_ones_last(tmp_path: Path) -> None:
    names = [".cache", ".Trash", ".git", "node_modules", "__pycache__", ".history", "site-packages", "likely"]
    for name in names:
        (tmp_path / name / "checkpoint").mkdir(parents=True)
        (tmp_path / name / "checkpoint/1.frame").write_bytes(b"frame")
    answer = ask(tmp_path, last_names=WALKED_LAST)
    found = [os.fsdecode(folder).split("/")[0] for folder in where(answer["folders"], tmp_path)]
    assert found[0] == "likely" and sorted(found) == sorted(names)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel shows no files there")
def test_frames_in_memory_are_found_behind_a_link(disk: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        Path(memory, "7.frame").write_bytes(b"frame")
        (disk / "a/memory").symlink_to(memory)
        answer = ask(disk)
    assert where(answer["folders"], Path(memory))[b"."] == (1, 5)
    assert str(memory) in paths(answer["outside"])


def test_results_of_a_run_count_in_their_folder_and_odd_spellings_and_archives_are_reported(
    tmp_path: Path,
) -> None:
    for name in ("run/mesh/1.ply", "run/1.ply", "run/frames.tar", "run/half.tmp", "run/data.frame.R"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    odd = ["1.FRAME", "1.frame~", "1.frame.tmp", ".1.frame.Xa12fg", "bbox (1).pt", "BBOX.PT", ".bbox.pt.Xa1"]
    for name in odd:
        (tmp_path / "run" / name).write_bytes(b"odd")
    (tmp_path / "blob").write_bytes(b"no name")
    (tmp_path / "run/2.frame").symlink_to(tmp_path / "blob")
    answer = ask(tmp_path)
    assert where(answer["folders"], tmp_path) == {b"run/mesh": (1, 4)}
    assert where(answer["others"], tmp_path) == {b"run": (2, 8)}
    found = {os.path.basename(base64.b64decode(one["path"])).decode() for one in answer["odd"]}
    assert found == {*odd, "blob"}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives root's rights away")
def test_a_folder_that_may_not_be_listed_is_named() -> None:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program_words()]
    with tempfile.TemporaryDirectory() as folder:  # pytest's own lie in one that is root's alone
        root = Path(folder)
        root.chmod(0o755)
        (root / "shut/in").mkdir(parents=True)
        (root / "names").mkdir()
        (root / "names/1.frame").touch()
        (root / "shut").chmod(0o000)
        (root / "link").symlink_to(root / "shut/in")
        (root / "names").chmod(0o444)  # its names are told, and nothing of what they are
        answer = ask(root, root / "shut/in", argv=argv)
        assert set(paths(answer["unreadable"])) == {str(root / name) for name in ("shut", "names", "link")}


def test_a_root_that_is_a_link_to_a_disk_that_is_not_mounted_is_named(disk: Path) -> None:
    (disk / "volume").symlink_to("/mnt/not/mounted")
    assert paths(ask(disk, disk / "volume")["unreadable"]) == [str(disk / "volume")]
    assert ask(disk / "none", disk)["unreadable"]["count"] == 0
    (disk / "file").touch()
    assert paths(ask(disk, disk / "file")["unreadable"]) == [str(disk / "file")]


def test_folders_that_are_to_be_left_alone_are_by_links_too(disk: Path, tmp_path: Path) -> None:
    answer = ask(disk, apart=[b64(disk / "a"), b64(tmp_path / "outside")])
    assert set(where(answer["folders"], disk)) == {b"gr\xfcn\n'$(x)/checkpoint"}
    assert answer["outside"]["count"] == 0


def test_where_the_main_folder_is_not_there_what_is_there_above_it_is_walked(disk: Path) -> None:
    answer = ask(disk / "a", disk / "mistaken/tracker")
    assert b"gr\xfcn\n'$(x)/checkpoint" in where(answer["folders"], disk)
    assert base64.b64decode(answer["main_walked"]) == os.fsencode(disk)


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
        ({"odd": 0}, "more than 0 files whose names are nearly a result's"),
    ],
)
def test_a_bound_that_was_hit_is_named(disk: Path, limit: dict[str, int], said: str) -> None:
    (disk / "b").mkdir()
    (disk / "b/bbox.pt").touch()
    (disk / "b/1.FRAME").touch()
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
