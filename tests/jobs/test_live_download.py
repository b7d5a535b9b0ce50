"""Following a job downloads its checkpoints seconds after they are written, whole, or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from faults import FaultProxy, small_disk
from live_watcher import LiveWatcher, whole
from local_jobs import retrack
from numbered_frames import numbered
from tracker_checkout import install

from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import Busy, ConnectionLost, HostError, NotFoundError, UsageError
from being_remote.inventory import Inventory, LocalHost
from being_remote.jobs import attempt_files, live_download
from being_remote.jobs import follow as following
from being_remote.jobs.attempt_files import AttemptFolder
from being_remote.jobs.follow import FollowedLogLine, StateLine
from being_remote.jobs.live_download import DownloadRound, LiveDownload, LocalFilesLine
from being_remote.jobs.result_folder import ResultFolder
from being_remote.recipes import registry
from being_remote.recipes.command import Command
from being_remote.recipes.metrical_tracker import MetricalTracker
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import Pull
from being_remote.transport.local_session import LocalSession
from being_remote.workflows.cancel import cancel
from being_remote.workflows.logs import logs
from being_remote.workflows.pull import pull
from being_remote.workflows.retrack import RetrackReport

PATTERNS = ("output/*/checkpoint/*.frame", "input/*/bbox.pt", "configs/actors/*.yml")
FRAMES = 6
WRITTEN = 200  # more than a job here ever writes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames of a finished run, and more of the same with numbers of their own."""
    root = tmp_path_factory.mktemp("actor") / "tracker"
    make_actor(root, "demo", frames=FRAMES, pictures=False, video=False)
    folder = root / "output/demo/checkpoint"
    for number in range(FRAMES, WRITTEN):
        data = (folder / f"{number % FRAMES:05d}.frame").read_bytes()
        (folder / f"{number:05d}.frame").write_bytes(numbered(data, number))
    return folder


def name(number: int) -> str:
    return f"output/x/checkpoint/{number:05d}.frame"


class CountedSession(LocalSession):
    """Remembers which files were fetched."""

    def __init__(self) -> None:
        super().__init__(LocalHost(name="here", workdir=PurePosixPath("/"), python=sys.executable))
        self.fetched: list[str] = []

    def pull(self, request: Pull, *more: Any) -> Any:
        self.fetched += [os.fsdecode(n) for n in request.names]
        return super().pull(request, *more)


class Attempt:
    """An attempt's work folder on this machine, and its rounds."""

    def __init__(self, made: Path, there: Path, home: Path, number: int = 1) -> None:
        self.made, self.there, self.home = made, there, home
        self.session = CountedSession()
        note = {"job": "j", "host": "here", "attempt": number, "spec_sha256": "0" * 64}
        work = AttemptFolder(self.session, sys.executable, PurePosixPath(there), PATTERNS)
        self.arrivals = LiveDownload(work, home, note, RESULT_JUDGE)
        (there / "output/x/checkpoint").mkdir(parents=True, exist_ok=True)

    def frame(self, number: int, *, of: int | None = None, cut: int | None = None) -> None:
        data = (self.made / f"{number if of is None else of:05d}.frame").read_bytes()
        (self.there / name(number)).write_bytes(numbered(data, number)[:cut])

    def round(self, **more: Any) -> set[str]:
        """What came; it lies here with the bytes that it has there."""
        before = len(self.session.fetched)
        arrived = self.arrivals.round(**more)
        came = set(self.session.fetched[before:])
        assert set(arrived.files) == self.names()
        return {n for n in came if n in arrived.files}

    def names(self) -> set[str]:
        return {p.relative_to(self.home).as_posix() for p in self.home.rglob("*") if p.is_file()} - {
            "pulled.json"
        }


@pytest.fixture
def attempt(made: Path, tmp_path: Path) -> Attempt:
    return Attempt(made, tmp_path / "work", tmp_path / "runs/j")


# -- rounds ----------------------------------------------------------------------------------------


