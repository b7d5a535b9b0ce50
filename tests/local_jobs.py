"""Commands as jobs on one host, dispatched through an inventory, and cancelled at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from being_remote.inventory import Inventory
from being_remote.jobs.dispatch import aim
from being_remote.jobs.ledger import Ledger, ledger_of
from being_remote.recipes.retrack_request import RetrackRequest
from being_remote.workflows import retrack as retrack_workflow
from being_remote.workflows.cancel import cancel
from being_remote.workflows.retrack import RetrackReport

WANTED = tuple(field.name for field in dataclasses.fields(RetrackRequest))


def retrack(inventory: Inventory, **options: Any) -> RetrackReport:
    """`retrack` with what is wanted and how it is dispatched in one list of arguments."""
    wanted = {name: options.pop(name) for name in WANTED if name in options}
    return retrack_workflow.retrack(inventory, RetrackRequest(**wanted), **options)


def wait_until(happened: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until it happened, and fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def killed(*_: Any) -> None:
    """In place of a step of a dispatch: the process dies before it."""
    raise KeyboardInterrupt


def killed_once_aimed(*args: Any) -> None:
    """In place of `dispatch.aim`: the process dies after it, so that its message may be on its way."""
    aim(*args)
    raise KeyboardInterrupt


def supervisors_of(job: Path) -> list[int]:
    """The processes whose complaints go to the supervisor's log in a job's folder: it, and what it forked."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "fd/2") == str(job / "supervisor.log"):
                found.append(int(process.name))
    return found


def unheard(_: object) -> None:
    """Take the lines of a job that is followed, and drop them."""


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
        return retrack(self.inventory, recipe="command", command=words, gpus=0, **more)

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
