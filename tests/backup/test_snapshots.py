"""Snapshots: listed, restored, pruned, read again; killed anywhere, none names a missing content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import small_disk
from folder_sync import FolderHost, judge
from killed_snapshots import act, restore_first

from being_remote.backup.incoming import IncomingFolder
from being_remote.backup.live_tree import scan
from being_remote.backup.prune import Pruning, merge_snapshots, plan_pruning, prune
from being_remote.backup.restore import RestoreResult, read_verified, restore
from being_remote.backup.snapshots import SnapshotChange, survey_snapshots
from being_remote.backup.verification import VerifyResult, scrub
from being_remote.durable_files import room_on_disk
from being_remote.errors import InconsistentData, NoSpace, UsageError
from being_remote.session import no_progress
from being_remote.transfer.disk_room import Room

KILLED = Path(__file__).with_name("killed_snapshots.py")
SEED = 20240611
FRAME = "checkpoint/00000.frame"


def bring_back(host: FolderHost, number: int) -> RestoreResult:
    with host.history.lock():
        return restore(host.history, read_verified(host.history, number, no_progress), judge)


def prune_to(host: FolderHost, keep: int) -> Pruning:
    with host.history.lock():
        pruning = plan_pruning(host.history, keep)
        prune(host.history, pruning)
    return pruning


def read_again(host: FolderHost) -> VerifyResult:
    with host.history.lock():
        return scrub(host.history, no_progress)


def content(host: FolderHost, number: int, path: str) -> Path:
    return host.history.object(host.history.read(number).files[path].sha256)


def see_whole(host: FolderHost, when: str = "") -> None:
    """Every snapshot's contents are there and right; no live file is tied to any of them."""
    for made in host.history.readable():
        for path, entry in made.files.items():
            data = host.history.object(entry.sha256).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry.sha256, f"{when}: {path} of {made.number}"
    assert {(host.root / path).lstat().st_nlink for path in scan(host.root)} <= {1}, when


def two_runs(host: FolderHost) -> None:
    """A run, and another one that replaced it; some files are the same in both."""
    host.put("bbox.pt", "old box")
    for i in range(3):
        host.put(f"checkpoint/0000{i}.frame", f"old {i} END")
    host.put("run/logs/train.log", "one log")
    host.sync()
    for i in range(3):
        (host.folder / f"checkpoint/0000{i}.frame").unlink()
    host.put("bbox.pt", "new box", 1_700_000_100)
    host.put(FRAME, "new 0 END", 1_700_000_100)
    host.sync()


def test_each_snapshot_lists_its_files_and_how_it_differs_from_the_one_before(host: FolderHost) -> None:
    two_runs(host)
    host.put("checkpoint/00001.frame", "new 1 END", 1_700_000_101)
    host.sync()
    seen = survey_snapshots("demo", host.history)
    assert [(g.generation, g.why, g.files, g.bytes, g.live) for g in seen.generations] == [
        (0, "sync", 5, 41, False),
        (1, "sync", 3, 23, False),
        (2, "sync", 4, 32, True),
    ]
    assert [g.change for g in seen.generations] == [
        SnapshotChange(5, 0, 0),
        SnapshotChange(0, 2, 2),
        SnapshotChange(1, 0, 0),
    ]
    # "old box" and three old frames; the log is the same in all.
    assert (seen.old_bytes, seen.orphan_bytes, seen.unsaved) == (34, 0, 0)
    everything = [p for p in host.history.history_folder.rglob("*") if p.is_file()]
    assert seen.history_bytes == sum(p.stat().st_size for p in everything)


def test_what_was_done_by_hand_since_is_counted_and_nothing_is_changed_by_looking(host: FolderHost) -> None:
    two_runs(host)
    host.hand(FRAME, "by hand END")
    host.hand("checkpoint/00007.frame", "mine END")
    (host.root / "bbox.pt").unlink()
    before = host.contents()
    assert survey_snapshots("demo", host.history).unsaved == 3
    assert host.contents() == before and not (host.root / "bbox.pt").exists()


