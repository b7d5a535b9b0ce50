"""A disk that cannot say what it holds: nothing unknown is taken for known, and no note ends its writer."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from being_remote.pod import exit_record, job_records, locks, program_store, same_intent
from being_remote.pod.boot_identity import mark_volume, read_volume
from being_remote.pod.job_paths import AttemptPaths, JobPaths
from being_remote.pod.orphaned_attempt import OrphanRecords


def test_a_note_that_a_full_disk_refuses_does_not_end_the_holder_of_the_lock() -> None:
    full = os.open("/dev/full", os.O_RDWR)
    try:
        locks.write_note(full, {"attempt": 1})
    finally:
        os.close(full)


def test_an_exit_record_that_cannot_be_looked_for_is_not_called_missing(tmp_path: Path) -> None:
    assert not exit_record.has_exit_record(AttemptPaths(f"{tmp_path}/1"))
    (tmp_path / "loop").symlink_to("loop")  # the system cannot say what lies below
    with pytest.raises(OSError):
        exit_record.has_exit_record(AttemptPaths(f"{tmp_path}/loop"))


def test_records_that_the_disk_cannot_read_now_are_not_called_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = JobPaths.of(tmp_path, "demo-k3x7a2bq")
    os.makedirs(paths.attempt(1).folder)
    Path(paths.attempt(1).who).write_text("no record")
    assert OrphanRecords.read("demo-k3x7a2bq", paths, 1) is None

    def fails(path: str) -> None:
        raise job_records.Unreadable(5, "Input/output error", path)

    monkeypatch.setattr(job_records, "read_json", fails)
    with pytest.raises(job_records.Unreadable):
        OrphanRecords.read("demo-k3x7a2bq", paths, 1)


def fail_to_open(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """As a network disk that loses a file for a moment."""
    real = os.open

    def fails(name: Any, *args: Any, **more: Any) -> int:
        if name == path:
            raise OSError(errno.ESTALE, "Stale file handle", path)
        return real(name, *args, **more)

    monkeypatch.setattr(os, "open", fails)


def store_job(workdir: Path, job: str, ledger: str = "another ledger") -> JobPaths:
    paths = JobPaths.of(workdir, job)
    os.makedirs(paths.attempts)
    Path(paths.spec).write_text(json.dumps({"job": job, "ledger": ledger, "intent": {"argv": [job[:1]]}}))
    return paths


def test_a_job_whose_spec_the_disk_cannot_read_now_is_not_called_one_that_can_never_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store_job(tmp_path, "a-1")
    wanted = {"job": "a-2", "ledger": "a ledger", "intent": {"argv": ["a"]}}
    assert same_intent.IntentSearch(str(tmp_path)).find("a-2", wanted) == "a-1"
    fail_to_open(monkeypatch, other.spec)
    with pytest.raises(job_records.Unreadable):
        same_intent.IntentSearch(str(tmp_path)).find("a-2", wanted)
    os.mkdir(other.attempt(1).folder)
    Path(other.attempt(1).end).write_text("{}")
    assert same_intent.IntentSearch(str(tmp_path)).find("a-2", wanted) is None  # it has ended


def test_a_search_for_many_jobs_reads_each_stored_spec_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a-1", "b-1", "c-1"):
        store_job(tmp_path, name)
    store_job(tmp_path, "d-1", "a ledger")
    specs = [{"job": f"{letter}-2", "ledger": "a ledger", "intent": {"argv": [letter]}} for letter in "cadxa"]
    real, read = job_records.read_spec, list[str]()
    monkeypatch.setattr(job_records, "read_spec", lambda path: read.append(path) or real(path))
    monkeypatch.setattr(same_intent, "_is_over", lambda *_: False)
    same_intent.main(json.dumps({"workdir": str(tmp_path)}), io.BytesIO(json.dumps(specs).encode()))
    assert json.loads(capsys.readouterr().out) == {"same": ["c-1", "a-1", None, None, "a-1"]}
    assert len(read) == 4


def test_an_attempt_that_cannot_be_read_counts_as_at_work(tmp_path: Path) -> None:
    other = store_job(tmp_path, "a-1")
    os.mkdir(other.attempt(1).folder)
    mark_volume(other.jobs)
    dead = {"pid": 1, "start": -1}
    identity = same_intent.read_boot_identity(str(tmp_path))
    Path(other.attempt(1).who).write_text(json.dumps({"incarnation": identity, "supervisor": dead}))
    wanted = {"job": "a-2", "ledger": "a ledger", "intent": {"argv": ["a"]}}
    assert same_intent.IntentSearch(str(tmp_path)).find("a-2", wanted) is None
    Path(other.attempt(1).progress).mkdir()  # it may name a process that lives
    assert same_intent.IntentSearch(str(tmp_path)).find("a-2", wanted) == "a-1"


def test_programs_whose_hash_the_disk_cannot_read_now_are_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store_job(tmp_path, "a-1")
    fail_to_open(monkeypatch, job.bundle_sha256)
    with pytest.raises(job_records.Unreadable):
        program_store.mend(job)


def test_a_volume_whose_marker_the_disk_cannot_read_now_is_not_called_nameless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_volume(str(tmp_path))
    fail_to_open(monkeypatch, f"{tmp_path}/.volume")
    with pytest.raises(job_records.Unreadable):
        read_volume(str(tmp_path))


def test_a_volume_whose_marker_the_disk_cannot_find_now_gets_no_other_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_volume(str(tmp_path))
    named = (tmp_path / ".volume").read_bytes()
    real = os.stat

    def fails(path: Any, *args: Any, **more: Any) -> Any:
        if path == f"{tmp_path}/.volume":
            raise OSError(errno.ESTALE, "Stale file handle", path)
        return real(path, *args, **more)

    with monkeypatch.context() as disk:
        for name in ("stat", "lstat"):
            disk.setattr(os, name, fails)
        with pytest.raises(OSError, match="Stale"):
            mark_volume(str(tmp_path))
    assert (tmp_path / ".volume").read_bytes() == named


def test_a_note_that_the_disk_refuses_leaves_no_earlier_holders_name_in_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "lock")
    lock = locks.take(path)
    assert lock is not None
    locks.write_note(lock, {"attempt": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    locks.write_note(lock, {"attempt": 2})
    assert locks.probe(path)[::2] == ("held", None)
    os.close(lock)


def test_a_locks_folder_that_others_can_enter_holds_no_leases_and_stops_no_look_at_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "own/gpu-1.lock").touch()
    monkeypatch.delenv("BEING_REMOTE_LOCKS", raising=False)
    monkeypatch.setattr(locks, "own_places", lambda: [str(tmp_path / "own")])
    monkeypatch.setattr(locks, "places", lambda: (str(tmp_path / "open"),) * 2)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert locks.list_gpu_locks() == [str(tmp_path / "own/gpu-1.lock")]
