"""The listing as a pod runs it: by Python 3.8, from stdin, on folders with every kind of name."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from being_remote.pod import listing

SOURCE = Path(listing.__file__).read_bytes()
AWKWARD = [b"plain", b"a b", b"it's", b'q"uote', b"$(touch pwned)", b"new\nline", b"-rf", b"gr\xfcn", b"*"]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def ask(
    *folders: tuple[Path, str, bool],
    hashed: bool = False,
    python: str = sys.executable,
    cwd: Path | None = None,
) -> dict[str, Any]:
    asked = [{"path": b64(os.fsencode(f)), "pattern": b64(p.encode()), "recursive": r} for f, p, r in folders]
    argv = [python, "-", json.dumps({"hash": hashed, "folders": asked})]
    done = subprocess.run(argv, input=SOURCE, capture_output=True, check=True, cwd=cwd)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def names(listed: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(name) for name, *_ in listed["files"]]


def old_python() -> str:
    """The oldest Python that pods have, where this machine has it."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.8*/bin/python"))
    return str(pyenv[0]) if pyenv else shutil.which("python3.8") or sys.executable


@pytest.mark.parametrize("python", sorted({sys.executable, old_python()}))
def test_names_sizes_times_and_hashes_arrive_exactly_whatever_the_name(tmp_path: Path, python: str) -> None:
    folder = os.fsencode(tmp_path / "it's a $(folder)\n")
    os.mkdir(folder)
    for i, name in enumerate(AWKWARD):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(name * i)
        os.utime(os.path.join(folder, name), ns=(1, 1_700_000_000_123_456_789 + i))
    before = sorted(os.listdir(tmp_path))
    asked = (Path(os.fsdecode(folder)), "*", False)
    (listed,) = ask(asked, hashed=True, python=python, cwd=tmp_path)["folders"]
    assert sorted(listed["files"]) == sorted(
        [b64(n), len(n) * i, 1_700_000_000_123_456_789 + i, hashlib.sha256(n * i).hexdigest()]
        for i, n in enumerate(AWKWARD)
    )
    assert sorted(os.listdir(tmp_path)) == before  # it wrote nothing


def test_only_what_fits_the_pattern_is_listed_and_subfolders_only_when_asked(tmp_path: Path) -> None:
    for name in ("a.frame", "a.txt", "sub/b.frame", "sub/deep/c.frame"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    flat, deep = ask((tmp_path, "*.frame", False), (tmp_path, "*.frame", True))["folders"]
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
    (listed,) = ask((folder, "*", True), hashed=True)["folders"]
    assert listed["files"] == []
    assert sorted((base64.b64decode(n), kind) for n, kind in listed["skipped"]) == [
        (b"away", "link"),
        (b"link.frame", "link"),
        (b"pipe.frame", "special"),
    ]


def test_a_folder_that_is_itself_a_link_is_listed_and_one_that_is_missing_says_so(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/a.frame").touch()
    (tmp_path / "checkpoint").symlink_to(tmp_path / "volume")
    link, missing = ask((tmp_path / "checkpoint", "*", False), (tmp_path / "none", "*", False))["folders"]
    assert (link["exists"], names(link)) == (True, [b"a.frame"])
    assert (missing["exists"], missing["files"], missing["error"]) == (False, [], None)


def test_the_incarnation_is_told_where_the_system_tells_it() -> None:
    told = ask()["incarnation"]
    assert told == listing.incarnation()
    if sys.platform == "linux":
        assert told["boot_id"] and told["pid_namespace"]
