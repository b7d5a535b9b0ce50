"""Submit, see and cancel on this machine: the whole way of a job."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest


def test_a_job_runs_once_and_leaves_its_end_and_its_log(desk) -> None:
    spec = desk.spec(
        "sh", "-c", "echo hello $BEING_REMOTE_ATTEMPT; sleep 0.2; echo $$ >> ../../../starts; echo bye"
    )
    first = desk.submit(spec)
    assert (first.claim, first.supervisor, first.state) == ("made", "started", "running")
    seen = desk.until(spec.job, "succeeded", "failed", "lost")
    assert (seen.state, seen.exit_code) == ("succeeded", 0), seen
    assert desk.log(spec.job) == f"hello {spec.job}/1\nbye\n".encode()
    again = desk.submit(spec)
    assert (again.claim, again.supervisor, again.state) == ("there", "ended", "succeeded")
    assert len((desk.folder(spec.job) / "starts").read_text().split()) == 1
    assert json.loads((desk.folder(spec.job, 1) / "end.json").read_text())["state"] == "succeeded"


@pytest.fixture
def open_umask() -> Iterator[None]:
    """As on a machine whose users share all that they write."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_no_other_user_reads_a_jobs_folder_and_a_payload_keeps_its_own_umask(open_umask: None, desk) -> None:
    spec = desk.spec("sh", "-c", "echo hello; echo x > shared; umask")
    desk.submit(spec, files={"a/b": b"secret"})
    assert desk.until(spec.job, "succeeded", "failed", "lost").state == "succeeded"
    folder = desk.folder(spec.job)
    private = (folder.parent, folder.parent / ".in", folder, folder / "attempts", desk.folder(spec.job, 1))
    assert {p: oct(p.stat().st_mode & 0o777) for p in private} == dict.fromkeys(private, "0o700")
    work = desk.folder(spec.job, 1) / "work"
    files = [p for p in folder.rglob("*") if p.is_file() and work not in p.parents]
    assert len(files) > 8
    assert [p for p in (*files, folder.parent / ".volume") if p.stat().st_mode & 0o077] == []
    assert desk.log(spec.job).endswith(b"0000\n") and (work / "shared").stat().st_mode & 0o777 == 0o666
