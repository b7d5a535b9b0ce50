"""What the supervisor keeps while nobody looks: cancel, wall time, stall time, logs, locks, attempts."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path, PurePosixPath

import pytest

from being_remote.errors import InconsistentData, UsageError
from being_remote.jobs import logs
from being_remote.jobs.spec import CommandStep, FileProgress, WorkFolder
from being_remote.pod import status, supervisor
from being_remote.pod.attempt import Attempt
from being_remote.pod.job_paths import JobPaths
from being_remote.pod.wakeups import Wakeups

# A parent and a child that both ignore TERM; the child leaves the process group as well.
STUBBORN = """
trap '' TERM
setsid sh -c 'trap "" TERM; echo $$ > ../child; while :; do sleep 0.05; done' &
echo $$ > ../parent
while :; do sleep 0.05; done
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def number_in(path: Path, timeout_s: float = 10.0) -> int:
    deadline = time.monotonic() + timeout_s
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return int(path.read_text())


def supervisor_of(desk, job: str, attempt: int = 1) -> int:
    return json.loads((desk.folder(job, attempt) / "who.json").read_text())["supervisor"]["pid"]


def kill_and_wait(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.005)


def test_cancel_ends_children_that_ignore_term_and_left_the_group(desk) -> None:
    spec = desk.spec("sh", "-c", STUBBORN)
    desk.submit(spec)
    pids = [number_in(desk.folder(spec.job, 1) / name) for name in ("parent", "child")]
    assert all(map(alive, pids))
    done = desk.cancel(spec.job)
    assert (done.cancel, done.state) == ("asked", "cancelled"), done
    assert not any(map(alive, pids))
    assert desk.cancel(spec.job).cancel == "ended"
    assert desk.submit(spec).supervisor == "ended"


def test_a_payload_that_heeds_term_gets_its_grace_to_clean_up(desk) -> None:
    spec = desk.spec(
        "sh",
        "-c",
        "trap 'sleep 0.3; echo cleaned; exit 0' TERM; touch ../up; while :; do sleep 0.02; done",
        grace_s=10,
    )
    desk.submit(spec)
    while not (desk.folder(spec.job, 1) / "up").exists():
        time.sleep(0.01)
    assert desk.cancel(spec.job).state == "cancelled"
    assert b"cleaned" in desk.log(spec.job)


@pytest.mark.slow
def test_a_cancel_before_the_start_keeps_the_job_from_ever_starting(desk) -> None:
    spec = desk.spec("touch", "../started")
    desk.submit(spec, attempt=1)
    desk.until(spec.job, "succeeded")
    # An attempt that was only asked for, its supervisor gone:
    (desk.folder(spec.job) / "attempts" / "2.asked").touch()
    assert desk.see(spec.job).state == "submitted"
    assert desk.cancel(spec.job).state == "cancelled"
    assert desk.submit(spec, attempt=2).supervisor == "cancelled"
    assert not desk.folder(spec.job, 2).exists()
    assert desk.submit(spec, attempt=3).state != "cancelled"
    desk.until(spec.job, "succeeded")


@pytest.mark.slow
def test_wall_time_and_stall_time_are_kept_on_the_pod(desk) -> None:
    slow = desk.spec("sleep", "60", wall_s=0.5)
    still = desk.spec(
        "sh",
        "-c",
        "mkdir -p o; for i in 1 2 3 4; do touch o/$i.frame; sleep 0.3; done; sleep 60",
        stall_s=1.0,
        progress=FileProgress("o/*.frame", 9),
    )
    for spec in (slow, still):
        desk.submit(spec)
    ended = [desk.until(spec.job, "failed", "succeeded") for spec in (slow, still)]
    assert [e.reason for e in ended] == [
        "its wall time of 0.5 s was over",
        "no new frame for 1 s while running",
    ]
    assert (ended[1].done, ended[1].total) == (4, 9)
    assert all(e.exit_code is not None and e.exit_code < 0 for e in ended)


def test_a_transform_that_hangs_is_ended_like_a_payload_that_stands_still(desk) -> None:
    steps = (CommandStep("running", ("true",)), CommandStep("transforming", ("sleep", "60")))
    spec = desk.spec(steps=steps, stall_s=0.5)
    desk.submit(spec)
    ended = desk.until(spec.job, "failed", "succeeded")
    assert ended.reason == "nothing new in its log for 0.5 s while transforming"


