"""What a pod's disk may do to a sync: files rewritten, swapped, wiped, named alike; and a full disk here."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import folding_disk, leave_room, small_disk
from live_watcher import LiveWatcher
from remote_homes import Homes, empty, homes_on

from being_remote.backup_sync import sync_pass as rounds
from being_remote.demo.pod import Pod
from being_remote.errors import NoSpace, NotFoundError
from being_remote.inventory import Inventory
from being_remote.session import Pull, TransferResult
from being_remote.transport import stream_download
from being_remote.transport.ssh_session import SshSession

MakeInventory = Callable[..., Inventory]
FRAME, LOG = "checkpoint/00003.frame", "run/logs/train.log"
SECRET = b"nobody on the pod may make this laptop keep a copy of it"
SETTLED_S = 2.2


@pytest.fixture(params=["rsync", "stream"])
def homes(
    actor: Path,
    pod: Pod,
    make_inventory: MakeInventory,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Homes]:
    if request.param == "stream":
        monkeypatch.setattr(stream_download, "MANY", 1)  # else only many small files come this way
    made = homes_on(pod, actor, make_inventory)
    yield made
    empty(made.tracker)


def around_fetch(monkeypatch: pytest.MonkeyPatch, when: str, action: Callable[[], None]) -> None:
    """Let `action` happen once, between the listing and the first fetch or right after that."""
    real, happened = SshSession.pull, []

    def pull(self: SshSession, request: Pull, *rest: Any) -> TransferResult:
        first = not happened
        happened.append(when)
        if first and when == "before":
            action()
        pulled = real(self, request, *rest)
        if first and when == "after":
            action()
        return pulled

    monkeypatch.setattr(SshSession, "pull", pull)


def _link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def _folder(path: Path, secret: Path) -> None:
    path.unlink()
    path.mkdir()
    shutil.copy(secret, path / "inside")


def _fifo(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _gone(path: Path, _: Path) -> None:
    path.unlink()


def _emptied(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path, _: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, 20 << 20)


def _torn_in_place(path: Path, _: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2000)
        file.write(b"\0" * 3000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "when"),
    [
        (_link, "before"),
        (_torn_in_place, "before"),
        (_fifo, "after"),
        (_torn_in_place, "after"),
        *(
            pytest.param(what, when, marks=pytest.mark.soak)
            for what, when in [
                (_folder, "before"),
                (_fifo, "before"),
                (_gone, "before"),
                (_emptied, "before"),
                (_zeros, "before"),
                (_link, "after"),
                (_folder, "after"),
                (_gone, "after"),
                (_emptied, "after"),
                (_zeros, "after"),
            ]
        ),
    ],
)
def test_a_frame_swapped_while_it_is_fetched_harms_nothing_and_the_rest_is_downloaded(
    homes: Homes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: Callable[[Path, Path], None],
    when: str,
) -> None:
    secret, frame = tmp_path / "secret", homes.checkpoint / "00003.frame"
    good, at = frame.read_bytes(), frame.stat()
    secret.write_bytes(SECRET)
    around_fetch(monkeypatch, when, lambda: what(frame, secret))
    with homes.watched():
        report = homes.sync()
    assert not any(SECRET in data for data in homes.contents())
    rest = {path for path in homes.live() if path != FRAME}
    assert len(rest) == report.files - 1
    if when == "after":
        assert good in homes.contents(), "what had come home whole is gone"

    if frame.is_dir() and not frame.is_symlink():
        shutil.rmtree(frame)
    frame.unlink(missing_ok=True)
    frame.write_bytes(good)
    os.utime(frame, ns=(at.st_mtime_ns, at.st_mtime_ns))
    with homes.watched():
        report = homes.sync()
    assert report.exit_code == 0 and homes.live()[FRAME] == good
    homes.check_history()


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", [FRAME, LOG])
def test_a_gibibyte_of_zeros_in_a_files_place_takes_nothing_away(homes: Homes, path: str) -> None:
    homes.sync()
    before = homes.live()
    there = homes.checkpoint / "00003.frame" if path == FRAME else homes.log
    os.truncate(there, 0)
    os.truncate(there, 1 << 30)
    os.utime(there, (1_700_000_000, 1_700_000_000))
    report = homes.sync()
    assert {q.path for q in report.quarantined} == ({FRAME} if path == FRAME else set())
    assert (homes.root / path).stat().st_size == (len(before[FRAME]) if path == FRAME else 1 << 30)
    homes.check_history()


WRITER = """
import itertools, os, sys, time
folder, log = sys.argv[1:]
paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
frames = {path: open(path, "rb").read() for path in paths}
for n, (path, data) in enumerate(itertools.cycle(frames.items())):
    with open(path, "wb", buffering=0) as f:   # as torch.save: emptied first, then written piece by piece
        for start in range(0, len(data), 1500):
            f.write(data[start : start + 1500])
            time.sleep(0.002)
    with open(log, "ab", buffering=0) as f:
        f.write(b"%08d loss 0.1\\n" % n)
    if n == len(frames):
        print("all young", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.timeout(300)
def test_files_that_are_written_all_the_while_are_whole_here_or_not_here_and_nothing_is_quarantined(
    homes: Homes, rounds: int
) -> None:
    start = homes.log.read_bytes()
    grown = start + b"".join(b"%08d loss 0.1\n" % n for n in range(100_000))

    def whole(path: str, data: bytes) -> bool:
        return grown.startswith(data) if path == LOG else data in homes.whole

    good = {p: p.read_bytes() for p in homes.checkpoint.iterdir()}
    argv = [sys.executable, "-c", WRITER, homes.checkpoint, homes.log]
    with LiveWatcher(homes.root, whole), subprocess.Popen(argv, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout and writer.stdout.readline()
            for _ in range(rounds):
                report = homes.sync()
                assert (report.exit_code, report.quarantined) == (0, ())
        finally:
            writer.kill()
    for path, data in good.items():
        path.write_bytes(data)
    homes.known()
    time.sleep(SETTLED_S)
    report = homes.sync()
    assert report.exit_code == 0
    assert {p for p in homes.live() if p.endswith(".frame")} == {f"checkpoint/{p.name}" for p in good}
    assert homes.live()[LOG] == homes.log.read_bytes()
    homes.check_history()


@pytest.mark.slow
def test_a_rewrite_that_keeps_size_and_second_is_seen_by_a_plain_sync(homes: Homes) -> None:
    homes.sync()
    at, text = homes.log.stat(), homes.log.read_bytes()
    homes.log.write_bytes(text.replace(b"loss", b"LOSS"))
    os.utime(homes.log, ns=(at.st_mtime_ns, at.st_mtime_ns))
    homes.known()
    with homes.watched():
        report = homes.sync()
    assert (report.exit_code, report.transferred_files) == (0, 1)
    assert homes.live()[LOG] == homes.log.read_bytes() != text
    assert text in homes.contents()
    assert homes.sync().transferred_files == 0


@pytest.mark.slow
def test_a_pod_that_was_wiped_or_started_with_less_removes_nothing_from_the_backup(homes: Homes) -> None:
    homes.sync()
    before, snapshots = homes.live(), homes.history.snapshot_numbers()
    with homes.watched():
        shutil.rmtree(homes.checkpoint)
        report = homes.sync()
        assert report.vanished.count == 6 and homes.live() == before
        empty(homes.tracker)
        with pytest.raises(NotFoundError):
            homes.sync()
    assert homes.live() == before and homes.history.snapshot_numbers() == snapshots
    homes.check_history()


@pytest.mark.slow
def test_another_runs_box_makes_a_new_live_tree_and_the_earlier_one_stays_in_history(
    homes: Homes, second_run: Path
) -> None:
    homes.sync()
    old_box = (homes.root / "bbox.pt").read_bytes()
    shutil.copy(second_run / "input/demo/bbox.pt", homes.tracker / "input/demo/bbox.pt")
    homes.known()
    with homes.watched():
        report = homes.sync()
    assert report.new_run is not None and "bbox.pt" in report.new_run
    assert any("kept as snapshot 0" in warning for warning in report.warnings)
    kept = homes.history.read(0).files["bbox.pt"]
    assert homes.history.object(kept.sha256).read_bytes() == old_box


def test_names_that_differ_by_case_only_are_refused_by_name_where_the_disk_folds_case(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "folds_case", lambda _: True)
    check_case(homes)


def test_names_that_differ_by_case_only_are_refused_by_name_on_a_disk_that_does_fold_case(
    actor: Path, pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with folding_disk(tmp_path / "folding") as folder:
        made = homes_on(pod, actor, lambda *a, **k: make_inventory(*a, **k, backups=str(folder)))
        check_case(made)
        empty(made.tracker)


def check_case(homes: Homes) -> None:
    logs = homes.tracker / "output/demo/logs"
    for name in ("Readme", "README", "readme.d", "sub/A/x", "sub/a/y", "Stra\u00dfe", "STRASSE"):
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_text(f"this is {name}")
    homes.known()
    with homes.watched():
        report = homes.sync()
    refused = {q.path for q in report.quarantined}
    assert report.exit_code == 6 and len(refused & {"run/logs/Readme", "run/logs/README"}) == 1
    assert all("it collides with" in q.reason for q in report.quarantined)
    assert len(homes.live()) == report.files - len(refused)
    again = homes.sync()
    assert (again.exit_code, again.transferred_files) == (6, 0)
    homes.check_history()


@pytest.mark.parametrize("inside", [True, False], ids=["with files", "empty"])
def test_a_file_whose_place_is_a_folder_here_is_refused_by_name_and_the_rest_is_downloaded(
    homes: Homes, inside: bool
) -> None:
    (homes.root / "run/logs/notes").mkdir(parents=True)
    if inside:
        (homes.root / "run/logs/notes/mine.txt").write_text("by hand")
        homes.whole.add(b"by hand")
    (homes.tracker / "output/demo/logs/notes").write_text("the pod's")
    homes.known()
    with homes.watched():
        report = homes.sync()
    if inside:
        assert [q.path for q in report.quarantined] == ["run/logs/notes"]
        assert homes.live()["run/logs/notes/mine.txt"] == b"by hand"
    else:
        assert report.exit_code == 0 and homes.live()["run/logs/notes"] == b"the pod's"
    assert FRAME in homes.live()
    homes.check_history()


@pytest.mark.slow
@pytest.mark.parametrize(
    "free_kb", [1000, *(pytest.param(k, marks=pytest.mark.soak) for k in range(0, 1500, 150))]
)
def test_a_full_local_disk_is_reported_and_with_room_the_sync_continues(
    actor: Path, pod: Pod, make_inventory: MakeInventory, tmp_path: Path, free_kb: int
) -> None:
    with small_disk(tmp_path / "small") as disk:
        filler, options = disk / "filler", {"backups": str(disk / "backups")}
        made = homes_on(pod, actor, lambda *a, **k: make_inventory(*a, **k, **options))
        filler.write_bytes(bytes((2048 - free_kb) * 1024))
        with made.watched():
            try:
                report = made.sync()
            except NoSpace as e:
                assert "full" in e.what
            else:  # some kinds fit
                assert report.exit_code == 6
                assert all("do not fit here" in q.reason for q in report.quarantined)
            filler.unlink()
            report = made.sync()
        assert report.exit_code == 0 and len(made.live()) == report.files
        made.check_history()
        empty(made.tracker)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_local_disk_with_room_for_n_more_files_for_every_n_is_reported_and_with_room_the_sync_continues(
    actor: Path, pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small") as disk:
        made = homes_on(pod, actor, lambda *a, **k: make_inventory(*a, **k, backups=str(disk / "backups")))
        for count in itertools.count():
            made.forget()
            leave_room(disk, "files", count)
            full = False
            with made.watched():
                try:
                    made.sync()
                except NoSpace:
                    full = True
                leave_room(disk, "all")
                report = made.sync()
            assert report.exit_code == 0 and len(made.live()) == report.files, count
            made.check_history()
            if not full:
                break
        assert count > 2 * report.files  # each once in the history and once live
        empty(made.tracker)
