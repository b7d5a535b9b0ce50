"""Where the locks are: on a local disk that no cleaner empties, together with those of version 0.1.0."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_leases import HOLD, go

from being_remote.inventory import LocalHost
from being_remote.pod import kernel_fs, locks
from being_remote.session import Result
from being_remote.transport.local_session import LocalSession


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """(our folder, that of version 0.1.0): this process's and, by a file, those of all that it starts."""
    monkeypatch.delenv("BEING_REMOTE_LOCKS", raising=False)
    own, usual = tmp_path / "lib" / "locks", tmp_path / "tmp" / "locks"
    for folder in (own, usual):
        folder.parent.mkdir(mode=0o700)
    monkeypatch.setattr(locks, "own_places", lambda: [str(own)])
    monkeypatch.setattr(locks, "places", lambda: (str(usual), str(tmp_path / "home" / "locks")))
    yield own, usual


def test_a_lock_is_taken_in_both_places_and_each_alone_keeps_others_out(places: tuple[Path, Path]) -> None:
    own, usual = places
    assert locks.job_locks("a") == [str(own / "a.lock"), str(usual / "a.lock")]
    held = locks.take_all(locks.job_locks("a"))
    assert held is not None and len(held) == 2
    # A process of version 0.1.0 sees ours.
    assert locks.take(str(usual / "a.lock")) is None
    # An emptied /tmp lets nobody in.
    shutil.rmtree(usual.parent)
    assert locks.take_all(locks.job_locks("a")) is None
    assert locks.probe_all(locks.job_locks("a", make=False))[0] == "held"
    locks.release(held)
    assert locks.probe_all(locks.job_locks("a", make=False))[0] == "free"
    # We see one of version 0.1.0.
    theirs = locks.take(str(usual / "a.lock"))
    assert theirs is not None and locks.take_all(locks.job_locks("a")) is None
    locks.write_note(theirs, {"attempt": 1})
    state, inode, note = locks.probe_all(locks.job_locks("a", make=False))
    assert (state, inode, note) == ("held", os.fstat(theirs).st_ino, {"attempt": 1})
    os.close(theirs)
    again = locks.take_all(locks.job_locks("a"))  # what was half taken was freed again
    assert again is not None
    locks.release(again)


@pytest.mark.parametrize("kind", [b"nfs4", b"fuse.sshfs", b"9p", b"lustre", None])
def test_on_a_disk_that_may_be_another_machines_the_locks_are_where_they_were(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, kind: bytes | None
) -> None:
    own, usual = places
    monkeypatch.setattr(kernel_fs, "find_kind", lambda path: kind)
    assert locks.folder() == str(usual) and not own.exists()
    assert locks.job_locks("a") == [str(usual / "a.lock")]


def test_where_our_own_folder_cannot_be_made_the_locks_are_where_they_were(
    places: tuple[Path, Path],
) -> None:
    own, usual = places
    own.parent.rmdir()
    own.parent.touch()
    assert locks.folder() == str(usual)


def test_roots_locks_are_no_temporary_files() -> None:
    for path in locks.own_places():
        assert not path.startswith(("/tmp/", "/var/tmp/", "/run/", "/dev/shm/")), path
    if os.geteuid() == 0:
        assert locks.own_places()[0] == "/var/lib/being-remote/locks"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts")
def test_the_kind_of_a_disk_is_that_of_the_deepest_mount_above_a_path(tmp_path: Path) -> None:
    assert kernel_fs.find_kind("/proc/self") == b"proc"
    point = tmp_path / "a disk"
    point.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], capture_output=True).returncode != 0:
        pytest.skip("this sandbox mounts nothing")
    try:
        assert kernel_fs.find_kind(str(point / "not" / "there")) == b"tmpfs"
        assert kernel_fs.find_kind(str(tmp_path / "a disk of another name")) == kernel_fs.find_kind("/tmp")
    finally:
        subprocess.run(["umount", str(point)], check=True)


class MachineOfItsOwn(LocalSession):
    """A session into a mount namespace whose /var/lib/being-remote and /tmp/being-remote-0 are its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalHost(name="own", kind="local", workdir=folder))
        for place in ("/var/lib/being-remote", "/tmp/being-remote-0"):
            Path(place).mkdir(mode=0o700, exist_ok=True)
        mounts = "; ".join(
            f"mount -t tmpfs -o mode=700 none {p}" for p in ("/var/lib/being-remote", "/tmp/being-remote-0")
        )
        self._outer = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", f"{mounts}; echo; exec sleep 1000"], stdout=subprocess.PIPE
        )
        assert self._outer.stdout is not None
        self.works = self._outer.stdout.readline() == b"\n"

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        enter = ["nsenter", "-t", str(self._outer.pid), "-m", "env", "-u", "BEING_REMOTE_LOCKS"]
        return super().run([*enter, *argv], **more)

    def end(self) -> None:
        self._outer.kill()
        self._outer.wait()
        assert self._outer.stdout is not None
        self._outer.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("nsenter") is None, reason="mounts"
)
def test_an_emptied_tmp_puts_no_two_jobs_on_one_gpu_and_loses_nobody_that_waits(
    desk: Any, card: Any, tmp_path: Path
) -> None:
    machine = MachineOfItsOwn(tmp_path / "work")
    if not machine.works:
        machine.end()
        pytest.skip("this sandbox mounts nothing")
    there = type(desk)(machine, tmp_path / "work")
    first, second, third = (there.spec("sh", "-c", HOLD, gpus=1) for _ in range(3))
    try:
        assert there.submit(first).state == "running" and there.submit(second).state == "waiting"
        machine.run(["sh", "-c", "rm -rf /tmp/being-remote-0/*"])
        assert there.see(first.job).state == "running" and there.look().gpus[0].job == first.job
        assert there.submit(third).state == "waiting"
        assert there.submit(first).supervisor == "held"
        go(there, first.job)
        for spec in (second, third):
            there.until_on_gpus(spec.job)
            go(there, spec.job)
        there.until(third.job, "succeeded")
    finally:
        for spec in (first, second, third):
            there.cancel(spec.job)
        machine.end()