@pytest.mark.slow
def test_the_stall_time_of_a_step_is_counted_from_its_own_start(desk) -> None:
    steps = (CommandStep("running", ("sleep", "2")), CommandStep("transforming", ("sleep", "2")))
    spec = desk.spec(steps=steps, stall_s=3.0)
    desk.submit(spec)
    ended = desk.until(spec.job, "failed", "succeeded")
    assert (ended.state, ended.reason) == ("succeeded", "all its steps ended with 0")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_cannot_be_made_for_the_log_costs_the_payload_nothing(
    desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, refused = os.fork, []

    def refuses_twice() -> int:
        if len(refused) < 2:
            refused.append(errno.EAGAIN)
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    (tmp_path / "attempts" / "1").mkdir(parents=True)
    spec = json.loads(desk.spec("sh", "-c", "echo said; sleep 1.2").as_bytes)
    monkeypatch.setattr(os, "fork", refuses_twice)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process is the tests'
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda *_, **__: -1)
    attempt = Attempt(JobPaths(str(tmp_path)), spec, 1, [], [], Wakeups())
    outcome = attempt.run(lambda: None, on_start=lambda: None)
    assert (outcome.state, len(refused)) == ("succeeded", 2)
    assert (tmp_path / "attempts" / "1" / "log").read_bytes() == b"said\n"


