"""The live tree and the history behind it, on folders: rsync is real, nothing else is needed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from faults import small_disk
from folder_sync import FolderHost

from being_remote.backup.history import History
from being_remote.backup.put_file import put_file
from being_remote.durable_files import room_on_disk
from being_remote.errors import Busy, ConnectionLost, InconsistentData, NoSpace, UnsafeFile
from being_remote.inventory import LocalHost
from being_remote.session import Pull, TransferResult
from being_remote.transfer import hash_comparison
from being_remote.transfer.checked_files import hash_of
from being_remote.transfer.hash_comparison import HostFiles
from being_remote.transport.local_session import LocalSession


def tree_state(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with inode, size and time: what must not change when nothing is done."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            at = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (at.st_ino, at.st_size, at.st_mtime_ns)
    return found


class CutSession(LocalSession):
    """Loses the link when `files` files have arrived."""

    def __init__(self, files: int) -> None:
        super().__init__(LocalHost(name="here", workdir=PurePosixPath("/")))
        self._left = files

    def pull(self, request: Pull, *rest: Any) -> TransferResult:
        names = request.names[: self._left]
        part = dataclasses.replace(request, names=names, sizes=request.sizes[: self._left])
        pulled = super().pull(part, *rest)
        if len(names) < len(request.names):
            raise ConnectionLost("cut", host="here")
        self._left -= len(names)
        return pulled


class StoppedSession(LocalSession):
    """So many requests arrive whole, then somebody presses Ctrl-C."""

    def __init__(self, pulls: int = 1) -> None:
        super().__init__(LocalHost(name="here", workdir=PurePosixPath("/")))
        self._left = pulls

    def pull(self, request: Pull, *rest: Any) -> TransferResult:
        pulled = super().pull(request, *rest)
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return pulled


def test_first_sync_downloads_everything_and_the_second_changes_nothing_at_all(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.put("checkpoint/00001.frame", "b END", 1_700_000_000.7)
    host.put("run/logs/train.log", "loss")
    host.put("bbox.pt", "box")

    _, _, arrival = host.sync()
    assert (arrival.got.transferred_files, arrival.manifest and arrival.manifest.number) == (4, 0)
    assert host.live() == {
        "bbox.pt": "box",
        "checkpoint/00000.frame": "a END",
        "checkpoint/00001.frame": "b END",
        "run/logs/train.log": "loss",
    }
    assert (host.root / "checkpoint/00001.frame").stat().st_mtime_ns == 1_700_000_000_700_000_000

    before = tree_state(host.root)
    _, planned, arrival = host.sync()
    assert (planned.wanted, arrival.got.transferred_files, arrival.got.method) == ((), 0, None)
    after = tree_state(host.root)
    assert before == {k: v for k, v in after.items() if not k.endswith("/lock")} | {
        k: v for k, v in before.items() if k.endswith("/lock")
    }


def test_live_files_are_never_hard_links_so_writing_in_place_leaves_history_alone(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "good END")
    host.sync()
    live = host.root / "checkpoint/00000.frame"
    assert live.stat().st_nlink == 1

    with live.open("r+") as f:
        f.write("BAD!")
    entry = host.history.read(0).files["checkpoint/00000.frame"]
    assert host.history.object(entry.sha256).read_text() == "good END"


def test_a_backup_made_by_hand_is_adopted_as_it_lies(host: FolderHost) -> None:
    for i in range(838):
        host.hand(f"checkpoint/{i:05d}.frame", f"{i} END", 1_600_000_000.5 + i)
    (host.root / "notes.txt").write_text("mine")
    before = tree_state(host.root)

    settled = host.settle()
    assert len(settled.adopted) == 838 and settled.manifest is not None
    assert (settled.manifest.number, settled.manifest.why) == (0, "adopted")
    history = str(host.history.history_folder)
    assert before == {k: v for k, v in tree_state(host.root).items() if not k.startswith(history)}
    # Foreign files are neither taken nor touched.
    assert "notes.txt" not in settled.manifest.files and (host.root / "notes.txt").read_text() == "mine"

    assert host.settle().adopted == ()
    assert host.history.snapshot_numbers() == [0]


def test_what_was_changed_by_hand_becomes_a_snapshot_before_the_host_replaces_it(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "first END")
    host.sync()
    host.hand("checkpoint/00000.frame", "by hand END")
    host.put("checkpoint/00000.frame", "second END", 1_700_000_050)

    settled, _, _ = host.sync()
    assert settled.adopted == ("checkpoint/00000.frame",)
    texts = [
        host.history.object(host.history.read(n).files["checkpoint/00000.frame"].sha256).read_text()
        for n in host.history.snapshot_numbers()
    ]
    assert texts == ["first END", "by hand END", "second END"]
    assert host.live() == {"checkpoint/00000.frame": "second END"}


def test_a_file_that_was_only_touched_is_no_change(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    os.utime(host.root / "checkpoint/00000.frame", ns=(5, 5))
    settled, planned, _ = host.sync()
    assert (settled.adopted, planned.wanted, host.history.snapshot_numbers()) == ((), (), [0])


def test_a_live_file_that_was_removed_comes_back_without_the_host(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.put("checkpoint/00001.frame", "b END")
    host.sync()
    (host.root / "checkpoint/00001.frame").unlink()
    settled = host.settle()
    assert settled.put_back == ("checkpoint/00001.frame",)
    assert host.live()["checkpoint/00001.frame"] == "b END"


def test_a_live_file_that_was_damaged_is_quarantined_and_its_good_version_put_back(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    host.hand("checkpoint/00000.frame", "a E")
    settled = host.settle()
    assert [a.path for a in settled.quarantined] == ["checkpoint/00000.frame"]
    assert settled.quarantined[0].kept_as and settled.quarantined[0].kept_as.read_text() == "a E"
    assert host.live() == {"checkpoint/00000.frame": "a END"}


def test_damage_that_keeps_size_and_time_is_found_by_reading_everything(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    host.hand("checkpoint/00000.frame", "a ENX", 1_700_000_000)
    assert host.settle().quarantined == ()
    settled, planned, _ = host.sync(deep=True)
    assert [a.path for a in settled.corrupt] == ["checkpoint/00000.frame"]
    assert host.live() == {"checkpoint/00000.frame": "a END"} and planned.wanted == ()


def test_what_rotted_is_never_taken_for_a_change_by_hand_even_without_a_judge(host: FolderHost) -> None:
    host.put("run/logs/train.log", "loss 0.1")
    host.sync()
    host.hand("run/logs/train.log", "loss 0.9", 1_700_000_000)
    settled, planned, _ = host.sync(deep=True)
    (rotted,) = settled.corrupt
    assert rotted.kept_as is not None and rotted.kept_as.read_text() == "loss 0.9"
    assert (settled.adopted, planned.wanted, host.history.snapshot_numbers()) == ((), (), [0])
    assert host.live() == {"run/logs/train.log": "loss 0.1"}


def test_a_torn_arrival_is_named_and_quarantined_while_the_older_good_one_stays(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "good END")
    host.sync()
    host.put("checkpoint/00000.frame", "torn", 1_700_000_009)
    host.put("checkpoint/00001.frame", "new END")
    _, _, arrival = host.sync()
    (aside,) = arrival.quarantined
    assert (aside.path, aside.reason) == ("checkpoint/00000.frame", "it does not end with END")
    assert aside.kept_as and aside.kept_as.read_text() == "torn"
    assert aside.kept_as.with_name(aside.kept_as.name + ".why.json").exists()
    assert host.live() == {"checkpoint/00000.frame": "good END", "checkpoint/00001.frame": "new END"}

    # Still the same over there: said again, not fetched again.
    _, planned, arrival = host.sync()
    assert (planned.wanted, [a.path for a in planned.still_torn]) == ((), ["checkpoint/00000.frame"])
    host.put("checkpoint/00000.frame", "whole END", 1_700_000_010)
    host.sync()
    assert host.live()["checkpoint/00000.frame"] == "whole END"


@pytest.mark.parametrize("here_before", [None, "earlier END"])
def test_a_whole_frame_that_the_host_rewrote_torn_before_it_could_be_compared_is_kept(
    host: FolderHost, here_before: str | None
) -> None:
    """The host may never have a whole one again."""
    if here_before is not None:
        host.put("checkpoint/00000.frame", here_before)
        host.sync()
    host.put("checkpoint/00000.frame", "whole END", 1_700_000_010)
    host.at_next_question(lambda: host.put("checkpoint/00000.frame", "torn", 1_700_000_020))
    _, _, arrival = host.sync()
    assert [a.reason for a in arrival.quarantined] == ["it does not end with END"]
    (note,) = host.history.quarantine.glob("*.rewritten.json")
    assert note.with_name(note.name.removesuffix(".rewritten.json")).read_text() == "whole END"
    assert host.live().get("checkpoint/00000.frame") == here_before

    # What is kept is whole: the same bytes may come again.
    host.put("checkpoint/00000.frame", "whole END", 1_700_000_010)
    host.sync()
    assert host.live() == {"checkpoint/00000.frame": "whole END"}


@pytest.mark.parametrize(
    ("path", "text"), [("checkpoint/00000.frame", "torn"), ("run/logs/train.log", "a log")]
)
def test_only_what_is_known_to_be_whole_is_kept_when_the_host_rewrites_it(
    host: FolderHost, path: str, text: str
) -> None:
    host.put(path, text)
    host.at_next_question(lambda: host.put(path, "other END", 1_700_000_020))
    host.sync()
    assert host.live() == {path: "other END"} and not host.history.quarantine.exists()


def rewrite_at_each_question(host: FolderHost, *texts: str, when_s: float = 1_700_000_020) -> None:
    """The host's first frame has the next text when the host is asked next, and so on."""

    def rewrite() -> None:
        host.put("checkpoint/00000.frame", texts[0], when_s)
        rewrite_at_each_question(host, *texts[1:], when_s=when_s + 10)

    if texts:
        host.at_next_question(rewrite)


