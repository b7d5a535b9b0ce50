"""One file that cannot come keeps none of the others away, and is named with exit code 6."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from faults import small_disk
from local_actor import FRAMES
from remote_homes import Homes, empty, homes_on

from being_remote.backup_sync import remote_files
from being_remote.demo.pod import Pod
from being_remote.errors import NoSpace
from being_remote.inventory import Inventory
from being_remote.jobs import attempt_files
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.live_download import LiveDownload
from being_remote.recipes.metrical_tracker import MetricalTracker
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import Pull, TransferResult
from being_remote.transport.local_session import LocalSession
from being_remote.transport.ssh_session import SshSession
from being_remote.workflows.pull import pull

MakeInventory = Callable[..., Inventory]
YEAR_2286_S = 10**10


def all_but(homes: Homes, *bad: str) -> None:
    """Everything else that the pod has is local."""
    frames = {p.name for p in homes.checkpoint.iterdir()}
    live = {str(p.relative_to(homes.root)) for p in homes.root.rglob("*") if ".history" not in p.parts}
    expected = {f"checkpoint/{name}" for name in frames} | {
        "bbox.pt",
        "actor/identity.npy",
        "run/logs/train.log",
    }
    assert expected - set(bad) <= live
    assert not live & set(bad)


def test_a_time_after_the_year_2262_leaves_that_file_out_by_name(homes: Homes) -> None:
    odd = homes.checkpoint / "00001.frame"
    os.utime(odd, (YEAR_2286_S, YEAR_2286_S))
    assert odd.stat().st_mtime_ns > 1 << 63, "this file system keeps no such time"
    report = homes.sync()
    (bad,) = report.quarantined
    assert (report.exit_code, bad.path) == (6, "checkpoint/00001.frame") and "modification time" in bad.reason
    all_but(homes, "checkpoint/00001.frame")


@pytest.mark.slow
def test_a_log_of_a_terabyte_is_left_out_by_name_and_nothing_of_it_is_fetched(homes: Homes) -> None:
    os.truncate(homes.log, 1 << 40)
    report = homes.sync()
    (bad,) = report.quarantined
    assert (report.exit_code, bad.path) == (6, "run/logs/train.log") and "1.1 TB do not fit" in bad.reason
    all_but(homes, "run/logs/train.log")
    assert report.transferred_bytes < 1 << 20
    homes.log.write_text("a short one again")
    assert homes.sync().exit_code == 0
    all_but(homes)


def test_of_more_logs_than_are_listed_the_first_are_downloaded_and_all_else(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "MOST_LOGS", 20)
    logs = homes.tracker / "output/demo/logs"
    logs.mkdir(exist_ok=True)
    for number in range(50):
        (logs / f"{number:03d}").touch()
    report = homes.sync()
    (bad,) = report.quarantined
    assert report.exit_code == 6 and "more than 20 files" in bad.reason
    assert len(list((homes.root / "run/logs").glob("0*"))) == 20
    all_but(homes)


def test_of_two_files_for_one_place_one_is_downloaded_and_the_other_is_named(homes: Homes) -> None:
    other = homes.tracker / "output/demo/logs/train.log"
    other.parent.mkdir(exist_ok=True)
    other.write_text("another")
    for _ in range(2):
        report = homes.sync()
        (bad,) = report.quarantined
        assert (report.exit_code, bad.path) == (6, "run/logs/train.log") and "another file" in bad.reason
        all_but(homes)
        assert (homes.root / "run/logs/train.log").read_bytes() == homes.log.read_bytes()


def test_a_folder_that_may_not_be_read_or_is_too_deep_hides_no_other(homes: Homes) -> None:
    deep = homes.tracker / "output/demo/logs" / "/".join(["d"] * 120)
    deep.mkdir(parents=True)
    (deep / "x").touch()
    (homes.tracker / "output/demo/logs/zzz").write_text("last")
    report = homes.sync()
    assert any("could not be read completely" in warning for warning in report.warnings)
    assert (homes.root / "run/logs/zzz").read_text() == "last"
    all_but(homes)


def test_the_most_precious_files_are_fetched_first_and_large_logs_last(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, real = list[Pull](), SshSession.pull

    def pull(self: SshSession, request: Pull, *rest: Any) -> TransferResult:
        requests.append(request)
        return real(self, request, *rest)

    monkeypatch.setattr(SshSession, "pull", pull)
    homes.log.write_bytes(bytes(2 << 20))
    (homes.tracker / "output/demo/logs").mkdir(exist_ok=True)
    (homes.tracker / "output/demo/logs/events").write_text("x")
    homes.sync()
    first, last = ([os.fsdecode(name) for name in request.names] for request in requests)
    assert last == ["output/demo/train.log"]
    kinds = [("log" in name) * 2 + ("/mesh/" in name or "canonical" in name) for name in first]
    assert kinds == sorted(kinds) and set(kinds) == {0, 1, 2}


def test_on_a_disk_with_too_little_room_the_most_precious_files_are_downloaded(
    actor: Path, pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small") as disk:
        options = {"backups": str(disk / "backups")}
        homes = homes_on(pod, actor, lambda *a, **k: make_inventory(*a, **k, **options))
        homes.log.write_bytes(bytes(1_500_000))
        report = homes.sync()
        assert report.exit_code == 6
        assert [q.path for q in report.quarantined] == ["run/logs/train.log"]
        all_but(homes, "run/logs/train.log")
        homes.check_history()
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free // 4096 * 4096))
        (homes.checkpoint / "00009.frame").write_bytes((homes.checkpoint / "00001.frame").read_bytes())
        with pytest.raises(NoSpace):
            homes.sync()
        all_but(homes, "run/logs/train.log", "checkpoint/00009.frame")
        empty(homes.tracker)


def names(folder: Path) -> set[str]:
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    return files - {"pulled.json"}


@pytest.mark.slow
def test_of_a_jobs_results_a_terabyte_an_impossible_time_and_a_flood_are_left_out_by_name(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_files, "MOST_FILES", 30)
    script = f"echo x > a; truncate -s 1T big; echo x > late; touch -d @{YEAR_2286_S} late; mkdir z;"
    script += " touch $(seq -f z/%03g 40)"
    job = works.command(script, follow_it=True).job
    report = pull(works.inventory, job, all_files=True)
    said = {aside.path: aside.reason for aside in report.quarantined}
    assert report.exit_code == 6 and set(said) == {"big", "late", "work"}
    assert "1.1 TB" in said["big"] and "modification time" in said["late"] and "more than 30" in said["work"]
    assert {"a", "z/001"} <= names(report.folder) and len(names(report.folder)) == 28


@pytest.mark.slow
def test_a_flood_in_one_part_of_a_jobs_results_hides_no_frame(
    works: Any, actor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_files, "MOST_FILES", 30)
    script = "mkdir -p output/demo/input; touch $(seq -f output/demo/input/%03g.png 90)"
    job = works.command(script, follow_it=True).job
    there = works.attempt(job) / "work"
    shutil.copytree(actor / "output/demo/checkpoint", there / "output/demo/checkpoint", dirs_exist_ok=True)
    host = next(iter(works.inventory.hosts.values()))
    work = AttemptFolder(LocalSession(host), host.python, PurePosixPath(there), MetricalTracker().checkpoints)
    offers, aside = work.list_files(works.folder / "into")
    assert sum(offer.path.endswith(".frame") for offer in offers) == FRAMES
    assert len(offers) == 30 + FRAMES and "more than 30" in aside[0].reason


@pytest.mark.slow
def test_a_file_without_room_holds_up_no_other_of_a_job_that_is_followed(works: Any, actor: Path) -> None:
    script = "mkdir -p output/demo/input; truncate -s 1T output/demo/input/0.png"
    job = works.command(script, follow_it=True).job
    there = works.attempt(job) / "work"
    shutil.copytree(actor / "output/demo/checkpoint", there / "output/demo/checkpoint", dirs_exist_ok=True)
    host = next(iter(works.inventory.hosts.values()))
    work = AttemptFolder(LocalSession(host), host.python, PurePosixPath(there), MetricalTracker().checkpoints)
    rounds = LiveDownload(work, works.folder / "runs/job-1", {"job": "job-1", "attempt": 1}, RESULT_JUDGE)
    rounds.round()
    first, last = rounds.round(), rounds.round(last=True)
    assert len(first.files) == FRAMES and not last.more
    assert [aside.path for aside in last.set_aside] == ["output/demo/input/0.png"]
