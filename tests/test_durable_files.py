"""A file that is replaced is the old one or the new one, on the disk, and never reached through a link."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from being_remote import durable_files
from being_remote.durable_files import (
    open_plain,
    require_room,
    room_on_disk,
    round_to_blocks,
    share_blocks,
    stat_plain,
    sync_files,
    write_whole,
)
from being_remote.errors import InconsistentData, NoSpace


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced and renamed, in order."""
    steps: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        real_sync(descriptor)

    def replace(source: Any, target: Any) -> None:
        steps.append(f"rename {Path(source).name}")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return steps


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_counts(
    tmp_path: Path, done: list[str]
) -> None:
    write_whole(tmp_path / "a", b"new", scratch=tmp_path / "scratch")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert done == ["sync scratch", "rename scratch", f"sync {tmp_path.name}"]
    done.clear()
    write_whole(tmp_path / "b", [b"n", b"ew"], scratch=tmp_path / "scratch", synced=False)
    assert (tmp_path / "b").read_bytes() == b"new" and done == ["rename scratch"]


def test_files_are_synced_one_by_one_where_the_whole_disk_cannot_be(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        @staticmethod
        def syncfs(_: int) -> int:
            return -1

    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").touch()
    sync_files(tmp_path, [tmp_path / "d/a"])
    assert done == []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Refusing)
    sync_files(tmp_path, [tmp_path / "d/a"])
    assert done[0] == "sync a" and {"sync d", f"sync {tmp_path.name}"} <= set(done)


def test_a_link_a_folder_or_a_pipe_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert stat_plain(tmp_path / "a") == (1, (tmp_path / "a").stat().st_mtime_ns)
    for name in ("link", "pipe", "folder"):
        assert stat_plain(tmp_path / name) is None
        with pytest.raises(InconsistentData, match="not a plain file"), open_plain(tmp_path / name):
            pass
    assert stat_plain(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("number", "raises"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, True), (errno.EOPNOTSUPP, False)],
)
def test_a_disk_that_is_full_or_fails_is_not_taken_for_one_without_reflinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raises: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    if raises:
        with pytest.raises(OSError):
            share_blocks(tmp_path / "a", tmp_path / "b")
    else:
        assert not share_blocks(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_only_a_full_disk_is_called_full(tmp_path: Path, number: int) -> None:
    full = number in (errno.ENOSPC, errno.EDQUOT)
    with pytest.raises(NoSpace if full else OSError), room_on_disk(tmp_path):
        raise OSError(number, os.strerror(number))


def test_files_need_whole_blocks_of_the_room_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [round_to_blocks(size) for size in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]
    monkeypatch.setattr(durable_files, "room_bytes", lambda _: 8192)
    require_room(tmp_path, [1, 1])
    with pytest.raises(NoSpace):
        require_room(tmp_path, [1, 1, 1])