def test_a_frame_that_the_host_rewrites_again_and_again_keeps_each_whole_version(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "first END")
    rewrite_at_each_question(host, "second END", "third END")
    _, _, arrival = host.sync()
    assert arrival.got.mismatched == ("checkpoint/00000.frame",)
    kept = {p.read_text() for p in host.history.quarantine.iterdir() if p.suffix != ".json"}
    assert kept == {"first END", "second END"}


def test_a_torn_frame_that_keeps_changing_is_being_written_whatever_its_time_says(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "torn")
    rewrite_at_each_question(host, "torn still", "torn again")
    _, _, arrival = host.sync()
    assert (arrival.got.unfinished, arrival.got.mismatched) == (("checkpoint/00000.frame",), ())


def test_a_rewrite_within_the_same_second_is_fetched_though_rsync_would_not(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "one END", 1_700_000_000.1)
    host.sync()
    host.put("checkpoint/00000.frame", "two END", 1_700_000_000.2)
    _, _, arrival = host.sync()
    assert arrival.got.transferred_files == 1
    assert host.live() == {"checkpoint/00000.frame": "two END"}


def test_a_rewrite_with_the_very_same_size_and_time_is_found_by_hash(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "one END")
    host.sync()
    host.put("checkpoint/00000.frame", "two END")
    assert host.sync()[1].wanted == ()
    _, _, arrival = host.sync(deep=True)
    assert arrival.got.transferred_files == 1
    assert host.live() == {"checkpoint/00000.frame": "two END"}
    # That the live file has the old one's size and time must not hide that it was rewritten.
    assert host.sync(deep=True)[1].wanted == ()


