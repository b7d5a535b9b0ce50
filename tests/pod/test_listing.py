"""The listing as a pod runs it: by Python 3.8, from stdin, on folders with every kind of name."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from pod_programs import program_words, run_program_here
from pythons import old_python

from being_remote.pod import listing
from being_remote.pod_client.runner import BOOT

AWKWARD = [b"plain", b"a b", b"it's", b'q"uote', b"$(touch pwned)", b"new\nline", b"-rf", b"gr\xfcn", b"*"]


def letters(value: str | bytes | Path) -> str:
    return os.fsencode(value).decode("latin-1")


def ask(*asked: dict[str, Any], python: str = sys.executable, cwd: Path | None = None) -> dict[str, Any]:
    """Its last line, with the rows of all lines put into their folders."""
    payload = zlib.compress(json.dumps({"folders": asked}).encode())
    done = run_program_here("listing", None, payload, words=program_words(python=python), check=True, cwd=cwd)
    *lines, answer = map(json.loads, zlib.decompress(done.stdout).splitlines())
    for folder in answer["folders"]:
        folder["files"] = []
    for line in lines:
        answer["folders"][line["folder"]]["files"] += line["files"]
    return dict(answer)


def whole(folder: Path | bytes, pattern: str, recursive: bool, hashed: bool = False) -> dict[str, Any]:
    return {"path": letters(folder), "pattern": pattern, "recursive": recursive, "hash": hashed}


def names(listed: dict[str, Any]) -> list[bytes]:
    return [name.encode("latin-1") for name, *_ in listed["files"]]


def row(file: Path | bytes, name: bytes, sha256: str | None) -> list[Any]:
    at = os.lstat(file)
    return [letters(name), at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, sha256]


@pytest.mark.parametrize("python", sorted({sys.executable, old_python()}))
def test_names_sizes_times_and_hashes_arrive_exactly_whatever_the_name(tmp_path: Path, python: str) -> None:
    folder = os.fsencode(tmp_path / "it's a $(folder)\n")
    os.mkdir(folder)
    for i, name in enumerate(AWKWARD):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(name * i)
        os.utime(os.path.join(folder, name), ns=(1, 1_700_000_000_123_456_789 + i))
    before = sorted(os.listdir(tmp_path))
    (listed,) = ask(whole(folder, "*", False, hashed=True), python=python, cwd=tmp_path)["folders"]
    assert sorted(listed["files"]) == sorted(
        row(os.path.join(folder, n), n, hashlib.sha256(n * i).hexdigest()) for i, n in enumerate(AWKWARD)
    )
    assert sorted(os.listdir(tmp_path)) == before  # it wrote nothing


def test_only_what_fits_the_pattern_is_listed_and_subfolders_only_when_asked(tmp_path: Path) -> None:
    for name in ("a.frame", "a.txt", "sub/b.frame", "sub/deep/c.frame"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    flat, deep = ask(whole(tmp_path, "*.frame", False), whole(tmp_path, "*.frame", True))["folders"]
    assert names(flat) == [b"a.frame"]
    assert names(deep) == [b"a.frame", b"sub/b.frame", b"sub/deep/c.frame"]


def test_links_and_specials_are_named_and_never_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    outside.mkdir()
    (outside / "secret.frame").touch()
    (folder / "link.frame").symlink_to("/etc/passwd")
    (folder / "away").symlink_to(outside)
    os.mkfifo(folder / "pipe.frame")
    (listed,) = ask(whole(folder, "*", True, hashed=True))["folders"]
    assert listed["files"] == []
    assert sorted(listed["skipped"]) == [["away", "link"], ["link.frame", "link"], ["pipe.frame", "special"]]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel shows no files there")
@pytest.mark.parametrize("link", ["/proc/self/cwd", "/proc/self", "/sys", "/dev/fd"])
def test_no_link_leads_a_listing_into_the_kernels_files_nor_through_them(tmp_path: Path, link: str) -> None:
    (tmp_path / "a.frame").touch()
    (tmp_path / "checkpoint").symlink_to(link)
    named = {"path": letters(tmp_path / "checkpoint"), "names": [["a.frame", None]]}
    for asked in (whole(tmp_path / "checkpoint", "*", True), named):
        (listed,) = ask(asked, cwd=tmp_path)["folders"]
        assert listed["files"] == [] and "leads into the kernel's own files" in listed["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_of_the_kernels_files_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "logs/proc").mkdir(parents=True)
    (tmp_path / "logs/a").touch()
    asked = zlib.compress(json.dumps({"folders": [whole(tmp_path, "*", True)]}).encode())
    script = 'mount -t proc proc "$1/logs/proc" && exec "$2" -I -B -c "$3" "{}"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, BOOT]
    done = run_program_here("listing", None, asked, words=argv)
    if b"mount" in done.stderr or b"unshare" in done.stderr:
        pytest.skip("this system lets nobody mount")
    (line, _) = map(json.loads, zlib.decompress(done.stdout).splitlines())
    assert [name for name, *_ in line["files"]] == ["logs/a"]


def test_a_folder_that_is_itself_a_link_is_listed_and_one_that_is_missing_says_so(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/a.frame").touch()
    (tmp_path / "checkpoint").symlink_to(tmp_path / "volume")
    link, missing = ask(whole(tmp_path / "checkpoint", "*", False), whole(tmp_path / "none", "*", False))[
        "folders"
    ]
    assert (link["exists"], names(link)) == (True, [b"a.frame"])
    assert (missing["exists"], missing["files"], missing["error"]) == (False, [], None)


def test_the_incarnation_is_told_where_the_system_tells_it() -> None:
    told = ask()["incarnation"]
    assert told == listing.identify_start()
    if sys.platform == "linux":
        assert told["boot_id"] and told["pid_namespace"]


def test_the_clock_is_the_machines_own() -> None:
    before = time.time_ns()
    assert before <= ask()["clock_ns"] <= time.time_ns()


@pytest.mark.parametrize("python", sorted({sys.executable, old_python()}))
def test_named_files_are_hashed_as_far_as_asked_and_only_plain_ones(tmp_path: Path, python: str) -> None:
    (tmp_path / "grows.log").write_bytes(b"first second")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.frame").write_bytes(b"whole")
    (tmp_path / "link").symlink_to("grows.log")
    os.mkfifo(tmp_path / "pipe")
    asked = [("grows.log", 5), ("sub/a.frame", None), ("link", None), ("pipe", None), ("sub", 1), ("gone", 1)]
    (listed,) = ask({"path": letters(tmp_path), "names": asked}, python=python)["folders"]
    assert listed["files"] == [
        row(tmp_path / "grows.log", b"grows.log", hashlib.sha256(b"first").hexdigest()),
        row(tmp_path / "sub/a.frame", b"sub/a.frame", hashlib.sha256(b"whole").hexdigest()),
    ]
