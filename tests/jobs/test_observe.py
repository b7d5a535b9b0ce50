"""What a pod says is believed only as far as types and sizes go, and one bad job hides no other."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from being_remote.errors import CommandFailed, HostError
from being_remote.inventory import LocalHost
from being_remote.jobs import observe as module
from being_remote.jobs.observe import MAX_STATUS_BYTES, observe, parsed_status
from being_remote.jobs.submit import cancel
from being_remote.transport.local import LocalSession

LIFE = {"pid_ns": 1, "init_start": 2, "boot_id": "b", "volume": "v", "alone": None}
JOB = {
    "job": "a-1",
    "spec_sha256": "0" * 64,
    "ledger": None,
    "lock": "free",
    "lock_inode": None,
    "holder": None,
    "cancel": None,
    "asked": 0,
    "attempts": [],
    "problem": None,
}
END = {
    "state": "succeeded",
    "exit_code": 0,
    "reason": "",
    "elapsed_s": 1.5,
    "frames_done": 1,
    "frames_total": 1,
    "gpus": [],
}


def answer(*jobs: Any, **more: Any) -> bytes:
    return json.dumps({"incarnation": LIFE, "jobs": jobs, "gpus": [], "gpu_problem": None, **more}).encode()


def attempt(**more: Any) -> dict[str, Any]:
    return {"attempt": 1, "who": None, "progress": None, "end": None, "problem": None, **more}


@pytest.mark.parametrize(
    "harm",
    [
        {"lock": "open"},
        {"asked": -1},
        {"asked": "1"},
        {"spec_sha256": "x"},
        {"attempts": [attempt(attempt=0)]},
        {"attempts": [attempt(end={**END, "state": "lost"})]},
        {"attempts": [attempt(end={**END, "elapsed_s": float("inf")})]},
        {"attempts": [attempt(end={**END, "exit_code": True})]},
        {"attempts": [attempt(end={**END, "gpus": ["../x"]})]},
        {"attempts": [attempt(end={**END, "reason": "x" * 5000})]},
        {"attempts": [attempt()] * 17},
        {"ledger": ["x"]},
        {"more": 1},
    ],
)
def test_a_job_whose_facts_make_no_sense_says_so_and_hides_no_other(harm: dict[str, Any]) -> None:
    good = {**JOB, "job": "b-2", "asked": 1, "attempts": [attempt(end=END)]}
    seen = parsed_status(answer({**JOB, **harm}, good), "pod").jobs
    assert seen[0].problem is not None and seen[0].job == "a-1"
    assert seen[1].problem is None and seen[1].attempts[0].end is not None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        answer({**JOB, "job": "../x"}),
        answer("x"),
        answer(None),
        answer(incarnation=None),
        answer(more=1),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_that_quotes_nothing_of_it(said: bytes) -> None:
    with pytest.raises(HostError, match="makes no sense") as caught:
        parsed_status(said, "pod")
    assert "../x" not in str(caught.value)


def test_control_characters_in_a_pods_words_stay_inside_the_value(desk) -> None:
    job = {**JOB, "asked": 1, "attempts": [attempt(end={**END, "reason": "\x1b]0;x\x07", "state": "failed"})]}
    assert parsed_status(answer(job), "pod").jobs[0].attempts[0].end.reason == "\x1b]0;x\x07"


def test_a_host_without_any_job_answers_and_nothing_is_made_there(tmp_path: Path) -> None:
    session = LocalSession(LocalHost(name="here", kind="local", workdir=tmp_path))
    seen = observe(session, PurePosixPath(tmp_path), "python3")
    assert seen.jobs == () and seen.incarnation.volume is None
    assert cancel(session, PurePosixPath(tmp_path), "python3", "a-1").cancel == "absent"
    assert list(tmp_path.iterdir()) == []


def test_a_host_whose_python_is_missing_is_an_error_that_names_the_next_step(tmp_path: Path) -> None:
    session = LocalSession(LocalHost(name="here", kind="local", workdir=tmp_path))
    with pytest.raises(CommandFailed, match="doctor"):
        observe(session, PurePosixPath(tmp_path), "/no/such/python")


@pytest.mark.parametrize(
    "harm",
    [
        lambda said: said[:-1],
        lambda said: said + b"x",
        lambda said: b"not deflated",
        lambda said: zlib.compress(b" " * (MAX_STATUS_BYTES + 1)),
    ],
)
def test_an_answer_that_does_not_unpack_to_what_it_may_be_is_refused(
    desk, harm: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.ask
    monkeypatch.setattr(module, "ask", lambda *args, **more: harm(real(*args, **more)))
    with pytest.raises(HostError, match="makes no sense"):
        observe(desk.session, desk.workdir, desk.python)
