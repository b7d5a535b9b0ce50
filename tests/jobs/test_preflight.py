"""What cannot run is refused before anything is written down or sent, with doctor's sentences."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_jobs import Works, retrack
from two_pods import TwoPods

from being_remote.errors import HostNotReady
from being_remote.host_checks import job_obstacles
from being_remote.host_checks.host_check import CheckResult, JobNeeds, OpenHost
from being_remote.jobs.follow import MovedLine
from being_remote.workflows.doctor import doctor
from being_remote.workflows.resume import resume

WHOLE = "0, GPU-00000000-aaaa, NVIDIA A100, 81920, 4, 0"
BUSY = "0, GPU-00000000-aaaa, NVIDIA A100, 81920, 40000, 99"
BROKEN = "0, GPU-00000000-aaaa, NVIDIA A100, [GPU is lost], [GPU is lost], [GPU is lost]"
NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."


class Tools:
    """The programs of one host: a folder that stands first, or alone, in its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def nvidia_smi(self, says: str, code: int = 0) -> None:
        (self.folder / "says").write_text(says + "\n")
        self.program("nvidia-smi", f"case $1 in *mig*|-L) exit 0;; esac; cat {self.folder}/says; exit {code}")

    def program(self, name: str, script: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: Works) -> Tools:
    """The programs of this machine as a host: none but these, a shell and its basic tools."""
    made = Tools(tmp_path / "bin")
    for name in ("sh", "cat", "touch", "sleep", "true"):
        (made.folder / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(made.folder))
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own" / "locks"))
    (tmp_path / "own").mkdir(mode=0o700)
    return made


def on_gpu(works: Works, **more: Any) -> Any:
    return retrack(works.inventory, recipe="command", command="sleep 60", gpus=1, **more)


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        (None, 0, "it needs 1 GPU, but no nvidia-smi found"),
        ("No devices were found", 6, "it needs 1 GPU, the pod has 0"),
        (NO_DRIVER, 9, "nvidia-smi ended with 9: NVIDIA-SMI has failed"),
        (BROKEN, 0, "GPU 0 is broken: nvidia-smi shows [GPU is lost]"),
    ],
)
def test_a_host_without_a_gpu_that_works_is_sent_nothing_unless_forced(
    works: Works, tools: Tools, says: str | None, code: int, words: str
) -> None:
    if says is not None:
        tools.nvidia_smi(says, code)
    with pytest.raises(HostNotReady) as refused:
        on_gpu(works)
    assert words in refused.value.what and refused.value.exit_code == 4
    hint = refused.value.hint
    assert "doctor --host here" in hint and "--gpus 0 if it needs none" in hint and "--force" in hint
    assert works.ledger.jobs() == () and not works.workdir.exists()
    report = on_gpu(works, dry_run=True)
    assert report.exit_code == 4 and words in report.obstacles[0]
    assert on_gpu(works, force=True).job is not None


def test_a_job_that_runs_is_attached_to_though_its_host_would_refuse_a_new_one(
    works: Works, tools: Tools
) -> None:
    tools.nvidia_smi(WHOLE)
    job = on_gpu(works).job
    works.until((works.attempt(job) / "progress.json").exists)
    tools.nvidia_smi(BROKEN)
    assert on_gpu(works).job == job
    with pytest.raises(HostNotReady):
        on_gpu(works, again=True)


def test_a_host_whose_gpus_are_all_busy_is_sent_the_job_which_waits(works: Works, tools: Tools) -> None:
    tools.nvidia_smi(BUSY)
    assert on_gpu(works, wait_s=600.0).state == "waiting"


