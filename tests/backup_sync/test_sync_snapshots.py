"""`sync --list`, `--restore` and `--prune`: an actor's history, asked without any host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from local_actor import FRAMES, SyncedActor, local_actor
from recover_options import recover

from being_remote.backup.history import History
from being_remote.backup.put_file import put_file
from being_remote.backup.snapshots import SnapshotChange
from being_remote.errors import Busy, InconsistentData, NotFoundError
from being_remote.inventory import Inventory
from being_remote.workflows.find_bbox import find_bbox
from being_remote.workflows.snapshots import list_snapshots, prune_snapshots, restore_snapshot
from being_remote.workflows.sync import sync

MakeInventory = Callable[..., Inventory]


@pytest.fixture
def here(tmp_path: Path, actor: Path, make_inventory: MakeInventory) -> SyncedActor:
    """This machine as a host; its run has been downloaded."""
    made = local_actor(tmp_path, actor, make_inventory)
    made.sync()
    return made


@pytest.fixture
def no_host(make_inventory: MakeInventory) -> Inventory:
    """An inventory whose only host can never be reached, and a backup with four snapshots."""
    inventory = make_inventory({"gone": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}})
    root = inventory.backups / "demo"
    put_file(root, "bbox.pt", b"box", host="gone")
    for i in range(3):
        put_file(root, f"run/logs/{i}", b"log %d" % i, host="gone")
    return inventory


@pytest.mark.slow
def test_a_run_that_another_one_replaced_is_listed_restored_and_undone(
    here: SyncedActor, second_run: Path
) -> None:
    old = here.frames()
    here.holds(second_run)
    sync(here.inventory)
    new = here.frames()
    listed = list_snapshots(here.inventory)
    assert [(g.generation, g.why, g.host, g.live) for g in listed.generations] == [
        (0, "sync", "here", False),
        (1, "sync", "here", True),
    ]
    assert listed.generations[1].change.dropped > 0
    assert (listed.live, listed.unsaved, listed.exit_code) == (1, 0, 0)
    assert 0 < listed.old_bytes < listed.history_bytes

    done = restore_snapshot(here.inventory, 0)
    assert (done.restored, done.snapshot, done.before, done.exit_code) == (0, 2, 1, 0)
    assert here.frames() == old
    assert "brings back what here has otherwise" in done.warnings[0]
    assert {p.stat().st_nlink for p in here.root.rglob("*") if p.is_file()} == {1}

    assert restore_snapshot(here.inventory, 1).snapshot == 3
    assert here.frames() == new
    assert [g.of for g in list_snapshots(here.inventory).generations] == [None, None, 0, 1]


@pytest.mark.slow
def test_a_sync_after_a_restore_makes_the_hosts_run_live_says_so_and_keeps_the_restored_one(
    here: SyncedActor, second_run: Path
) -> None:
    old = here.frames()
    here.holds(second_run)
    sync(here.inventory)
    new = here.frames()
    restore_snapshot(here.inventory, 0)
    report = sync(here.inventory)
    assert here.frames() == new and report.snapshot == 3
    assert report.transferred_files == 0  # the history holds what the host has
    (said,) = [w for w in report.warnings if "restored" in w]
    assert "snapshot 2, restored from 0, was replaced" in said and "--restore 2" in said
    assert not [w for w in sync(here.inventory).warnings if "restored" in w]
    restore_snapshot(here.inventory, 2)
    assert here.frames() == old


@pytest.mark.slow
def test_a_restore_of_what_the_host_still_has_is_not_undone_by_a_sync(here: SyncedActor, actor: Path) -> None:
    """What was spoilt by hand here, and was taken into the history so, is right again and stays so."""
    old = here.frames()
    notes = here.root / "run/logs/train.log"
    notes.write_text("mine now")
    sync(here.inventory, only=["bbox"])
    assert list_snapshots(here.inventory).live == 1
    restore_snapshot(here.inventory, 0)
    report = sync(here.inventory)
    assert (report.transferred_files, report.snapshot) == (0, 2)
    assert not [w for w in report.warnings if "restored" in w]
    assert here.frames() == old


@pytest.mark.slow
def test_after_a_pod_restarted_with_less_the_newest_good_state_stays_and_the_rest_is_restorable(
    here: SyncedActor,
) -> None:
    old = here.frames()
    checkpoint = here.tracker / "output/demo/checkpoint"
    for name in list(old)[1:]:
        (checkpoint / name).unlink()
    (here.tracker / "output/demo/train.log").write_text("")
    report = sync(here.inventory)
    assert here.frames() == old and report.vanished.count == FRAMES - 1
    assert (here.root / "run/logs/train.log").read_text() == ""
    restore_snapshot(here.inventory, 0)
    assert here.frames() == old and (here.root / "run/logs/train.log").read_text() != ""


def test_all_three_work_while_no_host_can_be_reached(no_host: Inventory) -> None:
    assert [g.files for g in list_snapshots(no_host).generations] == [1, 2, 3, 4]
    assert restore_snapshot(no_host, 1).change == SnapshotChange(0, 0, 2)
    assert prune_snapshots(no_host, 2).removed == (0, 1, 2)
    assert [(g.generation, g.change) for g in list_snapshots(no_host).generations] == [
        (3, SnapshotChange(4, 0, 0)),
        (4, SnapshotChange(0, 0, 2)),
    ]


@pytest.mark.slow
def test_dry_runs_touch_nothing_and_report_what_would_be_done(here: SyncedActor, second_run: Path) -> None:
    here.holds(second_run)
    sync(here.inventory)
    (here.root / "run/logs/train.log").write_text("mine now")
    before = here.state()
    would = restore_snapshot(here.inventory, 0, dry_run=True)
    assert (would.dry_run, would.snapshot, would.adopted) == (True, 1, 1)
    assert would.files == len(here.history.read(0).files)
    pruned = prune_snapshots(here.inventory, 1, dry_run=True)
    assert (pruned.removed, pruned.dry_run) == ((0,), True)
    listed = list_snapshots(here.inventory)
    assert pruned.bytes == listed.old_bytes > 0
    assert here.state() == before

    assert prune_snapshots(here.inventory, 1).bytes == pruned.bytes
    after = list_snapshots(here.inventory)
    assert after.old_bytes == 0 and after.history_bytes < listed.history_bytes - pruned.bytes


def test_a_rotten_content_stops_a_restore_with_6_and_names_the_file(no_host: Inventory) -> None:
    history = History(no_host.backups / "demo")
    history.object(history.read(0).files["bbox.pt"].sha256).write_bytes(b"bOx")
    for dry_run in (True, False):
        with pytest.raises(InconsistentData, match=r"'bbox\.pt'") as refused:
            restore_snapshot(no_host, 0, dry_run=dry_run)
        assert refused.value.exit_code == 6
    assert history.snapshot_numbers() == [0, 1, 2, 3]


def test_a_damaged_manifest_is_listed_with_exit_code_6(no_host: Inventory) -> None:
    damaged = no_host.backups / "demo/.history/manifests/1.json"
    damaged.write_text("{}")
    listed = list_snapshots(no_host)
    assert (listed.exit_code, listed.unreadable) == (6, (damaged,))
    assert [g.generation for g in listed.generations] == [0, 2, 3]


@pytest.mark.slow
def test_a_foreign_manifest_is_named_by_each_command_and_keeps_none_from_its_work(
    here: SyncedActor, tmp_path: Path
) -> None:
    (here.tracker / "output/demo/train.log").write_text("again")
    sync(here.inventory)
    foreign = here.root / ".history/manifests/7.json"
    foreign.write_text('{"files": []}')
    (here.tracker / "output/demo/train.log").write_text("once more")
    assert sync(here.inventory, dry_run=True).damaged == (foreign,)
    report = sync(here.inventory)
    assert (report.exit_code, report.damaged, report.snapshot) == (6, (foreign,), 8)
    assert (here.root / "run/logs/train.log").read_text() == "once more"
    assert list_snapshots(here.inventory).unreadable == (foreign,)
    assert restore_snapshot(here.inventory, 0).snapshot == 9
    pruned = prune_snapshots(here.inventory, 1)
    assert (pruned.exit_code, pruned.damaged, pruned.removed) == (6, (foreign,), (0, 1, 8))
    assert sync(here.inventory, verify=True).damaged == (foreign,)
    assert find_bbox(here.inventory, fetch=True).fetched is not None
    assert recover(here.inventory, out=tmp_path / "out").frames == FRAMES
    assert foreign.exists()


def test_what_is_not_there_is_not_found_and_leaves_no_folder(make_inventory: MakeInventory) -> None:
    inventory = make_inventory({"gone": {"address": "127.0.0.1", "port": 1, "workdir": "/w"}})
    for ask in (
        lambda: list_snapshots(inventory),
        lambda: restore_snapshot(inventory, 0),
        lambda: prune_snapshots(inventory, 3),
    ):
        with pytest.raises(NotFoundError, match="actor demo has no snapshots yet"):
            ask()
    assert not inventory.backups.exists()


def test_a_snapshot_that_is_not_there_is_not_found_and_the_others_are_named(no_host: Inventory) -> None:
    with pytest.raises(NotFoundError, match="snapshot 7 does not exist; the snapshots are: 0 to 3"):
        restore_snapshot(no_host, 7)


def test_neither_restores_nor_prunes_while_a_sync_is_at_work(no_host: Inventory) -> None:
    history = History(no_host.backups / "demo")
    with history.lock():
        assert len(list_snapshots(no_host).generations) == 4
        for ask in (lambda: restore_snapshot(no_host, 0), lambda: prune_snapshots(no_host, 1)):
            with pytest.raises(Busy, match=f"process {os.getpid()}"):
                ask()
    assert history.snapshot_numbers() == [0, 1, 2, 3]


def test_jobs_results_and_other_files_in_the_backup_are_left_alone(no_host: Inventory) -> None:
    root = no_host.backups / "demo"
    mine = [root / "runs/job-1/checkpoint/00000.frame", root / "bbox.found.json"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    restore_snapshot(no_host, 0)
    prune_snapshots(no_host, 1)
    assert [path.read_text() for path in mine] == ["mine", "mine"]


@pytest.mark.slow
def test_a_verify_names_a_damaged_manifest_with_6_and_checks_the_rest(here: SyncedActor) -> None:
    (here.tracker / "output/demo/train.log").write_text("again")
    sync(here.inventory)
    damaged = here.root / ".history/manifests/0.json"
    damaged.write_text("{")
    frame = next((here.root / "checkpoint").iterdir())
    good, at = frame.read_bytes(), frame.stat()
    frame.write_bytes(good[:-1] + b"!")
    os.utime(frame, ns=(at.st_mtime_ns, at.st_mtime_ns))
    report = sync(here.inventory, verify=True)
    assert (report.exit_code, report.damaged, report.verified) == (6, (damaged,), report.files)
    assert frame.read_bytes() == good
    damaged.unlink()
    assert sync(here.inventory, verify=True).exit_code == 0
