"""A claim puts a job there whole or not at all, and takes nothing that leaves its folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from being_remote.pod import claim, processes, program_store
from being_remote.pod.boot_identity import boot_key, mark_volume, read_boot, read_boot_identity, read_volume

PROGRAMS = b"an archive"
SHA256 = hashlib.sha256(PROGRAMS).hexdigest()
SPEC = {"spec.json": b"{}"}


def claim_job(workdir: Path, files: dict[str, bytes], spec: bytes = b"{}", **more: Any) -> str:
    jobs = workdir / "jobs"
    jobs.mkdir(exist_ok=True)
    mark_volume(str(jobs))
    if not program_store.is_stored(str(jobs), SHA256):
        program_store.store(str(jobs), PROGRAMS, SHA256)
    asked = {
        "job": "a-1",
        "attempt": 1,
        "volume": read_volume(str(jobs)),
        "spec_sha256": hashlib.sha256(spec).hexdigest(),
        "nonce": "n",
        "pushed": None,
        **more,
    }
    return claim.claim({"workdir": str(workdir), "programs": SHA256}, asked, files)


def ask_for_nothing(workdir: Path) -> None:
    """A whole request, without a job."""
    claim.main({"workdir": str(workdir), "wait_s": 0.0}, io.BytesIO(b'{"jobs": []}\n'))


def test_a_whole_claim_stands_and_a_second_one_finds_it(tmp_path: Path) -> None:
    files = {**SPEC, "files/a/b": b"x"}
    assert claim_job(tmp_path, files) == "made"
    made = tmp_path / "jobs/a-1"
    assert (made / "files/a/b").read_bytes() == b"x" and (made / "bundle").read_bytes() == PROGRAMS
    assert os.listdir(made / "attempts") == ["1.asked"]
    assert claim_job(tmp_path, {}, nonce="m") == "there"
    assert claim_job(tmp_path, files, spec=b"[]") == "refused"
    assert os.listdir(tmp_path / "jobs/.in") == []
    assert len(read_boot_identity(str(tmp_path))["volume"]) == 32


@pytest.mark.parametrize("volume", [None, "another disk's"])
def test_a_job_is_taken_on_the_volume_that_it_was_sent_to_and_on_no_other(
    tmp_path: Path, volume: str | None
) -> None:
    assert claim_job(tmp_path, SPEC, volume=volume) == "elsewhere"
    assert sorted(os.listdir(tmp_path / "jobs")) == [".programs", ".volume"]
    assert claim_job(tmp_path, SPEC) == "made"
    assert claim_job(tmp_path, SPEC, volume=volume) == "there"


def test_a_job_without_files_or_with_another_spec_is_not_stored(tmp_path: Path) -> None:
    assert claim_job(tmp_path, {}) == "absent"
    assert claim_job(tmp_path, {"spec.json": b"[]"}) == claim_job(tmp_path, {"files/a": b""}) == "torn"
    assert sorted(os.listdir(tmp_path / "jobs")) == [".programs", ".volume"]


@pytest.mark.parametrize(
    "name", ["../../x", "/tmp/being-remote-never", ".", "spec.json/", "files/../spec.json", "bundle"]
)
def test_files_that_leave_their_folder_or_take_the_place_of_others_are_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises((ValueError, FileExistsError)):
        claim_job(tmp_path, {**SPEC, name: b"1"})
    assert not (tmp_path / "jobs/a-1").exists() and os.listdir(tmp_path / "jobs/.in") == []


@pytest.mark.parametrize("job", ["../a", "a/b", "", "A", ".in"])
def test_an_id_that_could_be_a_path_is_refused(tmp_path: Path, job: str) -> None:
    with pytest.raises(ValueError, match="job id"):
        claim_job(tmp_path, {}, job=job)


@pytest.mark.parametrize("at", ["before", "after"])
def test_two_claims_that_race_leave_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    synced = claim.sync_tree

    def other_is_first(top: str) -> None:
        if at == "after":
            synced(top)
        monkeypatch.setattr(claim, "sync_tree", synced)
        assert claim_job(tmp_path, SPEC, nonce="other") == "made"
        if at == "before":
            synced(top)

    monkeypatch.setattr(claim, "sync_tree", other_is_first)
    assert claim_job(tmp_path, SPEC) == "there"


def dead_process() -> dict[str, Any]:
    with subprocess.Popen(["sleep", "60"]) as process:
        named = processes.identify(process.pid)
        process.kill()
    return named


def other_boot() -> dict[str, Any]:
    return {**read_boot(), "pid_ns": 1, "init_start": 7}


@pytest.mark.parametrize("other_pod", [False, True])
@pytest.mark.parametrize("member", range(3))
def test_a_claim_leaves_the_staging_of_another_that_is_still_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: int, other_pod: bool
) -> None:
    """The other one is whole, start to end, while this one writes a file, or before its first; on another
    pod neither the locks nor the processes of this one are seen."""
    files = {"spec.json": b"{}", "a/b": b"1", "c": b"2"}
    real = claim.write_files

    def slowly(given: dict[str, bytes], into: str) -> None:
        monkeypatch.setattr(claim, "write_files", real)
        for n, name in enumerate(given):
            if n == member:
                before = os.listdir(tmp_path / "jobs/.in")
                with monkeypatch.context() as there:
                    if other_pod:
                        there.setattr(claim, "read_boot", other_boot)
                        there.setattr(fcntl, "flock", lambda *_: None)
                        there.setattr(processes, "is_alive", lambda _: False)
                    assert claim_job(tmp_path, files, nonce="other") == "made"
                    ask_for_nothing(tmp_path)
                assert os.listdir(tmp_path / "jobs/.in") == before == [os.path.basename(into)]
            real({name: given[name]}, into)

    monkeypatch.setattr(claim, "write_files", slowly)
    assert claim_job(tmp_path, files) == "there"
    assert os.listdir(tmp_path / "jobs/.in") == []


def test_what_dead_claims_of_any_job_left_is_removed(tmp_path: Path) -> None:
    incoming, dead = tmp_path / "jobs/.in", dead_process()
    boot, elsewhere = boot_key(read_boot()), boot_key(other_boot())
    for name in ("a-1.n", "a-10.n"):
        (incoming / f"{name}.{boot}.{dead['pid']}.{dead['start']}" / "files").mkdir(parents=True)
    at_work = incoming / f"a-1.n.{elsewhere}.{dead['pid']}.{dead['start']}"
    at_work.mkdir()
    ask_for_nothing(tmp_path)
    assert os.listdir(incoming) == [at_work.name]


def test_jobs_that_are_here_start_at_once_with_the_others_and_those_of_other_programs_alone(
    tmp_path: Path,
) -> None:
    jobs = [{"job": f"a-{n}"} for n in range(1, 6)]
    for asked in jobs:
        assert claim_job(tmp_path, SPEC, **asked) == "made"
    (tmp_path / "jobs/a-3/bundle.sha256").write_text(f"{'0' * 64}  bundle\n")
    query = {"workdir": str(tmp_path), "programs": SHA256}
    standing = [(asked, {"claim": "there" if n % 2 else "made"}) for n, asked in enumerate(jobs)]
    started = [[asked["job"] for asked, _ in some] for some in claim._groups(query, standing)]
    assert started == [["a-1", "a-2"], ["a-3"], ["a-4", "a-5"]]


def test_where_a_boot_cannot_be_told_from_another_no_claim_counts_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pods of one volume whose systems hide something would else be one."""
    boot = {**read_boot(), "boot_id": None}
    monkeypatch.setattr(claim, "read_boot", lambda: boot)
    dead = dead_process()
    at_work = tmp_path / "jobs/.in" / f"a-1.n.{boot_key(boot)}.{dead['pid']}.{dead['start']}"
    at_work.mkdir(parents=True)
    ask_for_nothing(tmp_path)
    assert at_work.exists()


