"""`safe-to-stop`: yes only when nothing would be lost and nobody is at work; looking changes nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from local_actor import SyncedActor
from local_jobs import retrack
from rich.console import Console

from being_remote.backup.history import History
from being_remote.backup_sync import remote_files
from being_remote.cli.safe_to_stop import show_safe_to_stop
from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.errors import HostError, TornFile, UsageError
from being_remote.inventory import Inventory, LocalHost, load_inventory
from being_remote.jobs.ledger import Intent, ledger_of
from being_remote.jobs.result_folder import ResultFolder
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod.job_states import JobState
from being_remote.pod_client import disk_survey
from being_remote.pod_client.encoded_names import encode
from being_remote.pod_client.listing import (
    ContainerStart,
    FileKey,
    FolderQuery,
    ListedFile,
    ListedFolder,
    Listing,
    hash_files,
)
from being_remote.recipes.metrical_tracker import MetricalTracker
from being_remote.safe_to_stop import file_comparison, host_files, local_copies, stop_check, unowned_files
from being_remote.safe_to_stop.active_jobs import judge_jobs
from being_remote.safe_to_stop.host_files import HostFile
from being_remote.safe_to_stop.job_results import EndedJob, JobFiles, ResultPatterns, read_job
from being_remote.safe_to_stop.local_copies import LocalCopies, LocalResults
from being_remote.safe_to_stop.stop_check import SafeReport
from being_remote.transfer import known_hashes as known
from being_remote.transfer.checked_files import CheckedFile, hash_of
from being_remote.transfer.quarantine import quarantine_of
from being_remote.workflows import cancel
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume
from being_remote.workflows.safe_to_stop import safe_to_stop
from being_remote.workflows.sync import sync

MakeInventory = Callable[..., Inventory]
FRAMES = 4


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker's checkout with one finished run of `demo`; copied by each test."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=FRAMES, pictures=False, video=False)
    return root


class Place(SyncedActor):
    """A host with the actor on its disk and jobs at work, and an inventory that knows it."""

    def __init__(self, folder: Path, inventory: Inventory) -> None:
        self.disk = folder / "disk"
        super().__init__(self.disk / "tracker", self.disk / "Being", inventory)

    def look(self) -> SafeReport:
        return safe_to_stop(self.inventory)

    def why(self) -> list[tuple[str, str]]:
        return [(reason.what, reason.next) for reason in self.look().reasons]

    def job(self, script: str, **more: Any) -> str:
        words = f"sh -c '{script}'"
        return str(retrack(self.inventory, recipe="command", command=words, gpus=0, **more).job)

    def work(self, job: str) -> Path:
        return self.workdir / "jobs" / job / "attempts/1/work"

    def ended(self, script: str) -> str:
        """A job that has ended, of which nothing was downloaded."""
        job = self.job(script)
        self.until_ended(job, 1)
        return job

    def until_ended(self, job: str, attempt: int) -> None:
        end = self.workdir / "jobs" / job / "attempts" / str(attempt) / "end.json"
        deadline = time.monotonic() + 30
        while not end.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def both_sides(self) -> dict[str, tuple[Any, ...]]:
        """All that lies on both sides, as far as a look could change it."""
        found = {}
        for root in (self.disk, self.inventory.backups, self.inventory.state):
            for folder, folders, names in os.walk(root):
                for name in (*folders, *names):
                    path = Path(folder, name)
                    at = path.lstat()
                    data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                    what = (at.st_ino, at.st_mode, hashlib.sha256(data).hexdigest())
                    found[str(path)] = what if path.is_dir() else (*what, at.st_mtime_ns)
        return found


@pytest.fixture
def there(actor: Path, pod: Pod, make_inventory: MakeInventory, tmp_path: Path) -> Iterator[Place]:
    """A real sshd."""
    shutil.copytree(actor, tmp_path / "disk/tracker")
    entry = pod.inventory_entry() | {
        "workdir": str(tmp_path / "disk/Being"),
        "tracker": {"root": str(tmp_path / "disk/tracker")},
    }
    inventory = make_inventory({"pod": entry})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")
    place = Place(tmp_path, inventory)
    yield place
    _clean(place)


@pytest.fixture
def here(actor: Path, make_inventory: MakeInventory, tmp_path: Path) -> Iterator[Place]:
    """This machine as a host: the same way, without a network."""
    shutil.copytree(actor, tmp_path / "disk/tracker")
    entry = {
        "kind": "local",
        "workdir": str(tmp_path / "disk/Being"),
        "python": sys.executable,
        "tracker": {"root": str(tmp_path / "disk/tracker")},
    }
    actors = {"demo": {"source_size": [1920, 1080], "host_backups": ["data/backup/demo"]}}
    place = Place(tmp_path, make_inventory({"here": entry}, actors))
    yield place
    _clean(place)


def _clean(place: Place) -> None:
    for job in ledger_of(place.inventory).jobs():
        if not job.ended:
            cancel.cancel(place.inventory, job.job)


def rewrite(file: Path) -> None:
    """Another last byte; the same size and time."""
    at, data = file.stat(), file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))


def hashed_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the host is asked to hash from now on."""
    asked: list[str] = []

    def hash_and_note(session: Any, python: str, sizes: Mapping[FileKey, int]) -> Any:
        asked.extend(os.fsdecode(name) for _, name in sizes)
        return hash_files(session, python, sizes)

    monkeypatch.setattr(file_comparison, "hash_files", hash_and_note)
    return asked


def text(report: SafeReport, *, terminal: bool = False) -> str:
    shown = io.StringIO()
    show_safe_to_stop(Console(width=200, file=shown, force_terminal=terminal, color_system=None), report)
    return shown.getvalue()


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pod_whose_files_are_all_local_may_be_stopped_and_looking_changes_nothing(there: Place) -> None:
    before = there.both_sides()
    (reason,) = there.look().reasons
    assert reason.next == "sync --actor demo --host pod" and "not local" in reason.what
    assert there.both_sides() == before

    report = sync(there.inventory)
    before = there.both_sides()
    yes = there.look()
    assert (yes.safe, yes.exit_code, yes.reasons, yes.host) == (True, 0, (), "pod")
    (row,) = yes.actors
    assert (row.files, row.bytes, row.not_home.count) == (report.files, report.bytes, 0)
    assert yes.round_trips <= 4 and yes.idle_s is not None
    assert there.both_sides() == before
    assert text(yes).startswith(f"yes: 1 actor, {report.files} files, 0 jobs verified local; pod idle for ")


