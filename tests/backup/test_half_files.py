"""What a broken transfer leaves behind never stands in the way of a later sync."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults import small_disk
from folder_sync import FolderHost

from being_remote.backup.incoming import IncomingFolder
from being_remote.disk import room_bytes
from being_remote.durable_files import room_on_disk
from being_remote.errors import NoSpace
from being_remote.session import PARTIAL_DIR
from being_remote.transport import rsync

MIB = 1 << 20


@pytest.fixture
def host(tmp_path: Path) -> FolderHost:
    return FolderHost(tmp_path / "host", tmp_path / "home")


def halves(host: FolderHost) -> set[str]:
    incoming = host.history.incoming
    return {os.path.relpath(os.path.join(f, n), incoming) for f, _, names in os.walk(incoming) for n in names}


def test_a_log_that_grew_since_it_was_listed_is_downloaded_as_listed_and_the_rest_by_the_next_sync(
    host: FolderHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync, "GROWTH_BYTES", 1000)
    host.put("run/logs/train.log", "listed" * 10)
    host.put("checkpoint/00000.frame", "a frame END")
    offers = host.offers()
    with (host.folder / "run/logs/train.log").open("a") as log:
        log.write("later" * MIB)
    host.sync(offers=offers)
    assert host.live() == {"run/logs/train.log": "listed" * 10, "checkpoint/00000.frame": "a frame END"}
    host.sync()
    assert host.live()["run/logs/train.log"] == "listed" * 10 + "later" * MIB
    assert halves(host) == set()


def test_half_files_of_what_is_not_wanted_are_removed_and_those_of_what_is_wanted_stay(
    host: FolderHost,
) -> None:
    host.put("checkpoint/00000.frame", "a frame END")
    host.sync()
    host.put("run/logs/a.log", "12345")
    offers = host.offers()

    ways = IncomingFolder(host.history, "here", host.history.newest().files)  # type: ignore[union-attr]  # it was synced
    wanted = next(offer for offer in offers if offer.path == "run/logs/a.log")
    place = ways.file(wanted)
    lying = {
        place.parent / PARTIAL_DIR / place.name: "123",
        place.parent / PARTIAL_DIR / "gone.log": "x" * 100,
        place.parent / ".gone.log.Xy12zQ": "x" * 100,
        place.parent / f".{place.name}.Xy12zQ": "12345678",  # larger than it is
        place.parent / ".being-remote-0123456789abcdef": "x",
        place.parent / "whole.log": "a whole one of another run",
    }
    for path, text in lying.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ways = IncomingFolder(host.history, "here", host.history.newest().files)  # type: ignore[union-attr]  # it was synced
    ways.drop_halves([wanted])
    assert {path for path in lying if path.exists()} == {
        place.parent / PARTIAL_DIR / place.name,
        place.parent / "whole.log",
    }


def test_half_files_of_an_attack_do_not_block_the_next_sync(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        host = FolderHost(tmp_path / "host", disk / "home")
        host.put("checkpoint/00000.frame", "a frame END")
        host.sync()
        left = host.history.incoming / "0123abcd/files/run/logs" / PARTIAL_DIR / "train.log"
        left.parent.mkdir(parents=True)
        left.write_bytes(bytes(room_bytes(disk) - 8192))
        host.put("checkpoint/00001.frame", "x" * 100_000 + "END")
        host.sync()
        assert set(host.live()) == {"checkpoint/00000.frame", "checkpoint/00001.frame"} and not left.exists()


def test_a_sync_keeps_a_reserve_free_on_the_laptops_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        host = FolderHost(tmp_path / "host", disk / "home")
        host.put("bbox.pt", "b")
        host.sync()
        host.put("run/logs/a.log", "x" * (room_bytes(disk) + 4096))  # the disk has so much, but only just
        with pytest.raises(NoSpace, match="stay in reserve"), room_on_disk(host.root):
            host.sync()
        assert host.live() == {"bbox.pt": "b"} and room_bytes(disk) >= 0


def test_scratch_files_of_a_killed_sync_are_removed_by_the_next(host: FolderHost) -> None:
    host.put("bbox.pt", "b")
    host.sync()
    for left in (host.history.scratch, host.history.probe):
        left.write_text("left")
    host.put("bbox.pt", "c", 1_700_000_100)
    host.sync()
    assert not host.history.scratch.exists() and not host.history.probe.exists()