def test_a_damaged_manifest_is_named_and_hides_no_other_snapshot(host: FolderHost) -> None:
    two_runs(host)
    damaged = host.history.history_folder / "manifests/0.json"
    damaged.write_text("{")
    seen = survey_snapshots("demo", host.history)
    assert [g.generation for g in seen.generations] == [1]
    assert seen.unreadable == (damaged,)
    assert (seen.old_bytes, seen.orphan_bytes) == (0, 34)


def test_a_restored_snapshot_is_live_whole_and_is_a_new_snapshot_of_the_old_one(host: FolderHost) -> None:
    two_runs(host)
    (host.root / "notes.txt").write_text("mine")
    done = bring_back(host, 0)
    assert (done.manifest.number, done.manifest.why, done.manifest.of) == (2, "restored", 0)
    assert done.change == SnapshotChange(2, 2, 0)
    assert host.live() == {
        "bbox.pt": "old box",
        **{f"checkpoint/0000{i}.frame": f"old {i} END" for i in range(3)},
        "run/logs/train.log": "one log",
    }
    assert (host.root / "notes.txt").read_text() == "mine"
    assert {(host.root / p).stat().st_mtime_ns for p in scan(host.root)} == {1_700_000_000 * 10**9}
    assert host.settle().adopted == ()
    see_whole(host)


def test_a_restore_is_undone_by_another_restore(host: FolderHost) -> None:
    two_runs(host)
    was = host.live()
    bring_back(host, 0)
    bring_back(host, 1)
    assert host.live() == was
    assert [g.of for g in survey_snapshots("demo", host.history).generations] == [None, None, 0, 1]


def test_what_lay_live_and_nowhere_else_is_saved_before_a_restore(host: FolderHost) -> None:
    two_runs(host)
    host.hand(FRAME, "by hand END")
    done = bring_back(host, 0)
    assert done.settled.adopted == (FRAME,)
    assert host.live()[FRAME] == "old 0 END"
    assert content(host, 2, FRAME).read_text() == "by hand END"
    assert host.history.snapshot_numbers() == [0, 1, 2, 3]


def test_restoring_what_is_live_makes_no_snapshot(host: FolderHost) -> None:
    two_runs(host)
    bring_back(host, 0)
    for number in (0, 2):
        assert bring_back(host, number).manifest.number == 2
    assert host.history.snapshot_numbers() == [0, 1, 2]


@pytest.mark.parametrize("fault", ["rotten", "missing"])
def test_a_snapshot_with_a_rotten_or_missing_content_is_refused_by_name_and_nothing_changes(
    host: FolderHost, fault: str
) -> None:
    two_runs(host)
    bad = content(host, 0, "checkpoint/00001.frame")
    if fault == "rotten":
        bad.write_text("olD 1 END")
    else:
        bad.unlink()
    host.hand(FRAME, "by hand END")
    before = host.contents()
    with pytest.raises(InconsistentData, match=rf"'checkpoint/00001.frame' \({fault}\)") as refused:
        bring_back(host, 0)
    assert "00000" not in refused.value.what and "--verify" in refused.value.hint
    new = host.contents() - before - {b""}  # a lock that was freed is empty
    assert {c for c in new if not c.startswith(b"process")} == set()
    assert host.live()[FRAME] == "by hand END" and host.history.snapshot_numbers() == [0, 1]


def test_a_program_that_writes_in_place_into_a_restored_tree_leaves_the_history_as_it_was(
    host: FolderHost,
) -> None:
    two_runs(host)
    bring_back(host, 0)
    for path in scan(host.root):
        with open(host.root / path, "r+") as f:
            f.write("scribbled")
    see_whole(host)
    bring_back(host, 0)
    assert host.live()[FRAME] == "old 0 END"


def test_a_restore_for_which_there_is_no_room_changes_nothing_and_works_when_there_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        host = FolderHost(tmp_path / "host", disk / "home")
        host.put(FRAME, "x" * 300_000 + "END")
        host.sync()
        host.put(FRAME, "y" * 100_000 + "END", 1_700_000_100)
        host.sync()
        live, filler = host.live(), disk / "filler"
        filler.write_bytes(b"f" * (shutil.disk_usage(disk).free - 200_000))
        with pytest.raises(NoSpace, match="full"), room_on_disk(host.root):
            bring_back(host, 0)
        assert host.live() == live and host.history.snapshot_numbers() == [0, 1]
        filler.unlink()
        bring_back(host, 0)
        assert host.live()[FRAME][0] == "x"


