"""The model of forgetting is searched to its end; without any one of its rules it does harm."""

from __future__ import annotations

import dataclasses

import pytest
from forgetting_model import Rules, search


def test_no_order_of_a_forget_late_claims_and_kills_starts_the_job_again_or_loses_half_of_it() -> None:
    harm, trace, states = search(Rules())
    assert harm is None, (harm, trace)
    assert states > 500


@pytest.mark.parametrize("rule", [field.name for field in dataclasses.fields(Rules)])
def test_each_rule_of_forgetting_is_needed(rule: str) -> None:
    harm, _, _ = search(dataclasses.replace(Rules(), **{rule: False}))
    assert harm is not None
