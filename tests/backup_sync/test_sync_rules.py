"""What a sync asks the host for again, and which exit code its report has: rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from being_remote.backup.history import History
from being_remote.backup_sync import last_pass, remote_hashes
from being_remote.backup_sync.last_pass import LastPass
from being_remote.backup_sync.remote_hashes import learn_hashes
from being_remote.backup_sync.sync_report import (
    CorruptContent,
    FailedSync,
    SyncReport,
    SyncsReport,
    summarize_listing,
)
from being_remote.errors import NotFoundError
from being_remote.transfer.checked_files import StoredFile
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.hash_comparison import HostFiles
from being_remote.transfer.known_hashes import version_digest
from being_remote.wording import FileExamples

PLACE = PurePosixPath("/pod/checkpoint")
FRAMES = RemoteFolder("checkpoint", PLACE, PLACE, 0, is_precious=True)
FRAME = "checkpoint/a"
SOME = FileExamples(1, ("a",))
TASK: Any = SimpleNamespace(host=SimpleNamespace(name="pod", python="python3"), holds=lambda _: True)
SESSION: Any = SimpleNamespace(host="pod")
REPORT = SyncReport("pod", "anna", Path("/b"))
LATER_NS = 10**19


def offered(name: str = "a", size: int = 3, mtime_ns: int = 5) -> RemoteFile:
    return RemoteFile(f"checkpoint/{name}", FRAMES, size, mtime_ns, mtime_ns, 1)


def stored(name: str = "a", host: str | None = "pod", sha256: str = "1" * 64) -> StoredFile:
    return StoredFile(f"checkpoint/{name}", sha256, 3, 5, (), host)


# -- exit codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({}, 0),
        ({"quarantined": ("one",)}, 6),
        ({"mismatched": SOME}, 6),
        ({"damaged": (Path("m"),)}, 6),
        ({"rotten": (CorruptContent("a", 1, "0", "rotten", None, None),)}, 6),
        ({"rotten": (CorruptContent("a", 1, "0", "rotten", "host", None),)}, 0),
        ({"unsound": SOME}, 0),
        ({"unsound": SOME, "verified": 0}, 6),
        ({"vanished": SOME, "shrunk": SOME, "being_written": SOME}, 0),
        ({"quarantined": ("one",), "dry_run": True}, 0),
        ({"host_error": "no answer", "quarantined": ("one",)}, 4),
        ({"host_error": "no answer", "dry_run": True}, 4),
    ],
)
def test_a_sync_exits_by_the_worst_that_it_found(what: dict[str, Any], code: int) -> None:
    assert replace(REPORT, **what).exit_code == code


def failed(code: int, actor: str = "anna") -> FailedSync:
    return FailedSync("pod", actor, "why", "Why", None, code)


def test_of_several_syncs_no_answer_counts_most_and_a_bad_file_least() -> None:
    bad, silent = replace(REPORT, quarantined=("one",)), replace(REPORT, host_error="no")  # type: ignore[arg-type]  # enough
    assert SyncsReport((bad, silent), (failed(5),)).exit_code == 4
    assert SyncsReport((bad,), (failed(5),)).exit_code == 5
    assert SyncsReport((bad,), (failed(6),)).exit_code == 6
    assert SyncsReport((REPORT,), ()).exit_code == 0


def test_an_actor_is_missing_only_where_no_host_has_it() -> None:
    missing = NotFoundError.exit_code
    assert SyncsReport((REPORT,), (failed(missing),)).exit_code == 0
    assert SyncsReport((REPORT,), (failed(missing, "bert"),)).exit_code == missing


@pytest.mark.parametrize(
    ("host", "complete", "holds", "vanished"),
    [
        ("pod", True, True, 1),
        (None, True, True, 1),
        ("other", True, True, 0),
        ("pod", False, True, 0),
        ("pod", True, False, 0),
    ],
)
def test_a_file_is_missing_only_on_its_own_host_and_in_a_whole_list(
    host: str | None, complete: bool, holds: bool, vanished: int
) -> None:
    task: Any = SimpleNamespace(host=TASK.host, holds=lambda _: holds)
    found: Any = SimpleNamespace(offers=(offered("b"),), refused=(), complete=complete, warnings=())
    planned: Any = SimpleNamespace(refused=())
    before: Any = SimpleNamespace(files={FRAME: stored(host=host)})
    summary = summarize_listing(task, found, planned, before)
    assert (summary.vanished.count, len(summary.warnings)) == (vanished, vanished)


# -- hashes of the host ------------------------------------------------------------------------------------


def learn(
    monkeypatch: pytest.MonkeyPatch,
    entries: Mapping[str, StoredFile],
    *,
    known: frozenset[bytes] = frozenset(),
    now: RemoteFile | None = None,
    clock_ns: int = LATER_NS,
    everything: bool = False,
) -> tuple[Any, list[str]]:
    """What is learnt of one offered file, and which hashes were asked for."""
    asked: list[str] = []

    def ask(_: Any, __: str, portion: Any) -> HostFiles:
        asked.extend(offer.path for offer, _ in portion)
        return HostFiles(clock_ns, {FRAME: now} if now is not None else {})

    monkeypatch.setattr(remote_hashes, "load_known_hashes", lambda *_: known)
    monkeypatch.setattr(remote_hashes, "ask_hashes", ask)
    found: Any = SimpleNamespace(offers=(offered(),))
    nowhere: Any = None
    return learn_hashes(TASK, SESSION, nowhere, found, entries, {}, everything=everything), asked


def test_a_hash_that_is_known_of_this_version_is_not_asked_for_unless_all_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = frozenset({version_digest(offered(), "1" * 64)})
    knowledge, asked = learn(monkeypatch, {FRAME: stored()}, known=known)
    assert (asked, knowledge.certain, knowledge.new, knowledge.lost) == ([], 1, False, False)
    _, asked = learn(monkeypatch, {FRAME: stored()}, known=known, everything=True)
    assert asked == [FRAME]
    rewritten = frozenset({version_digest(replace(offered(), ctime_ns=6), "1" * 64)})
    knowledge, asked = learn(monkeypatch, {FRAME: stored()}, known=rewritten)
    assert (asked, knowledge.certain, knowledge.lost) == ([FRAME], 0, True)


def test_only_a_file_that_looks_like_the_local_one_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in (replace(stored(), bytes=4), replace(stored(), mtime_ns=6)):
        assert learn(monkeypatch, {FRAME: entry})[1] == []
    assert learn(monkeypatch, {})[1] == []


def test_a_file_is_certain_only_with_the_same_hash_of_the_same_version_long_after_its_last_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = replace(offered(), sha256="1" * 64)
    entries = {FRAME: stored(host=None)}
    knowledge, _ = learn(monkeypatch, entries, now=same)
    assert (knowledge.certain, knowledge.confirmed[FRAME].host) == (1, "pod")
    for now, clock_ns, certain, confirmed in (
        (replace(same, sha256="2" * 64), LATER_NS, 0, 0),
        (replace(same, bytes=4), LATER_NS, 0, 0),
        (same, 5, 0, 1),
        (replace(same, sha256=None), LATER_NS, 0, 0),
        (None, LATER_NS, 0, 0),
    ):
        knowledge, _ = learn(monkeypatch, entries, now=now, clock_ns=clock_ns)
        assert (knowledge.certain, len(knowledge.confirmed)) == (certain, confirmed)


# -- the last pass ------------------------------------------------------------------------------------------


def test_a_backup_is_as_it_was_left_only_if_nothing_at_all_speaks_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path / "anna")
    with history.lock():
        history.commit({FRAME: stored()}, why="sync")
        history.show(0)
    fields: dict[str, Any] = {"listing": "l", "home": "h", "generation": 0, "files": 1, "bytes": 3}
    last = LastPass(**fields, vanished=0, examples=(), warnings=())
    here: list[str | None] = ["h"]
    monkeypatch.setattr(last_pass, "_list_live_tree", lambda *_, **__: here[0])
    monkeypatch.setattr(last_pass, "digest_of", lambda answer: answer)
    assert last.is_unchanged(history, SESSION)
    for other in ("x", None):
        here[0] = other
        assert not last.is_unchanged(history, SESSION)
    here[0] = "h"
    history.fetching.write_text("")
    assert not last.is_unchanged(history, SESSION)
    history.fetching.unlink()
    history.show(1)
    assert not last.is_unchanged(history, SESSION)
    history.show(0)
    history.commit({FRAME: stored()}, why="sync")
    assert not last.is_unchanged(history, SESSION)


@pytest.mark.parametrize(
    ("listed", "digest"),
    [
        ([(0, b"bbox.pt", 3, 5), (0, b"other", 1, 1), (0, b".history", 1, 1)], "d"),
        ([(0, b"bbox.pt", 3, 6)], None),
        ([(0, b"bbox.pt", 4, 5)], None),
        ([], None),
    ],
)
def test_only_a_live_tree_with_all_files_of_the_snapshot_as_they_are_in_it_is_remembered(
    listed: list[tuple[int, bytes, int, int]], digest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Any, each: Any) -> Any:
        for folder, name, size, mtime_ns in listed:
            each(folder, SimpleNamespace(name=name, bytes=size, mtime_ns=mtime_ns))
        return SimpleNamespace(digest="d")

    monkeypatch.setattr(last_pass, "_list_live_tree", lambda *_: "answer")
    monkeypatch.setattr(last_pass, "read_each", read)
    live: Any = SimpleNamespace(files={"bbox.pt": replace(stored(), path="bbox.pt")})
    nowhere: Any = None
    assert last_pass._digest_as_committed(nowhere, SESSION, live) == digest
