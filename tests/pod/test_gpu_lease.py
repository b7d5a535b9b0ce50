"""Locks that survive being removed, and tickets of the dead."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from being_remote.pod import gpu_lease, locks


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own" / "locks"))
    return tmp_path / "own" / "locks"


def test_a_lock_whose_file_was_removed_is_not_taken_for_the_new_one(own_locks: Path) -> None:
    path = locks.job_lock("a")
    first = locks.take(path)
    assert first is not None and locks.take(path) is None and locks.probe(path)[0] == "held"
    os.unlink(path)
    assert locks.probe(path)[0] == "missing"
    second = locks.take(path)
    assert second is not None and os.fstat(first).st_ino != locks.probe(path)[1]
    os.close(first)
    assert locks.probe(path)[0] == "held"
    os.close(second)
    assert locks.probe(path)[0] == "free"


def test_a_note_is_replaced_in_place(own_locks: Path) -> None:
    path = locks.job_lock("a")
    fd = locks.take(path)
    assert fd is not None
    for note in ({"attempt": 1, "why": "x" * 500}, {"attempt": 2}):
        locks.write_note(fd, note)
        assert locks.probe(path)[2] == note
    os.close(fd)


def test_a_locks_folder_that_others_can_write_is_refused(own_locks: Path) -> None:
    locks.folder()
    own_locks.chmod(0o777)
    with pytest.raises(PermissionError):
        locks.job_lock("a")
    own_locks.rmdir()
    own_locks.symlink_to("/tmp")
    with pytest.raises(PermissionError):
        locks.job_lock("a")


@pytest.mark.parametrize("taken_by", ["a file", "a link", "another user"])
def test_somebody_who_takes_the_usual_folders_name_blocks_nobody(
    taken_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEING_REMOTE_LOCKS", raising=False)
    usual, other = tmp_path / "usual" / "locks", tmp_path / "other" / "locks"
    monkeypatch.setattr(locks, "places", lambda: (str(usual), str(other)))
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o777)
    if taken_by == "a file":
        usual.parent.touch()
    elif taken_by == "a link":
        usual.parent.symlink_to(theirs)
    elif os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    else:
        usual.parent.mkdir(mode=0o777)
        os.chown(usual.parent, 4321, -1)
    assert locks.folder(make=False) == str(other) and not other.parent.exists()
    held = locks.take(locks.job_lock("a"))
    assert held is not None and other.is_dir()
    assert os.listdir(theirs) == [] and (taken_by != "another user" or os.listdir(usual.parent) == [])
    # Once it is used it counts for all, or two processes could each hold "the" lock.
    usual.parent.rmdir() if taken_by == "another user" else usual.parent.unlink()
    assert locks.folder() == str(other)
    assert locks.probe(locks.job_lock("a", make=False))[0] == "held"
    os.close(held)


def test_the_other_folder_is_below_the_users_home_where_nobody_else_can_take_its_name() -> None:
    usual, other = locks.places()
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert usual.startswith("/tmp/") and other.startswith(home + "/") and os.uname().nodename in other


def test_the_usual_folder_is_ours_alone_and_the_other_one_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEING_REMOTE_LOCKS", raising=False)
    usual, other = tmp_path / "usual" / "locks", tmp_path / "other" / "locks"
    monkeypatch.setattr(locks, "places", lambda: (str(usual), str(other)))
    assert locks.folder(make=False) == str(usual) and not usual.parent.exists()
    assert locks.folder() == str(usual) and not other.parent.exists()
    assert [stat.S_IMODE(p.stat().st_mode) for p in (usual.parent, usual)] == [0o700, 0o700]


def test_tickets_of_the_dead_are_passed_over(own_locks: Path) -> None:
    pid = os.fork()
    if pid == 0:
        gpu_lease.GpuQueue("dead", 1)
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(os.listdir(own_locks / "tickets")) == 1
    mine, later = gpu_lease.GpuQueue("a", 1), gpu_lease.GpuQueue("b", 1)
    assert len(os.listdir(own_locks / "tickets")) == 2
    assert mine._is_next() and not later._is_next()
    mine.leave()
    assert later._is_next()