def test_one_other_byte_on_the_host_is_a_no_even_with_the_same_size_and_time(there: Place) -> None:
    sync(there.inventory)
    rewrite(there.tracker / "output/demo/train.log")
    report = there.look()
    assert (report.safe, report.exit_code) == (False, 6)
    assert report.actors[0].not_home.examples == ("run/logs/train.log",)
    assert text(report).startswith("NO: not local: 1 file ('run/logs/train.log') of demo")


def test_what_a_sync_had_hashed_on_the_host_is_not_hashed_again_while_it_looks_the_same(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "TICK_NS", 0)  # the files were made just now
    sync(here.inventory)
    asked = hashed_names(monkeypatch)
    assert here.look().safe is True and asked == []
    os.utime(here.checkpoint / "00000.frame", (1, 1))
    assert here.look().safe is True and asked == ["00000.frame"]


@pytest.mark.parametrize("harm", ["gone", "short", "link"])
def test_what_a_manifest_names_and_is_not_here_is_a_no(here: Place, harm: str) -> None:
    sync(here.inventory)
    digest = hashlib.sha256((here.checkpoint / "00001.frame").read_bytes()).hexdigest()
    kept = History(here.root).object(digest)
    data = kept.read_bytes()
    kept.unlink()
    if harm == "short":
        kept.write_bytes(data[:-1])
    if harm == "link":
        kept.symlink_to(here.checkpoint / "00001.frame")
    assert here.look().actors[0].not_home.examples == ("checkpoint/00001.frame",)


def test_what_an_earlier_snapshot_holds_is_local(here: Place) -> None:
    log = here.tracker / "output/demo/train.log"
    first = log.read_bytes()
    sync(here.inventory)
    log.write_bytes(b"started anew\n")
    sync(here.inventory)
    log.write_bytes(first)
    assert here.look().safe is True


def test_contents_that_no_snapshot_names_are_not_local(here: Place) -> None:
    sync(here.inventory)
    log = here.tracker / "output/demo/train.log"
    rewrite(log)
    # As a sync leaves them that was killed; the next prune would take them.
    History(here.root).object(hashlib.sha256(log.read_bytes()).hexdigest()).write_bytes(log.read_bytes())
    assert here.look().actors[0].not_home.examples == ("run/logs/train.log",)


def test_a_snapshot_that_is_removed_while_it_is_read_is_passed_over(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    real, told = History.snapshot_numbers, [[7], [0], [0]]
    monkeypatch.setattr(History, "newest", lambda _: None)
    monkeypatch.setattr(History, "snapshot_numbers", lambda self: told.pop(0) if told else real(self))
    assert here.look().safe is True


def test_a_running_sync_or_watch_does_not_stop_the_check(here: Place) -> None:
    sync(here.inventory)
    with History(here.root).lock():
        assert here.look().safe is True


def test_a_file_that_is_torn_on_both_sides_is_a_no_of_its_own(here: Place) -> None:
    frame = here.checkpoint / "00002.frame"
    frame.write_bytes(frame.read_bytes()[:-100])
    old = time.time() - 100
    os.utime(frame, (old, old))
    sync(here.inventory)
    ((what, next_step),) = here.why()
    assert "torn on here" in what and "track them again" in next_step
    os.utime(frame)
    ((what, next_step),) = here.why()
    assert "still being written" in what and "wait a moment" in next_step


def test_a_name_that_cannot_be_downloaded_is_named_with_its_reason(here: Place) -> None:
    logs = here.tracker / "output/demo/logs"
    logs.mkdir(exist_ok=True)
    (logs / "a").write_text("a file\n")
    sync(here.inventory)
    (logs / "a").unlink()
    (logs / "a").mkdir()
    (logs / "a/b").write_text("now in a folder\n")
    ((what, next_step),) = here.why()
    assert "'run/logs/a' is a file here" in what and next_step.startswith("rename it")


def test_a_frame_that_is_a_link_is_a_no(here: Place) -> None:
    sync(here.inventory)
    (here.checkpoint / "00009.frame").symlink_to("/elsewhere/00009.frame")
    ((what, _),) = here.why()
    assert "is a link" in what and "00009.frame" in what


@pytest.mark.slow
def test_a_run_that_no_actor_names_is_a_no_until_its_bytes_are_local(here: Place) -> None:
    sync(here.inventory)
    other = here.tracker / "output/other/checkpoint"
    shutil.copytree(here.checkpoint, other)
    report = here.look()
    assert report.safe is True and any("whose bytes are local" in note for note in report.notes)
    rewrite(other / "00000.frame")
    (here.tracker / "input/other").mkdir()
    (here.tracker / "input/other/bbox.pt").write_bytes(b"another box")
    (box, _), (what, next_step) = sorted(here.why())
    assert "input/other' holds 1 file ('bbox.pt')" in box
    assert "output/other/checkpoint' holds 1 file ('00000.frame') that no actor" in what
    assert "output: output/other" in next_step


@pytest.mark.slow
def test_frames_behind_an_output_that_is_a_link_to_another_disk_are_seen(here: Place, tmp_path: Path) -> None:
    sync(here.inventory)
    shutil.move(here.tracker / "output", tmp_path / "disk/volume")
    (here.tracker / "output").symlink_to(tmp_path / "disk/volume")
    assert here.look().safe is True
    shutil.copytree(here.checkpoint, here.tracker / "output/more")
    rewrite(here.tracker / "output/more/00000.frame")
    assert here.look().safe is False


@pytest.mark.parametrize("linked", ["output/bob", "output/bob/checkpoint", "output/bob/checkpoint/7.frame"])
def test_a_run_that_no_actor_names_is_a_no_though_only_a_link_leads_to_it(
    here: Place, tmp_path: Path, linked: str
) -> None:
    sync(here.inventory)
    there = tmp_path / "volume" / linked
    frame = tmp_path / "volume/output/bob/checkpoint/7.frame"
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"made on another disk")
    link = here.tracker / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(there)
    ((what, _),) = here.why()
    assert "volume/output/bob/checkpoint' holds 1 file ('7.frame')" in what