def test_what_vanished_on_the_host_stays_here(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.put("checkpoint/00001.frame", "b END")
    host.sync()
    (host.folder / "checkpoint/00000.frame").unlink()
    host.put("checkpoint/00002.frame", "c END")
    host.sync()
    assert sorted(host.live()) == [f"checkpoint/0000{i}.frame" for i in range(3)]


def test_another_run_replaces_the_live_tree_as_a_whole_and_the_earlier_one_stays_in_history(
    host: FolderHost,
) -> None:
    host.put("bbox.pt", "old box")
    for i in range(4):
        host.put(f"checkpoint/0000{i}.frame", f"old {i} END")
    host.sync()
    (host.root / "notes.txt").write_text("mine")
    for i in range(4):
        (host.folder / f"checkpoint/0000{i}.frame").unlink()
    host.put("bbox.pt", "new box", 1_700_000_100)
    host.put("checkpoint/00000.frame", "new 0 END", 1_700_000_100)

    _, _, arrival = host.sync()
    assert arrival.new_run == "another box"
    assert host.live() == {"bbox.pt": "new box", "checkpoint/00000.frame": "new 0 END"}
    assert (host.root / "notes.txt").read_text() == "mine"
    old = host.history.read(0).files
    assert host.history.object(old["checkpoint/00003.frame"].sha256).read_text() == "old 3 END"
    # The next sync adds to the new tree.
    host.put("checkpoint/00001.frame", "new 1 END", 1_700_000_101)
    _, _, arrival = host.sync()
    assert arrival.new_run is None
    assert sorted(host.live()) == ["bbox.pt", "checkpoint/00000.frame", "checkpoint/00001.frame"]


def test_a_torn_file_of_another_run_leaves_no_file_of_the_earlier_run_in_its_place(host: FolderHost) -> None:
    host.put("bbox.pt", "old box")
    host.put("checkpoint/00000.frame", "old END")
    host.sync()
    host.put("bbox.pt", "new box", 1_700_000_100)
    host.put("checkpoint/00000.frame", "new but torn", 1_700_000_100)
    host.sync()
    assert host.live() == {"bbox.pt": "new box"}


def test_when_the_link_is_cut_what_arrived_whole_is_safe_and_the_rest_follows(host: FolderHost) -> None:
    host.put("bbox.pt", "box")
    for i in range(3):
        host.put(f"checkpoint/0000{i}.frame", f"{i} END")
    with pytest.raises(ConnectionLost):
        host.sync(session=CutSession(files=2))
    assert host.live() == {"bbox.pt": "box", "checkpoint/00000.frame": "0 END"}
    _, _, arrival = host.sync()
    assert arrival.got.transferred_files == 2
    assert len(host.live()) == 4


def test_when_the_link_is_cut_in_another_run_the_live_run_stays_untouched(host: FolderHost) -> None:
    host.put("bbox.pt", "old box")
    host.put("checkpoint/00000.frame", "old END")
    host.sync()
    host.put("bbox.pt", "new box", 1_700_000_100)
    host.put("checkpoint/00000.frame", "new END", 1_700_000_100)
    with pytest.raises(ConnectionLost):
        host.sync(session=CutSession(files=1))
    assert host.live() == {"bbox.pt": "old box", "checkpoint/00000.frame": "old END"}
    host.sync()
    assert host.live() == {"bbox.pt": "new box", "checkpoint/00000.frame": "new END"}


def test_what_arrived_before_ctrl_c_is_not_fetched_again(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "new END", 1_700_000_000.5)
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=StoppedSession())
    assert host.live() == {}
    _, _, arrival = host.sync()
    assert arrival.got.transferred_files == 0
    assert host.live() == {"checkpoint/00000.frame": "new END"}


