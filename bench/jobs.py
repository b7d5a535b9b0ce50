"""Jobs on a loopback pod: dispatch, status of 1,000, a long log followed, a supervisor that only waits.

    python bench/jobs.py [--full]     --full: a log of 1 GB instead of 200 MB

The first rows have dpdispatcher 1.1.0 beside them, on the same pod in turn, where it is installed: in this
Python, or in the one that DPDISPATCHER_PYTHON names. Start-up and connecting are part of the first two only.
The supervisor is looked at through /proc, so all of it runs on Linux only.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from common import Row, paired, process_cost, show
from find_bbox import delayed
from find_bbox import inventory_file as far_inventory
from sync import inventory_file

from being_remote import transport
from being_remote.demo.pod import Pod, start_pod
from being_remote.inventory import Inventory, LocalHost, load_inventory
from being_remote.jobs.follow import FollowedLogLine, StateLine
from being_remote.jobs.status_poll import look_at_host
from being_remote.session import Session
from being_remote.workflows.cancel import cancel
from being_remote.workflows.retrack import RetrackRequest, retrack

RUNS = 11
FEW_RUNS = 5
JOBS = 50
DELAY_S = 0.06
DISPATCHER = os.environ.get("DPDISPATCHER_PYTHON", sys.executable)
MANY = 1000
LOG_MB, FULL_LOG_MB = 200, 1000
IDLE_S = 20.0


def command(inventory: Inventory, text: str) -> str:
    """A new job of that command line, dispatched."""
    report = retrack(inventory, RetrackRequest(recipe="command", command=text, gpus=0, again=True))
    assert report.job is not None
    return report.job


def first_line_s(inventory: Inventory) -> float:
    """Seconds from the call of `retrack` to the first line of what it started."""
    at: list[float] = []

    def say(what: FollowedLogLine | StateLine) -> None:
        if isinstance(what, FollowedLogLine):
            at.append(time.perf_counter())

    started = time.perf_counter()
    words = "sh -c 'echo up; sleep 0.2'"
    wanted = RetrackRequest(recipe="command", command=words, gpus=0, again=True)
    retrack(inventory, wanted, follow_it=True, say=say)
    return at[0] - started


@contextlib.contextmanager
def connected(session: Session) -> Iterator[None]:
    """What is timed in the block does not connect: it uses `session`."""
    real = transport.open_session
    transport.open_session = lambda *_, **__: contextlib.nullcontext(session)  # type: ignore[assignment]  # timed without connecting
    try:
        yield
    finally:
        transport.open_session = real


def dispatch(inventory: Inventory, session: Session) -> Row:
    """From submit to first line, over a connection that is open already."""
    with connected(session):
        first_line_s(inventory)
        seconds = statistics.median(first_line_s(inventory) for _ in range(RUNS))
    return Row("from retrack to the payload's first line", f"{seconds:.2f} s", "1 s allowed", seconds, 1.0)


def has_dpdispatcher() -> bool:
    found = subprocess.run([DISPATCHER, "-c", "import dpdispatcher"], capture_output=True, check=False)
    return found.returncode == 0


@contextlib.contextmanager
def stamps(jobs: int) -> Iterator[Path]:
    """A folder in which each job writes when it started; waits for all of them."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        while len(os.listdir(name)) < jobs or not all(p.stat().st_size for p in Path(name).iterdir()):
            time.sleep(0.01)


