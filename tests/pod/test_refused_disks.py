"""A disk that cannot say what it holds: nothing unknown is taken for known, and no note ends its writer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from being_remote.pod import exit_record, job_records, locks
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