def test_a_round_downloads_what_is_new_and_one_without_news_asks_once_and_moves_nothing(
    attempt: Attempt,
) -> None:
    attempt.frame(0)
    attempt.frame(1)
    assert attempt.round() == {name(0), name(1)}
    attempt.frame(2)
    assert attempt.round() == {name(2)}
    for number in range(3):
        assert (attempt.home / name(number)).read_bytes() == (attempt.there / name(number)).read_bytes()
    asked = attempt.session.round_trips
    before = (attempt.home / "pulled.json").stat().st_ino
    assert attempt.round() == set()
    assert attempt.session.round_trips == asked + 1
    assert (attempt.home / "pulled.json").stat().st_ino == before


def test_an_attempt_that_has_not_begun_leaves_no_folder(made: Path, tmp_path: Path) -> None:
    attempt = Attempt(made, tmp_path / "work", tmp_path / "runs/j")
    shutil.rmtree(attempt.there)
    with pytest.raises(NotFoundError):
        attempt.arrivals.round()
    assert not attempt.home.exists()


def test_a_frame_that_is_being_written_is_left_and_downloaded_when_it_is_whole(attempt: Attempt) -> None:
    attempt.frame(0)
    attempt.frame(1, cut=4000)
    assert attempt.round() == {name(0)}
    assert attempt.round() == set() and attempt.names() == {name(0)}
    attempt.frame(1)
    assert attempt.round() == {name(1)}


def test_a_frame_that_stays_torn_is_fetched_once_and_named(attempt: Attempt) -> None:
    attempt.frame(1, cut=4000)
    for _ in range(3):
        (aside,) = attempt.arrivals.round(last=True).set_aside
        assert aside.path == name(1)
    assert attempt.session.fetched == [name(1)] and not attempt.home.exists()
    (attempt.there / name(1)).unlink()
    assert attempt.arrivals.round().set_aside == ()


