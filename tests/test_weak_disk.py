"""What `doctor` and `sync` say of a disk that lacks something."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from refusing_disk import FUSE, NFS, refusing

from being_remote.host_checks.laptop import check_laptop
from being_remote.transport.rsync import OLDEST
from being_remote.weak_disk import describe_weakness, refuses_record_locks

_DOCTOR = """
import sys
from pathlib import Path
from being_remote.host_checks.laptop import check_laptop
folder = Path(sys.argv[1])
row = check_laptop(folder / "backups", rsync=(3, 4, 1), oldest_rsync=(3, 2, 5), state=folder / "state")
print(*row.notes, *row.problems, sep="\\n")
"""
_LEDGER = """
import sys
from pathlib import Path
from being_remote.jobs import ledger
ledger._BUSY_S = 0.1
with ledger.Ledger(Path(sys.argv[1]) / "ledger.sqlite").together():
    pass
"""


def _run(code: str, folder: Path, **refused: str) -> str:
    env = {**os.environ, **refusing(folder, **refused)}
    done = subprocess.run([sys.executable, "-c", code, folder], env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("refused", [NFS, FUSE], ids=["NFS", "FUSE"])
def test_doctor_names_all_that_the_disk_of_the_backups_lacks_and_leaves_nothing_there(
    tmp_path: Path, refused: dict[str, str]
) -> None:
    said = _run(_DOCTOR, tmp_path, **refused)
    assert said.count(f"the disk of {tmp_path} offers no flock, no fsync of folders, no chmod, no utime") == 1
    assert "--break-lock" in said and "compared by hash" in said and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "errno_name"), [("chmod", "EPERM"), ("utime", "EPERM"), ("flock", "EINVAL")]
)
def test_what_a_disk_offers_is_not_called_lacking(tmp_path: Path, call: str, errno_name: str) -> None:
    said = _run(_DOCTOR, tmp_path, **{call: errno_name})
    assert f"offers no {call}: " in said


def test_of_a_disk_of_this_machine_nothing_is_said(tmp_path: Path) -> None:
    assert describe_weakness(tmp_path / "not yet") is None and not refuses_record_locks(tmp_path)
    row = check_laptop(tmp_path, rsync=(3, 4, 1), oldest_rsync=OLDEST, state=tmp_path)
    assert not any("offers no" in text for text in (*row.notes, *row.problems))


@pytest.mark.parametrize("say", [_DOCTOR, _LEDGER], ids=["doctor", "ledger"])
def test_a_ledger_on_a_disk_without_locks_is_told_where_to_go(tmp_path: Path, say: str) -> None:
    said = _run(say, tmp_path, lock="ENOLCK")
    assert "set `state` in the inventory to a folder on a disk of this machine" in said


def test_a_disk_that_fails_otherwise_is_not_called_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> Any:
        def call(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return call

    for number, lacking in ((errno.EIO, False), (errno.ENOLCK, True)):
        with monkeypatch.context() as patched:
            patched.setattr(fcntl, "flock", fail(number))
            assert (describe_weakness(tmp_path) is not None) is lacking
            patched.setattr(fcntl, "lockf", fail(number))
            assert refuses_record_locks(tmp_path) is lacking
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", fail(errno.ENOSPC))
        assert describe_weakness(tmp_path) is None and not refuses_record_locks(tmp_path)


def test_only_a_folder_that_cannot_be_synced_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert "offers no fsync of folders:" in (describe_weakness(tmp_path / "not yet") or "")
