"""What a sync believes: hashes made on the host, files that are being written, contents that rot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from local_actor import SyncedActor

from being_remote.backup.history import History
from being_remote.backup_sync import remote_hashes
from being_remote.session import Pull, TransferResult
from being_remote.transfer import hash_comparison
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.known_hashes import outlasts_writes, version_digest
from being_remote.transport.local_session import LocalSession

LOG = "run/logs/train.log"


@pytest.fixture
def at_each_fetch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Callable[[], object]]], None]:
    """Do something on the host just after the first fetch, the second, ...: before hashes are compared."""
    pull = LocalSession.pull

    def plan(steps: Sequence[Callable[[], object]]) -> None:
        left = list(steps)

        def pulled(self: LocalSession, request: Pull, *rest: Any) -> TransferResult:
            came = pull(self, request, *rest)
            if left:
                left.pop(0)()
            return came

        monkeypatch.setattr(LocalSession, "pull", pulled)

    return plan


def rewritten(file: Path, letter: str) -> Callable[[], object]:
    """Other bytes, the same size and the same time, as within one second."""

    def work() -> None:
        at = file.stat()
        file.write_bytes(letter.encode() * at.st_size)
        os.utime(file, ns=(at.st_mtime_ns, at.st_mtime_ns))

    return work


def test_a_file_rewritten_just_after_it_was_fetched_is_fetched_again(
    here: SyncedActor, at_each_fetch: Any
) -> None:
    os.utime(here.log, (1_700_000_000, 1_700_000_000))
    at_each_fetch([rewritten(here.log, "x")])
    report = here.sync()
    assert (report.exit_code, report.mismatched.count) == (0, 0)
    assert (here.root / LOG).read_bytes() == here.log.read_bytes()
    assert set(here.log.read_bytes()) == {ord("x")}


@pytest.mark.slow
def test_what_still_differs_after_one_more_try_is_named_and_the_earlier_version_stays(
    here: SyncedActor, at_each_fetch: Any
) -> None:
    here.sync()
    before = (here.root / LOG).read_bytes()
    here.log.write_bytes(b"a" * 500)
    os.utime(here.log, (1_700_000_000, 1_700_000_000))
    at_each_fetch([rewritten(here.log, "b"), rewritten(here.log, "c")])
    report = here.sync()
    assert (report.exit_code, report.mismatched.examples) == (6, (LOG,))
    assert (here.root / LOG).read_bytes() == before
    assert here.sync().exit_code == 0
    assert (here.root / LOG).read_bytes() == b"c" * 500


def test_a_log_that_grew_while_it_was_fetched_is_live_as_far_as_it_arrived(
    here: SyncedActor, at_each_fetch: Any
) -> None:
    first = here.log.read_bytes()
    at_each_fetch([lambda: here.log.write_bytes(first + b"one line more\n")])
    report = here.sync(verify=True)
    assert (report.exit_code, report.verified, report.mismatched.count) == (0, report.files, 0)
    assert (here.root / LOG).read_bytes() == first
    assert here.sync().transferred_files == 1
    assert (here.root / LOG).read_bytes() == first + b"one line more\n"


def test_a_young_torn_frame_is_being_written_and_is_downloaded_when_it_is_whole(here: SyncedActor) -> None:
    frame = here.checkpoint / "00001.frame"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:-100])
    report = here.sync()
    assert (report.exit_code, report.quarantined) == (0, ())
    assert report.being_written.examples == ("checkpoint/00001.frame",)
    assert not (here.root / "checkpoint/00001.frame").exists()
    frame.write_bytes(whole)
    report = here.sync()
    assert (report.exit_code, report.transferred_files, report.being_written.count) == (0, 1, 0)
    assert (here.root / "checkpoint/00001.frame").read_bytes() == whole


@pytest.mark.slow
def test_a_frame_that_claims_a_gigabyte_is_not_fetched_and_the_one_here_stays(here: SyncedActor) -> None:
    here.sync()
    good = (here.root / "checkpoint/00001.frame").read_bytes()
    os.truncate(here.checkpoint / "00001.frame", 1 << 30)  # zeros that take no room
    for _ in range(2):
        report = here.sync()
        assert (report.exit_code, report.transferred_files) == (6, 0)
        (aside,) = report.quarantined
        assert aside.path == "checkpoint/00001.frame" and "at most" in aside.reason
    assert (here.root / "checkpoint/00001.frame").read_bytes() == good


@pytest.mark.slow
@pytest.mark.parametrize("change", ["content", "mode", "here"])
def test_a_sync_with_nothing_to_do_reads_no_list_of_files_and_sees_every_change(
    here: SyncedActor, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.tracker / "input/demo/bbox.pt").touch()
    make_old(here)
    first = here.sync()
    from being_remote.backup_sync import sync_pass

    looked: list[int] = []
    settle = sync_pass.settle
    monkeypatch.setattr(sync_pass, "settle", lambda *a, **k: looked.append(1) or settle(*a, **k))
    again = here.sync()
    assert (again.files, again.bytes, again.snapshot, again.round_trips) == (first.files, first.bytes, 0, 1)
    assert looked == []
    if change == "content":
        rewritten(here.log, "y")()
    elif change == "mode":
        here.log.chmod(0o600)
    else:
        (here.root / LOG).write_bytes(b"by hand")
    report = here.sync()
    assert looked
    assert report.transferred_files == (0 if change == "mode" else 1)
    assert report.adopted.count == (1 if change == "here" else 0)
    if change == "mode":  # it was hashed once more over there, and is known again
        assert here.sync().round_trips == 1


def make_old(here: SyncedActor) -> None:
    """Let the clock of the file system move on: what changed just now is hashed again by the next sync."""
    newest = max(p.stat().st_ctime_ns for p in here.tracker.rglob("*"))
    probe = here.tracker.parent / "probe"
    while True:
        probe.touch()
        if probe.stat().st_ctime_ns > newest + 150_000_000:
            return


@pytest.mark.slow
def test_verify_repairs_an_older_snapshot_from_the_host_that_still_has_it(here: SyncedActor) -> None:
    here.sync()
    history = History(here.root)
    entry = history.read(0).files[LOG]
    history.object(entry.sha256).write_bytes(b"rot")
    (here.root / LOG).unlink()
    report = here.sync(verify=True)
    (rot,) = report.rotten
    assert (rot.path, rot.fault, rot.repaired_from, report.exit_code) == (LOG, "rotten", "host", 0)
    assert f"the content of {LOG!r} was corrupt; repaired from" in "\n".join(report.warnings)
    assert history.object(entry.sha256).read_bytes() == here.log.read_bytes()
    assert report.verified == report.files


def test_verify_without_a_host_still_reads_what_is_here_and_ends_with_4(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from being_remote import transport
    from being_remote.errors import Unreachable

    here.sync()
    mesh = here.root / "run/mesh/00001.ply"
    good, at = mesh.read_bytes(), mesh.stat()
    mesh.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    os.utime(mesh, ns=(at.st_mtime_ns, at.st_mtime_ns))

    def gone(*_: Any, **__: Any) -> None:
        raise Unreachable("nobody answers", host="here")

    monkeypatch.setattr(transport, "open_session", gone)
    with pytest.raises(Unreachable):
        here.sync()
    report = here.sync(verify=True)
    assert report.exit_code == 4 and "nobody answers" in (report.host_error or "")
    assert mesh.read_bytes() == good and any("corrupt here" in w for w in report.warnings)


def test_a_hash_counts_only_for_what_changed_well_before_it_was_made() -> None:
    from pathlib import PurePosixPath

    origin = RemoteFolder("", PurePosixPath("/a"), PurePosixPath("/a"))
    offer = RemoteFile("x", origin, 1, 2, ctime_ns=1_000_000_001, inode=4)
    assert not outlasts_writes(offer, offer.ctime_ns + 50_000_000) and outlasts_writes(
        offer, offer.ctime_ns + 200_000_000
    )
    whole_second = RemoteFile("x", origin, 1, 2, ctime_ns=3_000_000_000, inode=4)
    assert not outlasts_writes(whole_second, whole_second.ctime_ns + 1_500_000_000)
    figures = [(1, 2, 3, 4), (9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9)]
    assert len({version_digest(RemoteFile("x", origin, *each), "s") for each in figures}) == len(figures)


@pytest.mark.slow
def test_files_that_are_asked_about_in_portions_are_all_compared(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.sync()
    portions: list[int] = []
    real = hash_comparison.hash_files

    def hash_files(session: Any, python: str, wanted: Any, **more: Any) -> Any:
        portions.append(len(wanted))
        return real(session, python, wanted, **more)

    monkeypatch.setattr(remote_hashes, "PORTION", 4)
    monkeypatch.setattr(hash_comparison, "hash_files", hash_files)
    report = here.sync(verify=True)
    assert report.verified == report.files == sum(portions)
    assert len(portions) > 2 and max(portions) == 4


@pytest.mark.slow
@pytest.mark.parametrize("what", ["changed", "new", "removed"])
def test_what_a_person_did_here_while_a_sync_asked_the_host_is_seen_by_the_next_one(
    here: SyncedActor, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    here.sync()
    (History(here.root).history_folder / "known").rename(here.root / ".history/forgotten")  # so that it asks
    waited_until_old(max(here.tracker.rglob("*"), key=lambda p: p.stat().st_ctime_ns))
    config, note = here.root / "actor/config.yml", here.root / "run/logs/by hand.txt"
    good, real, asked = config.read_bytes(), hash_comparison.hash_files, list[bool]()
    by_hand: dict[str, Callable[[], object]] = {
        "changed": lambda: config.write_text("by hand"),
        "new": lambda: note.write_text("by hand"),
        "removed": config.unlink,
    }

    def hash_files(*words: Any, **more: Any) -> Any:
        if not asked:
            asked.append(True)
            by_hand[what]()
        return real(*words, **more)

    monkeypatch.setattr(hash_comparison, "hash_files", hash_files)
    here.sync()
    assert asked
    report = here.sync()
    assert report.exit_code == 0
    adopted = {"changed": ("actor/config.yml",), "new": ("run/logs/by hand.txt",), "removed": ()}
    assert report.adopted.examples == adopted[what]
    assert config.read_bytes() == good  # the host's; what a person wrote over it is in the history


@pytest.mark.slow
def test_a_torn_file_that_looks_like_the_good_one_stays_named_by_every_sync(here: SyncedActor) -> None:
    here.sync()
    frame = here.checkpoint / "00001.frame"
    at, good = frame.stat(), frame.read_bytes()
    frame.write_bytes(good[:2000] + bytes(3000) + good[5000:])
    os.utime(frame, ns=(at.st_mtime_ns, at.st_mtime_ns))
    waited_until_old(frame)
    for transferred in (1, 0, 0):
        report = here.sync()
        assert [q.path for q in report.quarantined] == ["checkpoint/00001.frame"]
        assert (report.exit_code, report.transferred_files) == (6, transferred)
    assert (here.root / "checkpoint/00001.frame").read_bytes() == good


def waited_until_old(file: Path) -> None:
    """A hash of a file that changed just now is asked for again."""
    while time.time_ns() < file.stat().st_ctime_ns + 2_500_000_000:
        time.sleep(0.05)