def test_frames_that_arrived_before_the_link_failed_take_their_place(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        attempt.frame(number)
    real = CountedSession.pull

    def pull(session: CountedSession, request: Pull, *more: Any) -> Any:
        real(session, dataclasses.replace(request, names=request.names[:2], sizes=request.sizes[:2]), *more)
        raise ConnectionLost("cut", host="here")

    with monkeypatch.context() as patched:
        patched.setattr(CountedSession, "pull", pull)
        failed = attempt.arrivals.round()
    assert isinstance(failed.failure, ConnectionLost) and failed.came_files == 2
    assert attempt.names() == set(failed.files) == {name(0), name(1)}
    attempt.session.fetched.clear()
    assert attempt.round() == {name(2), name(3)} == set(attempt.session.fetched)


def test_a_torn_frame_of_a_followed_job_is_quarantined_once_the_host_has_stopped_writing_it(
    attempt: Attempt,
) -> None:
    attempt.frame(0)
    attempt.frame(1, cut=4000)
    torn = attempt.there / name(1)
    assert attempt.arrivals.round().set_aside == ()  # it is seconds old: the next round looks again
    os.utime(torn, (1, 1))
    for _ in range(2):
        (row,) = attempt.arrivals.round().set_aside
        assert row.kept_as is not None and row.kept_as.read_bytes() == torn.read_bytes()
    ((kept,),) = ResultFolder(attempt.home).quarantine.read().values()
    assert (kept.path, kept.kept_as, kept.mtime_ns) == (name(1), row.kept_as, 10**9)
    assert attempt.names() == {name(0)}


@pytest.mark.parametrize("bad", ["another frame", "a box"])
def test_what_is_no_frame_never_takes_the_place_of_a_good_one(attempt: Attempt, bad: str) -> None:
    attempt.frame(0)
    attempt.round()
    good = (attempt.home / name(0)).read_bytes()
    if bad == "another frame":
        shutil.copy(attempt.made / "00003.frame", attempt.there / name(0))
    else:
        torch.save(np.array([1, 2, 3, 4]), attempt.there / name(0))
    (aside,) = attempt.arrivals.round(last=True).set_aside
    assert aside.path == name(0) and (attempt.home / name(0)).read_bytes() == good


def test_a_whole_frame_that_the_pod_replaced_by_another_whole_one_is_kept_each_version_once(
    attempt: Attempt,
) -> None:
    versions = []
    for of in (0, 3, 0, 2):  # the first one comes back in between
        attempt.frame(0, of=of)
        attempt.round(last=True)
        versions.append((attempt.home / name(0)).read_bytes())
    kept = attempt.home.with_name("j.replaced")
    assert sorted(p.read_bytes() for p in kept.iterdir()) == sorted({versions[0], versions[1]})
    assert versions[3] == (attempt.home / name(0)).read_bytes()


def test_a_frame_that_changes_between_its_hash_and_its_fetch_is_left(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt.frame(0)
    real = AttemptFolder.hash_files

    def hashed(work: AttemptFolder, offers: Any) -> Any:
        found = real(work, offers)
        attempt.frame(0, of=3)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(AttemptFolder, "hash_files", hashed)
        assert attempt.round() == set() and not attempt.home.exists()
    assert attempt.round() == {name(0)}


def test_a_file_without_a_known_form_has_to_hold_still_for_a_round(attempt: Attempt) -> None:
    settings = attempt.there / "configs/actors/x.yml"
    settings.parent.mkdir(parents=True)
    settings.write_text("fps: 2")
    assert attempt.round() == set()
    settings.write_text("fps: 25\n")
    assert attempt.round() == set()
    assert attempt.round() == {"configs/actors/x.yml"}
    settings.write_text("fps: 30\n")
    assert attempt.round(last=True) == {"configs/actors/x.yml"}
    assert (attempt.home / "configs/actors/x.yml").read_text() == "fps: 30\n"


def test_a_rewritten_frame_replaces_the_old_one_and_one_that_the_host_removed_stays(
    attempt: Attempt,
) -> None:
    attempt.frame(0)
    attempt.frame(1)
    attempt.round()
    (attempt.there / name(1)).unlink()
    at = (attempt.there / name(0)).stat()
    attempt.frame(0, of=4)  # of the same size, and below at the same time
    assert (attempt.there / name(0)).stat().st_size == at.st_size
    os.utime(attempt.there / name(0), ns=(at.st_atime_ns, at.st_mtime_ns))
    assert attempt.round() == {name(0)}
    assert (attempt.home / name(0)).read_bytes() == (attempt.there / name(0)).read_bytes()
    assert attempt.names() == {name(0), name(1)}


def test_a_file_that_was_removed_here_is_downloaded_again(attempt: Attempt) -> None:
    attempt.frame(0)
    attempt.frame(1)
    attempt.round()
    (attempt.home / name(0)).unlink()
    assert attempt.round() == {name(0)}


def test_following_again_fetches_nothing_that_is_whole_here(attempt: Attempt) -> None:
    for number in range(4):
        attempt.frame(number)
    attempt.round()
    (attempt.home / name(1)).unlink()
    spoilt = (attempt.home / name(2)).read_bytes()
    (attempt.home / name(2)).write_bytes(spoilt[:-1] + b"X")
    again = Attempt(attempt.made, attempt.there, attempt.home)
    assert again.round() == {name(1), name(2)}
    assert (again.home / name(2)).read_bytes() == spoilt
    assert again.round() == set()


def test_another_attempts_files_are_kept_beside_once_the_new_one_has_any_and_what_it_took_over_is_not_fetched(
    attempt: Attempt, tmp_path: Path
) -> None:
    attempt.frame(0)
    attempt.frame(1)
    attempt.round()
    second = Attempt(attempt.made, tmp_path / "second", attempt.home, number=2)
    assert second.arrivals.round().files == {} and attempt.names() == {name(0), name(1)}
    second.frame(0)
    second.frame(1, of=5)
    assert second.round() == {name(1)}
    assert second.names() == {name(0), name(1)}
    kept = attempt.home.with_name("j.attempt-1")
    assert json.loads((kept / "pulled.json").read_text())["attempt"] == 1
    assert (kept / name(1)).read_bytes() == (attempt.there / name(1)).read_bytes()
    (second.home / name(0)).write_bytes(b"")  # not the same file under two names
    assert (kept / name(0)).read_bytes()
    third = Attempt(attempt.made, tmp_path / "third", attempt.home, number=2)
    third.arrivals._note = {**third.arrivals._note, "host": "there"}
    third.frame(3)
    third.round()
    assert (attempt.home.with_name("j.attempt-2") / name(1)).exists()


def test_an_attempt_that_was_overtaken_touches_nothing(attempt: Attempt, tmp_path: Path) -> None:
    second = Attempt(attempt.made, tmp_path / "second", attempt.home, number=2)
    second.frame(0)
    second.round()
    attempt.frame(1)
    with pytest.raises(UsageError, match="attempt 2 of this job is here already"):
        attempt.arrivals.round()
    assert attempt.names() == {name(0)}


def test_a_round_while_another_process_downloads_the_job_does_nothing(attempt: Attempt) -> None:
    attempt.frame(0)
    with ResultFolder(attempt.home).lock(), pytest.raises(Busy, match="another command downloads this job"):
        attempt.arrivals.round()
    assert attempt.round() == {name(0)}


def test_the_most_precious_files_are_first_and_gigabytes_do_not_hold_them_up(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_download, "ROUND_FILES", 2)
    box = attempt.there / "input/x/bbox.pt"
    box.parent.mkdir(parents=True)
    shutil.copy(attempt.made.parents[2] / "input/demo/bbox.pt", box)
    for number in range(3):
        attempt.frame(number)
    first = attempt.arrivals.round()
    assert (set(first.files), first.more) == ({name(0), name(1)}, True)
    monkeypatch.setattr(live_download, "ROUND_BYTES", 1)
    second = attempt.arrivals.round()
    assert (len(second.files), second.more) == (3, True)
    third = attempt.arrivals.round()
    assert ("input/x/bbox.pt" in third.files, third.more) == (True, False)


def test_a_list_that_is_not_whole_is_no_list(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt.frame(0)
    real = attempt_files.list_files

    def cut(*args: Any) -> Any:
        listing = real(*args)
        return dataclasses.replace(
            listing, folders=[dataclasses.replace(f, error="too many") for f in listing.folders]
        )

    monkeypatch.setattr(attempt_files, "list_files", cut)
    with pytest.raises(HostError, match="could not be read whole: 'too many'"):
        attempt.arrivals.round()


def test_links_are_never_followed(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", attempt.there / name(7))
    attempt.frame(0)
    assert attempt.round() == {name(0)}
    assert [a.path for a in attempt.arrivals.round().set_aside] == [name(7)]


_DIE = """
import os, sys
from pathlib import Path
from test_live_download import Attempt
left = int(sys.argv[4])
def die(event, args):
    global left
    if event in ("os.rename", "os.mkdir", "os.remove", "shutil.rmtree", "open", "os.rmdir"):
        if "/runs/" in str(args[0]) or "/runs/" in str(args[-1]):
            left -= 1
            if left == 0:
                os._exit(9)
attempt = Attempt(*map(Path, sys.argv[1:4]), number=2)
sys.addaudithook(die)
attempt.arrivals.round(last=True)
"""


def killed_everywhere(made: Path, folder: Path, points: range) -> None:
    """A round killed at its N-th step leaves only whole files, and the next one brings the rest."""
    for point in points:
        here = folder / str(point)
        first = Attempt(made, here / "first", here / "runs/j")
        first.frame(0)
        first.frame(5)
        first.round()
        second = Attempt(made, here / "second", here / "runs/j", number=2)
        for number in range(3):
            second.frame(number)
        words = [sys.executable, "-c", _DIE, str(made), str(second.there), str(second.home), str(point)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        done = subprocess.run(words, env=environment, check=False)
        assert done.returncode in (0, 9)
        for path in (here / "runs").rglob("*.frame"):
            hidden = any(part.startswith(".") for part in path.relative_to(here).parts)
            assert hidden or whole(path.name, path.read_bytes()), (point, path)
        kept = [p for p in (first.home, first.home.with_name("j.attempt-1")) if (p / name(5)).exists()]
        assert kept, point
        second.arrivals.round(last=True)
        assert second.names() == {name(0), name(1), name(2)}, point
        assert {p.name for p in second.home.parent.iterdir()} == {"j", "j.attempt-1", ".j.lock"}, point
        shutil.rmtree(here)
        if done.returncode == 0:
            return
    assert len(points) < 30, "it never came to its end"


@pytest.mark.slow
def test_a_killed_round_leaves_whole_files_and_the_next_one_completes_it(made: Path, tmp_path: Path) -> None:
    killed_everywhere(made, tmp_path, range(4, 30, 8))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_round_killed_at_each_of_its_steps_leaves_whole_files(made: Path, tmp_path: Path) -> None:
    killed_everywhere(made, tmp_path, range(1, 200))


# -- a job that is followed ------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow at once, and commands write checkpoints where a tracker does."""
    monkeypatch.setattr(live_download, "EVERY_S", 0.1)
    monkeypatch.setattr(live_download, "FIRST_WAIT_S", 0.05)
    frames_of_commands(monkeypatch)


def frames_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = dataclasses.replace(Command(), checkpoints=PATTERNS)
    monkeypatch.setattr(registry, "BUILT_IN", {"command": lambda: recipe})


def writing(made: Path, count: int, pause_s: float) -> str:
    """A job that writes frames in place, each in two halves, and waits for `go` after the last."""
    copy = (
        f"f=output/x/checkpoint/$(printf %05d $i).frame; s={made}/$(printf %05d $i).frame;"
        f" head -c 3000 $s > $f; sleep {pause_s / 2}; tail -c +3001 $s >> $f; echo $i; sleep {pause_s / 2}"
    )
    return f"mkdir -p output/x/checkpoint; i=0; while test $i -lt {count}; do {copy}; i=$((i+1)); done"


def command(inventory: Inventory, script: str, **more: Any) -> RetrackReport:
    words = f"sh -c '{script}'"
    return retrack(inventory, recipe="command", command=words, gpus=0, follow_it=True, **more)


def proxied(pod: Pod, proxy: FaultProxy, make_inventory: Any, workdir: Path) -> Inventory:
    entry = {**pod.inventory_entry(), "port": proxy.port, "workdir": str(workdir), "connect_timeout_s": 3}
    inventory: Inventory = make_inventory({"pod": entry})
    inventory.state.mkdir(mode=0o700, exist_ok=True)
    (inventory.state / "known_hosts").write_text(proxy.known_host(pod))
    return inventory


@pytest.mark.slow
def test_every_frame_of_a_followed_job_is_downloaded_and_the_pull_after_it_moves_none_of_them(
    works: Any, made: Path, quick: None
) -> None:
    said: list[Any] = []
    runs = works.inventory.backups / "runs"
    with LiveWatcher(runs, lambda path, data: path.startswith(".") or whole(path, data)):
        report = works.command(writing(made, 8, 0.2), follow_it=True, say=said.append)
    home = report.home
    assert report.state == "succeeded" and home is not None
    assert (home.files, home.came_files, home.set_aside, home.problem) == (8, 8, (), None)
    lines = [line for line in said if isinstance(line, LocalFilesLine)]
    assert len(lines) >= 3  # while it ran, not only at its end
    assert sum(line.came_files for line in lines) == 8 and lines[-1].home_bytes == home.bytes
    record = json.loads((home.folder / "pulled.json").read_text())
    assert (record["attempt"], record["judged"], len(record["files"])) == (1, False, 8)
    pulled = pull(works.inventory, "last", all_files=True)
    assert (pulled.files, pulled.transferred_files, pulled.verified) == (8, 0, 8)
    assert json.loads((home.folder / "pulled.json").read_text())["judged"] is True


@pytest.mark.slow
def test_what_a_job_wrote_last_is_downloaded_at_its_end(
    works: Any, made: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_download, "EVERY_S", 1000.0)
    go = works.folder / "go"
    script = f"while ! test -e {go}; do sleep 0.05; done; {writing(made, 4, 0)}"

    def say(line: Any) -> None:
        if isinstance(line, StateLine) and line.state == "running":
            threading.Timer(0.3, go.touch).start()  # when the first round is over

    report = works.command(script, follow_it=True, say=say)
    assert report.home is not None and (report.home.came_files, report.home.problem) == (4, None)


def test_a_job_that_had_ended_is_read_and_nothing_is_fetched(works: Any, made: Path, quick: None) -> None:
    job = works.command(writing(made, 1, 0.01)).job
    works.until((works.attempt(job) / "end.json").exists)
    report = logs(works.inventory, job, follow_it=True)
    assert (report.state, report.home) == ("succeeded", None)
    assert not works.inventory.backups.exists()


@pytest.mark.slow
def test_two_followers_of_one_job_both_see_its_end_and_each_file_is_downloaded_once(
    works: Any, made: Path, quick: None
) -> None:
    job = works.command(writing(made, 6, 0.2)).job
    reports: list[Any] = []

    def follow() -> None:
        reports.append(logs(works.inventory, job, follow_it=True, say=lambda _: None))

    others = [threading.Thread(target=follow) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [(r.state, r.home.files, r.home.problem) for r in reports] == [("succeeded", 6, None)] * 2
    assert sum(r.home.came_files for r in reports) == 6


@pytest.mark.slow
def test_frames_are_downloaded_though_the_link_is_cut_and_freezes(
    pod: Pod, make_inventory: Any, made: Path, tmp_path: Path, quick: None
) -> None:
    with FaultProxy((pod.address, pod.port)) as proxy:
        inventory = proxied(pod, proxy, make_inventory, tmp_path / "w")
        lines = 0

        def say(line: FollowedLogLine | StateLine | LocalFilesLine) -> None:
            nonlocal lines
            if isinstance(line, FollowedLogLine):
                lines += 1
                if lines in (3, 6):
                    proxy.cut()
                if lines == 9:
                    proxy.mode = "hang"
                    threading.Timer(1.0, lambda: (setattr(proxy, "mode", "ok"), proxy.cut())).start()

        report = command(inventory, writing(made, 14, 0.1), say=say)
    assert report.state == "succeeded" and report.home is not None
    assert (report.home.files, report.home.problem) == (14, None)


@pytest.mark.slow
def test_a_full_local_disk_is_reported_once_and_following_continues(
    works: Any, made: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    with small_disk(tmp_path / "small") as small:
        inventory = works.inventory.model_copy(update={"backups": small / "backups"})
        ballast = small / "ballast"
        free = shutil.disk_usage(small).free
        ballast.write_bytes(bytes(free - free % 4096))
        problems: list[LocalFilesLine] = []
        logged: list[str] = []

        def say(line: FollowedLogLine | StateLine | LocalFilesLine) -> None:
            if isinstance(line, FollowedLogLine):
                logged.append(line.line)
            if isinstance(line, LocalFilesLine) and line.problem:
                problems.append(line)
                threading.Timer(0.5, ballast.unlink).start()
            if isinstance(line, LocalFilesLine) and line.home_files == 2:
                go.touch()

        script = f"{writing(made, 2, 0.1)}; while ! test -e {go}; do sleep 0.05; done"
        report = command(inventory, script, say=say)
        assert len(problems) == 1 and "disk is full" in (problems[0].problem or "")
        assert (logged, report.home and report.home.problem) == (["0", "1"], None)
        assert report.home is not None and report.home.came_files == 2


def test_an_end_that_comes_before_all_was_looked_at_says_that_something_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NeverDone:
        def round(self, *, last: bool = False) -> DownloadRound:
            return DownloadRound({}, 0, 0, (), more=True)

    monkeypatch.setattr(live_download, "_LAST_S", 0.05)
    following = live_download.BackgroundDownload(
        NeverDone(),
        tmp_path,
        job="j",
        attempt=1,
        frames=None,
        say=lambda _: None,  # type: ignore[arg-type]
    )
    following.start()
    assert "time ran out" in (following.finish().problem or "")


def test_a_bug_in_the_fetching_is_raised_and_not_lost_in_its_thread(
    works: Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go = LiveDownload.round, works.folder / "go"

    def broken(self: Any, *, last: bool = False) -> Any:
        if last:
            return real(self, last=last)
        go.touch()
        raise ZeroDivisionError

    monkeypatch.setattr(LiveDownload, "round", broken)
    with pytest.raises(ZeroDivisionError):
        works.command(f"while ! test -e {go}; do sleep 0.05; done", follow_it=True)


_COMMAND_LINE = f"""
import dataclasses, sys
from being_remote.recipes.command import Command
from being_remote.jobs import live_download
from being_remote.recipes import registry
recipe = dataclasses.replace(Command(), checkpoints={PATTERNS!r})
registry.BUILT_IN = {{"command": lambda: recipe}}
live_download.EVERY_S = 0.1
from being_remote.cli import main
main(sys.argv[1:])
"""


def followed(inventory: Inventory, script: str) -> list[str]:
    """The command line that follows a command which writes frames."""
    words = [sys.executable, "-c", _COMMAND_LINE, "retrack", "--recipe=command", "--gpus=0", "--follow"]
    return [*words, f"--command=sh -c '{script}'", f"--inventory={inventory.path}"]


@pytest.mark.slow
@pytest.mark.parametrize("link", ["ok", "hang"])
def test_ctrl_c_during_a_download_ends_at_once_and_leaves_nothing(
    link: str, pod: Pod, make_inventory: Any, made: Path, tmp_path: Path
) -> None:
    with FaultProxy((pod.address, pod.port)) as proxy:
        inventory = proxied(pod, proxy, make_inventory, tmp_path / "w")
        process = subprocess.Popen(
            [*followed(inventory, writing(made, 500, 0.1)), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        while "home_files" not in process.stdout.readline():
            assert process.poll() is None
        proxy.mode = link
        time.sleep(0.5)  # so that it is in the middle of a round
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in err
        assert "keeps running" in json.loads(out.splitlines()[-1])["error"]["what"]
        assert time.monotonic() - began < 10
        assert not list(Path("/tmp").glob(f"br-{process.pid}-*"))
        proxy.mode = "ok"
        proxy.cut()
        cancel(inventory, "last")


@pytest.mark.slow
def test_with_json_arrivals_are_lines_of_their_own_and_the_last_line_counts_them(
    works: Any, made: Path, tmp_path: Path
) -> None:
    # The tracker's recipe names its checkpoints; a command's files are nobody's to judge.
    assert Command().checkpoints == () and MetricalTracker().checkpoints[0].endswith("*.frame")
    words = followed(works.inventory, writing(made, 3, 0.2))
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    arrived = [line for line in lines if "home_files" in line]
    assert sum(line["came_files"] for line in arrived) == 3
    assert (lines[-1]["home"]["files"], lines[-1]["home"]["came_files"]) == (3, 3)
    shown = subprocess.run([*words, "--again"], capture_output=True, text=True, timeout=60)
    assert shown.stderr.count("local: ") == 1  # now and then, not for each
    assert "local: 3 files in " in shown.stdout


# -- a pod that is killed --------------------------------------------------------------------------

AT_MOST_S = 10.0


def killed_at(seconds: float, pod: Pod, follow: Callable[..., Any], runs: Path) -> tuple[int, int]:
    """Kill a pod so long after its followed job spoke first; how many frames were finished, and are home."""
    begun = threading.Event()

    def say(line: FollowedLogLine | StateLine | LocalFilesLine) -> None:
        if isinstance(line, FollowedLogLine):
            begun.set()

    def until_it_is_gone() -> None:
        with contextlib.suppress(HostError):
            follow(say=say)

    follower = threading.Thread(target=until_it_is_gone, daemon=True)
    follower.start()
    assert begun.wait(60)
    time.sleep(seconds)
    pod.stop()
    killed = time.time()
    follower.join()
    (there,) = (pod.root / "Being/jobs").glob("*/attempts/1/work/output/*/checkpoint")
    finished = {p.name: p for p in there.iterdir() if whole(p.name, p.read_bytes())}
    old = {n for n, p in finished.items() if p.stat().st_mtime < killed - AT_MOST_S}
    here = {p.name: p for p in runs.glob("*/output/*/checkpoint/*.frame")}
    assert old and old <= here.keys(), sorted(old - here.keys())
    for frame, path in here.items():
        assert path.read_bytes() == finished[frame].read_bytes()
    return len(finished), len(here)


def a_command_is_killed(seconds: float, made: Path, folder: Path, make_inventory: Any) -> tuple[int, int]:
    """A job that writes a frame every 0.2 s."""
    with start_pod(folder / "pod") as pod:
        inventory = make_inventory({"pod": pod})

        def follow(**more: Any) -> None:
            command(inventory, writing(made, 1000, 0.2), **more)

        return killed_at(seconds, pod, follow, inventory.backups / "runs")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows gives up a pod that is gone."""
    monkeypatch.setitem(following.follow.__kwdefaults__ or {}, "patience_s", 1.0)


@pytest.mark.slow
def test_a_pod_that_is_killed_costs_at_most_the_last_ten_seconds(
    made: Path, tmp_path: Path, make_inventory: Any, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    frames_of_commands(monkeypatch)
    seconds = AT_MOST_S + random.Random(6).uniform(1, 4)
    finished, here = a_command_is_killed(seconds, made, tmp_path, make_inventory)
    assert here > finished / 2


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_pods_that_are_killed_at_many_moments_cost_at_most_the_last_ten_seconds(
    made: Path, tmp_path: Path, make_inventory: Any, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    frames_of_commands(monkeypatch)
    chance = random.Random()
    for number in range(12):
        shutil.rmtree(tmp_path / "backups", ignore_errors=True)
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        a_command_is_killed(AT_MOST_S + chance.uniform(0.5, 10), made, tmp_path / str(number), make_inventory)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_tracking_whose_pod_is_killed_costs_at_most_the_last_ten_seconds(
    tmp_path: Path, make_inventory: Any, impatient: None
) -> None:
    with start_pod(tmp_path / "pod") as pod:
        checkout = pod.root / "metrical-tracker"
        install(checkout, make_actor(checkout, "demo", frames=100, size_wh=(640, 360), video=False))
        (checkout / "stand_in.json").write_text(json.dumps({"STAND_IN_FRAME_S": "0.2"}))
        entry = {**pod.inventory_entry(), "python": sys.executable, "gpus": 0}
        entry["tracker"] = {"root": str(checkout), "python": sys.executable}
        inventory = make_inventory({"pod": entry}, {"demo": {"source_size": [640, 360]}})
        (inventory.state).mkdir(mode=0o700, exist_ok=True)
        (inventory.state / "known_hosts").write_text(f"[{pod.address}]:{pod.port} {pod.host_key_line}\n")

        def follow(**more: Any) -> None:
            retrack(inventory, follow_it=True, **more)

        runs = inventory.backups / "demo/runs"
        seconds = AT_MOST_S + random.Random().uniform(6, 10)  # it speaks before its first frame
        killed_at(seconds, pod, follow, runs)
        assert list(runs.rglob("bbox.pt")) and list(runs.rglob("*.yml")) and list(runs.rglob("*.ply"))