def test_leftovers_of_another_version_in_incoming_never_pass_for_the_listed_file(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "new END", 1_700_000_000.5)
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=StoppedSession())
    (stale,) = host.history.incoming.rglob("*.frame")
    stale.write_text("old END")
    os.utime(stale, ns=(1_700_000_000_000_000_001,) * 2)
    host.sync()
    assert host.live() == {"checkpoint/00000.frame": "new END"}


def test_what_a_killed_sync_had_downloaded_is_safe_though_the_host_has_a_newer_version_since(
    host: FolderHost,
) -> None:
    host.put("checkpoint/00000.frame", "first END")
    host.put("checkpoint/00001.frame", "gone END")
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=StoppedSession())
    host.put("checkpoint/00000.frame", "second END", 1_700_000_009)
    (host.folder / "checkpoint/00001.frame").unlink()
    host.sync()
    assert host.live() == {"checkpoint/00000.frame": "second END", "checkpoint/00001.frame": "gone END"}
    first = host.history.read(0).files["checkpoint/00000.frame"]
    assert host.history.object(first.sha256).read_text() == "first END"
    assert not host.history.fetching.exists()


def test_what_a_killed_sync_had_downloaded_of_another_run_is_never_mixed_into_the_live_one(
    host: FolderHost,
) -> None:
    host.put("bbox.pt", "old box")
    host.put("checkpoint/00000.frame", "old 0 END")
    host.put("checkpoint/00001.frame", "old 1 END")
    host.sync()
    host.put("bbox.pt", "new box", 1_700_000_005)
    host.put("checkpoint/00000.frame", "new 0 END", 1_700_000_005)
    (host.folder / "checkpoint/00001.frame").unlink()
    with pytest.raises(KeyboardInterrupt):
        host.sync(session=StoppedSession(pulls=2))
    assert set(host.live().values()) == {"old box", "old 0 END", "old 1 END"}
    host.put("checkpoint/00000.frame", "newer 0 END", 1_700_000_009)
    host.sync()
    assert host.live() == {"bbox.pt": "new box", "checkpoint/00000.frame": "newer 0 END"}
    assert b"new 0 END" in host.contents()


