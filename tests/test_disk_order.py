"""Each writer of a durable file syncs it before it gets its name, here and on the pod."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_order import recorded

from being_remote.export import write_atomically
from being_remote.jobs.ledger import Ledger
from being_remote.jobs.result_folder import ResultFolder
from being_remote.pod import claim, job_records, placement, program_store, start_gate, tombstone
from being_remote.pod.boot_identity import mark_volume
from being_remote.pod.job_paths import SPEC, JobPaths
from being_remote.tracker import finish
from being_remote.tracker.box_note import BoxNote, write_box
from being_remote.transport.host_keys import KnownHosts, parse_key


def write_record(root: Path) -> None:
    job_records.write_json(f"{root}/end.json", {"state": "succeeded"})


def ask_for_an_attempt(root: Path) -> None:
    start_gate.ask_for(JobPaths(f"{root}/job"), 2, "")


def name_the_volume(root: Path) -> None:
    mark_volume(os.fspath(root))


def claim_a_job(root: Path) -> None:
    """One that brings the host's programs along."""
    spec, archive = b"{}", b"programs"
    programs = hashlib.sha256(archive).hexdigest()
    program_store.store(f"{root}/jobs", archive, programs)
    asked = {"attempt": 1, "pushed": None, "spec_sha256": hashlib.sha256(spec).hexdigest()}
    files = {SPEC: spec, "files/settings.yml": spec}
    put = claim._store(files, f"{root}/staging", JobPaths(f"{root}/jobs/j"), programs, asked)
    assert put == "made"


def forget_a_job(root: Path) -> None:
    tombstone.leave(JobPaths(f"{root}/jobs/j"))


def place_files(root: Path) -> None:
    """Two files of one content, and another one."""
    into, stage = root / "into", root / "stage"
    wanted = []
    for name, data in ((b"a", b"one"), (b"b", b"one"), (b"c/d", b"two")):
        sha256 = hashlib.sha256(data).hexdigest()
        with open(stage / sha256, "wb") as f:
            f.write(data)
        wanted.append(placement.FileToPlace(name, len(data), sha256, executable=False))
    placement.place_files(os.fsencode(into), os.fsencode(stage), wanted, ["absent"] * 3)
    assert (into / "b").read_bytes() == b"one"


def finish_on_the_pod(root: Path) -> None:
    finish.write_whole(f"{root}/intrinsics.json", b"{}")


def write_a_box(root: Path) -> None:
    note = BoxNote(box=(1, 3, 2, 5), grade="exact", method="by hand")
    assert write_box(root / "bbox.pt", note)


def swap_a_job_folder(root: Path) -> None:
    """A first pull, and one of another attempt."""
    folder, stage = root / "runs/j", root / "runs/.j.incoming"
    for attempt in (1, 2):
        (stage / "output/x").mkdir(parents=True)
        with open(stage / "output/x/log", "wb") as f:
            f.write(b"log")
        ResultFolder(folder).keep_aside()
        ResultFolder(folder).swap({"attempt": attempt, "files": {"output/x/log": {}}})
    ResultFolder(folder).write_record({"attempt": 2, "files": {}})


def keep_an_earlier_attempt(root: Path) -> None:
    assert ResultFolder(root / "job").keep_aside() is not None


WRITERS: dict[str, Callable[[Path], object]] = {
    "a record of a job": write_record,
    "an attempt that is asked for": ask_for_an_attempt,
    "the name of a volume": name_the_volume,
    "a claim": claim_a_job,
    "a tombstone": forget_a_job,
    "files that are pushed": place_files,
    "intrinsics.json": finish_on_the_pod,
    "a box": write_a_box,
    "the results of a job": swap_a_job_folder,
    "the results of an earlier attempt": keep_an_earlier_attempt,
}


def is_commit(path: Path) -> bool:
    """The name that makes the others count."""
    return path.name in ("bbox.pt", "pulled.json")


@pytest.mark.parametrize("syncfs", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_durable_file_is_synced_before_it_has_its_name_and_its_folder_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, syncfs: bool
) -> None:
    for name in ("into", "job", "jobs", "runs", "stage", "staging"):
        (tmp_path / name).mkdir()
    with recorded(monkeypatch, tmp_path, syncfs=syncfs) as order:
        WRITERS[writer](tmp_path)
    assert order.renamed() and order.problems(commits=is_commit) == []


def trust(root: Path) -> None:
    key = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    KnownHosts(root).replace("pod", [parse_key(key)])


def export(root: Path) -> None:
    write_atomically(root / "cameras.json", [b"{}"])


@pytest.mark.parametrize("writer", [trust, export])
def test_a_file_that_can_be_made_again_is_whole_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Callable[[Path], object]
) -> None:
    """That its name is lost in a power cut is no harm: the old file is there then."""
    with recorded(monkeypatch, tmp_path, syncfs=False) as order:
        writer(tmp_path)
    assert order.renamed()
    assert [p for p in order.problems() if "before its bytes are safe" in p] == []


def test_the_ledger_is_on_the_disk_when_a_transaction_ends(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite")._writing() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
