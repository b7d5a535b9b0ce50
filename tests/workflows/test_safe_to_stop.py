"""`safe-to-stop`: yes only when nothing would be lost and nobody is at work; looking changes nothing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from rich.console import Console

from being_remote.backup import known
from being_remote.backup.history import History
from being_remote.cli.safe_to_stop_tables import show_safe_to_stop
from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.errors import HostError, UsageError
from being_remote.inventory import Inventory, load_inventory
from being_remote.jobs.ledger import Intent
from being_remote.recipes.metrical_tracker import MetricalTracker
from being_remote.workflows import cancel as cancelling
from being_remote.workflows import safe_to_stop as workflow
from being_remote.workflows.homecoming.host_files import File, Listed
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume
from being_remote.workflows.retrack import retrack
from being_remote.workflows.safe_to_stop import SafeReport, safe_to_stop
from being_remote.workflows.stopping import comparison, disk, results, strays
from being_remote.workflows.stopping import survey as surveying
from being_remote.workflows.stopping.disk import There
from being_remote.workflows.stopping.jobs import EndedJob, standing
from being_remote.workflows.stopping.reasons import Wanted
from being_remote.workflows.sync import sync
from being_remote.workflows.tending import watch

MakeInventory = Callable[..., Inventory]
FRAMES = 4


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker's checkout with one finished run of `demo`; copied by each test."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=FRAMES, pictures=False, video=False)
    return root


class Place:
    """One host with the actor on its disk, and an inventory that knows it."""

    def __init__(self, folder: Path, inventory: Inventory) -> None:
        self.inventory, self.disk = inventory, folder / "disk"
        self.tracker, self.workdir = self.disk / "tracker", self.disk / "Being"
        self.checkpoint = self.tracker / "output/demo/checkpoint"
        self.home = inventory.backups / "demo"

    def look(self) -> SafeReport:
        return safe_to_stop(self.inventory)

    def why(self) -> list[tuple[str, str]]:
        return [(reason.what, reason.next) for reason in self.look().reasons]

    def job(self, script: str, **more: Any) -> str:
        words = f"sh -c '{script}'"
        return str(retrack(self.inventory, recipe_name="command", command=words, gpus=0, **more).job)

    def work(self, job: str) -> Path:
        return self.workdir / "jobs" / job / "attempts/1/work"

    def ended(self, script: str) -> str:
        """A job that has ended, of which nothing was brought home."""
        job = self.job(script)
        self.until_ended(job, 1)
        return job

    def until_ended(self, job: str, attempt: int) -> None:
        end = self.workdir / "jobs" / job / "attempts" / str(attempt) / "end.json"
        deadline = time.monotonic() + 30
        while not end.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def state(self) -> dict[str, tuple[Any, ...]]:
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
    for job in watch.ledger_of(place.inventory).jobs():
        if not job.ended:
            cancelling.cancel(place.inventory, job.job)


def rewrite(file: Path) -> None:
    """Another last byte; the same size and time."""
    at, data = file.stat(), file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))


def text(report: SafeReport, *, terminal: bool = False) -> str:
    shown = io.StringIO()
    show_safe_to_stop(Console(width=200, file=shown, force_terminal=terminal, color_system=None), report)
    return shown.getvalue()


# -- files -----------------------------------------------------------------------------------------


def test_a_pod_whose_files_are_all_home_may_be_stopped_and_looking_changes_nothing(there: Place) -> None:
    before = there.state()
    (reason,) = there.look().reasons
    assert reason.next == "sync --actor demo --host pod" and "not at home" in reason.what
    assert there.state() == before

    report = sync(there.inventory)
    before = there.state()
    yes = there.look()
    assert (yes.safe, yes.exit_code, yes.reasons, yes.host) == (True, 0, (), "pod")
    (row,) = yes.actors
    assert (row.files, row.bytes, row.not_home.count) == (report.files, report.bytes, 0)
    assert yes.round_trips <= 4 and yes.idle_s is not None
    assert there.state() == before
    assert text(yes).startswith(f"yes: 1 actor, {report.files} files, 0 jobs verified at home; pod idle for ")


def test_one_other_byte_over_there_is_a_no_even_with_the_same_size_and_time(there: Place) -> None:
    sync(there.inventory)
    rewrite(there.tracker / "output/demo/train.log")
    report = there.look()
    assert (report.safe, report.exit_code) == (False, 6)
    assert report.actors[0].not_home.examples == ("run/logs/train.log",)
    assert text(report).startswith("NO: 1 file ('run/logs/train.log') of demo not at home")


def test_what_a_sync_had_hashed_over_there_is_not_hashed_again_while_it_looks_the_same(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "TICK_NS", 0)  # the files were made just now
    sync(here.inventory)
    asked: list[str] = []
    real = disk.hashes

    def heard(session: Any, host: Any, files: list[There]) -> Any:
        asked.extend(file.path for file in files)
        return real(session, host, files)

    monkeypatch.setattr(comparison, "hashes", heard)
    assert here.look().safe is True and asked == []
    os.utime(here.checkpoint / "00000.frame", (1, 1))
    assert here.look().safe is True and asked == ["checkpoint/00000.frame"]


@pytest.mark.parametrize("harm", ["gone", "short", "link"])
def test_what_a_manifest_names_and_is_not_here_is_a_no(here: Place, harm: str) -> None:
    sync(here.inventory)
    digest = hashlib.sha256((here.checkpoint / "00001.frame").read_bytes()).hexdigest()
    kept = History(here.home).object(digest)
    data = kept.read_bytes()
    kept.unlink()
    if harm == "short":
        kept.write_bytes(data[:-1])
    if harm == "link":
        kept.symlink_to(here.checkpoint / "00001.frame")
    assert here.look().actors[0].not_home.examples == ("checkpoint/00001.frame",)


def test_what_an_earlier_generation_holds_is_at_home(here: Place) -> None:
    log = here.tracker / "output/demo/train.log"
    first = log.read_bytes()
    sync(here.inventory)
    log.write_bytes(b"started anew\n")
    sync(here.inventory)
    log.write_bytes(first)
    assert here.look().safe is True


def test_contents_that_no_generation_names_are_not_at_home(here: Place) -> None:
    sync(here.inventory)
    log = here.tracker / "output/demo/train.log"
    rewrite(log)
    # As a sync leaves them that was killed; the next prune would take them.
    History(here.home).object(hashlib.sha256(log.read_bytes()).hexdigest()).write_bytes(log.read_bytes())
    assert here.look().actors[0].not_home.examples == ("run/logs/train.log",)


def test_a_generation_that_goes_while_we_read_is_passed_over(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    real, told = History.generations, [[7], [0], [0]]
    monkeypatch.setattr(History, "newest", lambda _: None)
    monkeypatch.setattr(History, "generations", lambda self: told.pop(0) if told else real(self))
    assert here.look().safe is True


def test_a_sync_or_watch_at_work_is_not_in_the_way(here: Place) -> None:
    sync(here.inventory)
    with History(here.home).lock():
        assert here.look().safe is True


def test_a_file_that_is_torn_on_both_sides_is_a_no_of_its_own(here: Place) -> None:
    frame = here.checkpoint / "00002.frame"
    frame.write_bytes(frame.read_bytes()[:-100])
    old = time.time() - 100
    os.utime(frame, (old, old))
    sync(here.inventory)
    ((what, next_step),) = here.why()
    assert "torn on here, too" in what and "track them again" in next_step
    os.utime(frame)
    ((what, next_step),) = here.why()
    assert "being written just now" in what and "wait a little" in next_step


def test_a_name_that_cannot_come_home_is_named_with_its_reason(here: Place) -> None:
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


def test_a_run_that_no_actor_names_is_a_no_until_its_bytes_are_home(here: Place) -> None:
    sync(here.inventory)
    other = here.tracker / "output/other/checkpoint"
    shutil.copytree(here.checkpoint, other)
    report = here.look()
    assert report.safe is True and any("whose bytes are at home" in note for note in report.notes)
    rewrite(other / "00000.frame")
    (here.tracker / "input/other").mkdir()
    (here.tracker / "input/other/bbox.pt").write_bytes(b"another box")
    (box, _), (what, next_step) = sorted(here.why())
    assert "input/other' holds 1 file ('bbox.pt')" in box
    assert "output/other/checkpoint' holds 1 file ('00000.frame') that no actor" in what
    assert "output: output/other" in next_step


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


def test_the_copy_in_a_backup_on_the_host_counts_by_its_bytes(here: Place) -> None:
    sync(here.inventory)
    copy = here.workdir / "data/backup/demo/checkpoint"
    shutil.copytree(here.checkpoint, copy)
    assert here.look().safe is True
    rewrite(copy / "00003.frame")
    assert here.look().safe is False


def test_what_no_kind_covers_is_said_and_no_reason(here: Place) -> None:
    sync(here.inventory)
    source = here.tracker / "input/demo/source"
    source.mkdir(exist_ok=True)
    (source / "00001.png").write_bytes(bytes(2_500_000))
    report = here.look()
    assert report.safe is True
    assert any("sync does not bring" in n and "input/demo/source" in n for n in report.notes)
    for terminal in (True, False):
        verdict, note = text(report, terminal=terminal).split("\n", 1)
        assert verdict.startswith("yes") and note.startswith("note: demo: sync does not bring")


def test_a_file_that_cannot_be_read_over_there_makes_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    rewrite(here.checkpoint / "00000.frame")
    monkeypatch.setattr(comparison, "hashes", lambda *_: {})
    report = here.look()
    assert (report.safe, report.exit_code) == (None, 4)
    assert text(report).startswith("UNKNOWN: ")


def test_a_disk_that_was_not_looked_through_to_the_end_makes_it_unknown(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    monkeypatch.setitem(surveying._LIMITS, "entries", 3)
    report = here.look()
    assert report.safe is None and "more than 3 entries" in report.reasons[0].what


# -- jobs ------------------------------------------------------------------------------------------


def test_results_of_a_job_count_until_they_were_pulled_as_they_are_now(there: Place) -> None:
    sync(there.inventory)
    job = there.ended("echo one > one.txt")
    ((what, next_step),) = there.why()
    assert f"{job} has succeeded and 1 file ('one.txt') not at home" in what
    assert next_step == f"pull {job} --all"
    folder = pull(there.inventory, job, all_files=True).folder
    before = there.state()
    report = there.look()
    assert report.safe is True and report.round_trips <= 4
    assert [(row.job, row.state, row.files) for row in report.jobs] == [(job, "succeeded", 1)]
    assert there.state() == before
    (there.work(job) / "one.txt").write_text("two\n")
    assert "1 came home with other bytes" in there.why()[0][0]
    (there.work(job) / "one.txt").write_text("one\n")
    (folder / "one.txt").unlink()
    assert there.look().jobs[0].not_home.count == 1


def test_a_job_at_work_is_a_no_and_one_that_left_nothing_is_not(here: Place) -> None:
    sync(here.inventory)
    job = here.job("sleep 60")
    report = here.look()
    assert (report.safe, report.idle_s) == (False, 0.0)
    assert report.reasons[0].what.startswith(f"{job} is running")
    assert report.reasons[0].next == f"logs {job} --follow, or cancel {job}"
    cancelling.cancel(here.inventory, job)
    assert here.look().safe is True


def test_of_a_job_that_failed_what_is_whole_must_come_home_and_torn_frames_are_worth_nothing(
    here: Place,
) -> None:
    sync(here.inventory)
    job = here.ended("mkdir c; echo torn > c/00001.frame; echo x > ok; exit 1")
    ((what, next_step),) = here.why()
    assert f"{job} has failed and 2 files" in what and next_step == f"pull {job} --all"
    pull(here.inventory, job, all_files=True)
    report = here.look()
    assert report.safe is True, report.reasons
    assert any("c/00001.frame" in note and "worth nothing" in note for note in report.notes)


def test_frames_that_only_an_earlier_attempt_has_count_until_the_job_succeeds(here: Place) -> None:
    sync(here.inventory)
    job = here.ended("test -e ../../../go && exit 0; echo 1 > 1.frame; echo 2 > 2.frame; exit 1")
    assert resume(here.inventory, job).attempt == 2
    here.until_ended(job, 2)
    (here.work(job).parents[1] / "2/work/2.frame").unlink()
    whats = [what for what, _ in here.why()]
    assert any(f"attempt 1 of {job} left 1 file ('2.frame')" in what for what in whats), whats
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
def test_of_a_tracking_all_that_pull_brings_counts_and_nothing_of_one_without_frames(
    here: Place, state: str, names: tuple[str, ...], missing: tuple[str, ...], next_step: str | None
) -> None:
    kind = MetricalTracker()
    work = PurePosixPath("/w/jobs/j/attempts/1/work")
    job = EndedJob(
        "j", 1, state, True, "demo", work, kind.results, kind.more_results, "pull j", "pull j --all"
    )
    listed = Listed(True, None, [File(name.encode(), 1, 0, 0, 0, None) for name in names], [])
    files = [Wanted(f.path, 1, 0, "0" * 64) for f in results.counting(job, listed)]
    folder = here.home / "runs/j"
    folder.mkdir(parents=True)
    entries = {name: {"bytes": 1, "sha256": "0" * 64} for name in names if name not in missing}
    (folder / "pulled.json").write_text(json.dumps({"files": entries}))
    for name in entries:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    _, reasons, _ = results.job_reasons(here.inventory, "here", job, files)
    assert [reason.next for reason in reasons] == ([] if next_step is None else [next_step])


def test_the_box_of_a_tracking_that_made_no_frame_is_worth_nothing_and_one_elsewhere_counts() -> None:
    kind, jobs = MetricalTracker(), PurePosixPath("/w/jobs")
    work = jobs / "j/attempts/1/work"
    job = EndedJob("j", 1, "failed", True, "demo", work, kind.results, kind.more_results, "pull j", "pull j")
    folders = [work / "input/demo", PurePosixPath("/mt/input/demo")]
    held = [surveying.Held(path=base64.b64encode(str(f).encode()), files=1, bytes=1) for f in folders]
    shown = surveying.Survey(
        now_ns=1,
        newest_ns=None,
        there=[],
        folders=held,
        counted=[],
        recipes=[],
        unreadable=0,
        truncated=[],
    )
    box = Listed(True, None, [File(b"bbox.pt", 1, 0, 0, 0, None)], [])
    ended = {"j": (job, frozenset[str]())}
    found = strays.strays(PurePosixPath("/w"), shown, [box, box], [], ended, frozenset())
    assert [stray.folder for stray in found] == [folders[1]]


def test_another_laptops_job_counts_as_ours_do(here: Place, tmp_path: Path) -> None:
    sync(here.inventory)
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text((tmp_path / "inventory.yaml").read_text().replace("/state", "/their-state"))
    their_inventory = load_inventory(theirs)
    them = Place(tmp_path, their_inventory)
    job = them.job("echo x > result; sleep 60")
    report = here.look()
    assert report.reasons[0].what.startswith(f"{job}, another laptop's, is running")
    cancelling.cancel(their_inventory, job)
    ((what, next_step),) = here.why()
    assert f"{job}, another laptop's, has cancelled and 1 file ('result') not at home" in what
    assert "--take-over" in next_step
    pull(their_inventory, job, all_files=True)  # both have one backup: what came home is home
    assert here.look().safe is True


def test_a_job_whose_folder_is_gone_is_unknown_and_one_that_was_never_sent_does_not_matter(
    here: Place,
) -> None:
    sync(here.inventory)
    job = here.job("sleep 60")
    ledger = watch.ledger_of(here.inventory)
    spec = ledger.find(job)
    ledger.intend(Intent("never-sent", "here", None, "command", b"{}", "0" * 64, b"", "another"))
    cancelling.cancel(here.inventory, job)
    assert here.look().safe is True
    ledger.next_attempt(job, 1, {"reason": "for this test"})
    ledger.aim(job, 2, _volume(here))
    ledger.record(job, 2, "running", {"reason": "for this test"})
    shutil.rmtree(here.workdir / "jobs" / spec.job)
    report = here.look()
    assert (report.safe, report.exit_code) == (None, 4)
    assert report.reasons[0].next == f"jobs --why {job}"
    ledger.record(job, 2, "failed", {"reason": "for this test"})


def _volume(place: Place) -> str:
    return str(json.loads((place.workdir / "jobs/.volume").read_text())["volume"])


def test_an_attempt_that_runs_although_its_job_went_on_elsewhere_is_a_no(here: Place) -> None:
    job = here.job("sleep 60")
    ledger = watch.ledger_of(here.inventory)
    moved = dataclasses.replace(ledger.find(job), host="there", attempt=2)
    with _session(here) as session:
        answer = watch.look(session, here.inventory.the_host(None))
    stand = standing("here", {job: moved}, {}, answer)
    (reason,) = stand.reasons
    assert "attempt 1" in reason.what and "attempt 2 on there counts" in reason.what
    assert reason.next == f"cancel {job} --host here"
    cancelling.cancel(here.inventory, job)
    with _session(here) as session:
        answer = watch.look(session, here.inventory.the_host(None))
    stand = standing("here", {job: moved}, {}, answer)
    assert (stand.reasons, stand.ended) == ((), ()) and "worth nothing" in stand.notes[0]
    hidden = dataclasses.replace(answer, problems=("2 of its 3 rows about jobs make no sense",))
    (reason,) = standing("here", {job: moved}, {}, hidden).reasons  # there may be a job that is not shown
    assert reason.verdict == "unknown" and "2 of its 3 rows" in reason.what
    stand = standing("here", {job: dataclasses.replace(moved, state="lost")}, {}, answer)
    (reason,) = stand.reasons
    assert reason.verdict == "unknown" and "frames that are nowhere else" in reason.what


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


def test_a_gpu_that_is_busy_without_a_job_of_ours_is_a_no(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(here.inventory)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own/locks"))
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 40000, 97'")
    report = here.look()
    assert not (tmp_path / "own").exists()  # not even the folder of the leases was made
    assert (report.safe, report.idle_s) == (False, 0.0)
    assert "somebody else's process?" in report.reasons[0].what and "40,000 MiB" in report.reasons[0].what
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 4, 0'")
    report = here.look()
    assert report.safe is True and [g.busy for g in report.gpus] == [False]
    assert "; GPU idle for " in text(report)


def test_a_gpu_that_a_job_of_another_workdir_leases_is_a_no(
    here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from being_remote.pod import locks

    sync(here.inventory)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own/locks"))
    (tmp_path / "own").mkdir(mode=0o700)
    smi(tmp_path, monkeypatch, "echo '0, GPU-aaaa-1, NVIDIA Test, 81920, 4, 0'")
    lock = locks.take(locks.gpu_lock("GPU-aaaa-1"))
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


def test_idle_is_told_by_the_hosts_own_times(here: Place) -> None:
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


def test_a_host_that_is_away_or_not_trusted_is_unknown_and_an_unknown_name_is_2(
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
    monkeypatch.setattr(workflow, "survey", breaks)
    report = here.look()
    assert (report.safe, report.exit_code) == (False, 6)
    assert [reason.verdict for reason in report.reasons] == ["no", "unknown"]
    assert job in report.reasons[0].what and report.reasons[1].what == "the link broke"


def test_a_host_that_holds_nothing_may_be_stopped_but_not_one_that_lacks_the_trackers_folder(
    here: Place,
) -> None:
    shutil.rmtree(here.disk)
    here.tracker.mkdir(parents=True)
    report = here.look()
    assert (report.safe, report.actors, report.jobs, report.idle_s) == (True, (), (), None)
    here.tracker.rmdir()
    report = here.look()
    assert report.safe is None and f"there is no {str(here.tracker)!r}" in report.reasons[0].what
    assert list(here.disk.iterdir()) == []
