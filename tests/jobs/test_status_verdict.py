"""Lost needs positive evidence; everything short of it is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from being_remote.jobs.status_verdict import judge, judge_missing, judge_no_answer
from being_remote.pod.job_states import JobState
from being_remote.pod_client.job_answers import BootIdentity, JobFacts

HERE = BootIdentity(pid_ns=4026531836, init_start=7, boot_id="b", volume="v", alone=None)
WAS = {"pid": 40, "start": 900, "alive": False}


def facts(**more: Any) -> JobFacts:
    """An attempt that was started here and has no end, its lock free."""
    who = {
        "incarnation": HERE.model_dump(),
        "supervisor": WAS,
        "gpus": [],
        "lock_path": "/l",
        "lock_inode": 5,
    }
    who |= more.pop("who", {})
    attempt = {"attempt": 1, "who": who, "progress": None, "end": None, "problem": None} | more.pop(
        "first", {}
    )
    base = {
        "job": "a-1",
        "spec_sha256": "0" * 64,
        "ledger": "l",
        "lock": "free",
        "lock_inode": 5,
        "holder": None,
        "cancel": None,
        "asked": 1,
        "attempts": [attempt],
        "problem": None,
    }
    return JobFacts.model_validate(base | more)


def life(**more: Any) -> BootIdentity:
    return HERE.model_copy(update=more)


def test_a_free_lock_in_the_same_life_and_no_end_is_lost() -> None:
    assert judge(facts(), HERE).state == "lost"


@pytest.mark.parametrize("other", [{"boot_id": "c"}, {"pid_ns": 4026532000}, {"init_start": 8}])
def test_another_life_is_lost_only_where_it_has_the_volume_for_itself(other: dict[str, Any]) -> None:
    assert judge(facts(), life(**other, alone=True)).state == "lost"
    seen = judge(facts(), life(**other))
    assert (seen.state, seen.last_known) == ("unknown", "running")


@pytest.mark.parametrize("odd", [{"volume": None}, {"volume": "w"}, {"boot_id": None}, {"init_start": None}])
def test_a_missing_marker_or_a_system_that_does_not_say_is_unknown(odd: dict[str, Any]) -> None:
    assert judge(facts(), life(**odd, alone=True)).state == "unknown"


def test_a_held_lock_is_running_whoever_started_it() -> None:
    assert judge(facts(lock="held"), life(boot_id="c")).state == "running"
    progress = {"beat": 3, "state": "transforming", "frames_done": 1, "frames_total": 2, "payload": None}
    assert judge(facts(lock="held", first={"progress": progress}), HERE).state == "transforming"


def test_a_removed_lock_file_does_not_make_a_living_payload_lost() -> None:
    progress = {"beat": 3, "state": "running", "frames_done": 1, "frames_total": 2}
    lives = {"progress": progress | {"payload": {"pid": 41, "start": 901, "alive": True}}}
    gone = {"progress": progress | {"payload": {"pid": 41, "start": 901, "alive": False}}}
    for lock in ({"lock": "missing", "lock_inode": None}, {"lock": "free", "lock_inode": 6}):
        assert judge(facts(**lock, first=lives), HERE).state == "running"
        assert judge(facts(**lock, first=gone), HERE).state == "lost"


def test_killed_between_the_gate_and_its_first_record_is_lost_if_the_lock_says_who_it_was() -> None:
    holder = {"attempt": 1, "incarnation": HERE.model_dump(), "supervisor": WAS, "waits_for": None}
    assert judge(facts(first={"who": None}, holder=holder), HERE).state == "lost"
    assert judge(facts(first={"who": None}, holder=holder | {"attempt": 2}), HERE).state == "unknown"
    assert judge(facts(first={"who": None}), HERE).state == "unknown"


def test_an_end_is_final_whatever_the_lock_says() -> None:
    end = {
        "state": "succeeded",
        "exit_code": 0,
        "reason": "",
        "elapsed_s": 1,
        "frames_done": 1,
        "frames_total": 1,
        "gpus": [],
    }
    assert judge(facts(lock="held", first={"end": end}), life(volume=None)).state == "succeeded"


def test_before_the_gate_a_job_waits_or_is_only_submitted_or_was_cancelled() -> None:
    assert judge(facts(asked=2), HERE).state == "submitted"
    assert judge(facts(asked=2, lock="held"), HERE).state == "waiting"
    assert judge(facts(asked=2, cancel=1), HERE).state == "submitted"
    assert judge(facts(asked=2, cancel=2), HERE).state == "cancelled"


def test_a_job_that_is_not_there_is_unknown_unless_it_never_came() -> None:
    assert judge_missing(None, HERE, JobState.CREATED).state == "created"
    for here, volume in ((HERE, "w"), (HERE, "v"), (life(volume=None), "v")):
        seen = judge_missing(volume, here, JobState.RUNNING)
        assert (seen.state, seen.last_known) == ("unknown", "running")


def test_silence_makes_only_what_may_change_unknown() -> None:
    assert judge_no_answer("no answer", JobState.RUNNING).state == "unknown"
    # Its submit may have arrived, and only the answer been lost.
    assert judge_no_answer("no answer", JobState.CREATED).state == "unknown"
    assert judge_no_answer("no answer", JobState.SUCCEEDED).state == "succeeded"


def test_a_free_lock_does_not_make_a_job_lost_whose_supervisor_or_payload_lives() -> None:
    progress = {"beat": 3, "state": "running", "frames_done": 1, "frames_total": 2}
    payload = {"progress": progress | {"payload": {"pid": 41, "start": 901, "alive": True}}}
    put_back = facts(who={"supervisor": WAS | {"alive": True}})
    assert (judge(put_back, HERE).state, put_back.supervised) == ("running", True)
    assert (judge(facts(first=payload), HERE).state, facts(first=payload).supervised) == ("running", None)
