"""`retrack --failover`: a host that falls silent is left by itself, once, and never sooner than was said."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_jobs import retrack
from two_pods import FAILS, FRAMES, SLEEPS, WAITS, TwoPods

from being_remote.cli.options import parse_duration
from being_remote.errors import HostError, InconsistentData, NotFoundError, UsageError
from being_remote.jobs import failover, logs
from being_remote.jobs.follow import MovedLine, StateLine, StayedLine
from being_remote.jobs.ledger import Intent
from being_remote.workflows.cancel import cancel
from being_remote.workflows.retrack import RetrackReport


class Followed:
    """`retrack --failover b` at work in a thread; what it said, and what came of it."""

    def __init__(self, pods: TwoPods, after_s: float, **more: Any) -> None:
        self.said: list[Any] = []
        self.report: RetrackReport | None = None
        self.error: BaseException | None = None
        self.pods = pods
        self._thread = threading.Thread(
            target=self._run, args=(pods, after_s), kwargs={"host": "a", "failover": "b", **more}
        )
        self._thread.start()

    def _run(self, pods: TwoPods, after_s: float, **more: Any) -> None:
        try:
            self.report = retrack(pods.inventory, after_s=after_s, say=self.said.append, **more)
        except BaseException as e:  # noqa: BLE001 - handed to the test
            self.error = e

    @property
    def job(self) -> str:
        return self.pods.ledger.find("last").job

    def at_work(self, since: int = 0) -> str:
        """The job, once it is said to run."""
        self.pods.until(
            lambda: any(isinstance(s, StateLine) and s.state == "running" for s in self.said[since:])
        )
        return self.job

    def end(self) -> RetrackReport:
        self._thread.join(100)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.report is not None
        return self.report

    @property
    def moves(self) -> list[MovedLine]:
        return [s for s in self.said if isinstance(s, MovedLine)]

    @property
    def stays(self) -> list[StayedLine]:
        return [s for s in self.said if isinstance(s, StayedLine)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "RETRY_S", 0.2)
    monkeypatch.setattr(logs, "BEAT_S", 0.3)
    monkeypatch.setattr(logs, "SILENCE_S", 2.0)


@pytest.mark.slow
def test_what_came_home_while_it_was_followed_goes_on_on_the_other_pod(two_pods: TwoPods) -> None:
    two_pods.misbehave("a", HANG_AT="10")
    followed = Followed(two_pods, after_s=2.0)
    job = followed.at_work()
    home = two_pods.home(job)
    two_pods.until(lambda: len(list(home.rglob("*.frame"))) == 10 and bool(list(home.rglob("bbox.pt"))))
    two_pods.pods["a"].stop()
    report = followed.end()
    assert (report.job, report.host, report.state, report.exit_code) == (job, "b", "succeeded", 0)
    assert (report.jobs[0].attempt, report.followed) == (2, True)
    assert report.moved is not None and report.moved.frames_kept == 10
    (line,) = followed.moves
    assert (line.from_host, line.to_host, line.attempt, line.state) == ("a", "b", 1, "unknown")
    assert two_pods.made(job) == [(2, "moved to b after unknown", "b")]
    (given_up,) = (t for t in two_pods.ledger.history(job) if t.state == "abandoned")
    assert given_up.evidence["reason"] == "the user's word: --failover after 2 s"
    # The new attempt came home in its turn, and the old one's files are kept beside.
    assert json.loads((home / "pulled.json").read_text())["attempt"] == 2
    assert len(list(home.rglob("*.frame"))) == FRAMES
    assert len(list(home.with_name(f"{job}.attempt-1").rglob("*.frame"))) == 10


@pytest.mark.slow
def test_a_host_that_is_frozen_is_left_after_the_time_that_was_said_and_not_before(
    two_pods: TwoPods,
) -> None:
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=8.0)
    job = followed.at_work()
    two_pods.pods["a"].pause()
    frozen = time.monotonic()
    two_pods.until(lambda: bool(followed.moves))
    waited = time.monotonic() - frozen
    report = followed.end()
    two_pods.pods["a"].resume()
    assert waited > 7.0
    assert (report.host, report.state, report.exit_code) == ("b", "failed", 5)
    assert two_pods.known(job).attempt == 2  # it failed there, and is moved no more
    assert cancel(two_pods.inventory, job, host="a").state == "cancelled"


@pytest.mark.soak
def test_a_silence_that_ends_in_time_moves_nothing(two_pods: TwoPods) -> None:
    two_pods.tracker(WAITS, "a")
    followed = Followed(two_pods, after_s=60.0)
    followed.at_work()
    two_pods.pods["a"].pause()
    time.sleep(3.0)  # longer than a stream may be silent, so that it is asked anew
    two_pods.pods["a"].resume()
    (two_pods.checkout("a") / "go").touch()
    report = followed.end()
    assert (report.host, report.state, report.moved, followed.moves) == ("a", "failed", None, [])


@pytest.mark.slow
def test_a_host_that_answers_and_cannot_say_how_the_job_stands_is_left_in_its_time(
    two_pods: TwoPods,
) -> None:
    python, inventory = two_pods.folder / "python", two_pods.inventory
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    its = inventory.hosts["a"].model_copy(update={"python": str(python)})
    two_pods.inventory = inventory.model_copy(update={"hosts": {**inventory.hosts, "a": its}})
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=2.0)
    job = followed.at_work()
    two_pods.pods["a"].stop()
    broken = python.with_name("broken-python")  # it comes back with another image
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    broken.replace(python)  # never written in place: a program at work refuses that (ETXTBSY)
    two_pods.pods["a"].start()
    report = followed.end()
    assert [line.state for line in followed.moves] == ["unknown"]
    assert (report.host, report.state, two_pods.known(job).attempt) == ("b", "failed", 2)


@pytest.mark.slow
def test_a_job_that_is_lost_goes_on_at_once(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=600.0)
    job = followed.at_work()
    kill_all_of(two_pods, job)
    report = followed.end()
    assert [line.state for line in followed.moves] == ["lost"]
    assert (report.host, report.state) == ("b", "failed")


def kill_all_of(two_pods: TwoPods, job: str) -> None:
    """Supervisor and payload, at one blow: nobody is left who could write an end."""
    here = two_pods.attempt("a", job, 1)
    supervisor = json.loads((here / "who.json").read_text())["supervisor"]["pid"]
    two_pods.until((here / "progress.json").exists)
    os.kill(supervisor, signal.SIGKILL)
    mark = f"{job}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


@pytest.mark.slow
def test_where_both_pods_are_silent_the_one_that_comes_back_first_has_the_job(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=1.0)
    job = followed.at_work()
    two_pods.pods["b"].stop()
    two_pods.pods["a"].pause()
    two_pods.until(lambda: bool(followed.stays))
    (stayed,) = followed.stays
    assert (stayed.from_host, stayed.to_host, stayed.attempt) == ("a", "b", 1)
    assert two_pods.known(job).attempt == 1
    two_pods.pods["b"].start()
    report = followed.end()
    two_pods.pods["a"].resume()
    assert (report.host, report.state, two_pods.known(job).attempt) == ("b", "failed", 2)
    assert (len(followed.moves), len(followed.stays)) == (2, 1)  # said again before it is done
    assert cancel(two_pods.inventory, job, host="a").state == "cancelled"


@pytest.mark.slow
def test_where_both_pods_are_silent_and_the_jobs_own_comes_back_nothing_moves(two_pods: TwoPods) -> None:
    two_pods.tracker(WAITS, "a")
    followed = Followed(two_pods, after_s=1.0)
    job = followed.at_work()
    two_pods.pods["b"].stop()
    two_pods.pods["a"].pause()
    two_pods.until(lambda: bool(followed.stays))
    two_pods.pods["a"].resume()
    (two_pods.checkout("a") / "go").touch()
    report = followed.end()
    assert (report.host, report.state, report.moved, two_pods.known(job).attempt) == ("a", "failed", None, 1)


@pytest.mark.soak
def test_a_pod_that_comes_back_and_falls_silent_anew_is_waited_for_and_left_anew(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=2.0)
    job = followed.at_work()
    two_pods.pods["b"].stop()
    two_pods.pods["a"].pause()
    two_pods.until(lambda: bool(followed.stays))
    before = len(followed.said)
    two_pods.pods["a"].resume()
    followed.at_work(since=before)
    two_pods.pods["a"].pause()
    paused = time.monotonic()
    two_pods.pods["b"].start()
    report = followed.end()
    two_pods.pods["a"].resume()
    assert time.monotonic() - paused > 2.0
    assert (report.host, len(followed.moves), len(followed.stays)) == ("b", 2, 1)
    assert cancel(two_pods.inventory, job, host="a").state == "cancelled"


@pytest.mark.slow
def test_where_both_pods_come_back_at_once_the_jobs_own_keeps_it(
    two_pods: TwoPods, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_pods.tracker(WAITS, "a")
    followed = Followed(two_pods, after_s=1.0)
    job = followed.at_work()
    looked = failover.look_at_job

    def the_link_heals_behind_it(*given: Any) -> Any:
        try:
            return looked(*given)
        finally:
            two_pods.pods["a"].resume()
            two_pods.pods["b"].start()

    monkeypatch.setattr(failover, "look_at_job", the_link_heals_behind_it)
    two_pods.pods["b"].stop()
    two_pods.pods["a"].pause()
    two_pods.until(lambda: bool(followed.stays))
    before = len(followed.said)
    followed.at_work(since=before)
    (two_pods.checkout("a") / "go").touch()
    report = followed.end()
    assert (report.host, report.state, report.moved, two_pods.known(job).attempt) == ("a", "failed", None, 1)
    assert (len(followed.moves), len(followed.stays)) == (1, 1)


@pytest.mark.slow
def test_a_job_that_was_lost_waits_for_the_other_pod(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a")
    two_pods.tracker(FAILS, "b")
    followed = Followed(two_pods, after_s=60.0)
    job = followed.at_work()
    two_pods.pods["b"].stop()
    kill_all_of(two_pods, job)
    two_pods.until(lambda: bool(followed.stays))
    two_pods.pods["b"].start()
    report = followed.end()
    assert (report.host, report.state, len(followed.moves), len(followed.stays)) == ("b", "failed", 2, 1)


@pytest.mark.slow
def test_a_job_that_another_terminal_moved_is_not_taken_away_from_there(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a", "b")
    followed = Followed(two_pods, after_s=60.0)
    job = followed.at_work()
    two_pods.pods["b"].stop()
    kill_all_of(two_pods, job)
    two_pods.until(lambda: bool(followed.stays))
    was = two_pods.known(job)
    there = Intent(job, "c", was.actor, was.recipe, was.spec, was.spec_sha256, b"null", was.job)
    two_pods.ledger.next_attempt(job, 1, {"reason": "elsewhere"}, moved=there)
    with pytest.raises(UsageError, match="another terminal made attempt 2 of it, on c"):
        followed.end()
    assert two_pods.known(job).attempt == 2


@pytest.mark.soak
def test_where_both_pods_stay_away_nothing_is_given_up_and_both_reasons_are_named(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a")
    followed = Followed(two_pods, after_s=1.0)
    job = followed.at_work()
    for pod in two_pods.pods.values():
        pod.stop()
    with pytest.raises(HostError) as raised:
        followed.end()
    refused = r"127\.0\.0\.1:{port} "
    its, other = (refused.format(port=two_pods.pods[name].port) for name in "ab")
    assert re.search(f"{job} did not move: a: .*{its}.*; b: .*{other}", raised.value.what), raised.value.what
    assert (two_pods.known(job).attempt, two_pods.known(job).state) == (1, "running")


@pytest.mark.slow
def test_a_spare_pod_that_could_not_take_the_job_is_told_before_anything_is_paid_for(
    two_pods: TwoPods,
) -> None:
    def refused(error: type[Exception], words: str) -> None:
        for dry_run in (True, False):
            with pytest.raises(error, match=words):
                retrack(two_pods.inventory, host="a", failover="b", dry_run=dry_run)
        assert two_pods.ledger.jobs() == ()

    identity = two_pods.checkout("b") / "input/demo/identity.npy"
    np.save(identity, np.load(identity) + 1)
    refused(InconsistentData, "another file")
    shutil.rmtree(two_pods.checkout("b") / "input/demo")
    (two_pods.folder / "backups/demo/actor/identity.npy").unlink()
    planned = retrack(two_pods.inventory, host="a", failover="b", dry_run=True).jobs[0].plan
    (note,) = (note for note in planned.notes if note.startswith("on b: "))
    assert "no identity.npy, which the tracker needs, neither local nor remote" in note
    shutil.rmtree(two_pods.folder / "video")
    refused(NotFoundError, "video")
    (two_pods.checkout("b") / "tracker.py").unlink()
    refused(NotFoundError, "tracker.py")
    two_pods.pods["b"].stop()
    refused(HostError, "b: ")


@pytest.mark.slow
def test_a_job_that_is_at_it_already_is_joined_though_the_spare_pod_is_silent(two_pods: TwoPods) -> None:
    two_pods.tracker(WAITS, "a")
    first = retrack(two_pods.inventory, host="a")
    two_pods.pods["b"].stop()
    followed = Followed(two_pods, after_s=60.0)
    assert followed.at_work() == first.job
    (two_pods.checkout("a") / "go").touch()
    report = followed.end()
    assert (report.job, report.adopted, report.state) == (first.job, True, "failed")


@pytest.mark.soak
def test_a_job_that_another_terminal_ended_is_not_moved(two_pods: TwoPods) -> None:
    two_pods.tracker(SLEEPS, "a", "b")
    followed = Followed(two_pods, after_s=2.0)
    job = followed.at_work()
    two_pods.pods["a"].stop()
    two_pods.ledger.record(job, 1, "cancelled", {"reason": "elsewhere"})
    report = followed.end()
    assert (report.state, report.moved, two_pods.known(job).attempt) == ("cancelled", None, 1)


def test_wishes_that_cannot_be_meant(two_pods: TwoPods) -> None:
    for more, words in (
        ({"failover": "a"}, "names the host itself"),
        ({"failover": "c"}, "no host named"),
        ({"failover": "b", "sweeps": ["fps=[25, 30]"]}, "--failover takes one job"),
    ):
        with pytest.raises(UsageError, match=words):
            retrack(two_pods.inventory, host="a", **more)
    assert two_pods.ledger.jobs() == ()


@pytest.mark.parametrize("text", ["", "20", "m", "-5m", "1e9h", "5 min", "nan s", "infm", "0s"])
def test_a_duration_needs_its_unit(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text, "--after")
