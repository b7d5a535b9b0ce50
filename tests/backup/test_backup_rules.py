"""What a history keeps, drops and names, rule by rule; no host is asked."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from being_remote.backup import history as history_module
from being_remote.backup import incoming, live_tree, manifest
from being_remote.backup.history import History
from being_remote.backup.history_copies import copy_from_history
from being_remote.backup.incoming import (
    ExpectedFile,
    IncomingFolder,
    keep_arrived,
    note_contents,
    note_expected,
)
from being_remote.backup.manifest import Manifest, contents_in
from being_remote.backup.prune import merge_snapshots, plan_pruning
from being_remote.backup.put_file import put_file
from being_remote.errors import InconsistentData, UnsafeFile, UsageError
from being_remote.transfer.checked_files import NO_JUDGE, StoredFile
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder

FRAME = "checkpoint/00000.frame"
PLACE = PurePosixPath("/pod/checkpoint")
FRAMES = RemoteFolder("checkpoint", PLACE, PLACE, 0, is_precious=True)


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path / "anna")
    with made.lock():
        pass
    return made


def content(history: History, text: str) -> str:
    """The sha256 of a text that lies in the history."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    history.object(sha256).write_text(text)
    return sha256


def stored(history: History, path: str, text: str, mtime_ns: int = 1_700_000_000_000_000_000) -> StoredFile:
    return StoredFile(path, content(history, text), len(text), mtime_ns, (), "pod")


def commit(history: History, files: dict[str, str], **more: Any) -> Manifest:
    entries = {path: stored(history, path, text) for path, text in files.items()}
    return history.commit(entries, **{"why": "sync", "host": "pod", **more})


def frame(number: int) -> str:
    return f"checkpoint/{number:05d}.frame"


# -- the history ----------------------------------------------------------------------------------------


