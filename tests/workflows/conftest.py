"""A host that is this machine, commands as jobs on it, and a current folder to work in."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
