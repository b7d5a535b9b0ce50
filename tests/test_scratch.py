"""Temporary folders: gone afterwards, and those of killed processes are removed by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from being_remote import scratch
from being_remote.transport.openssh import OpenSsh

KILLED = """
import os, sys
from pathlib import Path
from being_remote.scratch import make_folder
(make_folder(Path(sys.argv[1])) / "left").touch()
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed_and_a_living_ones_folder_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    other = tmp_path / f"{scratch.PREFIX}{os.getppid()}-abc"
    other.mkdir()
    (tmp_path / "outside").mkdir()
    link = tmp_path / left.name.replace("-", "-link")
    link.symlink_to(tmp_path / "outside")
    mine = scratch.make_folder(tmp_path)
    assert not left.exists() and other.exists() and link.is_symlink() and mine.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_is_gone_afterwards_also_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError), scratch.temporary_folder() as folder:
        (folder / "f").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_connection_removes_the_socket_folders_of_killed_commands(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", KILLED, "/tmp"])
    killed.wait()
    OpenSsh([], [], connect_timeout_s=1).close()
    assert list(Path("/tmp").glob(f"br-{killed.pid}-*")) == []