def test_contents_are_durable_where_they_lie_and_the_newer_one_counts(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    (history.incoming / "a").write_text("new")
    history.object("0" * 64).write_text("old and rotten")
    synced: list[Path] = []
    monkeypatch.setattr(history_module, "sync_folder", synced.append)
    history.keep([(history.incoming / "a", "0" * 64)])
    assert history.object("0" * 64).read_text() == "new" and synced == [history.objects]


def test_only_what_no_snapshot_names_is_dropped(history: History) -> None:
    commit(history, {FRAME: "one"})
    commit(history, {FRAME: "two"})
    one, two, none = (content(history, text) for text in ("one", "two", "none"))
    history.drop([one, two, none])
    assert sorted(name for name, _ in history.contents()) == sorted([one, two])


def test_a_link_in_the_place_of_a_folder_of_ours_is_removed_and_not_what_it_leads_to(
    history: History, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a").write_text("mine")
    history.next.symlink_to(tmp_path / "mine")
    history.clear(history.next, history.previous)
    assert (tmp_path / "mine/a").read_text() == "mine" and not os.path.lexists(history.next)


def test_a_file_outside_the_live_tree_is_no_part_of_a_snapshot(history: History) -> None:
    entry = stored(history, "../a", "a")
    with pytest.raises(ValueError, match="not a path of the live tree"):
        history.commit({"../a": entry}, why="sync")
    assert history.snapshot_numbers() == []


def test_only_numbers_that_we_give_are_snapshots(history: History) -> None:
    commit(history, {FRAME: "one"})
    for name in ("007", "-1", "x", "1234567890"):
        (history.manifests / f"{name}.json").write_text("")
    assert history.snapshot_numbers() == [0]
    for text, number in (("3\n", 3), ("03", None), ("x", None), ("", None)):
        history.shown_file.write_text(text)
        assert history.shown() == number


# -- manifests -------------------------------------------------------------------------------------------


def test_a_manifest_that_was_damaged_anywhere_is_refused(history: History) -> None:
    text = b"".join(manifest.dump(commit(history, {FRAME: "one", frame(1): "two"})))
    assert set(manifest.load(io.BytesIO(text), "0.json").files) == {FRAME, frame(1)}
    begin = text.index(b"\n") + 1
    spoilt = [
        text[:begin] + b' "others": [\n' + text[text.index(b"\n", begin) + 1 :],
        text[:-1],
        text.removesuffix(b" ]}\n"),
        text + b"more",
        text.replace(b'"path": "checkpoint/', b'"path": "elsewhere/'),
        text.replace(b'"path": "checkpoint/', b'"path": "../'),
        text.replace(b'"generation": 0', b'"generation": -1'),
        text.replace(b'"bytes": 3', b'"bytes": -3'),
    ]
    for wrong in spoilt:
        assert wrong != text
        with pytest.raises(InconsistentData):
            manifest.load(io.BytesIO(wrong), "0.json")


def test_a_manifest_ends_where_it_says_so_however_many_lines_are_read_at_a_time(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"".join(manifest.dump(commit(history, {FRAME: "one", frame(1): "two"})))
    for lines in (1, 2, 3, 4):
        monkeypatch.setattr(manifest, "_LINES", lines)
        assert len(manifest.load(io.BytesIO(text), "0.json").files) == 2
        with pytest.raises(InconsistentData):
            manifest.load(io.BytesIO(text + b"more"), "0.json")


def test_contents_of_a_damaged_manifest_are_found_across_two_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_CHUNK_BYTES", 50)
    names = ["a" * 64, "b" * 64]
    (tmp_path / "m").write_text(" ".join(names))
    assert contents_in(tmp_path / "m") == set(names)


# -- what a killed sync left ------------------------------------------------------------------------------


def arrived(history: History, text: str = "whole", *, path: str = FRAME, file: str = "k/files/a") -> None:
    at = history.incoming / file
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(text)
    os.utime(at, ns=(1, 1_700_000_000_000_000_000))
    note_expected(history, "pod", [ExpectedFile(path, file, len(text), 1_700_000_000_000_000_000)])


def keep(history: History, live: Manifest | None = None, new_run: str | None = None) -> Manifest | None:
    with history.lock():
        return keep_arrived(history, NO_JUDGE, live, lambda _: new_run)


def test_what_arrived_whole_becomes_a_snapshot_of_its_host(history: History) -> None:
    arrived(history)
    made = keep(history)
    assert made is not None and made.host == "pod" and list(made.files) == [FRAME]
    assert (history.root / FRAME).read_text() == "whole" and not history.fetching.exists()


def test_files_of_another_run_stay_where_they_arrived(history: History) -> None:
    live = commit(history, {FRAME: "mine"})
    arrived(history)
    assert keep(history, live, "another run") is live and history.fetching.exists()
    assert (history.incoming / "k/files/a").exists() and history.snapshot_numbers() == [0]


@pytest.mark.parametrize(
    ("path", "file"), [("../a", "k/files/a"), ("elsewhere", "k/files/a"), (FRAME, "../a")]
)
def test_a_note_that_leads_out_of_the_backup_is_not_followed(history: History, path: str, file: str) -> None:
    arrived(history, path=path, file=file)
    assert keep(history) is None and history.snapshot_numbers() == []


def test_a_line_that_was_half_written_says_nothing_and_spoils_no_later_one(history: History) -> None:
    arrived(history)
    with open(history.fetching, "a") as note:
        note.write('["checkpoint/00001.frame", "k')
    assert incoming._note(history.fetching) == (
        "pod",
        [[FRAME, "k/files/a", 5, 1_700_000_000_000_000_000]],
    )
    with open(history.fetching, "a") as note:
        note.write('"]')  # whole, but for the end of the line
    noted = incoming._note(history.fetching)
    assert noted is not None and len(noted[1]) == 1
    note_contents(history, [(FRAME, "0" * 64)])
    assert incoming._note(history.fetching) == (
        "pod",
        [[FRAME, "k/files/a", 5, 1_700_000_000_000_000_000], [FRAME, "0" * 64]],
    )


def test_it_is_noted_whose_a_content_is_before_it_leaves_and_after_that_it_is_safe(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived(history)
    steps: list[str] = []

    def watch(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            steps.append(name)
            return real(*args, **more)

        return call

    monkeypatch.setattr(incoming, "note_contents", watch("note", note_contents))
    monkeypatch.setattr(incoming, "sync_files", watch("sync", incoming.sync_files))
    monkeypatch.setattr(History, "keep", watch("keep", History.keep))
    monkeypatch.setattr(History, "commit", watch("commit", History.commit))
    keep(history)
    assert steps[:4] == ["note", "sync", "keep", "commit"]


def test_only_the_very_version_is_copied_from_the_history(history: History) -> None:
    commit(history, {FRAME: "one"})
    with history.lock():
        for mtime_ns, size, copied in ((0, 3, False), (0, 4, False), (1_700_000_000_000_000_000, 3, True)):
            mtime_ns = mtime_ns or 1_600_000_000_000_000_000
            offer = RemoteFile(FRAME, FRAMES, size, mtime_ns, mtime_ns, 1)
            folder = IncomingFolder(history, "pod", {})
            copy_from_history(history, folder, [offer])
            assert (folder.find_arrived(offer) is not None) is copied


# -- the live tree -----------------------------------------------------------------------------------------


def test_a_corrupt_content_never_becomes_live(history: History) -> None:
    target = commit(history, {FRAME: "one"})
    history.object(target.files[FRAME].sha256).write_text("0ne")
    with pytest.raises(InconsistentData, match="corrupt"):
        live_tree.refresh(history, target, {}, {})
    with pytest.raises(InconsistentData, match="corrupt"):
        live_tree.replace(history, target)
    assert not (history.root / FRAME).exists() and history.shown() is None


def test_a_copy_that_the_disk_made_wrong_never_becomes_live(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = commit(history, {FRAME: "one"})
    monkeypatch.setattr(live_tree, "copy_apart", lambda _, to: to.write_text("0ne"))
    with pytest.raises(InconsistentData, match="corrupt"):
        live_tree.refresh(history, target, {}, {})
    assert not (history.root / FRAME).exists()


def test_what_the_new_tree_has_not_is_not_live_after_it(history: History) -> None:
    (history.root / "bbox.pt").write_text("of the old run")
    target = commit(history, {FRAME: "one"})
    live_tree.replace(history, target)
    assert [path for path, _ in live_tree._files(history.root)] == [FRAME] and history.shown() == 0


def test_a_tree_is_durable_before_it_is_called_live(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = commit(history, {FRAME: "one"})
    synced: list[Any] = []
    monkeypatch.setattr(live_tree, "sync_files", lambda _, files: synced.append(list(files)))
    monkeypatch.setattr(live_tree, "sync_folder", synced.append)
    monkeypatch.setattr(History, "show", lambda _, number: synced.append(number))
    live_tree.replace(history, target)
    assert synced == [[history.next / FRAME], history.root, 0]


# -- pruning -----------------------------------------------------------------------------------------------


def test_the_newest_snapshots_and_all_from_the_live_one_on_stay(history: History) -> None:
    for number in range(6):
        commit(history, {FRAME: f"{number}"})
    for shown, keep_so_many, kept in ((5, 2, (4, 5)), (3, 1, (3, 4, 5)), (None, 1, (0, 1, 2, 3, 4, 5))):
        history.shown_file.unlink(missing_ok=True)
        if shown is not None:
            history.show(shown)
        plan = plan_pruning(history, keep_so_many)
        assert plan.kept == kept
        gone = {content(history, f"{number}") for number in range(6) if number not in kept}
        assert set(plan.contents) == gone and plan.bytes == len(gone)
    with pytest.raises(UsageError):
        plan_pruning(history, 0)


def test_snapshots_with_twice_the_frames_of_the_newest_one_are_not_removed_unasked(history: History) -> None:
    commit(history, {frame(n): f"{n}" for n in range(3)})
    commit(history, {frame(n): f"{n}" for n in range(2)})
    commit(history, {frame(0): "0"})
    history.show(2)
    with pytest.raises(InconsistentData, match="frames: 3 in snapshot 0, 1 in the newest one"):
        plan_pruning(history, 2)
    assert plan_pruning(history, 2, force=True).removed == (0,)
    commit(history, {frame(n): f"{n}" for n in range(2)})
    history.show(3)
    assert plan_pruning(history, 1).removed == (0, 1, 2)


def test_what_a_corrupt_manifest_or_a_killed_sync_may_need_stays(history: History) -> None:
    commit(history, {FRAME: "named by the corrupt one"})
    named = history.read(0).files[FRAME].sha256
    (history.manifests / "0.json").write_text(f"corrupt {named}")
    commit(history, {FRAME: "old"})
    commit(history, {FRAME: "new"})
    history.show(2)
    unnamed, old = content(history, "in no snapshot"), content(history, "old")
    assert plan_pruning(history, 1).contents == (old,)
    (history.manifests / "0.json").write_text(f"corrupt {named} {old}")
    assert plan_pruning(history, 1).contents == ()
    (history.manifests / "0.json").unlink()
    assert set(plan_pruning(history, 1).contents) == {old, unnamed, named}
    history.fetching.write_text("")
    assert plan_pruning(history, 1).contents == (old,)


@pytest.mark.parametrize(
    ("later", "more", "merged"),
    [
        ({FRAME: "one", frame(1): "two"}, {}, True),
        ({FRAME: "one and more"}, {}, True),
        ({FRAME: "0ne and more"}, {}, False),
        ({FRAME: "on"}, {}, False),
        ({frame(1): "two"}, {}, False),
        ({FRAME: "one"}, {"host": "other"}, False),
        ({FRAME: "one"}, {"incarnation": {"boot": "2"}}, False),
        ({FRAME: "one"}, {"new_tree": True}, False),
        ({FRAME: "one"}, {"why": "put"}, False),
    ],
)
def test_a_snapshot_goes_into_the_next_one_only_if_that_has_all_of_it(
    history: History, later: dict[str, str], more: dict[str, Any], merged: bool
) -> None:
    earlier = commit(history, {FRAME: "one"}, incarnation={"boot": "1"})
    made = commit(history, later, **{"incarnation": {"boot": "1"}, **more})
    assert not merge_snapshots(history, earlier, made)  # the later one is not live yet
    history.show(1)
    assert merge_snapshots(history, earlier, made) is merged
    assert history.snapshot_numbers() == ([1] if merged else [0, 1])


def test_a_snapshot_that_is_not_the_one_before_is_not_merged(history: History) -> None:
    earlier, _, later = (commit(history, {FRAME: "one"}) for _ in range(3))
    history.show(2)
    assert not merge_snapshots(history, earlier, later)


# -- putting one file ---------------------------------------------------------------------------------------


def test_a_file_is_put_into_the_live_tree_alone_and_never_over_other_bytes(tmp_path: Path) -> None:
    root = tmp_path / "anna"
    put = [put_file(root, "bbox.pt", b"one", host="pod") for _ in range(2)]
    assert put == [True, False] and History(root).snapshot_numbers() == [0]
    with pytest.raises(InconsistentData, match="other bytes"):
        put_file(root, "bbox.pt", b"two", host="pod")
    assert (root / "bbox.pt").read_bytes() == b"one"
    for name in ("../bbox.pt", "/bbox.pt", "elsewhere"):
        with pytest.raises(UnsafeFile):
            put_file(root, name, b"one", host="pod")
    assert not (tmp_path / "bbox.pt").exists()