def test_after_a_restore_new_files_of_the_host_become_live_and_the_restored_snapshot_stays_in_history(
    host: FolderHost,
) -> None:
    two_runs(host)
    of_the_host = {"bbox.pt": "new box", FRAME: "new 0 END", "run/logs/train.log": "one log"}
    bring_back(host, 0)
    _, planned, arrival = host.sync()
    assert {o.path for o in planned.wanted} == {"bbox.pt", FRAME}
    assert arrival.new_run == "another box" and host.live() == of_the_host
    # And back again: not undone for good.
    bring_back(host, 2)
    assert host.live()["bbox.pt"] == "old box"


def test_files_of_the_restored_run_that_the_host_has_newer_are_downloaded_again_and_the_others_stay(
    host: FolderHost,
) -> None:
    for i in range(3):
        host.put(f"checkpoint/0000{i}.frame", f"first {i} END")
    host.sync()
    host.put(FRAME, "second 0 END", 1_700_000_100)
    (host.folder / "checkpoint/00001.frame").unlink()
    host.sync()
    bring_back(host, 0)
    assert host.live()[FRAME] == "first 0 END"
    _, planned, _ = host.sync()
    assert [o.path for o in planned.wanted] == [FRAME]
    assert host.live() == {
        FRAME: "second 0 END",
        "checkpoint/00001.frame": "first 1 END",
        "checkpoint/00002.frame": "first 2 END",
    }


def many(host: FolderHost) -> None:
    """Five snapshots: changed files, an added one, one restored; a content that none of them names."""
    two_runs(host)
    host.put("checkpoint/00001.frame", "new 1 END", 1_700_000_101)
    host.sync()
    host.put(FRAME, "newer 0 END", 1_700_000_102)
    host.sync()
    host.hand("run/logs/train.log", "my notes")
    host.settle()
    lost = hashlib.sha256(b"nobody's").hexdigest()
    host.history.object(lost).write_text("nobody's")


def test_prune_keeps_the_newest_snapshots_and_removes_what_only_the_others_had(host: FolderHost) -> None:
    many(host)
    live = host.live()
    done = prune_to(host, 2)
    assert (done.kept, done.removed) == ((3, 4), (0, 1, 2))
    # The old box, three old frames, a new one that was rewritten, and nobody's.
    assert (len(done.contents), done.bytes) == (6, 34 + 9 + 8)
    assert host.history.snapshot_numbers() == [3, 4]
    assert host.live() == live
    see_whole(host)
    assert {e.sha256 for n in (3, 4) for e in host.history.read(n).files.values()} == {
        p.name for p in host.history.objects.iterdir()
    }
    assert prune_to(host, 2) == Pruning((3, 4), (), (), 0)
    host.sync()
    assert host.history.snapshot_numbers()[-1] == 5  # no number is used twice


def test_prune_keeps_what_is_live_though_it_is_not_among_the_newest(host: FolderHost) -> None:
    """A refresh was cut short: the live tree still shows an earlier snapshot."""
    many(host)
    host.history.show(1)
    assert plan_pruning(host.history, 1).removed == (0,)
    host.history.show(0)
    assert plan_pruning(host.history, 1).removed == ()


def test_prune_to_nothing_is_refused(host: FolderHost) -> None:
    many(host)
    with pytest.raises(UsageError, match="at least one"):
        prune_to(host, 0)
    assert host.history.snapshot_numbers() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("damaged", [0, 3])
def test_prune_passes_over_a_damaged_manifest_and_keeps_all_that_it_seems_to_name(
    host: FolderHost, damaged: int
) -> None:
    many(host)
    manifest = host.history.history_folder / f"manifests/{damaged}.json"
    named = {entry.sha256 for entry in host.history.read(damaged).files.values()}
    manifest.write_bytes(manifest.read_bytes().replace(b"schema_version", b"schema_versioN"))
    orphans = {name for name, _ in host.history.contents()}
    orphans -= {e.sha256 for made in host.history.readable() for e in made.files.values()}
    done = prune_to(host, 2)
    assert (done.damaged, len(done.removed)) == ((manifest,), 2)
    left = {name for name, _ in host.history.contents()}
    assert named | orphans <= left and manifest.exists()
    see_whole(host)


