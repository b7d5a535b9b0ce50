"""No order of moving, answering and coming back starts an attempt twice or publishes two."""

from __future__ import annotations

from dataclasses import fields

import pytest
from moving_model import Rules, search


@pytest.mark.slow
def test_no_order_of_steps_starts_an_attempt_twice_or_publishes_two() -> None:
    found = search()
    assert found.harm is None, found.trace
    assert found.states > 10_000
    # The search did come to each of these ends: the old attempt's results, or a later one's; paid twice.
    assert {(1, 1, 1), (2, 2, 2), (3, 3, 3), (2, 2, 0)} <= found.ends


@pytest.mark.parametrize("rule", [field.name for field in fields(Rules)])
def test_each_rule_of_moving_is_needed(rule: str) -> None:
    found = search(Rules(**{rule: False}))
    assert found.harm is not None, f"{rule} is not needed"
    assert len(found.trace) > 3
