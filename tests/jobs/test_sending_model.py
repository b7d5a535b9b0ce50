"""No order of sending, arriving, cancelling and changing disks starts a payload twice or unwanted."""

from __future__ import annotations

from dataclasses import fields

import pytest
from sending_model import Rules, search


def test_no_order_of_steps_starts_it_on_two_disks_or_after_its_cancel() -> None:
    found = search()
    assert found.harm is None, found.trace
    assert found.states > 500
    # The search did come to each of these ends.
    assert {("created", 1), ("cancelled", 0), ("cancelled", 1)} <= found.words


@pytest.mark.parametrize("rule", [field.name for field in fields(Rules)])
def test_each_rule_of_sending_is_needed(rule: str) -> None:
    found = search(Rules(**{rule: False}))
    assert found.harm is not None, f"{rule} is not needed"
    assert len(found.trace) > 2