@pytest.mark.slow
def test_the_copy_in_a_backup_on_the_host_counts_by_its_bytes(here: Place) -> None:
    sync(here.inventory)
    copy = here.workdir / "data/backup/demo/checkpoint"
    shutil.copytree(here.checkpoint, copy)
    assert here.look().safe is True
    rewrite(copy / "00003.frame")
    assert here.look().safe is False


def test_what_no_kind_covers_is_reported_and_no_reason(here: Place) -> None:
    sync(here.inventory)
    masks = here.tracker / "input/demo/masks"
    masks.mkdir()
    (masks / "00001.png").write_bytes(bytes(2_500_000))
    report = here.look()
    assert report.safe is True
    assert any("sync does not cover" in n and "input/demo/masks" in n for n in report.notes)
    for terminal in (True, False):
        verdict, note = text(report, terminal=terminal).split("\n", 1)
        assert verdict.startswith("yes") and note.startswith("note: demo: sync does not cover")


def picture(number: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n%d\x00\x00\x00\x00IEND\xaeB`\x82" % number


def with_source(place: Place, *, video: bytes | None = b"the video", pictures: int = 3) -> None:
    folder = place.tracker / "input/demo"
    (folder / "source").mkdir(exist_ok=True)
    for number in range(pictures):
        (folder / f"source/{number:05d}.png").write_bytes(picture(number))
    if video is not None:
        (folder / "video.mp4").write_bytes(video)


@pytest.mark.slow
def test_source_pictures_are_a_no_until_sync_downloads_them_or_their_video_is_local(here: Place) -> None:
    sync(here.inventory)
    with_source(here)
    ((what, next_step),) = here.why()
    assert "3 files ('actor/source/00000.png'" in what and "no local video" in what
    assert next_step == "sync --actor demo --host here --only sources"
    report = sync(here.inventory, only=["sources"])
    assert (here.root / "actor/source/00002.png").read_bytes() == picture(2)
    assert (here.root / "actor/video.mp4").read_bytes() == b"the video" and report.files == 4
    assert here.look().safe is True
    (here.tracker / "input/demo/source/00003.png").write_bytes(picture(3))
    report = here.look()  # the video that it was cut from came with that sync
    assert report.safe is True and any(
        "the video that they were cut from is" in note for note in report.notes
    )
    assert sync(here.inventory).transferred_files == 0  # a plain sync leaves them alone
    (here.tracker / "input/demo/video.mp4").unlink()
    torn = here.tracker / "input/demo/source/00003.png"
    torn.write_bytes(picture(3)[:-1])
    os.utime(torn, (1, 1))
    assert here.look().safe is False
    assert len(sync(here.inventory, only=["sources"]).quarantined) == 1
    assert here.look().safe is True  # nothing there is better than what is kept


@pytest.mark.slow
def test_source_pictures_are_no_reason_where_the_inventory_names_the_very_video(
    here: Place, tmp_path: Path, actor: Path, make_inventory: MakeInventory
) -> None:
    video, entry = tmp_path / "video.mp4", here.inventory.hosts["here"].model_dump(mode="json")
    video.write_bytes(b"the video")
    entry = {key: value for key, value in entry.items() if key not in ("name", "search_roots")}
    here.inventory = make_inventory({"here": entry}, {"demo": {"video": str(video)}})
    sync(here.inventory)
    with_source(here)
    report = here.look()
    assert report.safe is True and any(
        "the video that they were cut from is" in note for note in report.notes
    )
    video.write_bytes(b"the vidEo")
    assert here.look().safe is False
    pictures = tmp_path / "pictures"
    shutil.copytree(here.tracker / "input/demo/source", pictures)
    here.inventory = make_inventory({"here": entry}, {"demo": {"video": str(pictures)}})
    assert here.look().safe is True
    (pictures / "00001.png").unlink()
    ((what, _),) = here.why()
    assert what.startswith("not local: 1 file ('actor/source/00001.png')")


@pytest.mark.slow
def test_a_video_that_nothing_was_cut_from_yet_counts_itself(here: Place) -> None:
    sync(here.inventory)
    (here.tracker / "input/demo/video.mp4").write_bytes(b"the video")
    ((what, next_step),) = here.why()
    assert what == "not local: 1 file ('actor/video.mp4') of demo" and next_step.endswith("--only sources")
    sync(here.inventory, only=["sources"])
    assert here.look().safe is True


@pytest.mark.parametrize(
    "folder", [".cache", ".Trash", ".git", "node_modules", "__pycache__", ".history", "site-packages"]
)
def test_frames_count_whatever_the_folder_is_called(here: Place, folder: str) -> None:
    sync(here.inventory)
    frame = here.workdir / folder / "deep/checkpoint/7.frame"
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"only here")
    ((what, _),) = here.why()
    assert f"{folder}/deep/checkpoint' holds 1 file ('7.frame')" in what


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel shows no files there")
def test_frames_on_a_memory_disk_behind_a_link_count(here: Place) -> None:
    sync(here.inventory)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        Path(memory, "7.frame").write_bytes(b"only here")
        (here.tracker / "output/fast").symlink_to(memory)
        report = here.look()
    assert report.safe is False and f"{memory!r} holds 1 file ('7.frame')" in report.reasons[0].what
    assert any("outside the workdir" in note and memory in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["input/00001.png", "mesh/00001.ply", "input/00001.jpg"])
def test_crops_and_meshes_that_exist_only_there_are_a_no(here: Place, name: str) -> None:
    sync(here.inventory)
    for run in ("demo", "other"):
        file = here.tracker / "output" / run / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"only here")
        report = here.look()
        assert report.safe is False and Path(name).name in report.reasons[0].what
        shutil.rmtree(file.parent)


@pytest.mark.slow
def test_a_frame_by_another_spelling_is_unknown_unless_its_bytes_are_local(here: Place) -> None:
    sync(here.inventory)
    odd = here.tracker / "output/demo/checkpoint/00001.FRAME"
    shutil.copy(here.checkpoint / "00001.frame", odd)
    assert here.look().safe is True
    odd.write_bytes(b"only here")
    report = here.look()
    assert (report.safe, report.verdict, report.exit_code) == (None, "unknown", 4)
    assert "00001.FRAME" in report.reasons[0].what and "another spelling" in report.reasons[0].what


def test_archives_and_temporary_files_are_reported(here: Place) -> None:
    sync(here.inventory)
    for name in ("frames.tar", "a.zip", "half.tmp"):
        (here.workdir / "kept").mkdir(parents=True, exist_ok=True)
        (here.workdir / "kept" / name).write_bytes(bytes(500_000))
    report = here.look()
    (note,) = [note for note in report.notes if "archive" in note]
    assert report.safe is True and note.startswith("3 archive or temporary files (1.5 MB) may hold results")
    assert f"3 in {str(here.workdir / 'kept')!r}" in note


@pytest.mark.parametrize("where", ["output/demo/logs/huge", "output/x/checkpoint/1.frame"])
def test_a_sparse_terabyte_is_a_no_by_its_size_and_is_not_hashed(
    here: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    sync(here.inventory)
    huge = here.tracker / where
    huge.parent.mkdir(parents=True, exist_ok=True)
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    asked = hashed_names(monkeypatch)
    report = here.look()
    assert report.safe is False and huge.name in report.reasons[0].what
    assert huge.name not in asked


@pytest.mark.slow
def test_a_large_file_is_hashed_where_something_local_has_its_size(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_files, "LARGE_BYTES", 1)
    log = here.tracker / "output/demo/train.log"
    sync(here.inventory)
    os.utime(log, (1, 1))
    assert here.look().safe is True
    frame = here.checkpoint / "00002.frame"
    frame.write_bytes(frame.read_bytes()[:-100])
    os.utime(frame, (1, 1))
    sync(here.inventory)
    assert "torn on here" in here.why()[0][0]  # what lies in quarantine has a size, too
    frame.unlink()
    job = here.ended("mkdir c; echo torn > c/00001.frame; exit 1")
    pull(here.inventory, job, all_files=True)
    assert here.look().safe is True  # of what was refused there is no size, so it is hashed


def test_of_a_file_that_grows_no_more_is_read_than_was_listed(here: Place) -> None:
    sync(here.inventory)
    log = here.tracker / "output/demo/train.log"
    with _session(here) as session:
        _, hashed = hash_files(session, sys.executable, {(log.parent, b"train.log"): 4})
    (made,) = hashed.values()
    assert made.sha256 == hashlib.sha256(log.read_bytes()[:4]).hexdigest()
    assert made.bytes == log.stat().st_size


def test_a_file_that_cannot_be_read_on_the_host_makes_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    rewrite(here.checkpoint / "00000.frame")
    monkeypatch.setattr(file_comparison, "hash_files", lambda *_: (0, {}))
    report = here.look()
    assert (report.safe, report.exit_code) == (None, 4)
    assert text(report).startswith("UNKNOWN: ")


def test_a_disk_that_was_not_looked_through_to_the_end_makes_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    monkeypatch.setitem(disk_survey._LIMITS, "entries", 3)
    report = here.look()
    assert report.safe is None and "more than 3 entries" in report.reasons[0].what


@pytest.mark.slow
def test_a_file_that_cannot_be_compared_makes_it_unknown_by_name_wherever_it_lies(here: Place) -> None:
    sync(here.inventory)
    with_source(here, video=b"the video")
    sync(here.inventory, only=["sources"])
    job = here.ended("echo x > result")
    pull(here.inventory, job, all_files=True)
    assert here.look().safe is True
    year_2300 = 10_413_792_000 * 10**9
    for path in (
        here.checkpoint / "00009.frame",
        here.checkpoint.parent / "train.log",
        here.tracker / "input/demo/source/00000.png",
        here.tracker / "output/other/checkpoint/1.frame",
        here.work(job) / "more",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(b"only here")
        os.utime(path, ns=(year_2300, year_2300))
        if path.stat().st_mtime_ns != year_2300:
            pytest.skip("this file system keeps no such time")
        report = here.look()
        assert report.safe is None
        assert any(
            path.name in r.what and "modification time is impossible" in r.what for r in report.reasons
        )
        path.unlink()
        if before is not None:
            path.write_bytes(before)


@pytest.mark.slow
def test_a_listing_that_was_cut_makes_it_unknown(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(here.inventory)
    with_source(here, video=b"the video")
    sync(here.inventory, only=["sources"])
    job = here.ended("echo x > a; echo y > b")
    pull(here.inventory, job, all_files=True)
    assert here.look().safe is True
    with monkeypatch.context() as patched:
        one_file = property(lambda j: FolderQuery(j.work, j.work, "*", recursive=True, most=1))
        patched.setattr(EndedJob, "query", one_file)
        ((what, _),) = here.why()
    assert "attempts/1/work' holds more than 1 files" in what
    with monkeypatch.context() as patched:
        real = unowned_files.surveyed_folders
        for module in (unowned_files, file_comparison):
            patched.setattr(
                module, "surveyed_folders", lambda s: [dataclasses.replace(f, most=0) for f in real(s)]
            )
        report = here.look()
        assert report.safe is None and all("more than 0 files" in r.what for r in report.reasons)
    with_source(here, video=b"the video", pictures=FRAMES + 1)
    monkeypatch.setattr(remote_files, "MOST_FILES", FRAMES)
    assert any(f"source' holds more than {FRAMES} files" in what for what, _ in here.why())


def test_a_large_file_is_not_local_because_a_rotten_one_without_a_hash_is_kept(here: Place) -> None:
    sync(here.inventory)
    rotten = here.root / ".history/rotten"
    rotten.write_bytes(b"x")
    seen = CheckedFile("bbox.pt", rotten, "", 1, 0, judged=False, error=None)
    quarantine_of(History(here.root)).keep(seen, 0, reason="it rotted here")
    video = here.tracker / "input/demo/video.mp4"
    with video.open("wb") as file:
        file.truncate(host_files.LARGE_BYTES)
    ((what, _),) = here.why()
    assert what == "not local: 1 file ('actor/video.mp4') of demo"


def test_a_video_that_cannot_be_read_here_proves_nothing_about_one_on_the_host(
    here: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"x")
    actor = here.inventory.actors["demo"].model_copy(update={"video": video})
    monkeypatch.setattr(local_copies, "hash_of", lambda _file: "")  # as after a read error
    huge = HostFile("actor/video.mp4", here.tracker, b"video.mp4", 1, 0, host_files.NOT_HASHED)
    assert LocalCopies(here.inventory).find_unlike_original(actor, [huge]) == [huge]


def test_a_frame_behind_a_link_of_another_name_counts(here: Place, tmp_path: Path) -> None:
    sync(here.inventory)
    frame = tmp_path / "elsewhere/7.frame"
    frame.parent.mkdir()
    frame.write_bytes(b"only here")
    here.workdir.mkdir(exist_ok=True)
    (here.workdir / "latest").symlink_to(frame)
    report = here.look()
    assert report.safe is False and "holds 1 file ('7.frame')" in report.reasons[0].what


# -- jobs ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_results_of_a_job_count_until_they_were_pulled_as_they_are_now(there: Place) -> None:
    sync(there.inventory)
    job = there.ended("echo one > one.txt")
    ((what, next_step),) = there.why()
    assert f"{job} (succeeded) has files that are not local: 1 file ('one.txt')" in what
    assert next_step == f"pull {job} --all"
    folder = pull(there.inventory, job, all_files=True).folder
    before = there.both_sides()
    report = there.look()
    assert report.safe is True and report.round_trips <= 4
    assert [(row.job, row.state, row.files) for row in report.jobs] == [(job, "succeeded", 1)]
    assert there.both_sides() == before
    (there.work(job) / "one.txt").write_text("two\n")
    assert "1 differ from the local files" in there.why()[0][0]
    (there.work(job) / "one.txt").write_text("one\n")
    (folder / "one.txt").unlink()
    assert there.look().jobs[0].not_home.count == 1


@pytest.mark.slow
def test_a_result_that_is_a_link_is_unknown_for_no_pull_follows_it(here: Place, tmp_path: Path) -> None:
    sync(here.inventory)
    (tmp_path / "elsewhere").write_text("only here")
    job = here.ended(f"echo x > result; ln -s {tmp_path}/elsewhere more")
    pull(here.inventory, job, all_files=True)
    ((what, _),) = here.why()
    assert what == f"{job} left links or specials, which are not followed: 'more' (1 in all)"


@pytest.mark.slow
def test_a_job_at_work_is_a_no_and_one_that_left_nothing_is_not(here: Place) -> None:
    sync(here.inventory)
    job = here.job("sleep 60")
    report = here.look()
    assert (report.safe, report.idle_s) == (False, 0.0)
    assert report.reasons[0].what.startswith(f"{job} is running")
    assert report.reasons[0].next == f"logs {job} --follow, or cancel {job}"
    cancel.cancel(here.inventory, job)
    assert here.look().safe is True


@pytest.mark.slow
def test_of_a_job_that_failed_what_is_whole_must_be_downloaded_and_torn_frames_are_worth_nothing(
    here: Place,
) -> None:
    sync(here.inventory)
    job = here.ended("mkdir c; echo torn > c/00001.frame; echo x > ok; exit 1")
    ((what, next_step),) = here.why()
    assert (
        f"{job} (failed) has files that are not local: 2 files" in what and next_step == f"pull {job} --all"
    )
    pull(here.inventory, job, all_files=True)
    report = here.look()
    assert report.safe is True, report.reasons
    assert any("c/00001.frame" in note and "worth nothing" in note for note in report.notes)


@pytest.mark.slow
def test_frames_that_only_an_earlier_attempt_has_count_until_the_job_succeeds(here: Place) -> None:
    sync(here.inventory)
    job = here.ended("test -e ../../../go && exit 0; echo 1 > 1.frame; echo 2 > 2.frame; exit 1")
    assert resume(here.inventory, job).attempt == 2
    here.until_ended(job, 2)
    (here.work(job).parents[1] / "2/work/2.frame").unlink()
    whats = [what for what, _ in here.why()]
    assert any(
        f"attempt 1 of {job} left files that are not local: 1 file ('2.frame')" in what for what in whats
    ), whats
    (here.workdir / "jobs" / job / "go").touch()
    resume(here.inventory, job)
    here.until_ended(job, 3)
    assert here.look().safe is True


@pytest.mark.parametrize(
    ("state", "names", "missing", "next_step"),
    [
        ("succeeded", ("result.json", "output/d/checkpoint/1.frame"), (), None),
        ("succeeded", ("result.json", "output/d/checkpoint/1.frame"), ("result.json",), "pull j"),
        ("succeeded", ("result.json", "output/d/mesh/1.ply"), ("output/d/mesh/1.ply",), "pull j --all"),
        ("failed", ("input/d/bbox.pt", "output/d/train.log"), ("input/d/bbox.pt",), None),
        ("lost", ("input/d/bbox.pt", "output/d/checkpoint/1.frame"), ("input/d/bbox.pt",), "pull j"),
        ("succeeded", ("input/d/images/1.png", "output/other.txt"), ("input/d/images/1.png",), None),
    ],
)
def test_of_a_tracking_all_that_pull_downloads_counts_and_nothing_of_one_without_frames(
    here: Place, state: str, names: tuple[str, ...], missing: tuple[str, ...], next_step: str | None
) -> None:
    job = tracking(state)
    folder = here.root / "runs/j"
    folder.mkdir(parents=True)
    entries = {name: {"bytes": 1, "sha256": "0" * 64} for name in names if name not in missing}
    (folder / "pulled.json").write_text(json.dumps({"files": entries}))
    for name in entries:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    files = read_job(job, "here", LocalCopies(here.inventory), listing_of(names))
    found = files.compare([dataclasses.replace(file, sha256="0" * 64) for file in files.files])
    assert [reason.next for reason in found.reasons] == ([] if next_step is None else [next_step])


@pytest.mark.parametrize(("state", "is_no"), [("succeeded", True), ("failed", False), ("lost", False)])
def test_a_result_that_was_refused_is_worth_nothing_unless_its_job_succeeded(
    here: Place, state: str, is_no: bool
) -> None:
    name = "output/d/checkpoint/1.frame"
    folder = here.root / "runs/j"
    folder.mkdir(parents=True)
    aside = {name: {"sha256": "0" * 64, "reason": "torn"}}
    (folder / "pulled.json").write_text(json.dumps({"files": {}, "set_aside": aside}))
    files = read_job(tracking(state), "here", LocalCopies(here.inventory), listing_of([name]))
    (file,) = files.files
    found = files.compare([dataclasses.replace(file, sha256="0" * 64)])
    assert [reason.verdict for reason in found.reasons] == (["no"] if is_no else [])
    assert any("worth nothing" in note for note in found.notes) is not is_no
    assert found.jobs[0].not_home.count == is_no
    # With other bytes it is another file, which was not refused yet.
    found = files.compare([dataclasses.replace(file, sha256="1" * 64)])
    assert [reason.verdict for reason in found.reasons] == ["no"]


def test_a_torn_frame_that_following_a_lost_job_quarantined_is_worth_nothing(here: Place) -> None:
    name, folder = "output/d/checkpoint/1.frame", here.root / "runs/j"
    torn = folder.with_name("torn")
    folder.mkdir(parents=True)
    torn.write_bytes(b"torn")
    seen = CheckedFile(name, torn, hash_of(torn), 4, 0, judged=True, error=TornFile("cut", file=name))
    ResultFolder(folder).quarantine.keep(seen, 0)
    files = read_job(tracking("lost"), "here", LocalCopies(here.inventory), listing_of([name]))
    found = files.compare([dataclasses.replace(file, sha256=seen.sha256) for file in files.files])
    assert not found.reasons and any("worth nothing" in note for note in found.notes)


def test_the_box_of_a_tracking_that_made_no_frame_is_worth_nothing_and_one_elsewhere_counts() -> None:
    job = tracking("failed")
    folders = [job.work / "input/demo", PurePosixPath("/mt/input/demo")]
    box = listing_of(["bbox.pt"]).folders[0]
    found = unowned(survey_of(*folders), [box, box], {"j": files_of(job)})
    assert [folder.folder for folder in found] == [folders[1]]


HOST = LocalHost(name="here", workdir=PurePosixPath("/w"))


def tracking(state: str, attempt: int = 1) -> EndedJob:
    """A job of the tracker that has ended."""
    work = PurePosixPath(f"/w/jobs/j/attempts/{attempt}/work")
    patterns = ResultPatterns(MetricalTracker().results, MetricalTracker().more_results)
    return EndedJob("j", attempt, JobState(state), True, "demo", work, patterns, "pull j", "pull j --all")


def files_of(job: EndedJob, *names: str) -> JobFiles:
    files = [HostFile(name, job.work, name.encode(), 1, 0) for name in names]
    return JobFiles(job, "here", LocalResults([]), files, [])


def listing_of(names: Iterable[str]) -> Listing:
    """One folder with files of one byte."""
    files = [ListedFile(name.encode(), 1, 0, 0, 0, None) for name in names]
    start = ContainerStart(boot_id=None, pid_namespace=None)
    return Listing(start, 0, [ListedFolder(True, None, files, [])], "")


def unowned(
    survey: disk_survey.DiskSurvey,
    listed: list[ListedFolder],
    ended: dict[str, JobFiles],
    judged: tuple[str, ...] = (),
) -> list[unowned_files.UnownedFolder]:
    local: Any = None
    return unowned_files.read_unowned(HOST, local, survey, listed, set(), ended, judged)


def survey_of(*folders: PurePosixPath) -> disk_survey.DiskSurvey:
    held = [disk_survey.SurveyedFolder(path=encode(f), files=1, bytes=1) for f in folders]
    nothing: Any = {"count": 0, "examples": []}
    return disk_survey.DiskSurvey(
        now_ns=1,
        newest_ns=None,
        main_walked=encode("/mt"),
        up_s=None,
        folders=held,
        counted=[],
        others=[],
        odd=[],
        recipes=[],
        unreadable=nothing,
        outside=nothing,
        away=nothing,
        truncated=[],
    )


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost", "cancelled"])
def test_of_an_earlier_attempt_the_frames_count_that_the_newest_has_not_unless_it_succeeded(
    state: str,
) -> None:
    job = tracking(state, attempt=2)
    shown = survey_of(PurePosixPath("/w/jobs/j/attempts/1/work/output/d/checkpoint"))
    listed = listing_of(["1.frame", "2.frame", "bbox.pt"]).folders
    ended = {"j": files_of(job, "output/d/checkpoint/1.frame")}
    found = unowned(shown, listed, ended)
    left = [file.path for folder in found for file in folder.files]
    assert left == ([] if state == "succeeded" else ["2.frame"])
    # Frames of the newest attempt that lie beside its results count in any case.
    found = unowned(survey_of(job.work / "elsewhere"), listed, ended)
    assert [file.path for folder in found for file in folder.files] == ["1.frame", "2.frame"]
    # A job that is judged by itself owns its files.
    assert unowned(shown, listed, {}, judged=("j",)) == []


@pytest.mark.slow
def test_another_laptops_job_counts_as_ours_do(here: Place, tmp_path: Path) -> None:
    sync(here.inventory)
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text((tmp_path / "inventory.yaml").read_text().replace("/state", "/their-state"))
    their_inventory = load_inventory(theirs)
    them = Place(tmp_path, their_inventory)
    job = them.job("echo x > result; sleep 60")
    report = here.look()
    assert report.reasons[0].what.startswith(f"{job} of another laptop is running")
    cancel.cancel(their_inventory, job)
    ((what, next_step),) = here.why()
    assert f"{job} of another laptop (cancelled) has files that are not local: 1 file ('result')" in what
    assert "--take-over" in next_step
    pull(their_inventory, job, all_files=True)  # both laptops have one backup
    assert here.look().safe is True


@pytest.mark.slow
def test_a_job_whose_folder_is_gone_is_unknown_and_one_that_was_never_sent_does_not_matter(
    here: Place,
) -> None:
    sync(here.inventory)
    job = here.job("sleep 60")
    ledger = ledger_of(here.inventory)
    spec = ledger.find(job)
    ledger.intend(Intent("never-sent", "here", None, "command", b"{}", "0" * 64, b"", "another"))
    cancel.cancel(here.inventory, job)
    assert here.look().safe is True
    ledger.next_attempt(job, 1, {"reason": "for this test"})
    ledger.record_volume(job, 2, _volume(here))
    ledger.record(job, 2, JobState("running"), {"reason": "for this test"})
    shutil.rmtree(here.workdir / "jobs" / spec.job)
    report = here.look()
    assert (report.safe, report.exit_code) == (None, 4)
    assert report.reasons[0].next == f"jobs --why {job}"
    ledger.record(job, 2, JobState("failed"), {"reason": "for this test"})


def _volume(place: Place) -> str:
    return str(json.loads((place.workdir / "jobs/.volume").read_text())["volume"])


@pytest.mark.slow
def test_an_attempt_that_runs_although_its_job_was_moved_is_a_no(here: Place) -> None:
    job = here.job("sleep 60")
    ledger = ledger_of(here.inventory)
    moved = dataclasses.replace(ledger.find(job), host="there", attempt=2)
    with _session(here) as session:
        answer = look_at_host(session, here.inventory.the_host(None))
    stand = judge_jobs("here", {job: moved}, {}, answer)
    (reason,) = stand.reasons
    assert "attempt 1" in reason.what and "attempt 2 on there counts" in reason.what
    assert reason.next == f"cancel {job} --host here"
    cancel.cancel(here.inventory, job)
    with _session(here) as session:
        answer = look_at_host(session, here.inventory.the_host(None))
    stand = judge_jobs("here", {job: moved}, {}, answer)
    assert (stand.reasons, stand.ended) == ([], []) and "worth nothing" in stand.notes[0]
    hidden = dataclasses.replace(answer, problems=("2 of its 3 rows about jobs make no sense",))
    (reason,) = judge_jobs("here", {job: moved}, {}, hidden).reasons  # there may be a job that is not shown
    assert reason.verdict == "unknown" and "2 of its 3 rows" in reason.what
    for state in ("lost", "failed", "cancelled", "abandoned"):
        stand = judge_jobs("here", {job: dataclasses.replace(moved, state=JobState(state))}, {}, answer)
        (reason,) = stand.reasons
        assert reason.verdict == "unknown" and "frames here may exist nowhere else" in reason.what
        assert f"is {state}" in reason.what and stand.notes == []
    for state in ("succeeded", "running", "unknown"):
        stand = judge_jobs("here", {job: dataclasses.replace(moved, state=JobState(state))}, {}, answer)
        assert stand.reasons == [] and "worth nothing" in stand.notes[0]


def test_a_job_whose_id_is_another_jobs_there_is_unknown(here: Place) -> None:
    job = here.ended("true")
    known = ledger_of(here.inventory).find(job)
    with _session(here) as session:
        answer = look_at_host(session, here.inventory.the_host(None))
    assert judge_jobs("here", {job: known}, {}, answer).reasons == []
    other = dataclasses.replace(known, spec_sha256="0" * 64)
    stand = judge_jobs("here", {job: other}, {}, answer)
    (reason,) = stand.reasons
    assert reason.verdict == "unknown" and "holds another spec" in reason.what and stand.ended == []


def _session(place: Place) -> Any:
    from being_remote.transport import open_session

    return open_session(place.inventory.the_host(None), place.inventory)


# -- GPUs, and the host itself ----------------------------------------------------------------------


def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An nvidia-smi of this host's own."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.slow
def test_a_gpu_that_is_busy_without_a_job_of_ours_is_a_no(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own/locks"))
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 40000, 97'")
    report = here.look()
    assert not (tmp_path / "own").exists()  # not even the folder of the leases was made
    assert (report.safe, report.idle_s) == (False, 0.0)
    assert "another person's process?" in report.reasons[0].what and "40,000 MiB" in report.reasons[0].what
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 4, 0'")
    report = here.look()
    assert report.safe is True and [g.busy for g in report.gpus] == [False]
    assert "; GPU idle for " in text(report)
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 4, [N/A]'")
    assert here.look().safe is True
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, [Unknown Error], [Unknown Error]'")
    report = here.look()
    assert report.safe is None and "whether GPU 0 is in use is unknown" in report.reasons[0].what


def test_a_gpu_that_a_job_of_another_workdir_leases_is_a_no(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from being_remote.pod import locks

    sync(here.inventory)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own/locks"))
    (tmp_path / "own").mkdir(mode=0o700)
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 4, 0'")
    lock = locks.take(locks.gpu_locks("GPU-aaaa-1")[0])
    assert lock is not None
    locks.write_note(lock, {"job": "elsewhere-1"})
    ((what, _),) = here.why()
    assert "GPU 0 is leased by 'elsewhere-1'" in what
    os.close(lock)


@pytest.mark.parametrize(
    ("script", "safe"),
    [
        ("echo No devices were found; exit 6", True),
        ("echo it is out of order >&2; exit 9", None),
    ],
)
def test_no_gpu_is_fine_and_a_driver_in_trouble_is_unknown(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, safe: bool | None
) -> None:
    sync(here.inventory)
    smi(tmp_path, monkeypatch, script)
    assert here.look().safe is safe


@pytest.mark.slow
def test_idle_is_reported_by_the_hosts_own_times(here: Place) -> None:
    sync(here.inventory)
    for folder, _, names in os.walk(here.tracker):
        for name in names:
            os.utime(Path(folder, name), (time.time() - 9000, time.time() - 9000))
    idle_s = here.look().idle_s
    assert idle_s is not None and 9000 <= idle_s < 9060
    os.utime(here.checkpoint / "00000.frame", (time.time() - 600, time.time() - 600))
    idle_s = here.look().idle_s
    assert idle_s is not None and 600 <= idle_s < 660
    os.utime(here.checkpoint / "00000.frame", (time.time() + 600, time.time() + 600))
    assert here.look().idle_s is None


@pytest.mark.slow
def test_what_idling_costs_is_reported_where_the_inventory_has_a_price(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    for folder, _, names in os.walk(here.tracker):
        for name in names:
            os.utime(Path(folder, name), (time.time() - 11_400, time.time() - 11_400))
    assert here.look().idle_usd is None
    priced = here.inventory.hosts["here"].model_copy(update={"usd_per_hour": 1.5})
    here.inventory = here.inventory.model_copy(update={"hosts": {"here": priced}})
    report = here.look()
    assert report.idle_usd is not None and 4.75 <= report.idle_usd < 4.80
    long_up = dataclasses.replace(report, up_s=1e6, idle_usd=4.75)
    assert "here idle for 3 h 10 min (by its files' times): about 4.75 USD" in text(long_up)
    started = text(dataclasses.replace(long_up, up_s=2400.0))
    assert "about 4.75 USD if it ran all that time; it was started 40 min ago" in started
    job = here.job("sleep 60")
    busy = here.look()
    assert (busy.idle_s, busy.idle_usd) == (0.0, 0.0) and "here in use" in text(busy)
    cancel.cancel(here.inventory, job)


def test_how_long_a_host_runs_is_reported_by_a_clock_that_nothing_sets(here: Place) -> None:
    up_s = here.look().up_s
    assert sys.platform != "linux" or (
        up_s is not None and 0 < up_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
    )


@pytest.mark.slow
def test_with_a_command_to_run_after_it_a_job_that_starts_meanwhile_makes_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    assert safe_to_stop(here.inventory, look_again=True).safe is True
    real, came = stop_check.survey_disk, []

    def slow(*args: Any, **more: Any) -> Any:
        came.append(here.job("sleep 60"))
        return real(*args, **more)

    monkeypatch.setattr(stop_check, "survey_disk", slow)
    report = safe_to_stop(here.inventory, look_again=True)
    assert report.safe is None and came[0] in report.reasons[0].what


def test_with_a_command_to_run_after_it_jobs_that_the_second_look_may_miss_make_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    real, looks = stop_check.look_at_host, []

    def odd(*args: Any) -> Any:
        looks.append(real(*args))
        return dataclasses.replace(looks[-1], problems=("1 of its 2 rows",) if len(looks) > 1 else ())

    monkeypatch.setattr(stop_check, "look_at_host", odd)
    report = safe_to_stop(here.inventory, look_again=True)
    assert len(looks) == 2 and [r.what for r in report.reasons] == ["jobs may be missing: 1 of its 2 rows"]


def test_an_unreachable_or_untrusted_host_is_unknown_and_an_unknown_name_is_2(
    there: Place, make_inventory: MakeInventory
) -> None:
    (there.inventory.state / "known_hosts").unlink()
    report = there.look()
    assert (report.safe, report.exit_code) == (None, 4)
    assert "trust --host pod" in report.reasons[0].next
    assert not (there.inventory.state / "known_hosts").exists()
    away = make_inventory({"away": {"address": "127.0.0.1", "port": 1, "user": "root", "workdir": "/w"}})
    report = safe_to_stop(away)
    assert (report.safe, report.exit_code, report.round_trips) == (None, 4, 0)
    with pytest.raises(UsageError, match="no host named 'nope'"):
        safe_to_stop(away, host="nope")


def test_a_no_that_was_found_before_the_link_broke_stays_one(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> Any:
        raise HostError("the link broke", host="here")

    job = here.job("sleep 60")
    monkeypatch.setattr(stop_check, "survey_disk", breaks)
    report = here.look()
    assert (report.safe, report.exit_code) == (False, 6)
    assert [reason.verdict for reason in report.reasons] == ["no", "unknown"]
    assert job in report.reasons[0].what and report.reasons[1].what == "the link broke"


def test_a_host_that_holds_nothing_may_be_stopped_cloned_or_not(here: Place) -> None:
    shutil.rmtree(here.disk)
    here.tracker.mkdir(parents=True)
    report = here.look()
    assert (report.safe, report.actors, report.jobs, report.idle_s) == (True, (), (), None)
    assert "idle is unknown, and so is what that cost" in text(report)
    here.tracker.rmdir()
    report = here.look()
    assert (report.safe, report.exit_code, report.reasons) == (True, 0, ())
    (note,) = report.notes
    assert f"{str(here.tracker)!r} is missing" in note and f"{str(here.disk)!r} was searched" in note
    assert list(here.disk.iterdir()) == []


def test_where_the_inventory_names_a_wrong_tracker_folder_what_lies_beside_it_is_found(here: Place) -> None:
    here.tracker.rename(here.disk / "metrical-tracker")
    report = here.look()
    assert report.safe is False
    assert any("metrical-tracker/output/demo/checkpoint' holds" in reason.what for reason in report.reasons)
    shutil.rmtree(here.disk / "metrical-tracker")
    (here.disk / "tracker").symlink_to("/mnt/not/mounted")
    report = here.look()
    assert report.safe is None and f"could not be listed: {str(here.tracker)!r}" in report.reasons[0].what
