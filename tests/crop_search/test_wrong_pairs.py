"""What does not belong together ends in `unknown`, with a reason."""

from __future__ import annotations

import pytest
from wrong_pairs import Pair, pairs

from being_remote.crop_search.image_search import from_images

PAIRS = {pair.name: pair for pair in pairs()}
SAMPLE = (
    "small: another take",
    "flat pictures",
    "a pattern that repeats",
)


def _hold(pair: Pair) -> None:
    found = from_images(pair.stored(), pair.source)
    assert found.grade == "unknown", (pair.name, found)
    assert found.crop is None
    assert found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_wrong_pair_is_unknown(name: str) -> None:
    _hold(PAIRS[name])


@pytest.mark.soak
@pytest.mark.parametrize("name", PAIRS)
def test_every_wrong_pair_is_unknown(name: str) -> None:
    _hold(PAIRS[name])


def test_there_are_fifty_wrong_pairs() -> None:
    assert len(PAIRS) >= 50
