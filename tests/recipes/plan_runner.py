"""Runs a plan's steps as the supervisor would, without one: for tests of what a recipe means."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from being_remote.inventory import Actor, Inventory, LocalHost, Tracker
from being_remote.jobs import job_archive
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions
from being_remote.recipes.earlier_runs import LastJob
from being_remote.recipes.registry import find_recipe
from being_remote.transport.local_session import LocalSession

DEMO = Actor(name="demo", source_size=(640, 360), input="input/demo", output="output/demo")
MakePlan = Callable[..., JobPlan]


@dataclass(frozen=True)
class Attempt:
    """One attempt's folder, the exit code of each step that ran, and all they said."""

    work: Path
    codes: tuple[int, ...]
    log: str


def run_plan(
    plan: JobPlan,
    folder: Path,
    *,
    attempt: int = 1,
    env: Mapping[str, str] | None = None,
    pushed: Path | None = None,
) -> Attempt:
    """Put the real bundle below `folder`, prepare `work`, run the steps until one fails."""
    if not folder.exists():
        spec = plan.spec("demo-k3x7a2bq", "ledger")
        for name, data in job_archive.job_files(spec, plan.files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "bundle").write_bytes(job_archive.programs())
    work = folder / "attempts" / str(attempt) / "work"
    work.mkdir(parents=True)
    for name in plan.prepare.folders:
        (work / name).mkdir(parents=True, exist_ok=True)
    for source, name in plan.prepare.copies:
        shutil.copyfile(folder / "files" / source, work / name)
    for name, target in plan.prepare.links:
        (work / name).symlink_to(target)
    before = folder / "attempts" / str(attempt - 1) / "work"
    filled = {
        "{work}": str(work),
        "{files}": str(folder / "files"),
        "{bundle}": str(folder / "bundle"),
        "{previous}": str(before) if before.exists() else "",
        "{pushed}": str(pushed) if pushed else "",
    }

    def fill(text: str) -> str:
        for placeholder, value in filled.items():
            text = text.replace(placeholder, value)
        return text

    codes, log = [], ""
    for step in plan.steps:
        argv = [fill(word) for word in step.argv]
        done = subprocess.run(
            argv,
            cwd=fill(step.cwd),
            env={"PATH": os.environ["PATH"], **(env or {}), **{k: fill(v) for k, v in step.env.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        codes.append(done.returncode)
        log += done.stdout
        if done.returncode != 0:
            break
    return Attempt(work, tuple(codes), log)


def nothing_local(*hosts: LocalHost) -> Inventory:
    """An inventory whose backups and ledger do not exist."""
    missing = Path("/does/not/exist")
    return Inventory(
        path=missing,
        hosts={host.name: host for host in hosts},
        actors={},
        backups=missing,
        search_roots=(),
        state=missing,
    )


def planned(
    checkout: Path,
    *sets: str,
    actor: Actor = DEMO,
    workdir: Path | None = None,
    preset: str | None = None,
    last_job: LastJob | None = None,
) -> JobPlan:
    """Look at a checkout on this machine for real, in one round trip, then plan."""
    tracker = Tracker(root=checkout, python=sys.executable)
    host = LocalHost(name="here", workdir=workdir or Path("/w"), tracker=tracker, python=sys.executable)
    tracking = find_recipe("metrical-tracker")
    request = JobRequest(host, tracking.parse_options(TypedOptions(preset, sets)), actor)
    with LocalSession(host) as session:
        facts = tracking.look(session, request, nothing_local(host))
        assert session.round_trips == 1
    facts = dataclasses.replace(facts, local=dataclasses.replace(facts.local, last_job=last_job))
    return tracking.plan(request, facts)
