"""`retrack`: written down first, started once, whoever asks again; a dry run leaves no trace."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import FaultProxy
from local_jobs import retrack
from tracker_checkout import install

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.errors import ConnectionLost, HostError, NotFoundError, UsageError
from being_remote.inventory import Inventory
from being_remote.jobs import dispatch, follow
from being_remote.jobs.ledger import ledger_of
from being_remote.pod.boot_identity import read_volume
from being_remote.transport.local_session import LocalSession
from being_remote.workflows.cancel import cancel
from being_remote.workflows.logs import logs
from being_remote.workflows.presets import show as show_preset
from being_remote.workflows.pull import pull


def traces(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in sorted(folder.rglob("*"))
    }


def test_a_dry_run_leaves_no_trace_here_or_there(works: Any) -> None:
    before = traces(works.folder)
    report = works.command("echo x", dry_run=True)
    assert traces(works.folder) == before
    (done,) = report.jobs
    assert (report.job, report.state, report.exit_code, report.dry_run) == (None, None, 0, True)
    assert done.plan.commands == ("sh -c 'echo x'",)


def test_a_dry_run_says_that_no_gpu_is_to_be_had_where_one_is_needed(
    works: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "python3"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # so that no nvidia-smi is there
    need = {"recipe": "command", "command": "true", "dry_run": True}
    report = retrack(works.inventory, gpus=1, **need)
    assert report.gpu_problem and "nvidia-smi" in report.gpu_problem
    assert retrack(works.inventory, gpus=0, **need).gpu_problem is None


def test_a_dry_run_names_the_job_that_would_be_joined(works: Any) -> None:
    job = works.command("sleep 60").job
    before = traces(works.inventory.state)
    assert works.command("sleep 60", dry_run=True).job == job
    assert works.command("sleep 60", dry_run=True, again=True).job is None
    assert traces(works.inventory.state) == before


@pytest.mark.slow
def test_the_same_intent_is_one_job_and_again_is_two(works: Any) -> None:
    first = works.command("sleep 60")
    second = works.command("sleep 60")
    assert (second.job, second.adopted, first.adopted) == (first.job, True, False)
    assert works.command("sleep 60", again=True).job != first.job
    assert works.command("sleep 61").job not in (None, first.job)
    assert len(works.ledger.jobs()) == 3


def test_it_is_in_the_ledger_before_the_host_hears_of_it(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dispatch.aim

    def die(*args: Any) -> None:
        real(*args)
        (known,) = works.ledger.jobs()
        assert (known.state, works.ledger.history(known.job)[-1].evidence) == (
            "created",
            {"reason": "about to be sent", "volume": read_volume(str(works.workdir / "jobs"))},
        )
        assert os.listdir(works.workdir / "jobs") == [".volume"]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "aim", die)
        with pytest.raises(KeyboardInterrupt):
            works.command("echo $$ >> ran; sleep 60")
    again = works.command("echo $$ >> ran; sleep 60")
    assert again.adopted and again.state == "running"
    works.until((works.attempt(again.job) / "work" / "ran").exists)
    assert len(works.ledger.jobs()) == 1


def test_a_job_whose_answer_was_lost_goes_to_the_disk_that_it_was_first_sent_to_and_to_no_other(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, there = works.folder / "ran", works.workdir / "jobs"
    command = f"echo x >> {ran}"
    real = dispatch.submit

    def unheard(*args: Any, **more: Any) -> None:
        real(*args, **more)
        raise ConnectionLost("the answer was lost", host="here")

    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "submit", unheard)
        with pytest.raises(ConnectionLost):
            works.command(command)
    works.until(ran.exists)
    known = works.ledger.find("last")
    assert known.state == "created"  # as far as it is known here
    works.until((works.attempt(known.job) / "end.json").exists)
    there.rename(works.folder / "the first disk")
    with pytest.raises(HostError, match="another disk than the one to which the job was sent") as raised:
        works.command(command)
    assert "--pod-is-gone" in str(raised.value.hint)
    assert not (there / known.job).exists() and ran.read_text() == "x\n"
    shutil.rmtree(there)
    (works.folder / "the first disk").rename(there)
    assert works.command(command).job == known.job
    assert works.ledger.find(known.job).state == "succeeded" and ran.read_text() == "x\n"


@pytest.mark.slow
def test_a_job_that_reached_its_host_is_not_put_on_another_disk_by_asking_again(works: Any) -> None:
    ran, go = works.folder / "ran", works.folder / "go"
    command = f"echo x >> {ran}; until test -e {go}; do sleep 0.02; done"
    job = works.command(command).job
    works.until(ran.exists)
    go.touch()  # it ends only now: the ledger's last word is that it runs
    works.until((works.attempt(job) / "end.json").exists)
    (works.workdir / "jobs").rename(works.folder / "the other disk")
    with pytest.raises(HostError, match="not on the host; nothing was started") as raised:
        works.command(command)
    assert "--pod-is-gone" in str(raised.value.hint)
    assert not (works.workdir / "jobs").exists() and ran.read_text() == "x\n"
    assert works.ledger.history(job)[-1].state == "unknown"
    assert works.ledger.find(job).state == "running"
    (works.folder / "the other disk").rename(works.workdir / "jobs")
    assert works.command("true", again=True).job != job


def test_a_wrong_wish_dispatches_nothing(works: Any) -> None:
    for wrong, error in (
        ({"host": "nope"}, UsageError),
        ({"recipe": "nope"}, UsageError),
        ({"recipe": "command", "command": "echo 'x"}, UsageError),
        ({"recipe": "command", "command": "x", "sets": ["a=1"]}, UsageError),
        ({"actors": ["nope"]}, UsageError),
        ({}, UsageError),  # the host has no tracker
    ):
        with pytest.raises(error):
            retrack(works.inventory, **wrong)
    assert not works.ledger.path.exists() and not works.workdir.exists()


_ASK = """
import sys
from pathlib import Path
from being_remote.inventory import load_inventory
from being_remote.recipes.retrack_request import RetrackRequest
from being_remote.workflows.retrack import retrack
inventory = load_inventory(Path(sys.argv[1]))
sys.stdin.readline()
report = retrack(inventory, RetrackRequest(recipe="command", command=sys.argv[2], gpus=0))
print(report.job, report.adopted, report.state)
"""


@pytest.mark.slow
def test_two_terminals_at_once_start_one_job(works: Any) -> None:
    ran = works.folder / "ran"
    command = f"sh -c 'echo x >> {ran}; sleep 60'"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _ASK, str(works.inventory.path), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for run in runs:
        assert run.stdin
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60)[0].split() for run in runs]
    assert {job for job, _, _ in said} == {works.ledger.find("last").job}
    assert sorted(adopted for _, adopted, _ in said) == ["False", "True", "True"]
    works.until(ran.exists)
    assert ran.read_text() == "x\n"


@pytest.mark.slow
def test_a_link_that_breaks_while_it_is_sent_costs_no_second_start(
    pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    with FaultProxy((pod.address, pod.port)) as proxy:
        entry = {**pod.inventory_entry(), "port": proxy.port, "answer_timeout_s": 20}
        inventory = make_inventory({"pod": entry})
        (inventory.state).mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
        ran = tmp_path / "ran"
        go = tmp_path / "go"
        words = f"sh -c 'echo x >> {ran}; while ! test -e {go}; do sleep 0.05; done'"
        # Bytes from the pod until a submit is answered are a few thousand: cuts fall before and within.
        for cut_after in (3300, 3800, 4300, 5000):
            proxy.bytes_from_target, proxy.cut_after = 0, cut_after
            try:
                retrack(inventory, recipe="command", command=words, gpus=0)
            except HostError:
                continue
        proxy.cut_after = None
        go.touch()
        report = retrack(inventory, recipe="command", command=words, gpus=0, follow_it=True)
        assert (report.state, len(ledger_of(inventory).jobs())) == ("succeeded", 1)
        assert ran.read_text() == "x\n"


def test_following_says_every_line_and_ends_with_the_jobs_end(works: Any) -> None:
    said: list[Any] = []
    report = works.command("for i in 1 2 3; do echo line $i; done; exit 7", follow_it=True, say=said.append)
    lines = [s.line for s in said if isinstance(s, follow.FollowedLogLine)]
    assert lines == ["line 1", "line 2", "line 3"]
    assert (report.state, report.exit_code) == ("failed", 5)
    assert [s.state for s in said if isinstance(s, follow.StateLine)][-1] == "failed"
    assert logs(works.inventory, "last").payload_exit_code == 7


def test_several_jobs_are_not_followed_at_once(works: Any) -> None:
    inventory = works.inventory.model_copy(
        update={"actors": {n: a for n, a in (("a", None), ("b", None))}}  # the names alone matter here
    )
    with pytest.raises(UsageError, match="--follow takes one job"):
        retrack(inventory, actors=["a", "b"], recipe="command", command="x", follow_it=True)


@pytest.fixture
def tracking(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Inventory:
    """An actor of 6 frames on this machine, with the stand-in tracker."""
    checkout = tmp_path / "mt"
    checkout.mkdir()
    install(checkout, make_actor(checkout, "demo", frames=6, size_wh=(640, 360), video=False))
    host = {
        "kind": "local",
        "workdir": str(tmp_path / "Being"),
        "python": sys.executable,
        "gpus": 0,
        "tracker": {"root": str(checkout), "python": sys.executable},
    }
    return make_inventory({"here": host}, {"demo": {"source_size": [640, 360]}})


@pytest.mark.slow
def test_a_tracking_is_planned_run_followed_pulled_and_judged(tracking: Inventory, tmp_path: Path) -> None:
    there = traces(tmp_path / "mt")
    dry = retrack(tracking, preset="gaussiantalker-round2", dry_run=True)
    changes = {c.key: c.after for c in dry.jobs[0].plan.changes}
    assert changes["image_size"] == [768, 768] and changes["bbox_scale"] == 3.5
    assert any("tracker.py --cfg" in command for command in dry.jobs[0].plan.commands)
    assert {"settings.yml"} <= set(dry.jobs[0].plan.files)
    assert not ledger_of(tracking).path.exists() and traces(tmp_path / "mt") == there

    report = retrack(tracking, preset="gaussiantalker-round2", follow_it=True)
    assert (report.state, report.exit_code) == ("succeeded", 0), report.jobs[0].reason
    assert traces(tmp_path / "mt") == there  # earlier results are never touched

    nothing = retrack(tracking, recipe="command", command="true", gpus=0, follow_it=True)
    first = pull(tracking, "last")  # of a kind that leaves results
    assert first.job == report.job != nothing.job
    assert pull(tracking, "last", all_files=True, dry_run=True).job == report.job
    intrinsics = json.loads((first.folder / "intrinsics.json").read_text())
    assert (first.quarantined, first.exit_code, first.state) == ((), 0, "succeeded")
    assert first.folder == tmp_path / "backups" / "demo" / "runs" / report.job
    assert len(intrinsics["K"]) == 3
    # The frames, their pictures and meshes, the box and the settings came home while it was followed.
    assert report.home is not None and report.home.folder == first.folder
    assert (report.home.frames, report.home.files, report.home.set_aside) == (6, 20, ())
    assert len(list(first.folder.rglob("*.frame"))) == 6 and len(list(first.folder.rglob("bbox.pt"))) == 1

    everything = pull(tracking, str(report.job), all_files=True)
    assert everything.transferred_files == everything.files - first.files
    again = pull(tracking, str(report.job), all_files=True)
    assert (again.transferred_files, again.changed, again.verified) == (0, False, everything.files)
    # It is the actor's last run from now on, and no base for the next.
    plain = retrack(tracking, dry_run=True).jobs[0].plan
    assert {c.key: c.after for c in plain.changes}["bbox_scale"] == 2.5
    assert any(f"compared with {report.job}" in note for note in plain.notes)
    same = retrack(tracking, preset="gaussiantalker-round2", dry_run=True).jobs[0].plan
    assert same.changes == ()


def test_a_preset_is_shown_as_it_would_be_set_in_the_checkout_on_the_host(
    tracking: Inventory, tmp_path: Path
) -> None:
    config = tmp_path / "mt/configs/config.py"
    config.write_text(config.read_text() + "cfg.pyr_levels = [[0.5, 30], [0.25, 9], [1.0, 60]]\n")
    shown = show_preset("gaussiantalker-round2", tracking, "here")
    assert shown.settings["pyr_levels"] == [[0.5, 45], [0.25, 14], [1.0, 90]]
    assert shown.defaults_read and shown.host == "here" and "the checkout on here" in shown.text
    assert shown.cost[0] in shown.text
    config.unlink()
    by_table = show_preset("gaussiantalker-round2", tracking, "here")
    assert by_table.settings == show_preset("gaussiantalker-round2").settings
    assert not by_table.defaults_read and f"{config} is missing" in by_table.text


@pytest.mark.slow
def test_a_forks_setting_runs_and_is_compared_with_the_defaults_of_its_checkout(
    tracking: Inventory, tmp_path: Path
) -> None:
    config = tmp_path / "mt/configs/config.py"
    config.write_text(
        config.read_text().replace("w_lmks = 7000", "w_lmks = 5000") + "cfg.of_a_fork = [0.5, 1.0]\n"
    )
    report = retrack(tracking, sets=["of_a_fork=[1, 2]", "w_lmks=7000"], follow_it=True)
    assert (report.state, report.exit_code) == ("succeeded", 0), report.jobs[0].reason
    assert {c.key: (c.before, c.after) for c in report.jobs[0].plan.changes} == {
        "w_lmks": (5000, 7000),
        "of_a_fork": ([0.5, 1.0], [1.0, 2.0]),
    }
    # The checkout changes; what the job ran with does not.
    config.write_text(config.read_text() + "cfg.raster_update = 16\n")
    plain = retrack(tracking, dry_run=True).jobs[0].plan
    assert {c.key: (c.before, c.after) for c in plain.changes} == {
        "w_lmks": (7000, 5000),
        "of_a_fork": ([1.0, 2.0], [0.5, 1.0]),
        "raster_update": (8, 16),
    }
    swept = retrack(tracking, sweeps=["of_a_fork=[[1, 2], [3, 4]]"], dry_run=True).jobs
    assert [d.plan.swept for d in swept] == [("of_a_fork=[1, 2]",), ("of_a_fork=[3, 4]",)]


@pytest.mark.slow
def test_a_sweep_is_a_job_for_each_combination_and_each_is_found_again(tracking: Inventory) -> None:
    sweeps = ("bbox_scale=[2.5, 3.0]", "image_size=[512, [768, 768]]")
    dry = retrack(tracking, sweeps=sweeps, sets=["w_exp=0.1"], dry_run=True)
    assert [sorted((c.key, c.after) for c in d.plan.changes) for d in dry.jobs] == [
        [("w_exp", 0.1)],
        [("image_size", [768, 768]), ("w_exp", 0.1)],
        [("bbox_scale", 3.0), ("w_exp", 0.1)],
        [("bbox_scale", 3.0), ("image_size", [768, 768]), ("w_exp", 0.1)],
    ]
    made = retrack(tracking, sweeps=sweeps[:1])
    again = retrack(tracking, sweeps=sweeps[:1])
    assert [d.job for d in made.jobs] == [d.job for d in again.jobs]
    assert len({d.job for d in made.jobs}) == 2 and all(d.adopted for d in again.jobs)
    for done in made.jobs:
        cancel(tracking, str(done.job))


@pytest.mark.parametrize(
    "sweep", ["bbox_scale", "bbox_scale=3", "bbox_scale=[3]", "x=[1, 2]", "fps=[a, b]", "=["]
)
def test_a_sweep_that_cannot_be_meant_dispatches_nothing(tracking: Inventory, sweep: str) -> None:
    with pytest.raises(UsageError):
        retrack(tracking, sweeps=[sweep])
    with pytest.raises(UsageError, match="takes one job"):
        retrack(tracking, sweeps=["fps=[25, 30]"], follow_it=True)
    assert ledger_of(tracking).jobs() == ()


def test_what_a_tracking_needs_and_is_not_there_is_named(tracking: Inventory, tmp_path: Path) -> None:
    (tmp_path / "mt" / "input" / "demo" / "identity.npy").unlink()
    with pytest.raises(NotFoundError, match=r"identity\.npy"):
        retrack(tracking, preset="flashavatar")
    assert ledger_of(tracking).jobs() == ()


@pytest.fixture
def many(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Inventory]:
    """This machine, and four actors."""
    host = {"kind": "local", "workdir": str(tmp_path / "w"), "python": sys.executable}
    inventory = make_inventory({"here": host}, {f"actor-{n}": None for n in range(4)})
    yield inventory
    for known in ledger_of(inventory).jobs():
        if not known.ended:
            cancel(inventory, known.job)


@pytest.mark.slow
def test_jobs_of_many_actors_are_sent_in_one_round_trip(
    many: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    submits: list[str] = []
    real = LocalSession.run

    def counted(session: LocalSession, argv: Any, **more: Any) -> Any:
        submits.extend(word for word in argv if '"programs"' in word)
        return real(session, argv, **more)

    monkeypatch.setattr(LocalSession, "run", counted)
    wanted = {"actors": tuple(many.actors), "recipe": "command", "command": "sleep 60", "gpus": 0}
    first = retrack(many, **wanted)
    assert len({job.job for job in first.jobs}) == 4
    assert {job.state for job in first.jobs} == {"running"}
    again = retrack(many, **wanted)
    assert [job.job for job in again.jobs] == [job.job for job in first.jobs]
    assert all(job.adopted for job in again.jobs) and len(submits) == 1


@pytest.mark.slow
def test_of_jobs_sent_together_one_that_is_refused_is_the_error_and_the_others_run(
    many: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dispatch.submit

    def second_refused(*args: Any) -> Any:
        results = real(*args)
        results[sorted(results)[1]] = HostError("the job cannot be stored", host="here")
        return results

    monkeypatch.setattr(dispatch, "submit", second_refused)
    with pytest.raises(HostError, match="cannot be stored"):
        retrack(many, actors=tuple(many.actors), recipe="command", command="sleep 60", gpus=0)
    states = sorted(known.state for known in ledger_of(many).jobs())
    assert states == ["created", "running", "running", "running"]


@pytest.mark.slow
def test_more_jobs_than_a_host_takes_at_once_are_all_sent(
    many: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    real = dispatch.submit

    def counted(*args: Any) -> Any:
        results = real(*args)
        sent.append(len(results))
        return results

    monkeypatch.setattr(dispatch, "submit", counted)
    monkeypatch.setattr(dispatch, "MOST_AT_ONCE", 3)
    wanted = {"actors": tuple(many.actors), "recipe": "command", "gpus": 0}
    assert len(retrack(many, command="sleep 60", **wanted).jobs) == 4 and sent == [3, 1]
    monkeypatch.setattr(dispatch, "MAX_BUNDLE_BYTES", 1)
    assert len(retrack(many, command="sleep 61", **wanted).jobs) == 4 and sent[2:] == [1, 1, 1, 1]
