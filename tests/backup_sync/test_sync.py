"""`sync` from a real pod over ssh and rsync, and from this machine's own disk."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from local_actor import FRAMES, SyncedActor

from being_remote.backup.history import History
from being_remote.demo.checkout import CONFIG
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import (
    Busy,
    HostError,
    InconsistentData,
    NotFoundError,
    ToolMissing,
    UsageError,
)
from being_remote.inventory import Inventory, LocalHost
from being_remote.pod_client import listing
from being_remote.session import Feedback, TransferProgress
from being_remote.tracker.layout import PLACES, places_of
from being_remote.transport.local_session import LocalSession
from being_remote.workflows.snapshots import prune_snapshots
from being_remote.workflows.sync import sync

MakeInventory = Callable[..., Inventory]
AWKWARD = [b"a b", b"it's", b'q"uote', b"$(touch pwned)", b"new\nline", b"-rf", b"gr\xfcn", b"*?[x]"]


@pytest.fixture
def there(actor: Path, pod: Pod, make_inventory: MakeInventory) -> Iterator[SyncedActor]:
    """A real sshd."""
    tracker = pod.root / "metrical-tracker"
    shutil.copytree(actor, tracker, dirs_exist_ok=True)
    yield SyncedActor(tracker, pod.root / "Being", make_inventory({"pod": pod}))
    for child in tracker.iterdir():
        shutil.rmtree(child)


def test_a_finished_run_is_downloaded_from_a_pod_and_a_second_sync_transfers_nothing(
    there: SyncedActor,
) -> None:
    seen: list[TransferProgress] = []
    (there.tracker / "configs/config.py").write_text(CONFIG)
    first = there.sync(verify=True, feedback=Feedback(seen.append))
    assert (first.exit_code, first.quarantined, first.snapshot, first.method) == (0, (), 0, "rsync")
    assert first.files == first.transferred_files == first.verified
    assert first.bytes == first.transferred_bytes == sum(len(b) for b in there.live().values())
    assert len({p.what for p in seen}) == 2 and seen[-1] == TransferProgress(
        "checking", first.files, first.files, "files"
    )
    live = there.live()
    assert {os.path.dirname(p) for p in live} == {
        p.home for p in places_of() if p.home not in ("run", "run/input")
    }
    assert live["bbox.pt"] == (there.tracker / "input/demo/bbox.pt").read_bytes()
    assert live["actor/config.yml"] == (there.tracker / "configs/actors/demo.yml").read_bytes()
    # The checkout's own defaults, under a name that nothing here imports.
    assert live["actor/config.py.txt"] == (there.tracker / "configs/config.py").read_bytes()
    frame = there.root / "checkpoint/00003.frame"
    assert frame.stat().st_mtime_ns == (there.checkpoint / "00003.frame").stat().st_mtime_ns

    again = there.sync()
    assert (again.transferred_files, again.transferred_bytes, again.method) == (0, 0, None)
    assert (again.snapshot, again.round_trips, again.files) == (0, 1, first.files)
    assert History(there.root).snapshot_numbers() == [0]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "there"])
def test_names_of_any_bytes_arrive_intact(where: str, request: pytest.FixtureRequest) -> None:
    at: SyncedActor = request.getfixturevalue(where)
    logs = os.fsencode(at.tracker / "output/demo/logs")
    os.mkdir(os.path.join(logs, b"sub \xff"))
    for name in [*AWKWARD, *(b"sub \xff/" + n for n in AWKWARD)]:
        with open(os.path.join(logs, name), "wb") as f:
            f.write(b"log " + name)
    report = at.sync(verify=True)
    assert (report.exit_code, report.verified) == (0, report.files)
    for name in [*AWKWARD, *(b"sub \xff/" + n for n in AWKWARD)]:
        with open(os.path.join(os.fsencode(at.root / "run/logs"), name), "rb") as f:
            assert f.read() == b"log " + name
    assert not list(at.root.glob("**/pwned"))
    assert at.sync(verify=True).transferred_files == 0
    json.dumps([report.warnings, report.vanished.examples], ensure_ascii=True)


@pytest.mark.slow
def test_a_torn_frame_is_quarantined_and_named_and_everything_else_is_local(there: SyncedActor) -> None:
    whole = (there.checkpoint / "00005.frame").read_bytes()
    (there.checkpoint / "00005.frame").write_bytes(whole[:-100])
    os.utime(there.checkpoint / "00005.frame", (1_700_000_000, 1_700_000_000))  # nobody writes it any more
    report = there.sync()
    assert report.exit_code == 6
    (aside,) = report.quarantined
    assert aside.path == "checkpoint/00005.frame" and aside.reason
    assert aside.kept_as is not None and aside.kept_as.read_bytes() == whole[:-100]
    assert len([p for p in there.live() if p.endswith(".frame")]) == FRAMES - 1

    again = there.sync()
    assert (again.exit_code, again.transferred_files, again.snapshot) == (6, 0, 0)
    (there.checkpoint / "00005.frame").write_bytes(whole)
    healed = there.sync(verify=True)
    assert (healed.exit_code, healed.transferred_files, healed.verified) == (0, 1, healed.files)


def test_a_hostile_frame_never_becomes_live(here: SyncedActor) -> None:
    import pickle

    class Boom:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch pwned",)

    import torch

    torch.save(Boom(), here.checkpoint / "00002.frame", pickle_module=pickle)
    report = here.sync()
    assert [q.path for q in report.quarantined] == ["checkpoint/00002.frame"]
    assert "checkpoint/00002.frame" not in here.live()


@pytest.mark.slow
def test_a_rewrite_that_keeps_size_and_time_is_seen_by_a_plain_sync(there: SyncedActor) -> None:
    log = there.tracker / "output/demo/train.log"
    there.sync()
    at, text = log.stat(), log.read_text()
    log.write_text(text.replace("loss", "LOSS"))
    os.utime(log, ns=(at.st_mtime_ns, at.st_mtime_ns))
    report = there.sync()
    assert (report.transferred_files, report.mismatched.count, report.exit_code) == (1, 0, 0)
    assert there.live()["run/logs/train.log"] == log.read_bytes()


def rot(file: Path) -> None:
    good, at = file.read_bytes(), file.stat()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    os.utime(file, ns=(at.st_mtime_ns, at.st_mtime_ns))


@pytest.mark.slow
def test_a_live_file_that_rotted_here_is_found_by_verify_and_put_right(here: SyncedActor) -> None:
    here.sync()
    mesh = here.root / "run/mesh/00001.ply"
    good = mesh.read_bytes()
    rot(mesh)
    assert here.sync().transferred_files == 0
    report = here.sync(verify=True)
    assert mesh.read_bytes() == good
    assert report.verified == report.files


def test_what_vanished_or_shrank_on_the_host_stays_and_is_reported(here: SyncedActor) -> None:
    here.sync()
    log = here.tracker / "output/demo/train.log"
    long = log.read_bytes()
    (here.checkpoint / "00001.frame").unlink()
    log.write_bytes(b"started anew\n")
    report = here.sync()
    assert report.exit_code == 0
    assert (report.vanished.count, report.vanished.examples) == (1, ("checkpoint/00001.frame",))
    assert (report.shrunk.count, report.shrunk.examples) == (1, ("run/logs/train.log",))
    assert len(report.warnings) == 2 and "snapshot 0" in report.warnings[1]
    assert "checkpoint/00001.frame" in here.live()
    history = History(here.root)
    assert history.object(history.read(0).files["run/logs/train.log"].sha256).read_bytes() == long


@pytest.mark.slow
def test_a_second_run_on_the_host_replaces_the_live_tree_whole(here: SyncedActor, second_run: Path) -> None:
    here.sync()
    shutil.rmtree(here.tracker)
    shutil.copytree(second_run, here.tracker)
    report = here.sync()
    assert report.new_run is not None and "bbox.pt" in report.new_run
    assert any("kept as snapshot 0" in w for w in report.warnings)
    assert len([p for p in here.live() if p.endswith(".frame")]) == 3
    assert here.sync(verify=True).verified == report.files


def test_frames_with_another_camera_are_another_run_without_any_box(
    here: SyncedActor, second_run: Path
) -> None:
    (here.tracker / "input/demo/bbox.pt").unlink()
    here.sync()
    shutil.rmtree(here.checkpoint)
    shutil.copytree(second_run / "output/demo/checkpoint", here.checkpoint)
    report = here.sync()
    assert report.new_run is not None and "00000.frame has f " in report.new_run
    assert len([p for p in here.live() if p.endswith(".frame")]) == 3


def test_with_only_some_kinds_another_run_is_refused(here: SyncedActor, second_run: Path) -> None:
    here.sync()
    before = here.live()
    shutil.copytree(second_run, here.tracker, dirs_exist_ok=True)
    with pytest.raises(InconsistentData, match="--only would mix them"):
        here.sync(only=["bbox"])
    assert here.live() == before


@pytest.mark.slow
def test_only_downloads_the_kinds_asked_for(here: SyncedActor) -> None:
    report = here.sync(only=["bbox", "logs"])
    assert {p.split("/")[0] for p in here.live()} == {"bbox.pt", "run"}
    assert report.files == len(here.live())
    # What was not asked for has not vanished.
    here.sync()
    assert here.sync(only=["bbox"]).vanished.count == 0


@pytest.mark.slow
def test_a_hand_made_backup_is_adopted_and_only_the_rest_is_fetched(here: SyncedActor) -> None:
    home = here.root / "checkpoint"
    shutil.copytree(here.checkpoint, home)
    (home / "00005.frame").unlink()
    times = {p.name: p.stat().st_mtime_ns for p in home.iterdir()}
    dry = here.sync(dry_run=True, only=["checkpoints"])
    report = here.sync(only=["checkpoints"])
    assert (dry.transferred_files, report.transferred_files, report.snapshot) == (1, 1, 1)
    assert report.adopted.count == FRAMES - 1
    assert {p.name: p.stat().st_mtime_ns for p in home.iterdir() if p.name in times} == times


def test_files_of_a_hand_made_backup_are_the_host_s_once_it_has_made_their_hashes(here: SyncedActor) -> None:
    shutil.copytree(here.checkpoint, here.root / "checkpoint")
    shutil.copy2(here.tracker / "input/demo/bbox.pt", here.root)
    changed = here.root / "checkpoint/00005.frame"
    stat = changed.stat()
    changed.write_bytes((here.root / "checkpoint/00004.frame").read_bytes())
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (here.checkpoint / "00005.frame").unlink()
    here.sync()
    newest = History(here.root).newest()
    assert newest is not None
    hosts = {path: entry.host for path, entry in newest.files.items() if path.endswith((".frame", ".pt"))}
    assert hosts.pop("checkpoint/00005.frame") is None  # the host does not have it
    assert set(hosts.values()) == {"here"} and len(hosts) == FRAMES
    assert here.sync().snapshot == newest.number  # said once


@pytest.mark.slow
def test_a_hand_made_backup_that_lacks_nothing_is_confirmed_too(here: SyncedActor) -> None:
    here.sync()
    by_hand = here.root.with_name("by hand")
    shutil.copytree(here.root, by_hand, ignore=shutil.ignore_patterns(".history"))
    shutil.rmtree(here.root)
    shutil.copytree(by_hand, here.root)
    report = here.sync()
    newest = History(here.root).newest()
    assert report.transferred_files == 0 and newest is not None and newest.number == report.snapshot == 1
    assert {entry.host for entry in newest.files.values()} == {"here"}


@pytest.mark.parametrize("verify", [False, True])
def test_a_dry_run_touches_nothing_and_lists_what_it_would_download(there: SyncedActor, verify: bool) -> None:
    def state() -> list[tuple[str, int, int]]:
        base = there.inventory.path.parent
        walked = [p for top in (base, there.tracker) for p in (top, *top.rglob("*"))]
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for p in walked)

    before = state()
    report = there.sync(dry_run=True, verify=verify)
    assert state() == before and not there.root.exists()
    assert report.dry_run and report.exit_code == 0
    assert (report.transferred_files, report.transferred_bytes) == (report.files, report.bytes)
    assert report.files > FRAMES and report.snapshot is None


@pytest.mark.slow
def test_a_dry_run_of_verify_calls_nothing_corrupt_that_another_process_removes_or_writes(
    here: SyncedActor,
) -> None:
    here.sync()
    shrunk = here.tracker / "output/demo/train.log"
    shrunk.write_bytes(b"started anew\n")
    here.sync()
    history = History(here.root)
    history.object(history.read(0).files["run/logs/train.log"].sha256).unlink()
    removed, written, rotten = (here.root / f"checkpoint/0000{n}.frame" for n in (1, 2, 3))
    for file in (removed, written, rotten):
        rot(file)

    def meanwhile(progress: TransferProgress) -> None:
        if progress.what == "reading the history":
            prune_snapshots(here.inventory, 1)
        elif progress.what == "reading the live tree":
            removed.unlink()
            os.utime(written)

    dry = here.sync(dry_run=True, verify=True, feedback=Feedback(meanwhile))
    assert dry.rotten == ()
    (live,) = (w for w in dry.warnings if w.startswith("corrupt here"))
    assert "1 file ('checkpoint/00003.frame')" in live


@pytest.mark.slow
def test_a_dry_run_of_verify_passes_over_a_snapshot_that_is_pruned_after_it_was_listed(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.sync()
    (here.tracker / "output/demo/train.log").write_bytes(b"started anew\n")
    files = here.sync().files
    prune_snapshots(here.inventory, 1)
    monkeypatch.setattr(History, "snapshot_numbers", lambda _: [0, 1])
    rot(here.root / "checkpoint/00001.frame")
    History(here.root).object(History(here.root).read(1).files["checkpoint/00002.frame"].sha256).unlink()
    dry = here.sync(dry_run=True, verify=True)
    assert (dry.verified, len(dry.rotten), dry.damaged) == (files - 1, 1, ())


@pytest.mark.slow
def test_a_dry_run_of_verify_counts_no_file_that_was_not_read(here: SyncedActor) -> None:
    shutil.copytree(here.checkpoint, here.root / "checkpoint")
    assert here.sync(dry_run=True, verify=True, only=["checkpoints"]).verified == 0
    files = here.sync().files
    rot(here.root / "checkpoint/00001.frame")
    os.utime(here.root / "checkpoint/00001.frame")  # by hand, then
    assert here.sync(dry_run=True, verify=True).verified == files - 1


@pytest.mark.slow
def test_a_dry_run_of_verify_names_what_rotted_and_repairs_nothing(here: SyncedActor) -> None:
    def state() -> dict[str, tuple[bytes, int]]:
        files = (p for p in here.root.rglob("*") if p.is_file())
        return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}

    files = here.sync().files
    history = History(here.root)
    contents = {path: history.object(entry.sha256) for path, entry in history.read(0).files.items()}
    assert here.sync(dry_run=True, verify=True).verified == files

    rot(here.root / "checkpoint/00001.frame")  # good in the history
    rot(contents["checkpoint/00002.frame"])  # good in the live tree
    rot(here.root / "checkpoint/00003.frame")  # nowhere good
    contents["checkpoint/00003.frame"].unlink()
    (here.root / "checkpoint/00004.frame").unlink()
    before = state()
    dry = here.sync(dry_run=True, verify=True)
    assert state() == before
    assert (dry.verified, dry.transferred_files, dry.exit_code) == (files - 3, 1, 0)
    assert [(r.path, r.fault, r.repaired_from, r.kept_as) for r in dry.rotten] == [
        ("checkpoint/00002.frame", "rotten", None, None),
        ("checkpoint/00003.frame", "missing", None, None),
    ]
    assert [w.split(";")[0] for w in dry.warnings if "the content of" in w] == [
        "snapshot 0: the content of 'checkpoint/00002.frame' is corrupt",
        "snapshot 0: the content of 'checkpoint/00003.frame' is missing",
    ]
    (live,) = (w for w in dry.warnings if w.startswith("corrupt here"))
    assert "2 files ('checkpoint/00001.frame', 'checkpoint/00003.frame')" in live
    mended = here.sync(verify=True)
    assert (mended.transferred_files, mended.verified) == (1, files)


def test_links_on_the_host_are_not_followed_and_are_reported(here: SyncedActor) -> None:
    (here.checkpoint / "00099.frame").symlink_to("/etc/passwd")
    report = here.sync()
    assert "checkpoint/00099.frame" not in here.live()
    assert any("00099.frame" in w and "not downloaded" in w for w in report.warnings)


def test_frames_only_in_a_backup_on_the_host_are_taken_from_there_and_it_is_reported(
    here: SyncedActor,
) -> None:
    backup = here.workdir / "data/backup/demo"
    backup.parent.mkdir(parents=True)
    shutil.copytree(here.checkpoint, backup / "checkpoint")
    shutil.rmtree(here.checkpoint)
    report = here.sync()
    assert len([p for p in here.live() if p.endswith(".frame")]) == FRAMES
    assert any("holds no frames" in w and str(backup) in w for w in report.warnings)


def test_nothing_at_all_is_not_found_and_says_where_it_looked_and_leaves_no_folder(
    there: SyncedActor,
) -> None:
    for child in there.tracker.iterdir():
        shutil.rmtree(child)
    with pytest.raises(NotFoundError, match="output/demo/checkpoint"):
        there.sync()
    assert not there.inventory.backups.exists()


def test_unknown_kinds_are_refused_before_anything_is_asked(here: SyncedActor) -> None:
    with pytest.raises(UsageError, match="unknown kind of files: 'meshs'") as refused:
        here.sync(only=["meshs"])
    assert "checkpoints, bbox" in refused.value.hint


def test_a_second_sync_while_one_is_at_work_ends_at_once_and_names_the_folder(here: SyncedActor) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: TransferProgress) -> None:
        inside.set()
        assert go_on.wait(30)

    first = threading.Thread(target=here.sync, kwargs={"feedback": Feedback(wait)})
    first.start()
    try:
        assert inside.wait(30)
        with pytest.raises(Busy, match=f"process {os.getpid()}") as refused:
            here.sync()
        assert refused.value.where == str(here.root)
    finally:
        go_on.set()
        first.join()
    assert here.sync().transferred_files == 0


def tools(folder: Path, *names: str) -> str:
    """A PATH that has only these programs."""
    folder.mkdir()
    for name in names:
        found = sys.executable if name == "python3" else shutil.which(name)
        assert found
        (folder / name).symlink_to(Path(found).resolve())
    return str(folder)


@pytest.mark.slow
def test_a_pod_without_rsync_is_served_by_a_stream(
    tmp_path: Path, actor: Path, make_inventory: MakeInventory
) -> None:
    path = tools(tmp_path / "bin", "python3", "sh", "env")
    with start_pod(tmp_path / "pod", path=path) as bare:
        shutil.copytree(actor, bare.root / "metrical-tracker", dirs_exist_ok=True)
        at = SyncedActor(bare.root / "metrical-tracker", bare.root / "Being", make_inventory({"bare": bare}))
        report = at.sync(verify=True)
        assert (report.method, report.verified, report.exit_code) == ("stream", report.files, 0)
        assert at.sync().transferred_files == 0


def test_a_pod_without_python_is_reported(tmp_path: Path, make_inventory: MakeInventory) -> None:
    with start_pod(tmp_path / "pod", path=tools(tmp_path / "bin", "sh", "rsync")) as bare:
        inventory = make_inventory({"bare": bare})
        with pytest.raises(ToolMissing, match="python3") as refused:
            sync(inventory)
    assert refused.value.host == "bare" and not inventory.backups.exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"welcome to the pod",
        b'{"incarnation": {"boot_id": null, "pid_namespace": null}, "folders": []}',
        b'{"incarnation": {"boot_id": null, "pid_namespace": null}, "folders": [], "more": 1}',
        b'{"incarnation": {"boot_id": "x", "pid_namespace": 1}, "folders": [{"exists": true, "error": null,'
        b' "files": [["YQ==", -5, 0, null]], "skipped": []}]}',
    ],
)
def test_an_answer_that_is_not_a_listing_is_refused_as_a_whole(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(listing, "run_program", lambda *_, **__: answer)
    with pytest.raises(HostError, match="malformed answer while listing files"):
        here.sync()
    assert not here.root.exists()


LINE = b'{"folder": 0, "files": [%s]}\n'


@pytest.mark.parametrize(
    "answer",
    [
        zlib.compress(b" " * (64 << 20) * 5)
        + os.urandom(60 << 20),  # what is left over is not copied each time
        zlib.compress(b"\n" * (200 << 20)),
        zlib.compress((LINE % b"") * 9_000_000),
        zlib.compress(LINE % (b"[]," * 5_000_000 + b"[]"), 1),  # no thirty million errors are collected
        zlib.compress(LINE % (b"[]," * 1_000_000 + b"[]") * 60, 1),
        zlib.compress(LINE % (b'{"a":1},' * 450_000 + b"[]") * 60, 1),
        zlib.compress(LINE % (b'["a", 1, 1, 1, 1, null],' * 400_000 + b"[]"), 1),
        zlib.compress((b"[" * (1 << 20) + b"\n") * 200),
    ],
    ids=["blanks", "lines", "empty lines", "junk", "junk lines", "objects", "rows", "deep"],
)
def test_an_answer_that_inflates_to_a_bomb_takes_no_time(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(listing, "run_program", lambda *_, **__: answer)
    session = LocalSession(LocalHost(name="pod", workdir=PurePosixPath("/")))
    folder = listing.FolderQuery(PurePosixPath("/w"), PurePosixPath("/w"), "*", True)
    started = time.process_time()
    with pytest.raises(HostError, match="malformed answer while listing files"):
        listing.list_files(session, "python3", [folder])
    assert time.process_time() - started < 5  # seconds, where each of these took up to a minute


def test_every_place_of_the_tracker_has_its_place_in_the_live_tree() -> None:
    from being_remote.backup_paths import LIVE_PARTS

    assert {p.home_path("x").split("/")[0] for p in PLACES if p.home} <= set(LIVE_PARTS)
    assert [p.home_path(p.pattern) for p in PLACES if not p.home] == ["bbox.pt"]
