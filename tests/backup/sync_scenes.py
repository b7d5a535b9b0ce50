"""What a backup and its host may look like when a sync begins: the scenes that are disturbed in all ways."""

from __future__ import annotations

import shutil

from folder_sync import FolderHost


def first(host: FolderHost) -> None:
    """Nothing here yet."""
    fill_old(host)


def by_hand(host: FolderHost) -> None:
    """A backup made by hand, one file of it torn; the host has more."""
    fill_old(host)
    host.hand("checkpoint/00000.frame", "by hand END")
    host.hand("checkpoint/00009.frame", "only here END")
    host.hand("checkpoint/00008.frame", "only here and torn")


def more(host: FolderHost) -> None:
    """Changed, new, torn and vanished over there; changed, damaged and removed here."""
    fill_old(host)
    host.sync()
    host.put("checkpoint/00000.frame", "again 0 END", 1_700_000_100)
    host.put("checkpoint/00004.frame", "new 4 END", 1_700_000_100)
    host.put("checkpoint/00001.frame", "torn", 1_700_000_100)
    (host.folder / "checkpoint/00002.frame").unlink()
    host.hand("run/logs/train.log", "my own notes")
    host.hand("checkpoint/00002.frame", "damaged")
    (host.root / "checkpoint/00003.frame").unlink()


def another_run(host: FolderHost) -> None:
    """The host tracked again with another box; fewer frames so far."""
    fill_old(host)
    host.sync()
    shutil.rmtree(host.folder)
    host.put("bbox.pt", "new box", 1_700_000_100)
    for i in range(2):
        host.put(f"checkpoint/0000{i}.frame", f"new {i} END", 1_700_000_100)
    host.put("run/logs/train.log", "new log", 1_700_000_100)


def fill_old(host: FolderHost) -> None:
    host.put("bbox.pt", "old box")
    for i in range(4):
        host.put(f"checkpoint/0000{i}.frame", f"old {i} END")
    host.put("run/logs/train.log", "old log")


SCENES = [first, by_hand, more, another_run]


def precious(host: FolderHost) -> set[bytes]:
    """All contents below the backup that a person might miss; our own notes are followed by newer ones."""
    return {c for c in host.contents() if b"process" not in c and c not in (b"0\n", b"") and c[:1] != b"{"}


def ever(host: FolderHost) -> set[str]:
    """Every text that a live file may hold from now on: what the host has and what is here."""
    there = {p.read_text() for p in host.folder.rglob("*") if p.is_file()}
    return there | {c.decode() for c in precious(host)}


def check_settled(
    host: FolderHost, live: dict[str, str], before: set[bytes], what: str, *, disturbed: int = 1
) -> None:
    """Two undisturbed syncs later all is as if nothing had happened, and nothing was fetched twice.

    Each disturbed one may leave a snapshot of its own: of what it had brought.
    """
    host.sync()
    assert host.live() == live, what
    _, planned, arrival = host.sync()
    assert planned.wanted == () and arrival.got.transferred_files == 0, what
    snapshots = host.history.snapshot_numbers()
    for number in snapshots:
        for entry in host.history.read(number).files.values():
            assert host.history.object(entry.sha256).stat().st_size == entry.bytes, what
    assert len(snapshots) <= 3 + disturbed, what
    assert before <= host.contents(), what