def our_first_line_s(inventory: Inventory) -> float:
    """Seconds from the start of a fresh process to the payload's start."""
    with stamps(1) as folder:
        started = time.time()
        program = str(Path(sys.executable).with_name("being-remote"))
        words = [program, "retrack", "--recipe=command", "--gpus=0"]
        words += ["--again", f"--inventory={inventory.path}", f"--command=sh -c 'date +%s.%N > {folder}/0'"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        while not (folder / "0").exists() or not (folder / "0").read_text():
            time.sleep(0.01)
        return float((folder / "0").read_text()) - started


def run_dpdispatcher(pod: Pod, port: int, folder: Path, jobs: int) -> dict[str, float]:
    """The same by dpdispatcher: seconds to the first payload's start, of the submission, of one look."""
    if not has_dpdispatcher():
        return dict.fromkeys(("first_s", "submit_s", "status_s"), math.nan)
    with tempfile.TemporaryDirectory(dir=folder) as local, stamps(jobs) as stamped:
        where = [
            pod.address,
            str(port),
            pod.user,
            str(pod.client_key),
            f"{local}/remote",
            f"{local}/local",
        ]
        started = time.time()
        script = Path(__file__).with_name("dpdispatcher_run.py")
        words = [DISPATCHER, str(script), *where, str(stamped), str(jobs)]
        done = subprocess.run(words, cwd=local, check=True, capture_output=True)  # it leaves a log
        while not (stamped / "0").exists() or not (stamped / "0").read_text():
            time.sleep(0.01)
        first = float((stamped / "0").read_text()) - started
        return {"first_s": first, **json.loads(done.stdout.splitlines()[-1])}


def beside_dpdispatcher(pod: Pod, inventory: Inventory, session: Session, folder: Path) -> list[Row]:
    """The first line, many jobs by one command, and one look at them: ours and dpdispatcher's, in turn."""
    if not has_dpdispatcher():
        print(
            f"dpdispatcher is not installed in {DISPATCHER}: ours alone (DPDISPATCHER_PYTHON names another)"
        )

    def many_s() -> float:
        actors = tuple(inventory.actors)[:JOBS]
        with stamps(JOBS) as stamped:
            words = f"sh -c 'date > $(mktemp {stamped}/XXXXXX)'"
            wanted = RetrackRequest(recipe="command", command=words, gpus=0, again=True, actors=actors)
            started = time.perf_counter()
            retrack(inventory, wanted)
            return time.perf_counter() - started

    def look_s() -> float:
        started = time.perf_counter()
        look_at_host(session, inventory.the_host(None))
        return time.perf_counter() - started

    def first_lines(at: Inventory, port: int) -> tuple[float, float, float]:
        our_first_line_s(at)
        return paired(
            lambda: our_first_line_s(at), lambda: run_dpdispatcher(pod, port, folder, 1)["first_s"], FEW_RUNS
        )

    first = first_lines(inventory, pod.port)
    with delayed([pod], DELAY_S / 2) as (port,):
        far = first_lines(load_inventory(far_inventory(folder / "far", [pod], [port])), port)
    looks: list[float] = []

    def theirs_s() -> float:
        measured = run_dpdispatcher(pod, pod.port, folder, JOBS)
        looks.append(measured["status_s"])
        return measured["submit_s"]

    with connected(session):
        many = paired(many_s, theirs_s, FEW_RUNS)
        ours = statistics.median(look_s() for _ in range(FEW_RUNS))
    theirs = statistics.median(looks)
    rows = (
        ("a fresh command to the payload's start; dpdispatcher", first, 1.0),
        (f"the same, the pod {DELAY_S * 1000:.0f} ms away", far, 1.0),
        (f"{JOBS} jobs submitted by one command; dpdispatcher", many, 1.0),
        (
            f"one look at these and all jobs before; dpdispatcher at {JOBS}",
            (ours, theirs, ours / theirs),
            1.0,
        ),
    )
    return [Row(what, f"{a:.2f} s", f"{b:.2f} s", ratio, target) for what, (a, b, ratio), target in rows]


def status(pod: Pod, session: Session, ended: Path) -> Row:
    """All jobs of a host, against a host with one."""
    one, many = pod.root / "one", pod.root / "many"
    shutil.copytree(ended, one / "jobs" / ended.name)
    for number in range(MANY):
        # The code that was shipped is not looked at, and would only fill the disk.
        copy = many / "jobs" / f"copy-{number:04}"
        shutil.copytree(ended, copy, ignore=shutil.ignore_patterns("bundle"))

    def look(workdir: Path, expected: int) -> float:
        before, started = session.round_trips, time.perf_counter()
        seen = look_at_host(session, LocalHost(name="here", workdir=workdir))
        seconds = time.perf_counter() - started
        states = {job.state for job in seen.jobs}
        if len(seen.jobs) != expected or states != {"succeeded"} or session.round_trips != before + 1:
            raise SystemExit(f"{len(seen.jobs)} jobs, {states}, {session.round_trips - before} round trips")
        return seconds

    look(many, MANY)
    a, b, ratio = paired(lambda: look(many, MANY), lambda: look(one, 1), RUNS)
    return Row(
        f"status of {MANY} jobs in one round trip",
        f"{a * 1000:.0f} ms",
        f"{b * 1000:.0f} ms for 1",
        ratio,
        2.0,
    )


def following(inventory: Inventory, ended: Path, megabytes: int) -> Row:
    """The whole command, on the log of a job that has ended, so that it comes as fast as it can."""
    block = b"".join(b"frame %07d loss 0.123456 of a line as trackers write it\n" % n for n in range(16_000))
    with open(ended / "attempts/1/log", "wb") as log:
        while log.tell() < megabytes * 1_000_000:
            log.write(block)
    program = str(Path(sys.executable).with_name("being-remote"))
    cost = process_cost([program, "logs", ended.name, "--follow", f"--inventory={inventory.path}"])
    what = f"logs --follow of {megabytes} MB, {cost.seconds:.0f} s: peak memory"
    return Row(what, f"{cost.peak_mib:.0f} MiB", "60 MiB allowed", cost.peak_mib / 60, 1.0)


def idle(workdir: Path, inventory: Inventory) -> list[Row]:
    """What the supervisor of a payload that is silent takes."""
    job = command(inventory, "sleep 600")
    who = workdir / "jobs" / job / "attempts/1/who.json"
    process = Path("/proc") / str(json.loads(who.read_text())["supervisor"]["pid"])

    def cpu_s() -> float:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(2.0)  # its own start is no idling
    before, started = cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    percent = 100 * (cpu_s() - before) / (time.monotonic() - started)
    said = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    mib = int(said["VmRSS"].split()[0]) / 1024
    cancel(inventory, job)
    return [
        Row("an idle supervisor's memory", f"{mib:.1f} MiB", "20 MiB allowed", mib / 20, 1.0),
        Row("an idle supervisor's share of a core", f"{percent:.2f} %", "0.5 % allowed", percent / 0.5, 1.0),
    ]


def with_actors(path: Path) -> Path:
    """The inventory with an actor for each of the many jobs."""
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**document, "actors": {f"actor-{n}": None for n in range(JOBS)}}))
    return path


def main() -> None:
    megabytes = FULL_LOG_MB if "--full" in sys.argv[1:] else LOG_MB
    with tempfile.TemporaryDirectory() as name, start_pod(Path(name) / "pod") as pod:
        inventory = load_inventory(with_actors(inventory_file(pod, Path(name))))
        workdir = Path(pod.inventory_entry()["workdir"])
        with transport.open_session(inventory.the_host(None), inventory) as session:
            rows = beside_dpdispatcher(pod, inventory, session, Path(name))
            rows.append(dispatch(inventory, session))
            ended = next(path for path in (workdir / "jobs").iterdir() if not path.name.startswith("."))
            rows.append(status(pod, session, ended))
        rows.append(following(inventory, ended, megabytes))
        rows += idle(workdir, inventory)
    show(f"jobs on a loopback pod, medians of {RUNS}", rows)


if __name__ == "__main__":
    main()
