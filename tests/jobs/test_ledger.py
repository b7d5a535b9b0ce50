"""The ledger: one job for one intent, whoever asks at once; ends that stay; a story that is whole."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from being_remote.errors import NotFoundError, TornFile, UsageError
from being_remote.jobs.ledger import Intent, Ledger, hosts_of, volume_of
from being_remote.pod.job_states import JobState

ENDED = tuple(state for state in JobState if state.ended)
ORDER = tuple(state for state in JobState if not state.ended and state is not JobState.UNKNOWN)
INTENT = Intent("demo-aaaaaaaa", "pod", "demo", "metrical-tracker", b"{}", "0" * 64, b"parcel", "key")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.sqlite")


def other(job: str, key: str = "other") -> Intent:
    return replace(INTENT, job=job, key=key)


def test_looking_makes_no_file(ledger: Ledger) -> None:
    assert ledger.jobs() == () and ledger.history("x") == () and ledger.find_same_intent("key") is None
    with pytest.raises(NotFoundError):
        ledger.find("last")
    assert not ledger.path.parent.exists()


def test_the_file_is_ours_alone(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_an_intent_is_written_whole_and_says_its_own_ledger(ledger: Ledger) -> None:
    made = ledger.intend(INTENT)
    assert not made.adopted
    again = Ledger(ledger.path)
    assert again.find("demo-aaaaaaaa") == made.job
    assert (made.job.spec, made.job.attempt, made.job.state) == (b"{}", 1, "created")
    assert again.uuid == ledger.uuid and len(ledger.uuid) == 36


@pytest.mark.parametrize("state", [*ORDER, "unknown"])
def test_the_same_intent_joins_a_job_that_is_not_known_to_be_ended(ledger: Ledger, state: str) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, state, {})
    second = ledger.intend(replace(INTENT, job="demo-bbbbbbbb"))
    assert (second.adopted, second.job.job) == (True, "demo-aaaaaaaa")
    assert len(ledger.jobs()) == 1


@pytest.mark.parametrize("state", ENDED)
def test_the_same_intent_after_an_end_is_a_new_job_but_after_a_success_or_a_loss(
    ledger: Ledger, state: str
) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, state, {})
    assert ledger.intend(replace(INTENT, job="demo-bbbbbbbb")).adopted is (state in ("succeeded", "lost"))


def test_the_same_intent_joins_the_job_that_runs_before_the_one_that_succeeded(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.intend(replace(INTENT, job="demo-bbbbbbbb"), again=True)
    ledger.record("demo-bbbbbbbb", 1, "succeeded", {})
    assert ledger.intend(replace(INTENT, job="demo-cccccccc")).job.job == INTENT.job


def test_again_makes_another_job_and_another_intent_is_one(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    assert not ledger.intend(replace(INTENT, job="demo-bbbbbbbb"), again=True).adopted
    assert not ledger.intend(other("demo-cccccccc")).adopted
    assert len(ledger.jobs()) == 3


def test_what_is_done_together_is_written_as_a_whole_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.together() as batch:
        assert not batch.intend(INTENT).adopted
        assert batch.intend(other("demo-bbbbbbbb", INTENT.key)).adopted  # what was just written is seen
        raise RuntimeError
    assert ledger.jobs() == ()
    with ledger.together() as batch:
        batch.intend(INTENT)
        batch.record(INTENT.job, 1, JobState.RUNNING, {})
    assert ledger.find(INTENT.job).state == "running"


def test_a_state_never_goes_back_and_an_end_stays(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    assert ledger.record(INTENT.job, 1, "running", {}).state == "running"
    assert ledger.record(INTENT.job, 1, "waiting", {"late": True}).state == "running"
    assert ledger.record(INTENT.job, 1, "failed", {"exit_code": 3}).state == "failed"
    for late in ("running", "succeeded", "abandoned", "unknown"):
        assert ledger.record(INTENT.job, 1, late, {}).state == "failed"
    assert [t.state for t in ledger.history(INTENT.job)] == ["created", "running", "failed"]


def test_an_end_record_that_turns_up_replaces_lost(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "lost", {})
    assert ledger.record(INTENT.job, 1, "running", {}).state == "lost"
    assert ledger.record(INTENT.job, 1, "succeeded", {}).state == "succeeded"


def test_unknown_joins_the_story_once_and_leaves_the_state(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "running", {})
    for _ in range(3):
        assert ledger.record(INTENT.job, 1, "unknown", {"reason": "no answer"}).state == "running"
    ledger.record(INTENT.job, 1, "unknown", {"reason": "another"})
    assert [t.state for t in ledger.history(INTENT.job)] == ["created", "running", "unknown", "unknown"]


def test_word_of_an_earlier_attempt_changes_nothing(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "lost", {})
    assert ledger.next_attempt(INTENT.job, 1, {"why": "resume"}).attempt == 2
    after = ledger.record(INTENT.job, 1, "succeeded", {})
    assert (after.attempt, after.state) == (2, "created")


def test_two_that_resume_at_once_make_one_attempt(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.next_attempt(INTENT.job, 1, {})
    with pytest.raises(UsageError, match="another terminal made attempt 2"):
        ledger.next_attempt(INTENT.job, 1, {})


def test_a_later_attempt_of_another_ledger_is_taken_over_and_an_older_one_is_not(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    assert ledger.take_over(INTENT, attempt=3, state="failed", evidence={}).attempt == 3
    assert ledger.take_over(INTENT, attempt=2, state="running", evidence={}).state == "failed"
    assert ledger.take_over(other("x"), attempt=2, state="running", evidence={}).attempt == 2


def test_a_job_is_found_by_id_by_its_beginning_and_as_the_last(ledger: Ledger) -> None:
    for job in ("demo-aa", "demo-aab", "roman-x"):
        ledger.intend(other(job, key=job))
    assert ledger.find("last").job == "roman-x"
    assert ledger.find("r").job == "roman-x"
    assert ledger.find("demo-aa").job == "demo-aa"  # itself, though another begins with it
    with pytest.raises(UsageError, match="may mean 2 jobs") as e:
        ledger.find("demo")
    assert "demo-aa" in e.value.hint and "demo-aab" in e.value.hint
    for nothing in ("nope", "", "%", "demo_aa"):
        with pytest.raises(NotFoundError):
            ledger.find(nothing)


def test_the_last_is_the_newest_of_the_kind_that_is_needed_or_of_all_where_there_is_none(
    ledger: Ledger,
) -> None:
    for job, recipe, actor in (
        ("t1", "metrical-tracker", "a"),
        ("t2", "metrical-tracker", "b"),
        ("c", "command", None),
    ):
        ledger.intend(replace(other(job, key=job), recipe=recipe, actor=actor))
    assert ledger.find("last").job == "c"
    assert ledger.find("last", recipes=("metrical-tracker",)).job == "t2"
    assert ledger.find("last", recipes=("metrical-tracker", "command")).job == "c"
    assert ledger.find("last", recipes=("metrical-tracker",), actor="a").job == "t1"
    assert ledger.find("last", recipes=("trainer",)).job == "c"
    assert ledger.find("t1", recipes=("command",), actor="b").job == "t1"
    with pytest.raises(NotFoundError, match="no job of actor nobody yet"):
        ledger.find("last", actor="nobody")


_WORDS = (*ORDER, *ENDED, "unknown")


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2), st.sampled_from(_WORDS)), max_size=12))
def test_whatever_order_words_come_in_ends_stay_and_states_climb(words: list[tuple[int, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l.sqlite")
        ledger.intend(INTENT)
        for attempt, state in words:
            before = ledger.find(INTENT.job)
            after = ledger.record(INTENT.job, attempt, state, {})
            if before.ended and before.state != "lost":
                assert after.state == before.state
            elif before.state == "lost":
                assert after.state in ENDED
            elif after.state not in ENDED:
                assert ORDER.index(after.state) >= ORDER.index(before.state)
            assert after.state != "unknown"


_MANY = """
import sys
from dataclasses import replace
from pathlib import Path
from being_remote.jobs.ledger import Intent, Ledger
who, path = sys.argv[1], Path(sys.argv[2])
sys.stdin.readline()
ledger = Ledger(path)
for n in range(15):
    intent = Intent(f"{who}-{n:03}", "pod", "demo", "r", b"{}", "0" * 64, b"", f"key {n}")
    made = ledger.intend(intent)
    ledger.record(made.job.job, 1, "running", {"by": who})
    print(made.job.job, made.adopted, flush=True)
