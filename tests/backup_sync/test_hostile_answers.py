"""For every answer that a pod can give, what changes on this laptop lies inside what was asked for."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest
from hostile_model import TIMES, ModelSession, Pod, Row, State, changes, pods, raw, state_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from being_remote.backup.history import History
from being_remote.backup_sync.remote_files import ActorSync, folder_queries
from being_remote.backup_sync.sync_pass import SyncPass
from being_remote.demo.actor import make_actor
from being_remote.errors import BeingRemoteError, UnrequestedFile
from being_remote.inventory import Actor, LocalHost
from being_remote.jobs import result_folder
from being_remote.jobs.attempt_files import AttemptFolder, matches
from being_remote.jobs.live_download import LiveDownload
from being_remote.jobs.result_download import ResultChecks, download_results
from being_remote.recipes.metrical_tracker import MetricalTracker
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import no_progress
from being_remote.tracker.layout import PLACES
from being_remote.transfer import disk_room
from being_remote.transport.local_session import LocalSession

TRACKER = PurePosixPath("/pod/tracker")
ACTOR = Actor.model_validate(
    {"name": "demo", "input": "input/demo", "output": "output/demo", "host_backups": ["kept"]}
)
HOST = LocalHost.model_validate({"name": "pod", "workdir": "/pod", "tracker": {"root": str(TRACKER)}})
TOOLS = ("inventory.yaml", "tasks.py", "Makefile")
MANIFEST = re.compile(r"backups/demo/\.history/manifests/(\d+)\.json")
OBJECT = re.compile(r"backups/demo/\.history/objects/([0-9a-f]{64})")
OURS = re.compile(
    r"backups/demo/\.history/(lock|live|fetching|scratch|known/.*|incoming/.*|quarantine/[^./].*)", re.DOTALL
)


def task_at(root: Path) -> ActorSync:
    return ActorSync(ACTOR, HOST, root, PLACES)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("actor")
    make_actor(root, "demo", frames=1, pictures=False, video=False)
    return (root / "output/demo/checkpoint/00000.frame").read_bytes()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, frame: bytes) -> Path:
    """What lies here before a pod says anything: a backup with a history, job results, other files."""
    top = tmp_path_factory.mktemp("laptop")
    root = top / "backups/demo"
    files = {"bbox.pt": b"box", "checkpoint/00000.frame": frame, "run/logs/train.log": b"log"}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name in (
        "inventory.yaml",
        "tasks.py",
        "backups/other/bbox.pt",
        "backups/demo/runs/old-job/cameras.json",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("mine")
    honest = Pod((), "true", says_unchanged=True, rewrites=False, frame=frame)
    with suppress(BeingRemoteError):  # adopts what lies there, and then finds nothing on the pod
        attempt(root, honest)
    assert History(root).snapshot_numbers() == [0]
    return top


def attempt(root: Path, pod: Pod) -> None:
    history = History(root)
    with history.lock():
        SyncPass(task_at(root), ModelSession(HOST, pod), LocalSession(HOST), history).run()


@contextmanager
def copied(laptop: Path) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield shutil.copytree(laptop, Path(folder) / "here")


def fitting() -> list[tuple[int, str]]:
    """For each folder that is asked for, names that fit."""
    found = []
    for number, folder in enumerate(folder_queries(task_at(Path("/")))):
        name = {"*": "events"}.get(folder.pattern, folder.pattern.replace("*", "a"))
        found += [(number, name), (number, "00000.frame" if folder.pattern == "*.frame" else name)]
        if folder.recursive:
            found += [
                (number, "a/events"),
                (number, ".git/config"),
                (number, "a/tasks.py"),
                (number, "train.log"),
            ]
    return found


def asked_paths(pod: Pod) -> set[str]:
    """Where the files that the pod names may lie, of those that were asked for."""
    folders = folder_queries(task_at(Path("/")))
    places = [*PLACES, *(p for p in PLACES if p.kind in ("checkpoints", "bbox"))]
    return {
        places[row.folder].home_path(os.fsdecode(raw(row.name)))
        for row in pod.rows
        if row.folder < len(folders) and folders[row.folder].asks_for(raw(row.name))
    }


def see_inside(before: State, after: State, asked: set[str], root: Path) -> None:
    """Each change is of a file that was asked for, or of our history, which says nothing that is not true."""
    known = [int(found[1]) for path in before if (found := MANIFEST.fullmatch(path))]
    for path in changes(before, after):
        if OURS.fullmatch(path):
            continue
        if made := MANIFEST.fullmatch(path):
            assert path not in before and int(made[1]) > max(known), path
            for entry in History(root).read(int(made[1])).files.values():
                assert f"backups/demo/.history/objects/{entry.sha256}" in after, entry
        elif named := OBJECT.fullmatch(path):
            assert path in after and hashlib.sha256(after[path]).hexdigest() == named[1], path
        else:
            live = path.removeprefix("backups/demo/")
            assert live in asked and path in after, f"{path!r} was not asked for"
            assert not any(part.startswith(".") or part in TOOLS for part in live.split("/")), path


def see_a_sync(laptop: Path, pod: Pod) -> None:
    with copied(laptop) as here:
        root = here / "backups/demo"
        before, refused = state_of(here), False
        try:
            attempt(root, pod)
        except UnrequestedFile:
            refused = True
        except BeingRemoteError:
            pass
        after = state_of(here)
        see_inside(before, after, asked_paths(pod), root)
        if refused:
            live = {path for path in changes(before, after) if not OURS.fullmatch(path)}
            assert not live, f"a refused answer changed {live}"


few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@given(data=st.data())
@few
def test_whatever_a_pod_answers_a_sync_changes_nothing_but_what_it_asked_for(
    laptop: Path, frame: bytes, data: st.DataObject
) -> None:
    see_a_sync(laptop, data.draw(pods(len(folder_queries(task_at(Path("/")))), frame, fitting())))


@pytest.mark.soak
@given(data=st.data())
@many
def test_whatever_a_pod_answers_thousands_of_syncs_change_nothing_but_what_they_asked_for(
    laptop: Path, frame: bytes, data: st.DataObject
) -> None:
    see_a_sync(laptop, data.draw(pods(len(folder_queries(task_at(Path("/")))), frame, fitting())))


NOTE = {"job": "job-1", "host": "pod", "attempt": 1, "spec_sha256": "a" * 64}
KIND = MetricalTracker()
PATTERNS = {"tracking": (*KIND.results, *KIND.more_results), "command": ("**",)}
RESULTS = re.compile(
    r"backups/demo/runs/(\.job-1\.lock|job-1\.quarantine/[^./][^/]*|\.?job-1(\.incoming|\.replaced)?/(?P<name>.*))",
    re.DOTALL,
)


def results_of(patterns: tuple[str, ...], session: ModelSession) -> AttemptFolder:
    return AttemptFolder(session, "python3", PurePosixPath("/pod/work"), patterns)


def likely_results(patterns: tuple[str, ...]) -> list[tuple[int, str]]:
    tops = results_of(patterns, ModelSession(HOST, Pod((), "true", True, False, b"")))._queries()
    names = ["output/demo/checkpoint/00000.frame", "input/demo/bbox.pt", "result.json", "a/.git/config"]
    names += ["output/demo/input/a.png", "pulled.json", "configs/actors/demo.yml", "tasks.py", "a/b"]
    found = []
    for number, folder in enumerate(tops):
        below = "" if folder.path.name == "work" else f"{folder.path.name}/"
        found += [(number, name.removeprefix(below)) for name in names if name.startswith(below)]
    return found


def see_results(
    laptop: Path, patterns: tuple[str, ...], pod: Pod, fetch: Callable[[AttemptFolder, Path], object]
) -> None:
    with copied(laptop) as here:
        folder = here / "backups/demo/runs/job-1"
        before = state_of(here)
        with suppress(BeingRemoteError):
            fetch(results_of(patterns, ModelSession(HOST, pod)), folder)
        for path in changes(before, state_of(here)):
            found = RESULTS.fullmatch(path)
            assert found, f"{path!r} was not asked for"
            name = found["name"]
            if name is None or name == "pulled.json":
                continue
            assert any(matches(name, pattern) for pattern in patterns), path
            assert not any(part.startswith(".") or part in TOOLS for part in name.split("/")), path


def pulled(work: AttemptFolder, folder: Path) -> None:
    checks = ResultChecks(RESULT_JUDGE, lambda _: None, partial=True)
    download_results(work, folder, work.list_files(folder), NOTE, checks, no_progress)


def followed(work: AttemptFolder, folder: Path) -> None:
    rounds = LiveDownload(work, folder, NOTE, RESULT_JUDGE)
    rounds.round()
    rounds.round(last=True)


@pytest.mark.slow
@pytest.mark.parametrize("fetch", [pulled, followed])
@pytest.mark.parametrize("kind", PATTERNS)
@given(data=st.data())
@settings(few, max_examples=40)
def test_whatever_a_pod_answers_the_results_of_a_job_change_nothing_but_its_folder(
    laptop: Path, frame: bytes, kind: str, fetch: Callable[[AttemptFolder, Path], object], data: st.DataObject
) -> None:
    likely = likely_results(PATTERNS[kind])
    see_results(laptop, PATTERNS[kind], data.draw(pods(max(n for n, _ in likely) + 1, frame, likely)), fetch)


def test_what_an_earlier_fetch_left_half_takes_no_room_from_a_job_that_is_followed(
    laptop: Path, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "output/demo/checkpoint/00000.frame"
    pod = Pod((Row(0, name, 1, TIMES[1], 1, good=True),), "true", True, rewrites=False, frame=frame)
    with copied(laptop) as here:
        folder = here / "backups/demo/runs/job-1"
        left = folder.with_name(".job-1.incoming") / ".rsync-partial/gone.log"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"x")
        monkeypatch.setattr(disk_room, "room_bytes", lambda _: 0 if left.exists() else 1 << 40)
        monkeypatch.setattr(result_folder, "is_nearly_full", lambda _: True)
        followed(results_of(("**",), ModelSession(HOST, pod)), folder)
        assert (folder / name).read_bytes() == frame