def foreign(path: str, sha256: str = "0" * 64) -> str:
    head = {"schema_version": 1, "generation": 7, "created": "2026-01-01T00:00:00+00:00", "why": "sync"}
    head |= {"host": None, "incarnation": None, "new_tree": False, "of": None}
    row = {"path": path, "sha256": sha256, "bytes": 1, "mtime_ns": 1, "checks": [], "host": None}
    return json.dumps(head)[:-1] + ',\n "files": [\n  ' + json.dumps(row) + "\n ]}\n"


BAD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.touch(),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "another number": lambda path: path.write_text(foreign("bbox.pt").replace(": 7,", ": 8,")),
    "cut": lambda path: path.write_text(foreign("bbox.pt")[:-20]),
    "outside": lambda path: path.write_text(foreign("inventory.yaml")),
    "history": lambda path: path.write_text(foreign(".history/manifests/9.json")),
    "beyond time": lambda path: path.write_text(
        foreign("bbox.pt").replace('"mtime_ns": 1', f'"mtime_ns": {10**40}')
    ),
    "deep": lambda path: path.write_text("[" * 100_000),
    "one line": lambda path: path.write_text(foreign("run/" + "x" * (1 << 17))),
    "folder": lambda path: path.mkdir(),
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "pipe": lambda path: os.mkfifo(path),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_foreign_manifest_is_passed_over_named_and_hides_no_other(host: FolderHost, kind: str) -> None:
    two_runs(host)
    live, path = host.live(), host.history.history_folder / "manifests/7.json"
    BAD[kind](path)
    assert host.settle().damaged == (path,)
    assert host.live() == live
    assert survey_snapshots("demo", host.history).unreadable == (path,)
    assert read_again(host).unreadable == (path,)
    host.put("checkpoint/00009.frame", "new 9 END")
    settled, _, _ = host.sync()
    assert settled.damaged == (path,)
    assert host.live() == {**live, "checkpoint/00009.frame": "new 9 END"}
    bring_back(host, 0)
    assert (prune_to(host, 1).damaged, os.path.lexists(path)) == ((path,), True)
    see_whole(host)


def test_a_number_that_is_no_count_keeps_no_later_snapshot_from_being_seen(host: FolderHost) -> None:
    two_runs(host)
    (host.history.history_folder / "manifests/999999999.json").write_text("{}")
    host.put("checkpoint/00009.frame", "new 9 END")
    host.sync()
    assert host.history.snapshot_numbers() == [0, 1, 2, 999999999]
    assert "checkpoint/00009.frame" in host.live()


def test_what_a_damaged_newest_snapshot_showed_becomes_one_again_and_no_other_run_comes_among_it(
    host: FolderHost,
) -> None:
    two_runs(host)
    live = host.live()
    (host.history.history_folder / "manifests/1.json").write_text("{")
    settled = host.settle()
    assert host.live() == live
    assert settled.manifest is not None and settled.manifest.number == 2
    assert settled.manifest.files.keys() == live.keys()
    host.sync()
    assert host.live() == live


@pytest.mark.parametrize("note", [b"", b"{", b"7\n[1]\n", b'"here"\n[[]]\nx\n'])
def test_a_note_of_a_killed_sync_that_cannot_be_read_does_not_stop_a_sync(
    host: FolderHost, note: bytes
) -> None:
    two_runs(host)
    host.history.fetching.write_bytes(note)
    host.put("checkpoint/00009.frame", "new 9 END")
    host.sync()
    assert "checkpoint/00009.frame" in host.live() and not host.history.fetching.exists()


@pytest.mark.parametrize("path", [".history/manifests/7.json", "../inventory.yaml", "run/logs/.git/config"])
def test_a_note_of_a_killed_sync_downloads_nothing_to_a_place_where_no_download_belongs(
    host: FolderHost, path: str
) -> None:
    two_runs(host)
    live = host.live()
    came = host.history.incoming / "evil"
    came.write_text("evil")
    at = came.stat()
    host.history.fetching.write_text(f'"here"\n["{path}", "evil", {at.st_size}, {at.st_mtime_ns}]\n')
    host.sync()
    assert host.live() == live and not (host.root / path).exists()


