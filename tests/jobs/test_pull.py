"""`pull`: verified, as a whole or not at all, one attempt's files only, nothing hostile."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from local_jobs import unheard

from being_remote import plugins
from being_remote.demo.actor import make_actor
from being_remote.errors import Busy, DataError, InconsistentData, NotFoundError, UsageError
from being_remote.jobs.attempt_files import AttemptFolder, matches
from being_remote.jobs.result_download import runs_of
from being_remote.jobs.result_folder import ResultFolder
from being_remote.pod_client.listing import ContainerStart, ListedFile, ListedFolder, Listing
from being_remote.transfer import disk_room, hash_comparison
from being_remote.workflows.cancel import cancel
from being_remote.workflows.pull import pull
from being_remote.workflows.resume import resume

MAKE = "mkdir -p a/b; echo one > one.txt; echo two > a/b/two.txt"


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()} - {"pulled.json"}


@pytest.fixture
def ended(works: Any) -> str:
    """A job that made two files."""
    return str(works.command(MAKE, follow_it=True).job)


def test_what_is_downloaded_is_what_the_host_has_and_its_record_names_it(works: Any, ended: str) -> None:
    report = pull(works.inventory, ended, all_files=True)
    assert names(report.folder) == {"one.txt", "a/b/two.txt"}
    assert (report.files, report.bytes, report.transferred_files, report.verified) == (2, 8, 2, 2)
    record = json.loads((report.folder / "pulled.json").read_text())
    assert (record["job"], record["host"], record["attempt"]) == (ended, "here", 1)
    assert record["files"]["one.txt"]["bytes"] == 4
    assert report.exit_code == 0


@pytest.mark.slow
def test_a_second_pull_moves_and_changes_nothing(works: Any, ended: str) -> None:
    first = pull(works.inventory, ended, all_files=True)
    before = {p: p.stat() for p in first.folder.rglob("*")}
    second = pull(works.inventory, ended, all_files=True)
    assert (second.transferred_files, second.changed, second.files) == (0, False, 2)
    assert {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")} == {
        p: at.st_mtime_ns for p, at in before.items()
    }
    assert [p.name for p in first.folder.parent.iterdir() if p.name != ended] == [f".{ended}.lock"]


def test_a_broken_plug_in_stops_no_pull_of_a_job_that_is_named(
    works: Any, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EntryPoint("other", "no_such_package:X", "being_remote.recipes")
    monkeypatch.setattr(plugins, "entry_points", lambda group: (broken,))
    plugins.installed.cache_clear()
    try:
        assert pull(works.inventory, ended, all_files=True).files == 2
        with pytest.raises(UsageError, match="no_such_package"):  # which job is the last depends on it
            pull(works.inventory, "last", all_files=True)
    finally:
        monkeypatch.undo()
        plugins.installed.cache_clear()


@pytest.mark.slow
def test_a_dry_run_counts_and_leaves_no_trace(works: Any, ended: str) -> None:
    job = works.command("true").job
    works.until((works.attempt(job) / "end.json").exists)
    story = works.ledger.history(job)
    with pytest.raises(NotFoundError):  # it has no results; that it ended is not written down either
        pull(works.inventory, job, dry_run=True)
    assert works.ledger.history(job) == story
    report = pull(works.inventory, ended, all_files=True, dry_run=True)
    assert (report.files, report.bytes, report.dry_run) == (2, 8, True)
    assert not (works.folder / "backups").exists()


def test_a_file_that_was_spoilt_here_is_fetched_again(works: Any, ended: str) -> None:
    folder = pull(works.inventory, ended, all_files=True).folder
    file = folder / "one.txt"
    at = file.stat()
    file.write_text("XXX\n")  # the same size and, below, the same time: rsync alone would not see it
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    report = pull(works.inventory, ended, all_files=True)
    assert (file.read_text(), report.transferred_files) == ("one\n", 1)


@pytest.mark.slow
def test_what_was_pulled_is_kept_beside_when_the_pod_has_other_bytes_by_now(works: Any, ended: str) -> None:
    folder = pull(works.inventory, ended, all_files=True).folder
    there = works.attempt(ended) / "work/one.txt"
    at = there.stat()
    there.write_text("evil")  # the same size and, below, the same time: rsync alone would not see it
    os.utime(there, ns=(at.st_atime_ns, at.st_mtime_ns))
    report = pull(works.inventory, ended, all_files=True)
    beside = folder.with_name(f"{ended}.attempt-1")
    assert (folder / "one.txt").read_text() == "evil" and (beside / "one.txt").read_text() == "one\n"
    assert names(beside) == names(folder)
    assert report.exit_code == 6
    assert [(a.path, a.reason) for a in report.quarantined] == [
        ("one.txt", f"other bytes than before; those are in {beside}")
    ]
    assert pull(works.inventory, ended, all_files=True).exit_code == 0


def test_a_file_that_changes_while_it_is_fetched_is_refused_and_nothing_here_changes(
    works: Any, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pull(works.inventory, ended, all_files=True).folder
    there = works.attempt(ended) / "work" / "one.txt"
    real = AttemptFolder.hash_files

    versions = itertools.count()

    def meanwhile(*args: Any) -> Any:
        there.write_text(f"new {next(versions)}\n")
        return real(*args)

    monkeypatch.setattr(AttemptFolder, "hash_files", meanwhile)
    with pytest.raises(InconsistentData, match="is not the file that here has"):
        pull(works.inventory, ended, all_files=True)
    assert (folder / "one.txt").read_text() == "one\n"


def test_a_file_that_changes_once_while_it_is_downloaded_is_downloaded_again(
    works: Any, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = works.attempt(ended) / "work" / "one.txt"
    real, asked = AttemptFolder.hash_files, itertools.count()

    def hash_files(*args: Any) -> Any:
        if next(asked) == 0:
            remote.write_text("new\n")
        return real(*args)

    monkeypatch.setattr(AttemptFolder, "hash_files", hash_files)
    report = pull(works.inventory, ended, all_files=True)
    assert (report.folder / "one.txt").read_text() == "new\n" and report.exit_code == 0


def test_a_file_that_the_host_cannot_read_is_refused_and_nothing_is_kept(
    works: Any, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hash_comparison.hash_files

    def hash_files(*args: Any, **options: Any) -> Any:
        clock_ns, files = real(*args, **options)
        return clock_ns, {key: file._replace(sha256=None) for key, file in files.items()}  # a read error

    monkeypatch.setattr(hash_comparison, "hash_files", hash_files)
    with pytest.raises(InconsistentData, match="is not the file that here has"):
        pull(works.inventory, ended, all_files=True)
    assert not (runs_of(works.inventory, None) / ended).exists()


@pytest.mark.slow
def test_a_pull_of_a_resumed_job_moves_nothing_that_an_earlier_attempt_left_here(works: Any) -> None:
    script = "echo same > same; test -e ../../../go || exit 3; echo new > new"
    job = works.command(script, follow_it=True).job
    first = pull(works.inventory, job, all_files=True)
    (works.workdir / "jobs" / job / "go").touch()
    assert resume(works.inventory, job, follow=unheard).state == "succeeded"
    second = pull(works.inventory, job, all_files=True)
    assert (names(second.folder), second.transferred_files) == ({"same", "new"}, 1)
    (second.folder / "same").write_text("not the same file under two names")
    assert (first.folder.with_name(f"{job}.attempt-1") / "same").read_text() == "same\n"


@pytest.mark.slow
def test_copies_from_an_earlier_attempt_count_for_the_room_on_the_disk(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "head -c 100000 /dev/zero > same; test -e ../../../go || exit 3; head -c 90000 /dev/zero > new"
    job = works.command(script, follow_it=True).job
    stage = ResultFolder(pull(works.inventory, job, all_files=True).folder).stage
    (works.workdir / "jobs" / job / "go").touch()
    assert resume(works.inventory, job, follow=unheard).state == "succeeded"

    def room_bytes(_: Path) -> int:
        return 150_000 - sum(file.stat().st_size for file in stage.rglob("*") if file.is_file())

    monkeypatch.setattr(disk_room, "room_bytes", room_bytes)
    report = pull(works.inventory, job, all_files=True)
    assert names(report.folder) == {"same"} and report.transferred_files == 0
    assert [(a.path, "do not fit here" in a.reason) for a in report.quarantined] == [("new", True)]


@pytest.mark.slow
def test_links_and_specials_are_never_followed(works: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = f"echo x > plain; ln -s {tmp_path}/secret link; ln -s {tmp_path} folder; mkfifo pipe"
    job = works.command(script, follow_it=True).job
    report = pull(works.inventory, job, all_files=True)
    assert names(report.folder) == {"plain"}
    assert {a.path for a in report.quarantined} == {"link", "folder", "pipe"}
    assert report.exit_code == 6


@pytest.mark.slow
def test_names_that_are_ours_or_leave_the_folder_are_refused(works: Any) -> None:
    report_of = works.command("echo evil > pulled.json; echo x > ok", follow_it=True)
    report = pull(works.inventory, report_of.job, all_files=True)
    assert [a.path for a in report.quarantined] == ["pulled.json"]
    assert json.loads((report.folder / "pulled.json").read_text())["job"] == report_of.job


@pytest.mark.slow
def test_what_tools_would_run_or_read_stays_on_the_host_and_the_rest_is_pulled(works: Any) -> None:
    evil = ("code/.git/hooks/x", ".envrc", "Makefile", "tasks.py", "sub/Inventory.YAML", "Pulled.json")
    made = "; ".join(f"mkdir -p $(dirname {name}); echo evil > {name}" for name in evil)
    job = works.command(f"{made}; echo x > code/train.py", follow_it=True).job
    report = pull(works.inventory, job, all_files=True)
    assert names(report.folder) == {"code/train.py"}
    assert {a.path for a in report.quarantined} == set(evil)
    assert report.exit_code == 6


@pytest.mark.slow
def test_of_many_refused_names_the_first_are_named_and_the_rest_counted(works: Any) -> None:
    job = works.command("mkdir .git; touch ok; cd .git; touch $(seq 30)", follow_it=True).job
    report = pull(works.inventory, job, all_files=True)
    assert names(report.folder) == {"ok"}
    assert (
        len(report.quarantined) == 21 and report.quarantined[-1].reason == "10 more files have refused names"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-rf", "a b", "$(x)", "ü", "\udcff", "new\nline"])
def test_strange_names_are_downloaded_as_they_are(works: Any, ended: str, name: str) -> None:
    (works.attempt(ended) / "work" / name).write_text("strange\n")
    report = pull(works.inventory, ended, all_files=True)
    assert (report.folder / name).read_text() == "strange\n"


@pytest.mark.slow
def test_only_the_attempt_that_counts_is_downloaded_and_the_one_before_is_kept_beside(works: Any) -> None:
    job = works.command(
        "echo $PPID > mine; test -e ../../../go || { touch only-first; exit 3; }", follow_it=True
    ).job
    first = pull(works.inventory, job, all_files=True)
    assert names(first.folder) == {"mine", "only-first"}
    assert first.exit_code == 5
    (works.workdir / "jobs" / job / "go").touch()
    assert resume(works.inventory, job, follow=unheard).state == "succeeded"
    second = pull(works.inventory, job, all_files=True)
    assert (names(second.folder), second.attempt, second.exit_code) == ({"mine"}, 2, 0)
    before = second.folder.with_name(f"{job}.attempt-1")
    assert names(before) == {"mine", "only-first"}
    assert json.loads((before / "pulled.json").read_text())["attempt"] == 1


@pytest.mark.slow
def test_of_a_job_that_failed_only_what_is_whole_is_downloaded(works: Any) -> None:
    job = works.command("mkdir c; echo torn > c/00001.frame; echo x > ok; exit 1", follow_it=True).job
    nothing = pull(works.inventory, job)
    assert (nothing.files, nothing.exit_code, nothing.state) == (0, 5, "failed")
    report = pull(works.inventory, job, all_files=True)
    assert names(report.folder) == {"ok"}
    assert [a.path for a in report.quarantined] == ["c/00001.frame"]


@pytest.mark.slow
def test_a_torn_result_is_kept_in_quarantine_whether_or_not_the_others_are_taken(works: Any) -> None:
    script = "mkdir c; echo torn > c/00001.frame; echo x > ok;"
    failed = works.command(f"{script} exit 1", follow_it=True).job
    report = pull(works.inventory, failed, all_files=True)
    (row,) = report.quarantined
    assert (row.path, row.kept_as.read_text()) == ("c/00001.frame", "torn\n")
    assert row.kept_as.parent == report.folder.with_name(f"{failed}.quarantine")
    note = json.loads(row.kept_as.with_name(f"{row.kept_as.name}.why.json").read_text())
    assert (note["path"], note["reason"]) == ("c/00001.frame", row.reason)

    job = works.command(script, follow_it=True).job
    for _ in range(2):
        with pytest.raises(DataError, match=f"quarantined as .*/{job}.quarantine/00001.frame"):
            pull(works.inventory, job, all_files=True)
    folder = runs_of(works.inventory, None) / job
    ((kept,),) = ResultFolder(folder).quarantine.read().values()
    assert kept.kept_as is not None and kept.kept_as.read_text() == "torn\n"
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["another frame", "torn"])
def test_a_good_frame_here_stays_when_the_pod_has_a_bad_one_in_its_place(
    works: Any, tmp_path: Path, bad: str
) -> None:
    made = make_actor(tmp_path / "made", "demo", frames=2, pictures=False, video=False)
    frames = made.output_folder / "checkpoint"
    job = works.command("mkdir c; exit 1", follow_it=True).job
    there = works.attempt(job) / "work/c/00001.frame"
    shutil.copy(frames / "00001.frame", there)
    here = pull(works.inventory, job, all_files=True).folder / "c/00001.frame"
    if bad == "torn":
        there.write_bytes(there.read_bytes()[:-100])
    else:
        shutil.copy(frames / "00000.frame", there)
    for _ in range(2):
        report = pull(works.inventory, job, all_files=True)
        assert [a.path for a in report.quarantined] == ["c/00001.frame"]
        assert here.read_bytes() == (frames / "00001.frame").read_bytes()


def test_what_still_runs_has_no_results_yet(works: Any) -> None:
    job = works.command("echo x > early; sleep 60").job
    with pytest.raises(NotFoundError, match="has no results yet: it is running"):
        pull(works.inventory, job, all_files=True)
    cancel(works.inventory, job)


@pytest.mark.slow
def test_of_two_pulls_at_once_one_is_refused(works: Any, ended: str) -> None:
    folder = runs_of(works.inventory, None) / ended
    holder = rf"another command downloads this job \(process {os.getpid()} on "
    with ResultFolder(folder).lock(), pytest.raises(Busy, match=holder):
        pull(works.inventory, ended, all_files=True)


_DIE = """
import os, sys
from pathlib import Path
from being_remote.inventory import load_inventory
from being_remote.workflows.pull import pull
left = int(sys.argv[2])
def die(event, args):
    global left
    if event in ("os.rename", "os.link", "os.mkdir", "os.remove", "shutil.rmtree", "open", "os.rmdir"):
        if "/runs/" in str(args[0]):
            left -= 1
            if left == 0:
                os._exit(9)
