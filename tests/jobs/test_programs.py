"""The programs of a version lie once on a host; whatever becomes of them, only whole ones run."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from being_remote.errors import HostError
from being_remote.jobs import job_archive, submit
from being_remote.session import Result, Session


class CountedSession:
    """A session that counts what it sends and how many commands."""

    def __init__(self, session: Session) -> None:
        self._session, self.sent_bytes, self.commands = session, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, argv: Any, *, stdin: bytes = b"", reply: Any = None, **more: Any) -> Result:
        self.commands += 1
        self.sent_bytes += sum(map(len, argv)) + len(stdin)

        def counted(line: bytes) -> bytes:
            data: bytes = reply(line)
            self.sent_bytes += len(data)
            return data

        return self._session.run(argv, stdin=stdin, reply=reply and counted, **more)


def stored(desk: Any) -> Path:
    (archive,) = [p for p in (desk.folder(".programs")).iterdir() if len(p.name) == 64]
    return archive


def run(desk: Any) -> str:
    spec = desk.spec("true")
    desk.submit(spec)
    assert desk.until(spec.job, "succeeded", "failed", "lost").state == "succeeded"
    return spec.job


def test_a_second_submit_sends_less_than_20_kb_in_one_round_trip(desk) -> None:
    desk.session = session = CountedSession(desk.session)
    run_spec = [desk.spec("true") for _ in range(2)]
    desk.submit(run_spec[0])
    assert session.sent_bytes > 20_000
    session.sent_bytes = session.commands = 0
    assert desk.submit(run_spec[1]).claim == "made"
    assert session.commands == 1 and session.sent_bytes < 20_000


@pytest.mark.slow
def test_fifty_jobs_go_in_one_round_trip_and_each_runs_once(desk) -> None:
    desk.session = session = CountedSession(desk.session)
    specs = [desk.spec("sh", "-c", "echo $$ >> ../../../starts") for _ in range(50)]
    results = desk.submit_all([(spec, 1, {}) for spec in specs])
    assert session.commands == 1
    assert [results[spec.job].claim for spec in specs] == ["made"] * 50
    for spec in specs:
        assert desk.until(spec.job, "succeeded", "failed", "lost").state == "succeeded"
        assert len((desk.folder(spec.job) / "starts").read_text().split()) == 1


def test_a_job_that_is_refused_keeps_no_other_of_its_submit_from_starting(desk) -> None:
    wrong, right = desk.spec("true"), desk.spec("true")
    desk.folder(wrong.job).mkdir(parents=True)
    (desk.folder(wrong.job) / "spec.json").write_text("{}")
    results = desk.submit_all([(wrong, 1, {}), (right, 1, {})])
    assert "holds another spec under this id" in results[wrong.job].what
    assert desk.until(right.job, "succeeded", "failed").state == "succeeded"
    shutil.rmtree(desk.folder(wrong.job))


def test_a_folder_in_place_of_a_jobs_spec_keeps_no_other_of_its_submit_from_starting(desk) -> None:
    odd, right = desk.spec("true"), desk.spec("true")
    (desk.folder(odd.job) / "spec.json").mkdir(parents=True)
    results = desk.submit_all([(odd, 1, {}), (right, 1, {})])
    assert "the job cannot be stored" in results[odd.job].what
    assert desk.until(right.job, "succeeded", "failed").state == "succeeded"
    shutil.rmtree(desk.folder(odd.job))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["cut", "changed", "a folder", "removed"])
def test_stored_programs_that_are_not_whole_are_not_run_but_sent_again(desk, change: str) -> None:
    run(desk)
    archive = stored(desk)
    whole = archive.read_bytes()
    archive.unlink()
    if change == "cut":
        archive.write_bytes(whole[:-1])
    elif change == "changed":
        archive.write_bytes(whole.replace(b"def main", b"def niam", 1))
    elif change == "removed":
        archive.parent.rmdir()
    else:
        archive.mkdir()
        with pytest.raises(HostError, match=archive.name):
            run(desk)
        archive.rmdir()
    run(desk)
    assert archive.read_bytes() == whole


def test_a_job_keeps_its_programs_when_the_store_is_removed(desk) -> None:
    job = run(desk)
    shutil.rmtree(desk.folder(".programs"))
    spec = desk.spec("true", job=job)
    subprocess.run(["sha256sum", "-c", "bundle.sha256"], cwd=desk.folder(job), check=True)
    desk.submit(spec, attempt=2)
    assert desk.until(job, "succeeded", "failed", "lost").attempt == 2


def test_a_jobs_damaged_programs_are_replaced_from_the_store_and_never_run(desk) -> None:
    job = run(desk)
    bundle = desk.folder(job) / "bundle"
    whole = bundle.read_bytes()
    with bundle.open("r+b") as file:
        file.truncate(100)
    spec = desk.spec("true", job=job)
    desk.submit(spec, attempt=2)
    assert desk.until(job, "succeeded", "failed", "lost").attempt == 2
    assert bundle.read_bytes() == whole


def test_a_payload_that_changes_its_programs_in_place_spoils_those_of_no_other_job(desk) -> None:
    other = run(desk)
    spec = desk.spec("sh", "-c", "printf spoilt | dd of={bundle} conv=notrunc")
    desk.submit(spec)
    assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    spoilt, *whole = (desk.folder(job) / "bundle" for job in (spec.job, other))
    assert spoilt.read_bytes().startswith(b"spoilt")
    assert all(path.read_bytes() == job_archive.programs() for path in (*whole, stored(desk)))


def test_damaged_programs_of_another_version_start_nothing_and_the_error_says_what_does(desk) -> None:
    job = run(desk)
    (desk.folder(job) / "bundle.sha256").write_text("0" * 64 + "  bundle\n")
    with pytest.raises(HostError, match=f"programs are damaged .* cancel {job}: then the same command"):
        desk.submit(desk.spec("true", job=job), attempt=2)
    assert not desk.folder(job, 2).exists()


@pytest.mark.slow
def test_a_job_of_another_version_is_started_from_its_own_archive(desk, monkeypatch) -> None:
    job = run(desk)
    bundle = (desk.folder(job) / "bundle").read_bytes()
    other = io.BytesIO(bundle)
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("being_remote/pod/later.py", "")
    monkeypatch.setattr(submit, "programs", other.getvalue)
    desk.submit(desk.spec("true", job=job), attempt=2)
    seen = desk.until(job, "succeeded", "failed", "lost")
    assert (seen.state, seen.attempt) == ("succeeded", 2)
    assert (desk.folder(job) / "bundle").read_bytes() == bundle
    assert len(list(desk.folder(".programs").iterdir())) == 2


def test_a_job_that_an_older_version_stored_runs_with_the_programs_in_its_folder(desk) -> None:
    job = run(desk)
    folder = desk.folder(job)
    (folder / "bundle").unlink()
    (folder / "bundle.sha256").unlink()
    zipfile.ZipFile(io.BytesIO(job_archive.programs())).extractall(folder / "bundle")
    (folder / "bundle/being_remote/pod/mark.py").write_text("")
    spec = desk.spec("true", job=job)
    desk.submit(spec, attempt=2)
    seen = desk.until(job, "succeeded", "failed", "lost")
    assert (seen.state, seen.attempt) == ("succeeded", 2)


def test_what_a_killed_store_left_is_removed_by_a_later_one(desk) -> None:
    run(desk)
    archive = stored(desk)
    left, at_work = (archive.with_name(f"{archive.name}.{n}.tmp") for n in (1, 2))
    for path in (left, at_work):
        path.touch()
    os.utime(left, (0, 0))
    archive.unlink()
    run(desk)
    assert at_work.exists() and not left.exists()