def test_prune_leaves_the_quarantine_and_what_a_killed_sync_had_downloaded(host: FolderHost) -> None:
    many(host)
    host.put("checkpoint/00005.frame", "torn", 1_700_000_109)
    host.sync()
    host.history.fetching.write_text('{"host": "here", "files": []}')
    nobodys = hashlib.sha256(b"nobody's").hexdigest()
    done = prune_to(host, 1)
    assert done.kept == (5,)
    assert nobodys not in done.contents and host.history.object(nobodys).exists()
    assert any(p.read_text() == "torn" for p in host.history.quarantine.iterdir())
    host.history.fetching.unlink()
    assert prune_to(host, 1).contents == (nobodys,)


def test_a_rotten_content_is_repaired_from_the_live_file_and_never_tied_to_it(host: FolderHost) -> None:
    two_runs(host)
    bad = content(host, 1, FRAME)
    bad.write_text("neW 0 END")
    done = read_again(host)
    (rot,) = done.repaired
    assert (rot.paths, rot.snapshots, rot.fault) == ((FRAME,), (1,), "rotten")
    assert rot.repaired_from == host.root / FRAME
    assert rot.kept_as is not None and rot.kept_as.read_text() == "neW 0 END"
    assert (done.objects, done.bytes, done.lost, done.left_out) == (7, 57, (), ())
    assert host.history.snapshot_numbers() == [0, 1]
    see_whole(host)


def test_a_missing_content_is_repaired_from_a_live_file_of_another_name(host: FolderHost) -> None:
    host.put(FRAME, "same END")
    host.put("checkpoint/00001.frame", "same END")
    host.sync()
    content(host, 0, FRAME).unlink()
    (host.root / FRAME).unlink()
    (rot,) = read_again(host).repaired
    assert rot.fault == "missing" and rot.repaired_from == host.root / "checkpoint/00001.frame"
    see_whole(host)


def test_a_live_file_that_was_changed_or_rotted_repairs_nothing(host: FolderHost) -> None:
    two_runs(host)
    content(host, 1, FRAME).unlink()
    host.hand(FRAME, "NEW 0 END", 1_700_000_100)
    assert read_again(host).repaired == ()


def test_a_content_lost_here_is_left_out_of_the_newest_snapshot_and_is_downloaded_again(
    host: FolderHost,
) -> None:
    two_runs(host)
    bad = content(host, 1, FRAME)
    bad.write_text("neW 0 END")
    host.hand(FRAME, "nEW 0 END", 1_700_000_100)  # looks as it should, so it would pass for good
    done = read_again(host)
    assert [rot.paths for rot in done.lost] == [(FRAME,)]
    assert done.left_out == (FRAME,)
    assert FRAME not in host.live() and FRAME not in host.history.read(2).files
    assert host.history.read(2).why == "verified"

    _, planned, arrival = host.sync()
    assert [o.path for o in planned.wanted] == [FRAME] and arrival.quarantined == ()
    assert host.live()[FRAME] == "new 0 END"
    see_whole(host)  # snapshot 1 as well
    assert read_again(host).lost == ()


def test_what_was_changed_by_hand_is_not_taken_away_with_a_lost_content(host: FolderHost) -> None:
    two_runs(host)
    content(host, 1, FRAME).unlink()
    host.hand(FRAME, "by hand END")
    assert read_again(host).left_out == (FRAME,)
    assert host.settle().adopted == (FRAME,)
    assert host.live()[FRAME] == "by hand END"


def test_a_content_lost_from_an_old_snapshot_only_is_named_and_changes_nothing_live(
    host: FolderHost,
) -> None:
    two_runs(host)
    content(host, 0, FRAME).unlink()
    done = read_again(host)
    assert [(rot.paths, rot.snapshots) for rot in done.lost] == [((FRAME,), (0,))]
    assert done.left_out == () and host.history.snapshot_numbers() == [0, 1]


