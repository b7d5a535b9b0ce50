"""Locks that survive being removed, and tickets of the dead."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from being_remote.pod import locks
from being_remote.pod.tickets import Tickets


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own" / "locks"))
    return tmp_path / "own" / "locks"


def test_a_lock_whose_file_was_removed_is_not_taken_for_the_new_one(own_locks: Path) -> None:
    path = locks.job_locks("a")[0]
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
    path = locks.job_locks("a")[0]
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
        locks.job_locks("a")[0]
    own_locks.rmdir()
    own_locks.symlink_to("/tmp")
    with pytest.raises(PermissionError):
        locks.job_locks("a")[0]


@pytest.mark.parametrize("taken_by", ["a file", "a link", "another user"])
def test_somebody_who_takes_the_usual_folders_name_blocks_nobody(
    taken_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEING_REMOTE_LOCKS", raising=False)
    usual, other = tmp_path / "usual" / "locks", tmp_path / "other" / "locks"
    monkeypatch.setattr(locks, "places", lambda: (str(usual), str(other)))
    monkeypatch.setattr(locks, "own_places", list)
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
    held = locks.take(locks.job_locks("a")[0])
    assert held is not None and other.is_dir()
    assert os.listdir(theirs) == [] and (taken_by != "another user" or os.listdir(usual.parent) == [])
    # Once it is used it counts for all, or two processes could each hold "the" lock.
    usual.parent.rmdir() if taken_by == "another user" else usual.parent.unlink()
    assert locks.folder() == str(other)
    assert locks.probe(locks.job_locks("a", make=False)[0])[0] == "held"
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
    monkeypatch.setattr(locks, "own_places", list)
    assert locks.folder(make=False) == str(usual) and not usual.parent.exists()
    assert locks.folder() == str(usual) and not other.parent.exists()
    assert [stat.S_IMODE(p.stat().st_mode) for p in (usual.parent, usual)] == [0o700, 0o700]


def test_tickets_of_the_dead_are_passed_over(own_locks: Path) -> None:
    pid = os.fork()
    if pid == 0:
        Tickets().draw(lambda: 0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.listdir(own_locks / "tickets") == [f"{1:012d}"]
    mine, later = Tickets(), Tickets()
    assert (mine.draw(lambda: 0), later.draw(lambda: 7)) == (1, 8)
    assert mine.others_up_to(8) == [8] and later.others_up_to(8) == [1]
    mine.release()
    assert later.others_up_to(8) == [] and os.listdir(own_locks / "tickets") == [f"{8:012d}"]


def test_a_ticket_that_a_cleaner_removed_is_held_again(own_locks: Path) -> None:
    mine, other = Tickets(), Tickets()
    mine.hold({3, 9})
    (own_locks / "tickets" / f"{3:012d}").unlink()
    assert other.others_up_to(5) == []
    mine.hold({3, 9})
    assert other.others_up_to(5) == [3]
    other.hold({3, 4})
    assert mine.others_up_to(9) == [4]


def test_while_a_taker_waits_for_a_lock_whose_file_is_removed_it_never_holds_the_old_one(
    own_locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = locks.job_locks("a")[0]
    first = locks.take(path)
    assert first is not None
    lock, others = locks.fcntl.flock, []

    def removed_meanwhile(fd: int, how: int) -> None:
        """Between the open and the lock, the first holder ends and another one takes a new file."""
        if not others:
            os.unlink(path)
            os.close(first)
            monkeypatch.setattr(locks.fcntl, "flock", lock)
            others.append(locks.take(path))
        lock(fd, how)

    monkeypatch.setattr(locks.fcntl, "flock", removed_meanwhile)
    assert locks.take(path) is None, "two hold the lock"
    assert others[0] is not None and locks.probe(path)[0] == "held"