sys.addaudithook(die)
pull(load_inventory(Path(sys.argv[1])), "last", all_files=True)
"""


def killed_everywhere(works: Any, job: str, points: range) -> None:
    """A pull killed at its N-th step leaves the old tree or the new one, and the next pull mends all."""
    folder = runs_of(works.inventory, None) / job
    old, new = {"one.txt", "a/b/two.txt"}, {"one.txt", "a/b/two.txt", "three"}
    for point in points:
        pull(works.inventory, job, all_files=True)
        extra = works.attempt(job) / "work" / "three"
        extra.write_text("three\n")
        done = subprocess.run(
            [sys.executable, "-c", _DIE, str(works.inventory.path), str(point)], check=False
        )
        at = folder if folder.exists() else folder.with_name(f".{folder.name}.old")
        assert names(at) in (old, new), point
        report = pull(works.inventory, job, all_files=True)
        assert names(report.folder) == new, point
        extra.unlink()
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        if done.returncode == 0:
            return
    assert len(points) < 30, "it never came to its end"


@pytest.mark.slow
def test_a_killed_pull_leaves_a_whole_tree_and_the_next_one_completes_it(works: Any, ended: str) -> None:
    killed_everywhere(works, ended, range(3, 30, 9))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_pull_killed_at_each_of_its_steps_leaves_a_whole_tree(works: Any, ended: str) -> None:
    killed_everywhere(works, ended, range(1, 200))


@pytest.mark.parametrize(
    ("name", "pattern", "wanted"),
    [
        ("intrinsics.json", "intrinsics.json", True),
        ("x/intrinsics.json", "intrinsics.json", False),
        ("output/a/b/checkpoint/1.frame", "output/*/checkpoint/*.frame", False),
        ("output/a/checkpoint/1.frame", "output/*/checkpoint/*.frame", True),
    ],
)
def test_a_star_stays_within_its_folder(name: str, pattern: str, wanted: bool) -> None:
    assert matches(name, pattern) is wanted


def test_of_a_jobs_files_as_many_are_downloaded_as_the_disk_has_room_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = [ListedFile(b"%05d.frame" % n, 4096, 1, 1, n, None) for n in range(9)]
    attempt = AttemptFolder(None, "python3", PurePosixPath("/job"), ("checkpoint/*.frame",))  # type: ignore[arg-type]  # nothing is asked
    queries = attempt._queries()
    listing = Listing(
        ContainerStart(boot_id=None, pid_namespace=None), 0, [ListedFolder(True, None, named, [])], ""
    )
    offers = list(attempt._listed(queries, listing))
    monkeypatch.setattr(disk_room, "room_bytes", lambda _: 5 * 4096)
    room = disk_room.share_room(tmp_path, offers, lambda offer: offer.bytes)
    assert (len(room.fit), len(room.left_out)) == (5, 4)
