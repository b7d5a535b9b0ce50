"""Which hashes that the host made while it sent a file may stand for the file as it was listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from being_remote.session import Hashed, Pull
from being_remote.transfer.arrival_folder import Fetch
from being_remote.transfer.download import note_sent
from being_remote.transfer.download_plan import RemoteFile, RemoteFolder
from being_remote.transfer.hash_comparison import Arrivals
from being_remote.transfer.known_hashes import COARSE_TICK_NS, TICK_NS

CLOCK_NS = 1_700_000_000_500_000_000
ORIGIN = RemoteFolder("run", PurePosixPath("/far"), PurePosixPath("/far"))
OFFER = RemoteFile("run/b", ORIGIN, 3, 1_600_000_000_000_000_001, CLOCK_NS - 10 * COARSE_TICK_NS + 1, 77)
OTHERS = [replace(OFFER, path="run/a", inode=1), replace(OFFER, path="run/c", inode=2)]
SAID = Hashed(OFFER.bytes, OFFER.mtime_ns, OFFER.ctime_ns, OFFER.inode, b"\x01" * 32)


def noted(offer: RemoteFile, *said: Hashed | None) -> dict[str, bytes]:
    """What is noted when the file has come as often as something is said of it."""
    offers, got = [OTHERS[0], offer, OTHERS[1]], Arrivals()
    request = Pull(PurePosixPath("/far"), (b"a", b"b", b"c"), (3, 3, 3), Path("/into"), Path("/none"))
    for each in said:
        note_sent(Fetch(request, offers, (3,)), got, CLOCK_NS, b"b", each)
    return got.sent


def test_the_hash_of_a_file_as_it_was_listed_is_noted_under_its_path_here() -> None:
    assert noted(OFFER, SAID) == {"run/b": b"\x01" * 32}


@pytest.mark.parametrize("then", [None, SAID._replace(inode=8)], ids=["written meanwhile", "another file"])
def test_a_file_that_arrives_again_with_other_bytes_loses_its_noted_hash(then: Hashed | None) -> None:
    assert noted(OFFER, SAID, then) == {}
    assert noted(OFFER, then, SAID) == {"run/b": SAID.sha256}


@pytest.mark.parametrize("figure", ["bytes", "mtime_ns", "ctime_ns", "inode"])
def test_one_figure_that_differs_from_the_listing_makes_it_another_file(figure: str) -> None:
    assert noted(OFFER, SAID._replace(**{figure: getattr(SAID, figure) + 1})) == {}


@pytest.mark.parametrize(
    "before_ns, counts",
    [
        (TICK_NS - 1, False),
        (TICK_NS + 1, True),
        (500_000_000, False),  # a whole second: its disk may keep no finer time
        (500_000_000 + COARSE_TICK_NS, True),
    ],
)
def test_a_file_changed_just_before_it_was_listed_may_change_again_and_look_the_same(
    before_ns: int, counts: bool
) -> None:
    ctime_ns = CLOCK_NS - before_ns
    assert bool(noted(replace(OFFER, ctime_ns=ctime_ns), SAID._replace(ctime_ns=ctime_ns))) is counts
