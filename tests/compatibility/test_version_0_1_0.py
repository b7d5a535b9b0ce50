"""Backups, results of jobs and ledgers that version 0.1.0 wrote are read as they lie."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from being_remote.backup.history import History
from being_remote.backup.incoming import keep_arrived
from being_remote.backup.reconcile import settle
from being_remote.backup.verification import scrub
from being_remote.backup_sync.last_pass import recall_last_pass
from being_remote.backup_sync.sync_pass import tracker_judge
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import Ledger, hosts_of
from being_remote.jobs.result_folder import read_record
from being_remote.session import no_progress
from being_remote.tracker.frame_file import read_frame
from being_remote.transfer.checked_files import has_hash
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.known_hashes import load_known_hashes, version_digest
from being_remote.transfer.quarantine import quarantine_of
from being_remote.workflows.snapshots import list_snapshots, prune_snapshots, restore_snapshot
from being_remote.workflows.sync import choose_files, sync

DATA = Path(__file__).parent
LATE = "run/logs/late.log"
NOT_UTF8 = os.fsdecode(b"run/logs/caf\xe9.log")


def unpack(name: str, root: Path) -> Any:
    """Write the files of a JSON document below `root`, and return the document."""
    document = json.loads((DATA / name).read_text())
    for entry in document["files"]:
        path = root / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        data = base64.b64decode(entry["base64"]) if "base64" in entry else entry["text"].encode()
        path.write_bytes(data)
        os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    return document


class OldBackup:
    """A backup of version 0.1.0: seven snapshots, a quarantined frame, and a sync that was killed."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.root = inventory.backups / "demo"
        self.history = History(self.root)
        self.offers = unpack("backup_0.1.0.json", self.root)["offers"]


@pytest.fixture
def backup(make_inventory: Callable[..., Inventory]) -> OldBackup:
    tracker = {"root": "/workspace/metrical-tracker"}
    host = {"kind": "local", "workdir": "/workspace/Being", "tracker": tracker}
    return OldBackup(make_inventory({"a100": host}))


def test_its_snapshots_are_listed(backup: OldBackup) -> None:
    report = list_snapshots(backup.inventory)
    whys = [(made.generation, made.why, made.of, made.host, made.files) for made in report.generations]
    assert whys == [
        (0, "adopted", None, None, 1),
        (1, "sync", None, "a100", 5),
        (2, "sync", None, "a100", 6),
        (3, "put", None, "a100", 7),
        (4, "sync", None, "a100", 4),
        (5, "restored", 3, "a100", 7),
        (6, "sync", None, "a100", 4),
    ]
    assert report.live == 6 and report.unsaved == 0 and not report.unreadable


def test_its_first_run_is_restored(backup: OldBackup) -> None:
    report = restore_snapshot(backup.inventory, 3)
    assert (report.snapshot, report.files, report.quarantined) == (7, 7, ())
    frames = sorted((backup.root / "checkpoint").iterdir())
    assert [read_frame(frame).frame_id for frame in frames] == ["00000", "00001"]
    assert (backup.root / NOT_UTF8).read_text() == "a log\n"


def test_its_contents_are_verified(backup: OldBackup) -> None:
    with backup.history.lock():
        result = scrub(backup.history, no_progress)
        settled = settle(backup.history, tracker_judge(), deep=True)
    assert result.objects == 10 and not result.corrupt and not result.unreadable and result.orphans == 0
    assert settled.manifest is not None and settled.manifest.number == 6
    assert not settled.adopted and not settled.unsound and not settled.corrupt


def test_its_old_snapshots_are_pruned(backup: OldBackup) -> None:
    report = prune_snapshots(backup.inventory, 1, force=True)
    assert report.kept == (6,) and report.removed == (0, 1, 2, 3, 4, 5) and report.contents > 0
    assert [made.generation for made in list_snapshots(backup.inventory).generations] == [6]