def test_a_damaged_manifest_is_named_and_the_rest_is_read_and_repaired(host: FolderHost) -> None:
    two_runs(host)
    damaged = host.history.history_folder / "manifests/0.json"
    damaged.write_text("{")
    content(host, 1, FRAME).write_text("neW 0 END")
    done = read_again(host)
    assert done.unreadable == (damaged,) and len(done.repaired) == 1
    assert (done.orphans, done.orphan_bytes) == (4, 34)


def test_when_the_damaged_newest_manifest_is_moved_away_what_it_had_is_adopted(host: FolderHost) -> None:
    two_runs(host)
    live = host.live()
    (host.history.history_folder / "manifests/1.json").unlink()
    settled = host.settle()
    assert set(settled.adopted) == {"bbox.pt", FRAME}
    assert {**host.live(), **live} == host.live()


def watched(host: FolderHost, path: str, text: str, mtime_s: float) -> bool:
    """One more round of a watch; whether it took the place of the one before."""
    earlier = host.history.newest()
    host.put(path, text, mtime_s)
    host.sync()
    later = host.history.newest()
    assert earlier is not None and later is not None
    with host.history.lock():
        return merge_snapshots(host.history, earlier, later)


def test_rounds_of_a_watch_that_only_add_leave_one_snapshot_with_all_that_they_downloaded(
    host: FolderHost,
) -> None:
    host.put(FRAME, "0 END")
    host.put("run/logs/train.log", "one line\n")
    host.sync()
    for i in range(1, 6):
        assert watched(host, f"checkpoint/0000{i}.frame", f"{i} END", 1_700_000_000 + i)
    assert watched(host, "run/logs/train.log", "one line\nanother\n", 1_700_000_009)
    assert host.history.snapshot_numbers() == [6]
    assert len(host.history.read(6).files) == 7
    see_whole(host)
    assert host.settle().adopted == ()


@pytest.mark.parametrize(
    ("path", "text"),
    [(FRAME, "1 END"), (FRAME, "another END"), ("run/logs/train.log", "a new log, longer"), ("bbox.pt", "b")],
)
def test_a_round_that_changes_anything_is_a_snapshot_of_its_own(
    host: FolderHost, path: str, text: str
) -> None:
    host.put(FRAME, "0 END")
    host.put("bbox.pt", "box")
    host.put("run/logs/train.log", "one line\n")
    host.sync()
    assert not watched(host, path, text, 1_700_000_009)
    assert host.history.snapshot_numbers() == [0, 1]


def test_only_the_snapshot_just_before_of_the_same_host_and_kind_is_absorbed(host: FolderHost) -> None:
    host.put(FRAME, "0 END")
    host.sync()
    host.put("checkpoint/00001.frame", "1 END")
    host.sync()
    first, second = host.history.read(0), host.history.read(1)
    with host.history.lock():
        for other in (
            {"why": "adopted"},
            {"why": "restored"},
            {"host": "b200"},
            {"new_tree": True},
            {"incarnation": {"boot": "x"}},
            {"number": 5},
        ):
            assert not merge_snapshots(host.history, dataclasses.replace(first, **other), second)
        host.history.show(0)
        assert not merge_snapshots(host.history, first, second), "the live tree does not show it yet"
        host.history.show(1)
        assert merge_snapshots(host.history, first, second)
    assert host.history.snapshot_numbers() == [1]


def restore_scene(host: FolderHost) -> None:
    two_runs(host)
    host.hand(FRAME, "by hand END")
    host.hand("checkpoint/00009.frame", "only here END")


def absorb_scene(host: FolderHost) -> None:
    two_runs(host)
    for i in (1, 2):
        host.put(f"checkpoint/0000{i}.frame", f"new {i} END", 1_700_000_101)
        host.sync()


def scrub_scene(host: FolderHost) -> None:
    """Two contents that the live tree can repair, one that is lost both here and there."""
    two_runs(host)
    host.put("checkpoint/00001.frame", "new 1 END", 1_700_000_101)
    host.sync()
    content(host, 2, "bbox.pt").write_text("neW box")
    content(host, 2, FRAME).unlink()
    content(host, 2, "checkpoint/00001.frame").write_text("neW 1 END")
    host.hand("checkpoint/00001.frame", "nEW 1 END", 1_700_000_101)


