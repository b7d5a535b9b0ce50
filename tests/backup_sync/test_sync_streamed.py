"""Many small files come in one stream, hashed by the host on the way: what of that is believed, what not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_homes import Homes, empty, homes_on

from being_remote.backup_sync import sync_pass
from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.errors import ConnectionLost, HostError
from being_remote.inventory import Inventory
from being_remote.session import Pull, TransferResult
from being_remote.transfer import hash_comparison
from being_remote.transfer.quarantine import quarantine_of
from being_remote.transport import stream_download
from being_remote.transport.ssh_session import SshSession
from being_remote.workflows.snapshots import restore_snapshot

MakeInventory = Callable[..., Inventory]
NOTES = "output/demo/logs"


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=4, pictures=False, video=False)
    notes = root / NOTES
    notes.mkdir(exist_ok=True)
    for n in range(stream_download.MANY):
        (notes / f"{n:03d}.txt").write_text(f"note {n}")
    return root


def at_rest(homes: Homes) -> None:
    """Wait until the files are so old that a hash made on the way counts: younger ones are hashed again."""
    newest_ns = max(p.stat().st_ctime_ns for p in homes.tracker.rglob("*"))
    while time.time_ns() < newest_ns + 200_000_000:
        time.sleep(0.01)


@pytest.fixture
def homes(actor: Path, pod: Pod, make_inventory: MakeInventory) -> Iterator[Homes]:
    made = homes_on(pod, actor, make_inventory)
    at_rest(made)
    yield made
    empty(made.tracker)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files whose hashes were asked for."""
    names: list[bytes] = []
    real = hash_comparison.hash_files

    def hash_files(session: Any, python: str, wanted: Any, **more: Any) -> Any:
        names.extend(bytes(folder) + b"/" + name for folder, name in wanted)
        return real(session, python, wanted, **more)

    monkeypatch.setattr(hash_comparison, "hash_files", hash_files)
    return names


def after_the_fetch(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let something happen once, when all has come and nothing has been compared."""
    real, happened = SshSession.pull, list[bool]()

    def pull(self: SshSession, request: Pull, *rest: Any) -> TransferResult:
        pulled = real(self, request, *rest)
        if not happened:
            happened.append(True)
            action()
        return pulled

    monkeypatch.setattr(SshSession, "pull", pull)


@pytest.mark.slow
def test_what_the_host_hashed_on_the_way_is_not_hashed_there_again(homes: Homes, asked: list[bytes]) -> None:
    report = homes.sync()
    assert (report.method, report.exit_code) == ("stream", 0)
    assert asked == []
    assert homes.sync().transferred_files == 0
    assert asked == []
    assert homes.sync(verify=True).verified == report.files == len(set(asked))


def test_a_small_file_rewritten_after_it_arrived_is_seen_and_fetched_again(
    homes: Homes, asked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = homes.tracker / NOTES / "007.txt"

    def rewrite() -> None:  # within one second, the same size and time
        at = file.stat()
        file.write_text("NOTE 7")
        os.utime(file, ns=(at.st_mtime_ns, at.st_mtime_ns))

    after_the_fetch(monkeypatch, rewrite)
    report = homes.sync()
    assert (report.exit_code, report.mismatched.count) == (0, 0)
    assert (homes.root / "run/logs/007.txt").read_text() == "NOTE 7"
    assert len(set(asked)) == report.files  # something changed, so that each of them was asked about


def test_an_object_holds_only_bytes_that_were_hashed_here_after_their_last_write(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil() -> None:  # as another transfer to the same folder could, with the same size and time
        (came,) = homes.history.incoming.rglob("007.txt")
        at = came.stat()
        came.write_text("evil 7")
        os.utime(came, ns=(at.st_mtime_ns, at.st_mtime_ns))

    after_the_fetch(monkeypatch, spoil)
    assert homes.sync().exit_code == 0
    homes.check_history()
    assert (homes.root / "run/logs/007.txt").read_text() == "note 7"


def test_a_file_that_a_judge_refuses_is_quarantined_on_every_way(homes: Homes, asked: list[bytes]) -> None:
    torn = homes.checkpoint / "00002.frame"
    data = torn.read_bytes()
    torn.write_bytes(data[:2000] + bytes(3000) + data[5000:])
    os.utime(torn, (1_700_000_000, 1_700_000_000))
    at_rest(homes)
    report = homes.sync()
    assert [aside.path for aside in report.quarantined] == ["checkpoint/00002.frame"]
    assert report.exit_code == 6 and not (homes.root / "checkpoint/00002.frame").exists()
    assert asked == []
    assert set(quarantine_of(homes.history).read()) == {"checkpoint/00002.frame"}


def test_a_link_that_breaks_before_the_last_question_keeps_what_arrived(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ConnectionLost("cut", host="pod")

    with monkeypatch.context() as cut:
        cut.setattr(sync_pass, "is_as_listed", broken)
        with pytest.raises(HostError, match="cut"):
            homes.sync()
    live = homes.live()
    assert len(live) > stream_download.MANY
    report = homes.sync()
    assert (report.transferred_files, report.exit_code) == (0, 0)
    assert homes.live() == live
    homes.check_history()


def test_frames_box_and_identity_arrive_before_landmarks_and_these_before_crops_and_logs(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[bytes] = []
    real = SshSession.pull

    def pull(self: SshSession, request: Pull, *rest: Any) -> TransferResult:
        order.extend(request.names)
        return real(self, request, *rest)

    monkeypatch.setattr(SshSession, "pull", pull)
    homes.sync()
    last = [b"output/demo/checkpoint/00003.frame", b"input/demo/bbox.pt", b"input/demo/identity.npy"]
    landmarks = [at for at, name in enumerate(order) if name.startswith(b"input/demo/kpt")]
    others = [
        at for at, name in enumerate(order) if name.startswith((b"output/demo/logs", b"output/demo/input"))
    ]
    assert landmarks and others
    assert max(map(order.index, last)) < min(landmarks) and max(landmarks) < min(others)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
def test_a_sync_after_a_restore_takes_from_the_host_only_what_the_history_lost(
    homes: Homes, damaged: bool
) -> None:
    notes = sorted((homes.tracker / NOTES).iterdir())
    homes.sync()
    for note in notes:
        note.write_text(f"later {note.name}")
    at_rest(homes)
    homes.sync()
    later = homes.live()
    restore_snapshot(homes.inventory, 0)
    assert homes.live() != later
    if damaged:
        newest = homes.history.read(1).files[f"run/logs/{notes[0].name}"]
        homes.history.object(newest.sha256).write_bytes(b"x" * newest.bytes)
    report = homes.sync()
    assert homes.live() == later and report.exit_code == 0
    assert report.transferred_files == int(damaged)
