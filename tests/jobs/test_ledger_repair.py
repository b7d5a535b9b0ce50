"""A corrupt ledger is kept, rebuilt from its readable rows and from the hosts, and said; nothing is lost."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from being_remote.errors import TornFile
from being_remote.jobs.ledger import Intent, Ledger
from being_remote.workflows.jobs import jobs
from being_remote.workflows.pull import pull


def run(works: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "being_remote", *words, f"--inventory={works.inventory.path}"],
        capture_output=True,
        text=True,
        timeout=120,
    )


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def other_bytes(path: Path) -> None:
    path.write_bytes(b"something else that is no database" * 1000)


def cut_short(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def torn_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 3 * 4096] = bytes(2 * 4096)
    path.write_bytes(bytes(data))


DAMAGES = (zeros, other_bytes, cut_short, torn_pages)


@pytest.fixture
def three(works: Any) -> list[str]:
    """A job that has succeeded, one that has failed, and one that runs."""
    made = [works.command("echo x > x.txt", follow_it=True), works.command("exit 3", follow_it=True)]
    made.append(works.command("sleep 60"))
    with closing(sqlite3.connect(works.ledger.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return [str(report.job) for report in made]


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_ledger_is_kept_rebuilt_from_the_hosts_and_said(
    works: Any, three: list[str], damage: Callable[[Path], None]
) -> None:
    path = works.ledger.path
    damage(path)
    corrupt = path.read_bytes()
    done = run(works, "jobs", "--all", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["job"]: (row["state"], row["ours"]) for row in json.loads(done.stdout)["jobs"]} == {
        three[0]: ("succeeded", True),
        three[1]: ("failed", True),
        three[2]: ("running", True),
    }
    kept = path.with_name("ledger.sqlite.corrupt-1")
    assert kept.read_bytes() == corrupt
    assert "the ledger was corrupt" in done.stderr and kept.name in done.stderr
    again = run(works, "jobs", "--all", "--json")
    assert "corrupt" not in again.stderr and json.loads(again.stdout)["jobs"]
    assert works.command("sleep 60").job == three[2]  # the same settings still attach to it
    assert pull(works.inventory, three[0], all_files=True).files == 1


@pytest.mark.slow
def test_jobs_whose_host_is_gone_and_what_was_learnt_of_them_stay_where_their_rows_can_be_read(
    works: Any, three: list[str]
) -> None:
    ledger = works.ledger
    gone = Intent("gone-aaaaaaaa", "here", None, "command", b"{}", "0" * 64, b"null", "key")
    ledger.intend(gone)  # of no valid spec: a row that makes no sense is not carried over
    before, uuid = {job.job: ledger.parcel_of(job.job) for job in ledger.jobs()}, ledger.uuid
    history = {job: ledger.history(job) for job in three}
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_intent'").fetchone()
    data = bytearray(ledger.path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    ledger.path.write_bytes(bytes(data))
    shutil.rmtree(works.workdir / "jobs" / three[0])
    jobs(works.inventory, all_jobs=True)
    assert ledger.uuid == uuid
    for job in three:
        assert ledger.parcel_of(job) == before[job] != b"null"
        assert ledger.history(job)[: len(history[job])] == history[job]
    assert gone.job not in {job.job for job in ledger.jobs()}


@pytest.mark.slow
def test_only_jobs_of_this_ledger_are_written_down_where_its_name_can_be_read(
    works: Any, three: list[str]
) -> None:
    theirs = works.inventory.model_copy(update={"state": works.folder / "other-state"})
    Ledger(theirs.state / "ledger.sqlite").intend(
        Intent("own-aaaaaaaa", "here", None, "command", b"{}", "0" * 64, b"null", "key")
    )
    path = theirs.state / "ledger.sqlite"
    data = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_intent'").fetchone()
    path.write_bytes(data[: (page - 1) * 4096] + bytes(4096) + data[page * 4096 :])
    assert [row.ours for row in jobs(theirs, all_jobs=True).jobs] == [False] * 3


def test_a_dry_run_repairs_nothing_and_says_what_does(works: Any, three: list[str]) -> None:
    zeros(works.ledger.path)
    files = {p: p.read_bytes() for p in works.inventory.state.iterdir()}
    with pytest.raises(TornFile, match="the ledger is corrupt") as e:
        pull(works.inventory, three[0], dry_run=True)
    assert "being-remote jobs" in e.value.hint and e.value.exit_code == 6
    assert {p: p.read_bytes() for p in works.inventory.state.iterdir()} == files
    assert len(jobs(works.inventory, all_jobs=True).jobs) == 3


@pytest.mark.slow
def test_a_host_that_is_silent_during_the_repair_is_said(
    works: Any, three: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    away = {"kind": "ssh", "name": "away", "address": "127.0.0.1", "port": 1, "workdir": "/w"}
    document = works.inventory.model_dump()
    both = type(works.inventory).model_validate({**document, "hosts": {**document["hosts"], "away": away}})
    zeros(works.ledger.path)
    jobs(both, all_jobs=True)
    assert "not asked or not read: away: " in caplog.text and "--take-over" in caplog.text
    assert len(works.ledger.jobs()) == 3


_KILLED = """
import os, signal, sys
from pathlib import Path
from being_remote.inventory import load_inventory
from being_remote.workflows.job_context import job_context
inventory, left = load_inventory(Path(sys.argv[1])), int(sys.argv[2])
state = str(inventory.state)
def hook(name, args):
    global left
    if name.split(".")[0] in ("open", "os", "shutil", "sqlite3") and any(state in str(a) for a in args):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
job_context(inventory)
print(left)
"""


@pytest.mark.slow
def test_a_repair_that_is_killed_anywhere_is_done_by_the_next_command(works: Any, three: list[str]) -> None:
    path, n, ends = works.ledger.path, 1, 0
    good = path.read_bytes()
    while not ends:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        path.write_bytes(good)
        torn_pages(path)
        corrupt = path.read_bytes()
        argv = [sys.executable, "-c", _KILLED, str(works.inventory.path), str(n)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        ends += done.returncode == 0
        assert len(jobs(works.inventory, all_jobs=True).jobs) == 3, n
        assert {job.job for job in works.ledger.jobs()} == set(three), n
        assert any(kept.read_bytes() == corrupt for kept in path.parent.glob("*.corrupt-[0-9]")), n
        n += 3
    assert n > 10
