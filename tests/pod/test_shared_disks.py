"""Pods that share a disk have processes of the same number: neither writes into the other's half files."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from being_remote.pod import cancel_mark, job_records, program_store

PROGRAMS = b"an archive"
SHA256 = hashlib.sha256(PROGRAMS).hexdigest()


def write_record(folder: Path) -> None:
    job_records.write_bytes(str(folder / "record"), b"whole")


def write_mark(folder: Path) -> None:
    cancel_mark._write_mark(str(folder / "mark"), 1)


def write_mark_on_a_full_disk(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(job_records, "write_json", refuse)  # then the mark is a link
        write_mark(folder)


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def store_programs(folder: Path) -> None:
    program_store.store(str(folder), PROGRAMS, SHA256)


@pytest.mark.parametrize("write", [write_record, write_mark, write_mark_on_a_full_disk, store_programs])
def test_two_that_write_the_same_file_at_once_both_succeed(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)
    rename, other = os.rename, list[str]()

    def other_pod_is_faster(source: str, target: str) -> None:
        if not other:
            other.append(source)
            write(tmp_path)
        rename(source, target)

    monkeypatch.setattr(os, "rename", other_pod_is_faster)
    write(tmp_path)
    assert len(other) == 1 and not list(tmp_path.rglob("*.tmp"))