def test_its_quarantine_is_read(backup: OldBackup) -> None:
    (file,) = quarantine_of(backup.history).read()["checkpoint/00001.frame"]
    assert file.kept_as is not None and file.kept_as.stat().st_size == file.bytes == 764
    assert file.reason.startswith("is cut short") and has_hash(file.kept_as, file.sha256)


def test_its_memory_of_hashes_is_read(backup: OldBackup) -> None:
    facts = load_known_hashes(backup.history, "a100")
    origin = RemoteFolder("", PurePosixPath("/"), PurePosixPath("/"))
    made = {
        version_digest(
            RemoteFile(o["path"], origin, o["bytes"], o["mtime_ns"], o["ctime_ns"], o["inode"]), o["sha256"]
        )
        for o in backup.offers
    }
    assert len(made) == 4 and facts == made


def test_its_memory_of_the_last_pass_is_read(backup: OldBackup) -> None:
    last = recall_last_pass(backup.history, choose_files(backup.inventory, None, None, ()))
    assert last is not None and (last.generation, last.files, last.bytes) == (6, 4, 7696)


def test_what_its_killed_sync_had_downloaded_is_kept(backup: OldBackup) -> None:
    with backup.history.lock():
        live = settle(backup.history, tracker_judge()).manifest
        made = keep_arrived(backup.history, tracker_judge(), live, lambda _files: None)
    assert made is not None and made.number == 7 and made.files[LATE].host == "a100"
    assert (backup.root / LATE).read_text() == "arrived whole\n"


def test_a_sync_goes_on_from_it(backup: OldBackup, make_inventory: Callable[..., Inventory]) -> None:
    tracker = backup.root.parent.parent / "metrical-tracker"
    checkpoint = tracker / "output/demo/checkpoint"
    checkpoint.mkdir(parents=True)
    frame = checkpoint / "00000.frame"
    frame.write_bytes((backup.root / "checkpoint/00000.frame").read_bytes())
    host = {"kind": "local", "workdir": str(tracker.parent), "tracker": {"root": str(tracker)}}
    report = sync(make_inventory({"a100": host}))
    assert report.snapshot == 8 and not report.quarantined and report.new_run is None
    assert (backup.root / LATE).read_text() == "arrived whole\n"


def test_its_results_of_jobs_are_read(tmp_path: Path) -> None:
    unpack("job_results_0.1.0.json", tmp_path)
    (folder,) = tmp_path.iterdir()
    document = read_record(folder)
    assert document is not None and (document["job"], document["attempt"]) == (folder.name, 1)
    assert set(document["files"]) == {"result.txt", "sub/more.txt"}
    for name, entry in document["files"].items():
        assert has_hash(folder / name, entry["sha256"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "ledger_0.1.0.sql").read_text())
    return Ledger(path)


def test_its_ledger_is_read(ledger: Ledger) -> None:
    jobs = {job.job: job for job in ledger.jobs()}
    assert sorted((job.recipe, job.state, job.attempt) for job in jobs.values()) == [
        ("command", "cancelled", 1),
        ("command", "failed", 1),
        ("command", "succeeded", 1),
        ("metrical_tracker", "created", 2),
    ]
    assert ledger.uuid == "4ae5a30c-9299-4f27-897b-bc8a4f4f17c0"
    for job in jobs.values():
        assert ledger.history(job.job)[0].state == "created"


def test_a_moved_job_of_its_ledger_goes_on(ledger: Ledger) -> None:
    (left,) = ledger.former_hosts("moved-20260101-abcdef")
    moved = ledger.find("moved")
    assert (left.host, moved.host) == ("a100", "b200")
    assert hosts_of(moved, ledger.history(moved.job)) == {1: "a100", 2: "b200"}
    assert ledger.record(moved.job, 1, "failed", {}).state == "created"
    assert ledger.record(moved.job, 2, "running", {}).state == "running"