def test_a_second_sync_ends_at_once_and_names_the_folder_and_the_holder(host: FolderHost) -> None:
    with host.history.lock(), pytest.raises(Busy, match=f"process {os.getpid()} on ") as refused:
        host.sync()
    assert refused.value.where == str(host.root)
    host.sync()  # and the lock is free again


@pytest.mark.parametrize("kind", ["link", "folder link"])
def test_a_link_in_the_backup_is_refused_before_anything_is_written_through_it(
    host: FolderHost, tmp_path: Path, kind: str
) -> None:
    host.put("checkpoint/00000.frame", "a END")
    outside = tmp_path / "outside"
    outside.mkdir()
    host.root.mkdir()
    if kind == "link":
        (host.root / "bbox.pt").symlink_to(outside / "x")
    else:
        (host.root / "checkpoint").symlink_to(outside)
    with pytest.raises(InconsistentData, match="plain files only"):
        host.sync()
    assert list(outside.iterdir()) == []


def test_what_a_second_fetch_wrote_over_a_file_that_was_read_already_never_becomes_an_object(
    host: FolderHost,
) -> None:
    host.put("checkpoint/a.frame", "a END")
    host.put("run/logs/log", "one")
    offers, fetches = host.offers(), list[Pull]()

    class Rewriting(LocalSession):
        def pull(self, request: Pull, *rest: Any) -> TransferResult:
            pulled = super().pull(request, *rest)
            fetches.append(request)
            if len(fetches) == 1:
                host.put("run/logs/log", "two")  # with the same time, so that it is fetched once more
            else:
                (came,) = host.history.incoming.rglob("a.frame")
                came.write_text("b END")
            return pulled

    session = Rewriting(LocalHost(name="here", workdir=PurePosixPath("/")))
    _, _, arrival = host.sync(session=session, offers=offers)
    assert len(fetches) == 2 and arrival.got.mismatched == ("checkpoint/a.frame",)
    assert host.live() == {"run/logs/log": "two"}
    for name, _ in host.history.contents():
        assert hash_of(host.history.object(name)) == name


def test_names_that_leave_their_folder_or_collide_are_refused_by_name_and_the_rest_is_downloaded(
    host: FolderHost,
) -> None:
    host.put("checkpoint/a.frame", "small END")
    host.put("checkpoint/A.frame", "large END")
    host.put("checkpoint/b.frame", "b END")
    (offer, *rest) = host.offers()
    evil = [
        replace(offer, path=f"checkpoint/{name}", bytes=1, mtime_ns=1)
        for name in ("../../../escaped", "/etc/passwd")
    ]
    _, planned, _ = host.sync(offers=[*evil, offer, *rest], folds=True)
    assert [(a.path, a.reason) for a in planned.refused] == [
        ("checkpoint/../../../escaped", "its name is refused: it leaves its folder"),
        ("checkpoint//etc/passwd", "its name is refused: it leaves its folder"),
        ("checkpoint/a.frame", "its name is refused: it collides with 'checkpoint/A.frame'"),
    ]
    assert sorted(host.live()) == ["checkpoint/A.frame", "checkpoint/b.frame"]


def test_put_file_stores_once_says_when_equal_and_refuses_a_different_one(tmp_path: Path) -> None:
    root = tmp_path / "backup"
    assert put_file(root, "bbox.pt", b"one", host="a100") is True
    assert put_file(root, "bbox.pt", b"one", host="a100") is False
    with pytest.raises(InconsistentData, match="other bytes than the file on b200"):
        put_file(root, "bbox.pt", b"two", host="b200")
    assert (root / "bbox.pt").read_bytes() == b"one"
    history = History(root)
    assert history.snapshot_numbers() == [0] and history.read(0).files["bbox.pt"].host == "a100"
    for outside in ("../escape", "inventory.yaml", ".history/manifests/7.json", "runs/a/cameras.json"):
        with pytest.raises(UnsafeFile):
            put_file(root, outside, b"x", host="a100")


