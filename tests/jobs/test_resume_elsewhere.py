"""`resume --host OTHER`: the same job on another pod, from what is home; the old attempt counts no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from local_jobs import unheard
from two_pods import FRAMES, TwoPods, contents

from being_remote.errors import HostError, InconsistentData, UsageError
from being_remote.jobs import dispatch, move, move_and_follow
from being_remote.tracker.frame_file import read_frame
from being_remote.workflows.cancel import cancel
from being_remote.workflows.jobs import jobs
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import ResumeReport, resume

KEPT = "10 whole frames of another host's attempt are kept"


@pytest.mark.slow
def test_the_file_set_is_that_of_an_undisturbed_run(two_pods: TwoPods) -> None:
    two_pods.misbehave("a", EXIT_AT="10:1")
    job = str(two_pods.track(follow_it=True).job)
    pull(two_pods.inventory, job, all_files=True)
    brought = contents(two_pods.home(job))
    two_pods.pods["a"].stop()
    report = resume(two_pods.inventory, job, host="b", follow=unheard)
    assert (report.job, report.host, report.attempt, report.previous_state) == (job, "b", 2, "failed")
    assert (report.state, report.exit_code) == ("succeeded", 0), report.reason
    assert report.moved is not None
    # The box, and frame, crop and mesh of each; but for one all meshes are the same bytes.
    assert (report.moved.from_host, report.moved.frames_kept, report.moved.files) == ("a", 10, 31)
    log = (two_pods.attempt("b", job, 2) / "log").read_text()
    assert KEPT in log and "Snapshot loaded for frame 00009" in log

    other = str(two_pods.track("b", again=True, follow_it=True).job)
    moved, whole = (two_pods.attempt("b", j, n) / "work" for j, n in ((job, 2), (other, 1)))
    assert contents(moved / "output").keys() == contents(whole / "output").keys()
    for name in ("intrinsics.json", "input/demo/bbox.pt"):
        assert (moved / name).read_bytes() == (whole / name).read_bytes(), name
    ours, theirs = (contents(work / "output/demo/checkpoint") for work in (moved, whole))
    assert len(ours) == FRAMES
    for number, name in enumerate(sorted(ours)):
        # The tracker fits the last frame before the end anew, and counts its steps on from there.
        if number < 9:
            assert ours[name] == theirs[name], name
        got, wanted = (read_frame(work / "output/demo/checkpoint" / name) for work in (moved, whole))
        assert all((getattr(got, of) == getattr(wanted, of)).all() for of in ("K", "R", "t"))

    pulled = pull(two_pods.inventory, job)
    assert (pulled.host, pulled.attempt, pulled.state, pulled.exit_code) == ("b", 2, "succeeded", 0)
    record = json.loads((two_pods.home(job) / "pulled.json").read_text())
    assert (record["host"], record["attempt"]) == ("b", 2)
    # What the first attempt brought home stays.
    assert contents(two_pods.home(job).with_name(f"{job}.attempt-1")) == brought


@pytest.mark.slow
def test_a_pod_that_is_silent_is_left_only_on_the_users_word(two_pods: TwoPods) -> None:
    job = two_pods.at_work()
    with pytest.raises(UsageError, match="it is running"):
        resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    two_pods.pods["a"].stop()
    with pytest.raises(HostError, match="is unknown") as raised:
        resume(two_pods.inventory, job, host="b")
    assert "--pod-is-gone" in str(raised.value.hint)
    story = two_pods.ledger.history(job)
    dry = resume(two_pods.inventory, job, host="b", pod_is_gone=True, dry_run=True)
    assert dry.moved is not None
    assert (dry.attempt, dry.moved.frames_kept, dry.moved.transferred_files) == (2, 10, 11)
    assert dry.moved.bytes == dry.moved.transferred_bytes > 10_000
    assert not any("before it moves" in note for note in dry.moved.notes)  # its pod gives no answer
    assert two_pods.ledger.history(job) == story
    assert not (two_pods.pods["b"].root / "Being" / "jobs").exists()
    report = resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    assert (report.attempt, report.state) == (2, "running")
    assert KEPT in two_pods.log("b", job, 2)
    assert two_pods.made(job) == [(2, "moved to b after unknown", "b")]
    assert (1, "abandoned") in [(t.attempt, t.state) for t in two_pods.ledger.history(job)]


@pytest.mark.slow
def test_an_attempt_that_is_seen_again_is_superseded_and_can_be_ended(two_pods: TwoPods) -> None:
    job = two_pods.at_work()
    two_pods.pods["a"].pause()
    assert resume(two_pods.inventory, job, host="b", pod_is_gone=True).state == "running"
    two_pods.pods["a"].resume()
    (row, old) = jobs(two_pods.inventory).jobs
    assert (row.host, row.attempt, row.state, row.superseded) == ("b", 2, "running", False)
    assert (old.job, old.host, old.attempt, old.state, old.superseded) == (job, "a", 1, "running", True)
    assert old.reason == f"attempt 1 still runs on a; attempt 2 on b counts: cancel {job} --host a"
    assert [r.superseded for r in jobs(two_pods.inventory, hosts=["a"]).jobs] == [True]

    story = two_pods.ledger.history(job)
    dry = cancel(two_pods.inventory, job, host="a", dry_run=True)
    assert (dry.host, dry.attempt, dry.state) == ("a", 1, "running")
    done = cancel(two_pods.inventory, job, host="a")
    assert (done.host, done.attempt, done.state, done.was_ended) == ("a", 1, "cancelled", False)
    assert cancel(two_pods.inventory, job, host="a").was_ended
    # The job's own word is as it was.
    assert two_pods.known(job).state == "running" and two_pods.ledger.history(job) == story
    assert len(jobs(two_pods.inventory).jobs) == 1
    assert [r.superseded for r in jobs(two_pods.inventory, all_jobs=True).jobs] == [False, True]
    with pytest.raises(UsageError, match="no host named"):
        cancel(two_pods.inventory, job, host="c")


def moved(two_pods: TwoPods, job: str) -> tuple[ResumeReport, Path]:
    """The job on `b`, its own pod gone; the report and what was pushed."""
    if two_pods.pods["a"].pid:
        two_pods.pods["a"].stop()
    report = resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    assert report.moved is not None
    return report, two_pods.pods["b"].root / "Being/jobs/.pushed"


@pytest.mark.slow
def test_nothing_at_home_starts_from_scratch_and_says_so(two_pods: TwoPods) -> None:
    report, pushed = moved(two_pods, two_pods.at_work(frames=0))
    assert report.moved is not None and any("from scratch" in note for note in report.moved.notes)
    assert (report.moved.frames_kept, report.moved.files, pushed.exists()) == (0, 0, False)
    assert "kept" not in two_pods.log("b", report.job, 2)


@pytest.mark.slow
def test_a_box_alone_keeps_the_crop(two_pods: TwoPods) -> None:
    report, _ = moved(two_pods, two_pods.at_work(frames=3))
    assert report.moved is not None and (report.moved.frames_kept, report.moved.files) == (0, 1)
    assert "so that the crop stays the same" in two_pods.log("b", report.job, 2)
    there = two_pods.attempt("b", report.job, 2) / "work/input/demo/bbox.pt"
    assert there.read_bytes() == (two_pods.home(report.job) / "input/demo/bbox.pt").read_bytes()


@pytest.mark.soak
def test_only_whole_frames_travel_and_the_longest_run_of_all_attempts(two_pods: TwoPods) -> None:
    job = two_pods.at_work()
    earlier = two_pods.home(job).with_name(f"{job}.attempt-1")
    shutil.copytree(two_pods.home(job), earlier)
    (two_pods.home(job) / "output/demo/checkpoint/00004.frame").write_bytes(b"PK")
    torn = earlier / "output/demo/checkpoint/00008.frame"
    torn.write_bytes(torn.read_bytes()[:1000])
    report, pushed = moved(two_pods, job)
    assert report.moved is not None and report.moved.frames_kept == 8
    assert sorted(p.name for p in pushed.rglob("*.frame")) == [f"{n:05d}.frame" for n in range(8)]


@pytest.mark.slow
def test_the_actors_input_is_put_there_where_it_is_not(two_pods: TwoPods) -> None:
    there = two_pods.checkout("b") / "input/demo"
    (there / "identity.npy").unlink()
    shutil.rmtree(there / "source")
    job = two_pods.failed()
    dry = resume(two_pods.inventory, job, host="b", dry_run=True)
    assert dry.moved is not None and dry.moved.transferred_files == (FRAMES + 1) + 1 + 11
    assert any(f"pull {job} --all, before it moves" in note for note in dry.moved.notes)
    assert not (there / "source").exists()
    moved(two_pods, job)
    assert KEPT in two_pods.log("b", job, 2)
    assert contents(there / "source") == contents(two_pods.folder / "video")


@pytest.mark.slow
def test_another_video_on_the_other_pod_is_refused(two_pods: TwoPods) -> None:
    frame = two_pods.checkout("b") / "input/demo/source/00003.png"
    frame.write_bytes(frame.read_bytes() + b"x")
    job = two_pods.failed()
    with pytest.raises(InconsistentData, match="another file"):
        resume(two_pods.inventory, job, host="b")
    assert (two_pods.known(job).attempt, two_pods.known(job).host) == (1, "a")


@pytest.mark.soak
def test_a_box_that_was_changed_over_there_stops_the_attempt_before_the_tracker_starts(
    two_pods: TwoPods, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = two_pods.failed()
    real = move_and_follow.send

    def spoil(*args: Any) -> Any:
        (box,) = (two_pods.pods["b"].root / "Being/jobs/.pushed").rglob("bbox.pt")
        box.write_bytes(box.read_bytes() + b"\0")
        return real(*args)

    monkeypatch.setattr(move_and_follow, "send", spoil)
    report = resume(two_pods.inventory, job, host="b", follow=unheard)
    assert (report.state, report.exit_code) == ("failed", 5)
    log = (two_pods.attempt("b", job, 2) / "log").read_text()
    assert "bbox.pt" in log and "failing" not in log


class Killed(BaseException):
    """The laptop's process is gone."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        pytest.param("push_files", marks=pytest.mark.soak),
        pytest.param("the second push", marks=pytest.mark.soak),
        "Ledger.next_attempt",
        pytest.param("after next_attempt", marks=pytest.mark.soak),
        pytest.param("submit", marks=pytest.mark.soak),
        "aim",
        pytest.param("the answer", marks=pytest.mark.soak),
    ],
)
def test_killed_anywhere_the_same_command_makes_the_attempt_once(
    two_pods: TwoPods, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    job = two_pods.at_work()
    two_pods.pods["a"].stop()
    place: Any = {
        "push_files": (move, "push_files", 1),
        "the second push": (move, "push_files", 2),
        "Ledger.next_attempt": (type(two_pods.ledger), "next_attempt", 1),
        "after next_attempt": (move_and_follow, "send", 1),
        "submit": (dispatch, "submit", 1),
        "aim": (dispatch, "aim", 1),
        "the answer": (dispatch, "submit", 1),
    }[where]
    of, name, left = place
    real = getattr(of, name)

    def dies(*args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        done = real(*args, **more) if left or where in ("aim", "the answer") else None
        if not left:
            raise Killed
        return done

    with monkeypatch.context() as patched:
        patched.setattr(of, name, dies)
        with pytest.raises(Killed):
            resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    for _ in range(2):
        report = resume(two_pods.inventory, job, host="b", pod_is_gone=True)
        assert (report.attempt, report.state) == (2, "running")
    assert [n for n, _, _ in two_pods.made(job)] == [2]
    assert KEPT in two_pods.log("b", job, 2)
    assert len(list((two_pods.attempt("b", job, 2).parent).glob("*.asked"))) == 1


@pytest.mark.slow
def test_the_word_about_one_pod_is_not_taken_for_the_other(two_pods: TwoPods) -> None:
    job = two_pods.at_work()
    moved(two_pods, job)
    two_pods.pods["b"].stop()
    with pytest.raises(HostError):
        resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    assert (two_pods.known(job).attempt, two_pods.known(job).state) == (2, "running")


@pytest.mark.slow
def test_a_job_that_moved_can_move_back(two_pods: TwoPods) -> None:
    job = two_pods.failed()
    assert resume(two_pods.inventory, job, host="b", follow=unheard).state == "failed"
    two_pods.pods["b"].stop()
    two_pods.pods["a"].start()
    report = resume(two_pods.inventory, job, host="a", follow=unheard)
    assert (report.host, report.attempt, report.state) == ("a", 3, "failed"), report.reason
    assert KEPT in two_pods.log("a", job, 3)
    assert (two_pods.attempt("a", job, 1) / "end.json").exists()
    assert [host for _, _, host in two_pods.made(job)] == ["b", "a"]


@pytest.mark.soak
def test_the_same_wish_on_the_old_host_joins_the_job_where_it_is_now(two_pods: TwoPods) -> None:
    job = two_pods.at_work()
    moved(two_pods, job)
    two_pods.pods["a"].start()
    joined = two_pods.track("a")
    assert (joined.job, joined.adopted, joined.jobs[0].host, joined.state) == (job, True, "b", "running")
    assert two_pods.known(job).attempt == 2
    assert cancel(two_pods.inventory, job).host == "b"


@pytest.mark.slow
def test_an_attempt_does_not_start_without_what_it_is_to_go_on_from(
    two_pods: TwoPods, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = two_pods.at_work()
    two_pods.pods["a"].stop()
    with monkeypatch.context() as patched:
        patched.setattr(move_and_follow, "send", lambda *a, **k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            resume(two_pods.inventory, job, host="b", pod_is_gone=True)
    shutil.rmtree(two_pods.pods["b"].root / "Being/jobs/.pushed")
    with pytest.raises(HostError, match="the files from which it continues are not on the host") as raised:
        two_pods.track("b")  # the same wish there: it joins the job, and would send it
    assert f"resume {job}" in str(raised.value.hint)
    assert not two_pods.attempt("b", job, 2).exists()
    assert resume(two_pods.inventory, job).state == "running"
    assert KEPT in two_pods.log("b", job, 2)