"""


def test_two_terminals_at_once_make_one_job_of_each_intent(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _MANY, who, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for who in ("a", "b")
    ]
    for run in runs:
        assert run.stdin
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    ours, theirs = ([line.split() for line in out.splitlines()] for out, _ in said)
    assert [job for job, _ in ours] == [job for job, _ in theirs]
    assert all({a, b} == {"True", "False"} for (_, a), (_, b) in zip(ours, theirs, strict=True))
    ledger = Ledger(path)
    assert len(ledger.jobs()) == 15
    assert all(
        [t.state for t in ledger.history(known.job)] == ["created", "running"] for known in ledger.jobs()
    )


_FOREVER = """
import sys
from pathlib import Path
from being_remote.jobs.ledger import Intent, Ledger
ledger = Ledger(Path(sys.argv[1]))
for n in range(100000):
    ledger.intend(Intent(f"job-{n:06}", "pod", None, "r", b"{}", "0" * 64, b"", f"key {n}"))
    print(f"job-{n:06}", flush=True)
"""


def test_what_was_written_down_survives_a_kill_and_is_never_half(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    argv = [sys.executable, "-c", _FOREVER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        said = [run.stdout.readline().strip() for _ in range(5)]
        os.kill(run.pid, signal.SIGKILL)
        said += run.stdout.read().split()
    ledger = Ledger(path)
    jobs = {known.job for known in ledger.jobs()}
    assert set(said) <= jobs and len(jobs) - len(said) <= 1
    assert all([t.state for t in ledger.history(job)] == ["created"] for job in jobs)


def test_a_reader_is_not_held_up_by_a_writer(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    with sqlite3.connect(ledger.path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert ledger.find("last").job == INTENT.job
        assert time.monotonic() - started < 5
        db.execute("ROLLBACK")
    db.close()


def test_evidence_comes_back_as_it_was_given(ledger: Ledger) -> None:
    evidence = {"lock_free": False, "text": "a\x1b[0m\udcff", "deep": {"n": [1, None]}}
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "running", evidence)
    assert ledger.history(INTENT.job)[-1].evidence == json.loads(json.dumps(evidence))


def test_a_ledger_that_cannot_be_used_says_why_and_touches_no_job(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"something else that is no database" * 100)
    for ask in (lambda: Ledger(path).jobs(), lambda: Ledger(path).uuid):
        with pytest.raises(TornFile, match="the ledger is corrupt"):
            ask()
    assert path.read_bytes().startswith(b"something else")


MOVED = replace(INTENT, host="other", spec=b"[]", spec_sha256="1" * 64, parcel=b"theirs", key="key there")


def test_a_job_that_moves_is_the_new_hosts_at_once_and_the_story_keeps_the_old_one(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "running", {})
    ledger.record(INTENT.job, 1, "abandoned", {})
    known = ledger.next_attempt(INTENT.job, 1, {"reason": "away"}, moved=MOVED)
    assert (known.host, known.spec, known.spec_sha256) == ("other", b"[]", "1" * 64)
    assert ledger.parcel_of(known.job) == b"theirs" and known.parcel_bytes == 6
    assert (known.attempt, known.state, known.actor) == (2, "created", "demo")
    story = ledger.history(INTENT.job)
    assert story[-1].evidence == {
        "reason": "away",
        "host": "other",
        "from_host": "pod",
        "from_spec_sha256": "0" * 64,
    }
    assert hosts_of(known, story) == {1: "pod", 2: "other"}
    (left,) = ledger.former_hosts(INTENT.job)
    assert (left.host, left.spec, left.spec_sha256, left.parcel) == ("pod", b"{}", "0" * 64, b"parcel")
    assert [k.job for k in ledger.jobs(host="other")] == [INTENT.job] and ledger.jobs(host="pod") == ()


def test_a_job_that_moves_there_and_back_has_each_attempts_host(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.next_attempt(INTENT.job, 1, {}, moved=MOVED)
    ledger.next_attempt(INTENT.job, 2, {})
    known = ledger.next_attempt(INTENT.job, 3, {}, moved=INTENT)
    assert hosts_of(known, ledger.history(INTENT.job)) == {1: "pod", 2: "other", 3: "other", 4: "pod"}
    assert (known.host, known.spec) == ("pod", b"{}")
    assert [left.host for left in ledger.former_hosts(INTENT.job)] == ["pod", "other"]


def test_two_that_move_it_at_once_make_one_attempt_on_one_host(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.next_attempt(INTENT.job, 1, {}, moved=MOVED)
    with pytest.raises(UsageError, match="another terminal made attempt 2"):
        ledger.next_attempt(INTENT.job, 1, {}, moved=replace(MOVED, host="third"))
    assert ledger.find(INTENT.job).host == "other"


def test_what_succeeded_meanwhile_is_not_moved(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.record(INTENT.job, 1, "succeeded", {})
    ledger.record(INTENT.job, 1, "abandoned", {})
    with pytest.raises(UsageError, match="attempt 1 has succeeded meanwhile"):
        ledger.next_attempt(INTENT.job, 1, {}, moved=MOVED)
    assert (ledger.find(INTENT.job).host, ledger.former_hosts(INTENT.job)) == ("pod", ())


def test_the_same_intent_joins_a_job_that_moved_under_its_old_name_and_its_new_one(ledger: Ledger) -> None:
    ledger.intend(INTENT)
    ledger.next_attempt(INTENT.job, 1, {}, moved=MOVED)
    for key in ("key", "key there"):
        assert ledger.intend(other("demo-bbbbbbbb", key)).job.job == INTENT.job
        assert ledger.find_same_intent(key) == ledger.find(INTENT.job)
    ledger.record(INTENT.job, 2, "failed", {})
    assert ledger.find_same_intent("key") is None


def test_an_attempt_on_another_host_that_another_ledger_made_is_taken_over_with_its_host(
    ledger: Ledger,
) -> None:
    ledger.intend(INTENT)
    known = ledger.take_over(MOVED, attempt=2, state="running", evidence={})
    assert (known.host, known.attempt, known.state, known.spec) == ("other", 2, "running", b"[]")
    assert hosts_of(known, ledger.history(INTENT.job)) == {1: "pod", 2: "other"}


SECOND = replace(INTENT, job="demo-bbbbbbbb", actor="roman", host="other", key="second")


@pytest.fixture
def two(ledger: Ledger) -> Ledger:
    """A ledger of two jobs, so that what is asked of one must not reach the other."""
    ledger.intend(INTENT)
    ledger.intend(SECOND)
    return ledger


def test_the_first_volume_that_an_attempt_is_recorded_for_counts(two: Ledger) -> None:
    assert two.record_volume(SECOND.job, 1, "their disk") == "their disk"
    assert two.record_volume(INTENT.job, 1, "first disk") == "first disk"
    assert two.record_volume(INTENT.job, 1, "second disk") == "first disk"
    two.record(INTENT.job, 1, JobState.SUBMITTED, {"volume": "what the host said later"})
    assert two.record_volume(INTENT.job, 1, "second disk") == "first disk"
    steps = [c.evidence.get("volume") for c in two.history(INTENT.job)][:2]
    assert steps == [None, "first disk"] and volume_of(two.history(INTENT.job), 1) == "first disk"


def test_a_later_attempt_is_sent_to_a_volume_of_its_own(two: Ledger) -> None:
    two.record_volume(INTENT.job, 1, "first disk")
    two.next_attempt(INTENT.job, 1, {})
    assert two.record_volume(INTENT.job, 2, "second disk") == "second disk"
    history = two.history(INTENT.job)
    assert [volume_of(history, n) for n in (1, 2, 3)] == ["first disk", "second disk", None]


def test_an_attempt_that_does_not_count_any_more_is_not_sent(two: Ledger) -> None:
    two.next_attempt(INTENT.job, 1, {})
    before = two.history(INTENT.job)
    assert two.record_volume(INTENT.job, 1, "a disk") is None
    assert two.record_volume(INTENT.job, 3, "a disk") is None
    assert two.history(INTENT.job) == before


@pytest.mark.parametrize("state", ENDED)
def test_an_attempt_that_has_ended_meanwhile_is_not_sent(two: Ledger, state: JobState) -> None:
    two.record(INTENT.job, 1, state, {})
    before = two.history(INTENT.job)
    assert two.record_volume(INTENT.job, 1, "a disk") is None
    assert two.history(INTENT.job) == before


def test_only_an_attempt_that_was_never_sent_is_cancelled_here(two: Ledger) -> None:
    two.next_attempt(INTENT.job, 1, {})
    assert two.cancel_unsent(INTENT.job, 1, {}) is None  # it does not count any more
    done = two.cancel_unsent(INTENT.job, 2, {"reason": "cancelled"})
    assert done is not None and (done.attempt, done.state) == (2, "cancelled")
    two.record_volume(SECOND.job, 1, "a disk")
    assert two.cancel_unsent(SECOND.job, 1, {}) is None  # it may have arrived
    assert two.find(SECOND.job).state == "created"


@pytest.mark.parametrize("state", [state for state in ORDER if state is not JobState.CREATED])
def test_an_attempt_that_was_seen_on_its_host_is_not_cancelled_here(two: Ledger, state: JobState) -> None:
    two.record(INTENT.job, 1, state, {})
    assert two.cancel_unsent(INTENT.job, 1, {}) is None
    assert two.find(INTENT.job).state == state


def test_what_is_learnt_of_one_job_changes_no_other(two: Ledger) -> None:
    before = two.find(SECOND.job), two.history(SECOND.job)
    two.record(INTENT.job, 1, JobState.RUNNING, {})
    two.record_volume(INTENT.job, 1, "a disk")
    two.record(INTENT.job, 1, JobState.UNKNOWN, {"reason": "no answer"})
    two.next_attempt(INTENT.job, 1, {}, moved=replace(INTENT, host="third", key="third"))
    assert (two.find(SECOND.job), two.history(SECOND.job)) == before
    assert two.former_hosts(SECOND.job) == () and len(two.former_hosts(INTENT.job)) == 1
    two.next_attempt(SECOND.job, 1, {}, moved=replace(SECOND, host="third", spec_sha256="3" * 64))
    assert [left.host for left in two.former_hosts(SECOND.job)] == ["other"]
    assert [left.host for left in two.former_hosts(INTENT.job)] == ["pod"]


def test_a_repeated_unknown_of_one_job_is_written_though_another_job_said_the_same(two: Ledger) -> None:
    for job in (INTENT.job, SECOND.job):
        two.record(job, 1, JobState.UNKNOWN, {"reason": "no answer"})
    assert [c.state for c in two.history(SECOND.job)] == ["created", "unknown"]
    two.record(SECOND.job, 1, JobState.RUNNING, {})
    two.record(SECOND.job, 1, JobState.UNKNOWN, {"reason": "no answer"})
    assert [c.state for c in two.history(SECOND.job)] == ["created", "unknown", "running", "unknown"]


def test_an_unknown_after_the_end_is_not_written_down(two: Ledger) -> None:
    two.record(INTENT.job, 1, JobState.FAILED, {})
    two.record(INTENT.job, 1, JobState.UNKNOWN, {"reason": "no answer"})
    assert [c.state for c in two.history(INTENT.job)] == ["created", "failed"]


def test_when_a_host_last_said_how_a_job_stands_is_known_of_that_job_alone(two: Ledger) -> None:
    assert two.find(INTENT.job).seen_at is None
    two.record(INTENT.job, 1, JobState.UNKNOWN, {"reason": "no answer"})
    assert two.find(INTENT.job).seen_at is None
    two.record(INTENT.job, 1, JobState.CREATED, {})
    first = two.find(INTENT.job).seen_at
    assert first is not None and two.find(SECOND.job).seen_at is None
    two.record(INTENT.job, 1, JobState.CREATED, {})
    later = two.find(INTENT.job).seen_at
    assert later is not None and later > first


def test_jobs_are_listed_by_host_and_by_actor_the_newest_first(two: Ledger) -> None:
    assert [j.job for j in two.jobs()] == [SECOND.job, INTENT.job]
    assert [j.job for j in two.jobs(host="pod")] == [INTENT.job]
    assert [j.job for j in two.jobs(actor="roman")] == [SECOND.job]
    assert two.jobs(host="pod", actor="roman") == ()


def test_an_attempt_that_is_taken_over_twice_keeps_what_was_learnt_of_it(two: Ledger) -> None:
    two.record(INTENT.job, 1, JobState.FAILED, {"exit_code": 3})
    before = two.find(INTENT.job), two.history(INTENT.job)
    two.take_over(replace(INTENT, host="elsewhere"), attempt=1, state=JobState.RUNNING, evidence={})
    assert (two.find(INTENT.job), two.history(INTENT.job)) == before
    third = replace(INTENT, job="demo-cccccccc", key="third")
    assert two.take_over(third, attempt=2, state=JobState.RUNNING, evidence={}).job == third.job


def test_of_two_jobs_of_one_intent_the_newest_is_joined(two: Ledger) -> None:
    two.intend(replace(INTENT, job="demo-cccccccc"), again=True)
    found = two.find_same_intent(INTENT.key)
    assert found is not None and found.job == "demo-cccccccc"
    assert two.find_same_intent("no such key") is None


def test_only_a_late_end_corrects_a_loss(two: Ledger) -> None:
    two.record(INTENT.job, 1, JobState.LOST, {})
    for late in (*ORDER, JobState.LOST):
        assert two.record(INTENT.job, 1, late, {}).state == "lost"
    assert two.record(INTENT.job, 1, JobState.FAILED, {}).state == "failed"
    assert two.record(INTENT.job, 1, JobState.SUCCEEDED, {}).state == "failed"
