"""A host that is this machine, commands as jobs on it, and a current folder to work in."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from two_pods import FRAMES, TwoPods, entry

from being_remote.demo.actor import make_actor
from being_remote.demo.checkout import install
from being_remote.demo.pod import start_pod
from being_remote.inventory import Inventory
from being_remote.jobs.ledger import Ledger
from being_remote.workflows.cancel import cancel
from being_remote.workflows.retrack import RetrackReport, retrack
from being_remote.workflows.tending.watch import ledger_of


class Works:
    """An inventory and what is dispatched through it; all jobs are cancelled at the end."""

    def __init__(self, inventory: Inventory, folder: Path) -> None:
        self.inventory, self.folder = inventory, folder

    @property
    def ledger(self) -> Ledger:
        return ledger_of(self.inventory)

    @property
    def workdir(self) -> Path:
        return Path(next(iter(self.inventory.hosts.values())).workdir)

    def command(self, script: str, **more: Any) -> RetrackReport:
        """`script` as a job that needs no GPU."""
        words = f"sh -c {shlex.quote(script)}"
        return retrack(self.inventory, recipe_name="command", command=words, gpus=0, **more)

    def attempt(self, job: str, number: int = 1) -> Path:
        return self.workdir / "jobs" / job / "attempts" / str(number)

    def until(self, happened: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def clean(self) -> None:
        for known in self.ledger.jobs():
            if not known.ended:
                cancel(self.inventory, known.job)


@pytest.fixture
def works(make_inventory: Callable[..., Inventory], tmp_path: Path) -> Iterator[Works]:
    """Jobs on this machine."""
    host = {"kind": "local", "workdir": str(tmp_path / "Being"), "python": sys.executable}
    made = Works(make_inventory({"here": host}), tmp_path)
    yield made
    made.clean()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty but for what a test puts there."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def actor_of_12(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the stand-in tracker and an actor that it can track anew; copy it."""
    checkout = tmp_path_factory.mktemp("two_pods") / "metrical-tracker"
    checkout.mkdir()
    install(checkout, make_actor(checkout, "demo", frames=FRAMES, size_wh=(640, 360), video=False))
    return checkout


@pytest.fixture
def two_pods(
    make_inventory: Callable[..., Inventory], actor_of_12: Path, tmp_path: Path
) -> Iterator[TwoPods]:
    """Two pods on loopback, each with the tracker and the actor's input; the video is here, too."""
    shutil.copytree(actor_of_12 / "input/demo/source", tmp_path / "video")
    (tmp_path / "backups/demo/actor").mkdir(parents=True)
    shutil.copy(actor_of_12 / "input/demo/identity.npy", tmp_path / "backups/demo/actor")
    with contextlib.ExitStack() as held:
        pods = {name: held.enter_context(start_pod(tmp_path / name, name=name)) for name in ("a", "b")}
        for pod in pods.values():
            shutil.copytree(actor_of_12, pod.root / "metrical-tracker", dirs_exist_ok=True)
        hosts = {name: entry(pod) for name, pod in pods.items()}
        inventory = make_inventory(hosts, {"demo": {"video": str(tmp_path / "video")}})
        inventory.state.mkdir(mode=0o700, exist_ok=True)
        lines = [f"[{p.address}]:{p.port} {p.host_key_line}\n" for p in pods.values()]
        (inventory.state / "known_hosts").write_text("".join(lines))
        yield TwoPods(pods, inventory, tmp_path)
