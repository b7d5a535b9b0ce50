"""The protocol's model is searched to its end; without any one of its rules it does harm."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from protocol_model import Rules, search


@pytest.mark.parametrize("pods", [(0, 0, 0), (0, 1, 0)], ids=["one pod", "two pods, one volume"])
@pytest.mark.parametrize("crashes", [0, 1, 2, 3])
def test_no_order_of_steps_and_no_crash_breaks_the_guarantee(crashes: int, pods: tuple[int, ...]) -> None:
    found = search(crashes=crashes, pods=pods)
    assert found.harm is None, (found.harm, found.trace)
    assert found.states > 200 * (crashes + 1) and found.at_rest > 0, found


@pytest.mark.slow
@pytest.mark.parametrize("pods", [(0, 0, 0), (0, 1, 0)], ids=["one pod", "two pods, one volume"])
@pytest.mark.parametrize("crashes", [0, 1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_job_that_waits_for_a_gpu_is_started_once_and_never_forgotten(
    crashes: int, pods: tuple[int, ...]
) -> None:
    found = search(crashes=crashes, pods=pods, busy=True)
    assert found.harm is None, (found.harm, found.trace)
    assert found.states > 200 * (crashes + 1) and found.at_rest > 0, found


@pytest.mark.parametrize("pods", [(0, 0, 0), (0, 1, 0)], ids=["one pod", "two pods, one volume"])
@pytest.mark.parametrize("crashes", [0, 1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_cancel_that_finds_no_supervisor_breaks_no_guarantee(crashes: int, pods: tuple[int, ...]) -> None:
    found = search(crashes=crashes, pods=pods, cancels=True)
    assert found.harm is None, (found.harm, found.trace)
    assert found.states > 200 * (crashes + 1) and found.at_rest > 0, found


@pytest.mark.parametrize(
    ("rule", "harm"),
    [
        ("claim_is_one_rename", "a job that could run did not"),
        ("gate_is_exclusive", "the payload started twice"),
        ("payload_inherits_the_lock", "called lost while it runs"),
        ("started_is_never_restarted", "the payload started twice"),
        ("another_life_on_a_shared_volume_is_unknown", "called lost while it runs"),
        ("lock_is_read_before_the_end", "called lost while it runs, or after its end"),
        ("lost_needs_a_free_lock", "called lost while it runs"),
        ("judged_under_the_lock", "called ended while it runs"),
        ("judged_only_where_it_ran", "called ended while it runs"),
        ("a_supervisor_without_the_lock_is_seen", "called lost while it runs"),
        ("the_end_is_read_last", "called lost while it runs"),
        ("a_place_is_recorded_before_the_waiter_is_looked_for", "a waiting job was forgotten"),
        ("a_waiter_looks_again_once_its_lock_is_free", "a waiting job was forgotten"),
        ("a_cancel_writes_an_end_only_where_it_ran", "called ended while it runs"),
    ],
)
def test_each_rule_is_needed(rule: str, harm: str) -> None:
    broken = dataclasses.replace(Rules(), **{rule: False})
    ways: list[dict[str, Any]] = [
        {"pods": pods, **more}
        for more in ({}, {"cancels": True}, {"busy": True})
        for pods in ((0, 0, 0), (0, 1, 0))
    ]
    harms = (search(broken, **way).harm or "" for way in ways)
    assert any(h.startswith(harm) for h in harms)