def test_a_job_without_a_gpu_sees_none(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    spec = desk.spec("sh", "-c", "echo sees ${CUDA_VISIBLE_DEVICES-all}.")
    desk.submit(spec)
    desk.until(spec.job, "succeeded")
    assert desk.log(spec.job) == b"sees .\n"


def test_the_last_words_of_a_failed_payload_are_bounded_and_no_pipe_is_waited_for(desk) -> None:
    long = desk.spec("sh", "-c", "printf 'a\\nno memory %0999d\\n\\n' 1; exit 3")
    pipe = desk.spec("sh", "-c", "echo x; sleep 0.3; rm ../log; mkfifo ../log; exit 3")
    for spec in (long, pipe):
        desk.submit(spec)
    ended = [desk.until(spec.job, "failed") for spec in (long, pipe)]
    assert ended[0].reason.startswith("sh ended with 3; last in its log: no memory 0000")
    assert len(ended[0].reason) < 350
    assert ended[1].reason == "sh ended with 3"


def test_the_steps_run_in_order_with_their_states_and_a_failing_one_ends_the_job(
    desk, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    steps = (
        CommandStep(
            "running",
            (
                "sh",
                "-c",
                "cat given/a.txt && ls -d link/. && test -d {work}/made && echo $WORD {attempt} {previous}",
            ),
            env={"WORD": "w{gpus}w"},
        ),
        CommandStep(
            "transforming",
            ("sh", "-c", "python3 -c 'import being_remote.errors' && exit 7"),
            env={"PYTHONPATH": "{bundle}"},
        ),
        CommandStep("running", ("touch", "../never")),
    )
    prepare = WorkFolder(("made",), (("sub/a.txt", "given/a.txt"),), (("link", str(tmp_path / "target")),))
    spec = desk.spec(steps=steps, prepare=prepare)
    desk.submit(spec, files={"sub/a.txt": b"given\n"})
    ended = desk.until(spec.job, "failed", "succeeded")
    assert (ended.state, ended.exit_code, ended.reason) == (
        "failed",
        7,
        "sh ended with 7; last in its log: ww 1",
    )
    assert desk.log(spec.job) == b"given\nlink/.\nww 1\n"
    assert not (desk.folder(spec.job, 1) / "never").exists()


@pytest.mark.parametrize("argv", [("/no/such/program",), ("true",)])
def test_what_cannot_start_fails_with_its_reason(desk, argv) -> None:
    prepare = WorkFolder(links=(("a", "/no/such/folder"),)) if argv == ("true",) else WorkFolder()
    spec = desk.spec(*argv, prepare=prepare)
    desk.submit(spec)
    ended = desk.until(spec.job, "failed", "succeeded", "lost")
    assert ended.state == "failed" and "/no/such" in ended.reason


@pytest.mark.slow
def test_a_log_has_a_bound_and_its_end_and_no_progress_bars(desk) -> None:
    script = "import sys\nfor i in range(30000): sys.stdout.write('\\r%5d%%' % i)\n"
    script += "print()\nfor i in range(40000): print('line', i)\n"
    spec = desk.spec("python3", "-c", script, log_bytes=8192)
    desk.submit(spec)
    assert desk.until(spec.job, "succeeded", "failed").state == "succeeded"
    folder = PurePosixPath(desk.folder(spec.job, 1))
    found = list(logs.read(desk.session, desk.python, folder))
    log = b"".join(item.data for item in found if isinstance(item, logs.LogChunk))
    assert log.startswith(b"29999%\nline 0\n") and log.endswith(b"line 39999\n")
    on_disk = sum(path.stat().st_size for path in desk.folder(spec.job, 1).glob("log*"))
    assert len(log) <= on_disk < 8192 + 2 * 65536 + 4096  # of 440 kB


def test_a_killed_supervisor_leaves_the_locks_with_the_payload_and_cancel_still_works(desk) -> None:
    spec = desk.spec(
        "sh",
        "-c",
        STUBBORN.replace(
            "trap '' TERM\nsetsid", "trap '' TERM\nwhile :; do echo noise; sleep 0.02; done &\nsetsid"
        ),
    )
    desk.submit(spec)
    pids = [number_in(desk.folder(spec.job, 1) / name) for name in ("parent", "child")]
    kill_and_wait(supervisor_of(desk, spec.job))
    seen = desk.see(spec.job)
    assert (seen.state, seen.evidence["lock"], seen.evidence["supervised"]) == ("running", "held", False)
    again = desk.submit(spec)
    assert (again.state, again.supervisor) == ("running", "held")
    before = len(desk.log(spec.job))
    deadline = time.monotonic() + 10
    while len(desk.log(spec.job)) == before:  # the log goes on without the supervisor
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert all(map(alive, pids))
    assert desk.cancel(spec.job).state == "cancelled"
    assert not any(map(alive, pids))


@pytest.mark.slow
def test_a_payload_that_ended_after_its_supervisor_was_killed_is_lost_and_not_restarted(desk) -> None:
    spec = desk.spec(
        "sh", "-c", "echo $$ >> ../../../starts; touch ../up; while [ ! -e ../go ]; do sleep 0.02; done"
    )
    desk.submit(spec)
    while not (desk.folder(spec.job, 1) / "up").exists():
        time.sleep(0.01)
    kill_and_wait(supervisor_of(desk, spec.job))
    (desk.folder(spec.job, 1) / "go").touch()
    assert desk.until(spec.job, "lost").evidence["lock"] == "free"
    again = desk.submit(spec)
    assert (again.state, again.supervisor) == ("lost", "lost")
    assert desk.submit(spec, attempt=2).claim == "there"
    (desk.folder(spec.job, 2) / "go").touch()
    assert desk.until(spec.job, "succeeded").attempts == (1, 2)
    assert len((desk.folder(spec.job) / "starts").read_text().split()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("orphaned", [False, True])
def test_a_supervisor_that_sees_the_next_attempt_stops(desk, orphaned: bool) -> None:
    spec = desk.spec(
        "sh", "-c", "echo $$ > ../parent; trap '' TERM; test {attempt} = 2 || while :; do sleep 0.05; done"
    )
    desk.submit(spec)
    pid = number_in(desk.folder(spec.job, 1) / "parent")
    if orphaned:
        kill_and_wait(supervisor_of(desk, spec.job))
    desk.submit(spec, attempt=2)
    assert desk.until(spec.job, "succeeded", "failed").attempt == 2
    assert not alive(pid)
    end = desk.folder(spec.job, 1) / "end.json"
    assert orphaned or json.loads(end.read_text())["state"] == "abandoned"
    assert desk.submit(spec, attempt=1).supervisor == "overtaken"


def test_another_spec_under_the_same_id_is_refused_and_harms_nothing(desk) -> None:
    spec = desk.spec("true")
    desk.submit(spec)
    other = desk.spec("touch", "/tmp/never", job=spec.job)
    with pytest.raises(InconsistentData, match="another spec"):
        desk.submit(other)
    assert desk.until(spec.job, "succeeded").spec_sha256 == spec.sha256


def test_another_laptops_job_is_not_cancelled_unasked(desk) -> None:
    spec = desk.spec("sleep", "60")
    desk.submit(spec)
    with pytest.raises(UsageError, match="another laptop"):
        desk.cancel(spec.job, ledger="another ledger")
    assert desk.see(spec.job).state == "running"
    assert desk.cancel(spec.job, ledger="a ledger").state == "cancelled"


@pytest.mark.slow
def test_heartbeats_count_up(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = desk.spec("sleep", "60")
    desk.submit(spec)
    first = desk.see(spec.job).evidence["beat"]
    assert first == 1
    deadline = time.monotonic() + 15
    while desk.see(spec.job).evidence["beat"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_odd_records_of_one_job_hide_no_other_job(desk) -> None:
    good, bad, worse = (desk.spec("sleep", "60") for _ in range(3))
    for spec in (good, bad, worse):
        desk.submit(spec)
    (desk.folder(bad.job, 1) / "progress.json").write_text('{"beat": "\x1b[31m many", "state": 7}')
    (desk.folder(worse.job, 1) / "who.json").write_bytes(b"\xff" * (2 << 20))
    assert desk.see(bad.job).state == "unknown" and "\x1b" not in desk.see(bad.job).reason
    assert desk.see(worse.job).state == "unknown"
    assert desk.see(good.job).state == "running"


def test_a_disk_that_gives_no_answer_asks_for_no_cancel(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = desk.spec("sleep", "60")
    desk.submit(spec)
    monkeypatch.setattr(supervisor, "Wakeups", lambda: None)
    ours = supervisor.Supervisor(
        {"workdir": str(desk.workdir), "job": spec.job, "attempt": 1, "answer": None}
    )
    real = os.open

    def stale(path, *more):
        if str(path).endswith("/cancel"):
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return real(path, *more)

    (desk.folder(spec.job) / "cancel").mkdir()
    assert ours._asked_to_stop().state == "cancelled"  # an odd mark is one: to stop is the safe reading
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", stale)
        assert ours._asked_to_stop() is None
        assert status.look_at_all(str(desk.workdir), [spec.job])[0][0]["problem"]  # unknown, not cancelled
