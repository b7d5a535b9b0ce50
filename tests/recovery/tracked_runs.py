"""Runs of the generated actor as `recover` meets them: in a tracker's checkout, and in a backup."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recover_options import recover

from being_remote.backup.history import History
from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.transfer.checked_files import StoredFile
from being_remote.workflows.recover import RecoverReport


def numbers_only(folder: Path, **options: Any) -> ActorTruth:
    """An actor without any picture."""
    return make_actor(folder, **{"frames": 2, "pictures": False, **options})


def make_backup(truth: ActorTruth, home: Path, *, config: bool = True, crops: bool = False) -> Path:
    """The live tree of a backup, laid out as `sync` does, without any history."""
    shutil.copytree(truth.output_folder / "checkpoint", home / "checkpoint")
    shutil.copytree(truth.output_folder / "mesh", home / "run" / "mesh")
    if crops:
        shutil.copytree(truth.output_folder / "input", home / "run" / "input")
    if (truth.input_folder / "bbox.pt").exists():
        shutil.copy(truth.input_folder / "bbox.pt", home / "bbox.pt")
    if config:
        (home / "actor").mkdir()
        checkout = truth.input_folder.parents[1]
        shutil.copy(checkout / "configs/actors" / f"{truth.name}.yml", home / "actor" / "config.yml")
    return home


def record(home: Path, hosts: Callable[[str], str | None]) -> None:
    """A manifest of what lies there, each file from the host that `hosts` names."""
    files = {}
    for path in [home / "bbox.pt", *(home / "checkpoint").iterdir()]:
        name, data = path.relative_to(home).as_posix(), path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        files[name] = StoredFile(name, digest, len(data), path.stat().st_mtime_ns, (), hosts(name))
    history = History(home)
    with history.lock():
        history.commit(files, why="sync", host="a100")


def run_of(truth: ActorTruth, **more: Any) -> RecoverReport:
    """`recover` on the run in its checkout."""
    return recover(None, **{"run": str(truth.output_folder), "source_size": truth.size_wh, **more})


def named(report: RecoverReport, name: str) -> str:
    """The one output of that name."""
    (path,) = (o for o in report.outputs if Path(o).name == name)
    return path
