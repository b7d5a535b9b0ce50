"""A claim puts a job there whole or not at all, and takes nothing that leaves its folder."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from being_remote.pod import claim
from being_remote.pod.boot_identity import mark_volume, read_boot_identity, read_volume


def packed(members: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content
                tar.addfile(entry)
    return out.getvalue()


def asked(workdir: Path, data: bytes, spec: bytes = b"{}", nonce: str = "n") -> dict[str, Any]:
    (workdir / "jobs").mkdir(exist_ok=True)
    mark_volume(str(workdir / "jobs"))
    return {
        "volume": read_volume(str(workdir / "jobs")),
        "workdir": str(workdir),
        "job": "a-1",
        "spec_sha256": hashlib.sha256(spec).hexdigest(),
        "bundle_bytes": len(data),
        "bundle_sha256": hashlib.sha256(data).hexdigest(),
        "nonce": nonce,
        "pushed": None,
    }


def test_a_whole_claim_stands_and_a_second_one_finds_it(tmp_path: Path) -> None:
    data = packed({"spec.json": b"{}", "files/a/b": b"x"})
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "made"
    assert (tmp_path / "jobs/a-1/files/a/b").read_bytes() == b"x"
    assert claim.claim(asked(tmp_path, data, nonce="m"), io.BytesIO(b"")) == "there"
    assert claim.claim(asked(tmp_path, data, spec=b"[]"), io.BytesIO(data)) == "refused"
    assert os.listdir(tmp_path / "jobs/.in") == []
    assert len(read_boot_identity(str(tmp_path))["volume"]) == 32


@pytest.mark.parametrize("volume", [None, "another disk's"])
def test_a_job_is_taken_on_the_volume_that_it_was_sent_to_and_on_no_other(
    tmp_path: Path, volume: str | None
) -> None:
    data = packed({"spec.json": b"{}"})
    request = {**asked(tmp_path, data), "volume": volume}
    assert claim.claim(request, io.BytesIO(data)) == "elsewhere"
    assert os.listdir(tmp_path / "jobs") == [".volume"]
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "made"
    assert claim.claim(request, io.BytesIO(data)) == "there"


def test_of_a_stream_that_was_cut_at_any_byte_nothing_stands(tmp_path: Path) -> None:
    data = packed({"spec.json": b"{}"})
    for n in range(0, len(data), 500):
        assert claim.claim(asked(tmp_path, data), io.BytesIO(data[:n])) == "torn"
    assert os.listdir(tmp_path / "jobs") == [".volume"]
    assert claim.claim(asked(tmp_path, b""), io.BytesIO()) == "absent"


@pytest.mark.parametrize(
    "members",
    [
        {"../../x": b"1"},
        {"/tmp/being-remote-never": b"1"},
        {"link": (tarfile.SYMTYPE, "/etc")},
        {"hard": (tarfile.LNKTYPE, "spec.json")},
        {"pipe": (tarfile.FIFOTYPE, "")},
        {"spec.json/": b"", "files/../spec.json": b"{}"},
    ],
)
def test_members_that_leave_their_folder_or_are_no_files_are_refused(tmp_path: Path, members: Any) -> None:
    data = packed({"spec.json": b"{}", **members})
    with pytest.raises((ValueError, FileExistsError)):
        claim.claim(asked(tmp_path, data), io.BytesIO(data))
    assert not (tmp_path / "jobs/a-1").exists() and os.listdir(tmp_path / "jobs/.in") == []


@pytest.mark.parametrize("job", ["../a", "a/b", "", "A", ".in"])
def test_an_id_that_could_be_a_path_is_refused(tmp_path: Path, job: str) -> None:
    with pytest.raises(ValueError, match="job id"):
        claim.claim({**asked(tmp_path, b""), "job": job}, io.BytesIO())


@pytest.mark.parametrize("at", ["before", "after"])
def test_two_claims_that_race_leave_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    data = packed({"spec.json": b"{}"})
    synced = claim.sync_tree

    def other_is_first(top: str) -> None:
        if at == "after":
            synced(top)
        monkeypatch.setattr(claim, "sync_tree", synced)
        assert claim.claim(asked(tmp_path, data, nonce="other"), io.BytesIO(data)) == "made"
        if at == "before":
            synced(top)

    monkeypatch.setattr(claim, "sync_tree", other_is_first)
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "there"


@pytest.mark.parametrize("member", range(3))
def test_a_claim_leaves_the_staging_of_another_that_is_still_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: int
) -> None:
    """The other one is whole, start to end, while this one unpacks a member, or before its first."""
    data = packed({"spec.json": b"{}", "a/b": b"1", "c": b"2"})
    real, copied = claim.shutil.copyfileobj, []

    def slowly(source: Any, into: Any) -> None:
        copied.append(into.name)
        if len(copied) == member + 1:
            before = sorted(os.listdir(tmp_path / "jobs/.in"))
            assert claim.claim(asked(tmp_path, data, nonce="other"), io.BytesIO(data)) == "made"
            assert sorted(os.listdir(tmp_path / "jobs/.in")) == before == ["a-1.n", "a-1.n.lock"]
        real(source, into)

    monkeypatch.setattr(claim.shutil, "copyfileobj", slowly)
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "there"
    assert os.listdir(tmp_path / "jobs/.in") == []


def test_what_dead_claims_of_any_job_left_is_removed_once_a_job_stands(tmp_path: Path) -> None:
    data = packed({"spec.json": b"{}"})
    incoming = tmp_path / "jobs/.in"
    for name in ("a-1.dead", "a-10.dead"):
        (incoming / name / "files").mkdir(parents=True)
        (incoming / f"{name}.lock").touch()
    (incoming / "a-1.killed-before-its-folder.lock").touch()
    assert claim.claim(asked(tmp_path, data, spec=b"[]"), io.BytesIO(data)) == "torn"
    assert (incoming / "a-1.dead").exists()
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "made"
    assert os.listdir(incoming) == []


def test_a_staging_that_vanishes_under_a_claim_is_no_crash_where_the_job_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed({"spec.json": b"{}", "a": b"1"})
    unpack = claim.unpack

    def robbed(data: bytes, into: str) -> None:
        monkeypatch.setattr(claim, "unpack", unpack)
        assert claim.claim(asked(tmp_path, data, nonce="other"), io.BytesIO(data)) == "made"
        unpack(data, into)
        claim.shutil.rmtree(into)

    monkeypatch.setattr(claim, "unpack", robbed)
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "there"


def test_a_volume_without_locks_takes_a_job_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    data = packed({"spec.json": b"{}"})
    monkeypatch.setattr(claim.locks.fcntl, "flock", none)
    assert claim.claim(asked(tmp_path, data), io.BytesIO(data)) == "made"
    assert os.listdir(tmp_path / "jobs/.in") == []