def test_a_check_of_another_package_keeps_jobs_from_being_sent_too(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Curfew:
        def run(self, host: OpenHost) -> CheckResult:
            return CheckResult(("no jobs at night",))

        def find_obstacles(self, host: OpenHost, needs: JobNeeds) -> tuple[str, ...]:
            return ("no jobs at night",) if needs.gpus == 0 else ()

    class Swap:  # a check that speaks to doctor only
        def run(self, host: OpenHost) -> CheckResult:
            return CheckResult(("no swap",))

    monkeypatch.setattr(job_obstacles, "installed_checks", lambda: (Curfew(), Swap()))
    with pytest.raises(HostNotReady) as refused:
        works.command("true")
    assert refused.value.problems == ("no jobs at night",) and works.ledger.jobs() == ()


@pytest.fixture
def full_disk(works: Works) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    works.workdir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", works.workdir], check=True)
    yield works.workdir
    subprocess.run(["umount", "-l", works.workdir], check=True)


def test_a_full_disk_is_sent_nothing(works: Works, full_disk: Path) -> None:
    with pytest.raises(HostNotReady, match="disk full at"):
        works.command("true")
    assert works.ledger.jobs() == () and list(full_disk.iterdir()) == []
    (row,) = doctor(works.inventory).hosts[1:]
    assert any(problem.startswith("disk full at") for problem in row.problems)


def test_a_preflight_costs_one_round_trip_and_only_for_a_job_that_is_new(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    from being_remote.host_checks import probe

    asked = []
    real = probe.ask
    monkeypatch.setattr(probe, "ask", lambda *args, **more: asked.append(args[1]) or real(*args, **more))
    works.command("sleep 60")
    assert asked == ["host_facts"]
    works.command("sleep 60")
    assert asked == ["host_facts"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("data/FLAME2020/generic_model.pkl", "generic_model.pkl is missing: FLAME 2020 from"),
        ("python", "does not run (not there): correct `tracker.python`"),
        ("pytorch3d", "has no pytorch3d: install it into the tracker's environment"),
        ("ffmpeg", "no ffmpeg: apt-get install ffmpeg"),
    ],
)
def test_a_tracker_that_lacks_something_is_sent_nothing_and_doctor_says_the_same(
    two_pods: TwoPods, lost: str, words: str
) -> None:
    root = two_pods.checkout("a")
    if lost == "ffmpeg":  # with images there is no video to cut
        shutil.rmtree(root / "input/demo/source")
        (root / "input/demo/video.mp4").touch()
        python_on(two_pods, "a", Tools(two_pods.folder / "bin"), alone=True)
    elif lost == "pytorch3d":
        (root / "pytorch3d.py").unlink()
    elif lost == "python":
        host = two_pods.inventory.hosts["a"]
        tracker = host.tracker.model_copy(update={"python": "/no/python"})
        change_host(two_pods, "a", tracker=tracker)
    else:
        (root / lost).unlink()
    with pytest.raises(HostNotReady) as refused:
        two_pods.track()
    assert words in refused.value.what
    assert two_pods.ledger.jobs() == () and not (two_pods.pods["a"].root / "Being/jobs").exists()
    (row,) = doctor(two_pods.inventory, ["a"]).hosts[1:]
    assert all(any(part in problem for problem in row.problems) for part in refused.value.problems)


def change_host(two_pods: TwoPods, name: str, **update: Any) -> None:
    inventory = two_pods.inventory
    host = inventory.hosts[name].model_copy(update=update)
    two_pods.inventory = inventory.model_copy(update={"hosts": {**inventory.hosts, name: host}})


def python_on(two_pods: TwoPods, name: str, tools: Tools, *, alone: bool = False) -> None:
    """Give a pod these programs, by way of its Python."""
    path = f"{tools.folder}" if alone else f"{tools.folder}:$PATH"
    python = tools.program("python-of-the-pod", f'PATH={path} exec {sys.executable} "$@"')
    change_host(two_pods, name, python=str(python))


@pytest.fixture
def gpu_pods(two_pods: TwoPods) -> tuple[TwoPods, Tools, Tools]:
    both = []
    for name in ("a", "b"):
        tools = Tools(two_pods.folder / f"bin-{name}")
        tools.nvidia_smi(WHOLE.replace("0000-aaaa", f"0000-{name}{name}{name}"))
        python_on(two_pods, name, tools)
        both.append(tools)
    return two_pods, both[0], both[1]


def failing_over(two_pods: TwoPods, said: list[Any], **more: Any) -> Any:
    wanted: dict[str, Any] = {"recipe": "command", "command": "true", "gpus": 1}
    return retrack(two_pods.inventory, host="a", failover="b", say=said.append, **wanted, **more)


@pytest.mark.slow
def test_a_failover_sends_the_job_to_the_other_pod_at_once_where_its_own_has_a_broken_driver(
    gpu_pods: tuple[TwoPods, Tools, Tools],
) -> None:
    two_pods, a, _ = gpu_pods
    a.nvidia_smi(NO_DRIVER, 9)
    said: list[Any] = []
    report = failing_over(two_pods, said)
    assert (report.host, report.state, report.exit_code) == ("b", "succeeded", 0)
    (moved,) = (line for line in said if isinstance(line, MovedLine))
    assert (moved.from_host, moved.to_host) == ("a", "b") and "couldn't communicate" in moved.reason
    assert not (two_pods.pods["a"].root / "Being/jobs" / report.job).exists()


def test_a_failover_whose_other_pod_cannot_run_the_job_is_refused_before_anything_is_paid_for(
    gpu_pods: tuple[TwoPods, Tools, Tools],
) -> None:
    two_pods, _, b = gpu_pods
    b.nvidia_smi(BROKEN)
    with pytest.raises(HostNotReady) as refused:
        failing_over(two_pods, [])
    assert refused.value.host == "b" and two_pods.ledger.jobs() == ()


@pytest.mark.slow
def test_a_job_that_got_no_gpu_within_its_limit_moves_to_the_other_pod(
    gpu_pods: tuple[TwoPods, Tools, Tools],
) -> None:
    two_pods, a, _ = gpu_pods
    a.nvidia_smi(BUSY)
    said: list[Any] = []
    report = failing_over(two_pods, said, wait_s=0.5)
    assert (report.host, report.state, report.jobs[0].attempt) == ("b", "succeeded", 2)
    (moved,) = (line for line in said if isinstance(line, MovedLine))
    assert moved.reason.startswith("not started: it waited 0.5 s, its limit")


def test_a_resume_on_a_host_that_broke_meanwhile_makes_no_attempt(works: Works, tools: Tools) -> None:
    tools.nvidia_smi(WHOLE)
    ended = retrack(works.inventory, recipe="command", command="false", gpus=1, follow_it=True)
    assert ended.state == "failed"
    tools.nvidia_smi(BROKEN)
    with pytest.raises(HostNotReady, match="GPU 0 is broken"):
        resume(works.inventory, ended.job)
    assert works.ledger.find(ended.job).attempt == 1


def test_the_same_command_after_its_success_makes_no_other_job(works: Works) -> None:
    first = works.command("true", follow_it=True)
    assert first.state == "succeeded"
    for more in ({}, {"dry_run": True}, {"follow_it": True}):
        same = works.command("true", **more)
        assert (same.job, same.state, same.adopted, same.exit_code) == (first.job, "succeeded", True, 0)
        assert same.jobs[0].reason == "done already; --again makes another"
    assert len(works.ledger.jobs()) == 1
    assert works.command("true", again=True).job != first.job


def test_a_job_that_ends_at_once_is_followed_all_the_same(works: Works) -> None:
    report = works.command("true", follow_it=True)
    assert report.followed and report.state == "succeeded"


@pytest.mark.parametrize("follow_it", [False, True])
def test_a_success_that_only_the_host_knows_of_yet_is_said_in_the_same_words(
    works: Works, follow_it: bool
) -> None:
    go = works.folder / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    job = works.command(wait).job
    go.touch()
    works.until((works.attempt(job) / "end.json").exists)
    same = works.command(wait, follow_it=follow_it)
    assert (same.job, same.adopted, same.followed) == (job, True, follow_it)
    assert follow_it or same.jobs[0].reason == "done already; --again makes another"


@pytest.mark.slow
def test_the_same_command_after_a_failure_makes_another_job(works: Works) -> None:
    first = works.command("false", follow_it=True)
    assert first.state == "failed"
    assert works.command("false").job != first.job
