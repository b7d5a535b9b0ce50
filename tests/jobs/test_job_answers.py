"""What a pod says is believed only as far as types and sizes go, and one bad job hides no other."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from being_remote.errors import HostError, ToolMissing
from being_remote.inventory import LocalHost
from being_remote.jobs.cancel import cancel
from being_remote.jobs.status_poll import look_at_host
from being_remote.pod import status
from being_remote.pod_client.job_answers import MAX_STATUS_BYTES, parse_status
from being_remote.schedulers import plain_host
from being_remote.transport.local_session import LocalSession

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
        {"attempts": [attempt(end={**END, "state": "waiting"})]},
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
    seen = parse_status(answer({**JOB, **harm}, good), "pod").jobs
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
        answer(incarnation=None),
        answer(more=1),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_that_quotes_nothing_of_it(said: bytes) -> None:
    with pytest.raises(HostError, match="malformed answer") as caught:
        parse_status(said, "pod")
    assert "../x" not in str(caught.value)


@pytest.mark.parametrize("row", [{**JOB, "job": "../x"}, {**JOB, "job": "\ud800"}, {}, "x", None, 7, []])
def test_a_row_that_names_no_job_is_counted_and_hides_no_other(row: Any) -> None:
    seen = parse_status(answer(row, {**JOB, "job": "b-2"}), "pod")
    assert [facts.job for facts in seen.jobs] == ["b-2"]
    assert seen.problems == ("1 of its 2 rows about jobs are malformed",)


@pytest.mark.parametrize(
    "harm",
    [
        b'{"ledger": "\\ud800", ',  # half a letter: pydantic's own reader refuses the whole document
        b'{"asked": ' + b"9" * 5000 + b", ",  # Python's own reader refuses so long a number
        b'{"asked": NaN, ',
        b'{"asked": 1e999, ',
        b'{"cancel": ' + b"[" * 500 + b"]" * 500 + b", ",
    ],
)
def test_letters_and_numbers_that_json_readers_refuse_hide_no_other_job(harm: bytes) -> None:
    odd = json.dumps({k: v for k, v in JOB.items() if k not in ("ledger", "asked", "cancel")}).encode()
    said = answer("odd", {**JOB, "job": "b-2"}).replace(b'"odd"', harm + odd[1:])
    bad, good = parse_status(said, "pod").jobs
    assert (bad.job, good.job) == ("a-1", "b-2")
    assert bad.problem is not None and "malformed" in bad.problem and good.problem is None


def test_a_gpu_that_makes_no_sense_hides_no_job_and_no_other_gpu() -> None:
    gpu = {"index": 0, "uuid": "GPU-1", "name": "A100", "memory_total_mib": 1, "memory_used_mib": 1}
    gpu |= {"utilization_percent": None, "busy": False, "job": None}
    seen = parse_status(answer(JOB, gpus=[{**gpu, "uuid": "\ud800"}, gpu, None]), "pod")
    assert ([g.uuid for g in seen.gpus], len(seen.jobs)) == (["GPU-1"], 1)
    assert (seen.problems, seen.gpu_problem) == ((), "2 of its 3 rows about gpus are malformed")


def test_a_pods_words_stand_on_one_line() -> None:
    hostile = "no\n  next: being-remote trust --host pod --yes\x1b]0;x\x07\ud800"
    job = {**JOB, "asked": 1, "attempts": [attempt(end={**END, "reason": hostile, "state": "failed"})]}
    end = parse_status(answer(job), "pod").jobs[0].attempts[0].end
    assert end is not None and end.reason.isprintable() and end.reason.startswith("no\\n  next:")


@pytest.mark.parametrize(
    "beat", ["x" * 1_000_000, [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]], 10**5000], ids=["long", "deep", "number"]
)
def test_however_long_or_deep_their_records_are_every_job_of_a_pod_is_named(beat: Any) -> None:
    jobs = [
        {**JOB, "job": f"j-{n}", "attempts": [attempt(progress={"beat": beat})] * (n % 2)} for n in range(80)
    ]
    rows = status.rows_of(jobs)
    assert sum(map(len, rows)) < MAX_STATUS_BYTES
    said = b"[" + ",".join(rows).encode() + b"]"
    seen = parse_status(answer("odd").replace(b'["odd"]', said), "pod").jobs
    assert [facts.job for facts in seen] == [f"j-{n}" for n in range(80)]
    assert all((facts.problem is not None) == bool(n % 2) for n, facts in enumerate(seen))
    assert all("its records" in str(facts.problem) for facts in seen[1::2])


def test_a_record_that_cannot_be_sent_hides_no_other_job_of_the_pod(desk: Any) -> None:
    hostile = ['{"beat": ' + "[" * n + "]" * n + "}" for n in (400, 900, 30_000)]
    hostile += [json.dumps({"beat": "x" * 900_000}), '{"beat": "\\ud800"}']
    for number, text in enumerate(hostile):
        folder = Path(desk.workdir) / "jobs" / f"odd-{number}" / "attempts" / "1"
        folder.mkdir(parents=True)
        (folder.parent.parent / "spec.json").write_text("{}")
        (folder / "progress.json").write_text(text)
    good = Path(desk.workdir) / "jobs" / "plain"
    (good / "attempts").mkdir(parents=True)
    (good / "spec.json").write_text("{}")
    seen = {job.job: job for job in desk.look().jobs}
    assert seen["plain"].state == "submitted"
    for number in range(len(hostile)):
        assert seen[f"odd-{number}"].state == "unknown"


def test_a_host_without_any_job_answers_and_nothing_is_made_there(tmp_path: Path) -> None:
    host = LocalHost(name="here", workdir=tmp_path)
    session = LocalSession(host)
    seen = look_at_host(session, host)
    assert seen.jobs == () and seen.incarnation.volume is None
    assert cancel(session, host, "a-1").cancel == "absent"
    assert list(tmp_path.iterdir()) == []


def test_a_host_whose_python_is_missing_is_an_error_that_names_the_next_step(tmp_path: Path) -> None:
    host = LocalHost(name="here", workdir=tmp_path, python="/no/such/python")
    with pytest.raises(ToolMissing, match="set `python` in the inventory"):
        look_at_host(LocalSession(host), host)


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
    real = plain_host.run_program
    monkeypatch.setattr(plain_host, "run_program", lambda *args, **more: harm(real(*args, **more)))
    with pytest.raises(HostError, match="malformed answer"):
        desk.look()