def test_two_first_claims_on_a_disk_without_links_leave_one_name_of_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    rename, seen = os.rename, list[str | None]()

    def other_claim_is_between(source: str, target: str) -> None:
        if target == f"{tmp_path}/.volume" and not seen:
            seen.append(None)
            mark_volume(str(tmp_path))
            seen.append(read_volume(str(tmp_path)))
        rename(source, target)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "rename", other_claim_is_between)
    mark_volume(str(tmp_path))
    assert len(seen) == 2 and seen[1] in (None, read_volume(str(tmp_path)))
    assert read_volume(str(tmp_path)) is not None and os.listdir(tmp_path) == [".volume"]


def test_what_claims_of_other_pods_and_of_earlier_versions_left_is_removed_after_a_day(
    tmp_path: Path,
) -> None:
    incoming = tmp_path / "jobs/.in"
    names = [f"a-1.n.{'0' * 16}.7.8", "a-1.0123456789abcdef"]
    for name in names:
        (incoming / name / "files").mkdir(parents=True)
    (incoming / f"{names[1]}.lock").touch()
    ask_for_nothing(tmp_path)
    assert len(os.listdir(incoming)) == 3
    for path in incoming.iterdir():
        os.utime(path, (time.time() - 1e5,) * 2)
    ask_for_nothing(tmp_path)
    assert os.listdir(incoming) == [] == os.listdir(tmp_path / "jobs/.forgotten")


def test_a_staging_that_vanishes_under_a_claim_is_no_crash_where_the_job_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"spec.json": b"{}", "a": b"1"}
    write_files = claim.write_files

    def robbed(given: dict[str, bytes], into: str) -> None:
        monkeypatch.setattr(claim, "write_files", write_files)
        assert claim_job(tmp_path, files, nonce="other") == "made"
        write_files(given, into)
        claim.shutil.rmtree(into)

    monkeypatch.setattr(claim, "write_files", robbed)
    assert claim_job(tmp_path, files) == "there"


def test_a_volume_without_locks_takes_a_job_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert claim_job(tmp_path, SPEC) == "made"
    assert os.listdir(tmp_path / "jobs/.in") == []