SCENES = {
    "restore_first": restore_scene,
    "prune_to_two": many,
    "absorb_last": absorb_scene,
    "scrub_all": scrub_scene,
}


@pytest.mark.slow
@pytest.mark.parametrize("action", SCENES)
def test_killed_at_some_change_it_leaves_a_whole_tree_and_the_next_one_completes_it(
    tmp_path: Path, action: str
) -> None:
    enumerate_kills(tmp_path, action, sample=8)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("action", SCENES)
def test_killed_at_every_single_change_it_leaves_a_whole_tree_and_the_next_one_completes_it(
    tmp_path: Path, action: str
) -> None:
    enumerate_kills(tmp_path, action, sample=None)


def enumerate_kills(folder: Path, action: str, sample: int | None) -> None:
    host = FolderHost(folder / "host", folder / "home")
    SCENES[action](host)
    before = host.live()
    good = {c for c in host.contents() if c.endswith((b"END", b"box", b"log", b"notes"))}
    changes = int(killed(host, folder, action, [10**6])[10**6])
    undisturbed = FolderHost(host.folder, folder / str(10**6))
    undisturbed.settle()
    assert changes >= (2 if action == "absorb_last" else 10)
    numbers = list(range(1, changes + 1))
    if sample is not None and sample < changes:
        numbers = sorted(random.Random(SEED).sample(numbers, sample))
    said = killed(host, folder, action, numbers)
    assert set(said.values()) == {"killed"}, said
    for n in numbers:
        after, when = FolderHost(host.folder, folder / str(n)), f"killed at {n}"
        if action != "prune_to_two":
            assert good <= after.contents(), when
        if action == "scrub_all":
            act(action, after.root)
        after.settle()
        assert after.live() in (before, undisturbed.live()), f"{when}: {after.live()}"
        if action != "scrub_all":  # what is lost there stays lost in the older snapshots
            see_whole(after, when)
        act(action, after.root)
        after.settle()
        assert after.live() == undisturbed.live(), when
        if action == "prune_to_two":
            assert names_in(after.history.objects) == names_in(undisturbed.history.objects), when
            assert after.history.snapshot_numbers() == undisturbed.history.snapshot_numbers(), when
        shutil.rmtree(after.root)


def killed(host: FolderHost, folder: Path, action: str, numbers: list[int]) -> dict[int, str]:
    """A copy of the backup for each number, and what became of the action that was killed there."""
    for n in numbers:
        subprocess.run(["cp", "-a", host.root, folder / str(n)], check=True)
    argv = [sys.executable, KILLED, action, folder / "{n}", *map(str, numbers)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {int(n): said for n, said in (line.split() for line in done.stdout.splitlines())}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_killed_restore_is_completed_by_the_next_command(host: FolderHost) -> None:
    """Once committed, settling alone finishes a restore."""
    two_runs(host)
    with host.history.lock():
        made = host.history.commit(host.history.read(0).files, why="restored", new_tree=True, of=0)
    host.settle()
    assert host.live()["bbox.pt"] == "old box" and host.history.shown() == made.number
    with host.history.lock():
        assert restore_first(host.history).manifest.number == made.number


def test_what_has_no_room_after_a_restore_is_not_copied_from_the_history_either(
    host: FolderHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, mtime_s in (("first", 1_700_000_000), ("later", 1_700_000_100)):
        for name in ("0", "1"):
            host.put(f"checkpoint/{name}.frame", f"{text} END", mtime_s)
        host.sync()
    bring_back(host, 0)
    share = IncomingFolder.share_room

    def without_the_second(folder: IncomingFolder, wanted: Any) -> Room:
        room = share(folder, wanted)
        return Room(room.fit[:1], (*room.fit[1:], *room.left_out))

    monkeypatch.setattr(IncomingFolder, "share_room", without_the_second)
    host.sync()
    assert host.live()["checkpoint/0.frame"] == "later END"
    assert host.live()["checkpoint/1.frame"] == "first END"
    assert not [path for path in host.history.incoming.rglob("*") if path.is_file()]