def test_put_file_beside_a_backup_made_by_hand_keeps_that_one_too(host: FolderHost) -> None:
    host.hand("checkpoint/00000.frame", "by hand END")
    put_file(host.root, "bbox.pt", b"box", host="a100")
    assert host.live() == {"bbox.pt": "box", "checkpoint/00000.frame": "by hand END"}
    assert [host.history.read(n).why for n in host.history.snapshot_numbers()] == ["adopted", "put"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    with small_disk(tmp_path / "disk") as disk:
        yield disk


# 1.9 MB do not even arrive, which is said before the transfer; 0.8 MB arrive and do not fit a second time.
@pytest.mark.parametrize("new_kb", [1900, 800])
def test_on_a_full_disk_what_was_safe_stays_and_the_next_sync_continues(
    full_disk: Path, tmp_path: Path, new_kb: int
) -> None:
    host = FolderHost(tmp_path / "host", full_disk / "home")
    host.put("checkpoint/00000.frame", "x" * 100_000 + "END")
    host.put("checkpoint/00001.frame", "kept END")
    host.sync()
    safe = host.live()

    filler = full_disk / "filler"
    filler.write_bytes(b"f" * 300_000)
    host.put("checkpoint/00000.frame", "y" * new_kb * 1000 + "END", 1_700_000_100)
    with pytest.raises(NoSpace, match="full"), room_on_disk(host.root):
        host.sync()
    assert host.live() == safe

    filler.unlink()
    if new_kb == 1900:
        host.put("checkpoint/00000.frame", "y END", 1_700_000_200)
    host.sync()
    assert host.live()["checkpoint/00001.frame"] == "kept END"
    assert host.live()["checkpoint/00000.frame"][0] == "y"


def test_a_disk_that_fills_while_files_arrive_keeps_what_was_safe_and_the_next_sync_continues(
    full_disk: Path, tmp_path: Path
) -> None:
    host = FolderHost(tmp_path / "host", full_disk / "home")
    host.put("checkpoint/00000.frame", "first END")
    host.sync()
    # 20 bytes each, but a block of 4096 on the disk: more than the sizes tell.
    for i in range(400):
        host.put(f"checkpoint/{i:05d}.frame", f"{i:016d} END", 1_700_000_100)
    filler = full_disk / "filler"
    filler.write_bytes(b"f" * 1_000_000)
    with pytest.raises(NoSpace, match="full"), room_on_disk(host.root):
        host.sync()
    assert host.live() == {"checkpoint/00000.frame": "first END"}
    filler.unlink()
    with pytest.raises(NoSpace, match="full"), room_on_disk(host.root):
        host.sync()  # they fit once, but not twice
    assert host.live() == {"checkpoint/00000.frame": "first END"}
    assert host.history.snapshot_numbers() == [0]
    subprocess.run(["mount", "-o", "remount,size=8m", full_disk], check=True)
    _, _, arrival = host.sync()
    assert arrival.got.transferred_files == 0  # all of them had arrived
    assert len(host.live()) == 400


def test_names_beside_the_manifests_that_we_do_not_give_are_no_snapshots(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    manifests = host.history.history_folder / "manifests"
    (manifests / "007.json").write_bytes((manifests / "0.json").read_bytes())
    assert host.history.snapshot_numbers() == [0]


def test_a_manifest_under_another_number_is_passed_over_and_named(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    manifests = host.history.history_folder / "manifests"
    (manifests / "9.json").write_bytes((manifests / "0.json").read_bytes())
    with pytest.raises(InconsistentData, match="says that it is snapshot 0"):
        host.history.read(9)
    host.put("checkpoint/00001.frame", "b END")
    settled, _, arrival = host.sync()
    assert settled.damaged == (manifests / "9.json",)
    assert arrival.manifest is not None and arrival.manifest.number == 10
    assert sorted(host.live()) == ["checkpoint/00000.frame", "checkpoint/00001.frame"]


def test_where_no_note_says_what_is_live_the_next_sync_makes_the_newest_live(host: FolderHost) -> None:
    host.put("checkpoint/00000.frame", "a END")
    host.sync()
    (host.history.history_folder / "live").write_text("")
    host.sync()
    assert host.history.shown() == 0 and host.live() == {"checkpoint/00000.frame": "a END"}


def test_ctrl_c_does_not_wait_for_a_host_that_does_not_answer(
    host: FolderHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.put("checkpoint/00000.frame", "a END")
    asked, answer, over = threading.Event(), threading.Event(), threading.Event()

    def silent(_: object) -> HostFiles:
        asked.set()
        answer.wait(30)
        over.set()
        return HostFiles(0, {})

    def stop(*_: object) -> None:
        assert asked.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "ask", silent)
    monkeypatch.setattr(hash_comparison, "check_files", stop)
    with pytest.raises(KeyboardInterrupt):
        host.sync()
    assert not over.is_set()
    answer.set()
