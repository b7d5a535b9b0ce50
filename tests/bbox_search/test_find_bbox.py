"""find-bbox: real sshd, real interpreters over there, boxes saved by torch as the tracker does."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import FaultProxy
from rich.console import Console

from being_remote.bbox_search.box_candidates import Candidate, CropBox
from being_remote.bbox_search.box_choice import ways_of_recovery
from being_remote.bbox_search.host_search import EvidenceCounts, HostRow
from being_remote.cli.find_bbox import show_find_bbox
from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import InconsistentData, UsageError
from being_remote.inventory import Inventory
from being_remote.session import TransferProgress
from being_remote.workflows.find_bbox import FindReport, find_bbox

MakeInventory = Callable[..., Inventory]
SQUARE = (510, 1410, 90, 990)
OTHER = (500, 1400, 90, 990)


def saved(value: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def put_box(path: Path, box: Any = SQUARE, *, mtime: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(box if isinstance(box, bytes) else saved(np.array(box)))
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def row(report: FindReport, host: str) -> HostRow:
    return next(r for r in report.results if r.host == host)


def candidate(report: FindReport, host: str = "here") -> Candidate:
    (found,) = row(report, host).candidates
    return found


class Checkout:
    """A host on this machine: the same search and judgement, without a network."""

    def __init__(self, folder: Path, make: MakeInventory, **more: Any) -> None:
        self.disk = folder / "disk"
        self.tracker, self.workdir = self.disk / "metrical-tracker", self.disk / "Being"
        self.tracker.mkdir(parents=True)
        self.workdir.mkdir()
        self.box = self.tracker / "input" / "demo" / "bbox.pt"
        self.backup = folder / "backups" / "demo"
        self.inventory = make({"here": self.entry}, **more)

    @property
    def entry(self) -> dict[str, Any]:
        return {
            "kind": "local",
            "workdir": str(self.workdir),
            "search_roots": [str(self.disk)],
            "tracker": {"root": str(self.tracker)},
            "python": sys.executable,
        }

    def actor(self, name: str = "demo", **more: Any) -> ActorTruth:
        return make_actor(self.tracker, name, frames=2, **{"pictures": False, "video": False, **more})

    def find(self, **more: Any) -> FindReport:
        return find_bbox(self.inventory, **more)


@pytest.fixture
def here(tmp_path: Path, make_inventory: MakeInventory) -> Checkout:
    return Checkout(tmp_path, make_inventory)


# --- over a real sshd -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pod, ActorTruth]]:
    with start_pod(tmp_path_factory.mktemp("find"), name="a100") as running:
        yield running, make_actor(running.root / "metrical-tracker", "demo", frames=3, size_wh=(480, 270))


def test_a_box_in_the_input_folder_is_found_with_its_run_and_evidence_in_one_round_trip(
    demo_pod: tuple[Pod, ActorTruth], make_inventory: MakeInventory
) -> None:
    pod, truth = demo_pod
    inventory = make_inventory({"a100": pod}, {"demo": {"source_size": [480, 270]}})
    report = find_bbox(inventory)
    assert (report.actor, report.exit_code) == ("demo", 0)
    told = row(report, "a100")
    assert (told.reachable, told.error, told.round_trips, told.truncated) == (True, None, 1, ())
    (found,) = told.candidates
    assert truth.box is not None
    assert (found.path, found.place, found.actor) == (str(truth.input_folder / "bbox.pt"), "input", "demo")
    assert (found.bbox, found.valid, found.problems) == (CropBox(*truth.box), True, ())
    assert found.run == str(truth.output_folder)
    assert told.evidence == EvidenceCounts(
        frames=3, crop_images=4, source_images=4, landmarks=4, meshes=3, videos=1
    )
    (run,) = told.runs
    assert (run.frames, run.first_id, run.last_id) == (3, "00000", "00002")
    assert (run.image_size_wh, run.input, run.actor) == ((512, 512), str(truth.input_folder), "demo")
    assert run.K is not None
    assert np.allclose(run.K, truth.K_crop, rtol=1e-6)
    assert report.best is not None
    assert (report.best.host, report.best.bbox, report.best.why) == ("a100", found.bbox, "the only one found")


def test_nothing_on_the_pod_changes(demo_pod: tuple[Pod, ActorTruth], make_inventory: MakeInventory) -> None:
    pod, _ = demo_pod

    def tree() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_ino) for p in pod.root.rglob("*"))

    before = tree()
    assert find_bbox(make_inventory({"a100": pod})).exit_code == 0
    assert tree() == before


def test_every_unreachable_host_has_its_own_row_and_delays_no_other(
    demo_pod: tuple[Pod, ActorTruth], make_inventory: MakeInventory, tmp_path: Path
) -> None:
    pod, _ = demo_pod
    entry = {**pod.inventory_entry(), "connect_timeout_s": 1.5, "answer_timeout_s": 2.0}
    with (
        start_pod(tmp_path / "frozen") as frozen,
        start_pod(tmp_path / "down") as down,
        start_pod(tmp_path / "stranger") as stranger,
        start_pod(tmp_path / "bare", path=str(tmp_path / "bin")) as bare,
    ):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "sh").symlink_to("/bin/sh")  # a shell, and no python3
        hanging = tmp_path / "hanging"
        hanging.write_text("#!/bin/sh\nexec sleep 30\n")
        hanging.chmod(0o755)
        more = {"connect_timeout_s": 1.5, "answer_timeout_s": 2.0}
        hosts = {
            "down": {**down.inventory_entry(), **more},
            "frozen": {**frozen.inventory_entry(), **more},
            "hangs": {**entry, "python": str(hanging)},
            "stranger": {**stranger.inventory_entry(), **more},
            "bare": {**bare.inventory_entry(), **more},
            "a100": entry,
        }
        inventory = make_inventory(hosts)
        inventory.state.mkdir(exist_ok=True)
        (inventory.state / "known_hosts").write_text(
            "".join(f"[{p.address}]:{p.port} {p.host_key_line}\n" for p in (pod, frozen, down, bare))
        )
        down.stop()
        frozen.pause()
        started = time.monotonic()
        try:
            report = find_bbox(inventory)
        finally:
            frozen.resume()
        seconds = time.monotonic() - started
    assert {r.host: (r.reachable, r.error_class) for r in report.results} == {
        "down": (False, "Unreachable"),
        "frozen": (False, "Unreachable"),
        "hangs": (True, "AnswerTimeout"),
        "stranger": (False, "HostKeyUnknown"),
        "bare": (True, "ToolMissing"),
        "a100": (True, None),
        "local": (True, None),
    }
    assert all((r.error is None) == (r.error_class is None) for r in report.results)
    assert "trust --host stranger" in (row(report, "stranger").next or "")
    assert row(report, "frozen").evidence == EvidenceCounts()
    assert row(report, "frozen").evidence.frames is None  # unknown, not none
    assert report.exit_code == 0
    assert report.best is not None and report.best.host == "a100"
    assert seconds < 0.8 * sum(r.seconds for r in report.results), "they were asked one after another"
    assert row(report, "a100").seconds < 1.5 < row(report, "frozen").seconds


@pytest.mark.slow
def test_a_link_that_freezes_or_breaks_under_the_question_costs_only_its_own_row(
    demo_pod: tuple[Pod, ActorTruth], make_inventory: MakeInventory, tmp_path: Path
) -> None:
    pod, _ = demo_pod
    asked = tmp_path / "asked"
    os.mkfifo(asked)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho yes > '{asked}'\nexec sleep 30\n")
    slow.chmod(0o755)
    entry = {**pod.inventory_entry(), "connect_timeout_s": 1.5, "answer_timeout_s": 1.5}
    with FaultProxy((pod.address, pod.port)) as freezing, FaultProxy((pod.address, pod.port)) as breaking:
        breaking.cut_after = 4000  # past the login, within the answer
        hosts = {
            "freezes": {**entry, "port": freezing.port, "python": str(slow)},
            "breaks": {**entry, "port": breaking.port},
            "a100": entry,
        }
        inventory = make_inventory(hosts)
        inventory.state.mkdir(exist_ok=True)
        known = f"[{pod.address}]:{pod.port} {pod.host_key_line}\n"
        proxied = (freezing.known_host(pod), breaking.known_host(pod))
        (inventory.state / "known_hosts").write_text(known + "".join(proxied))

        def freeze_once_asked() -> None:
            asked.read_text()
            freezing.mode = "hang"

        freezer = threading.Thread(target=freeze_once_asked)
        freezer.start()
        started = time.monotonic()
        report = find_bbox(inventory)
        seconds = time.monotonic() - started
        freezer.join()
    assert row(report, "freezes").error_class == "AnswerTimeout"
    assert row(report, "breaks").error_class in ("ConnectionLost", "Unreachable")
    assert row(report, "a100").error is None
    assert report.exit_code == 0
    assert seconds < 8


@pytest.mark.slow
def test_not_found_but_a_host_was_unreachable_is_4_and_else_3(
    pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with start_pod(tmp_path / "empty") as empty:
        both = make_inventory({"empty": empty, "gone": {**empty.inventory_entry(), "port": 1}})
        assert find_bbox(both).exit_code == 4
        only = find_bbox(both, hosts=["empty"])
    assert [r.host for r in only.results] == ["empty", "local"]
    assert only.exit_code == 3
    assert (only.best, only.why_no_best) == (None, "no bbox.pt of demo was found")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo '{\"candidates\": []}'", "malformed answer while searching for bbox.pt"),
        ("printf '\\377\\376'", "malformed answer while searching for bbox.pt"),
        ("echo oh no >&2; exit 3", "failed with exit code 3: 'oh no'"),
        ("exec yes", "bytes"),
    ],
)
def test_a_host_that_answers_nonsense_gets_an_error_row(
    script: str, error: str, tmp_path: Path, make_inventory: MakeInventory
) -> None:
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\n{script}\n")
    liar.chmod(0o755)
    entry = {"kind": "local", "workdir": str(tmp_path), "python": str(liar), "answer_timeout_s": 20}
    report = find_bbox(make_inventory({"liar": entry}))
    assert error in (row(report, "liar").error or "")
    assert report.exit_code == 4


def test_unknown_names_are_refused_before_anything_is_contacted(here: Checkout) -> None:
    for wrong in ({"hosts": ["nobody"]}, {"actor": "nobody"}):
        with pytest.raises(UsageError, match="nobody"):
            here.find(**wrong)


# --- what is judged ---------------------------------------------------------------------------------


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.command = f"touch {marker}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def _archived(pickled: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("bbox/data.pkl", pickled)
        archive.writestr("bbox/version", b"3\n")
    return data.getvalue()


def test_a_hostile_box_is_refused_and_runs_nothing(here: Checkout, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    evil = pickle.dumps(_Evil(marker))
    for data in (_archived(evil), evil, _archived(b"r\xff\xff\xff\x7f."), _archived(b"(" * 60_000)):
        put_box(here.box, data)
        report = here.find()
        found = candidate(report)
        assert (found.valid, found.bbox, len(found.problems)) == (False, None, 1)
        assert (report.best, report.exit_code) == (None, 3)
        assert report.why_no_best is not None and repr(str(here.box)) in report.why_no_best
    assert not marker.exists()


@pytest.mark.parametrize(
    "box",
    [
        b"",
        b"PK",
        (1, 2, 3, 4, 5),
        (1.0, float("nan"), 3, 4),
        (900, 100, 90, 990),
        (0, 0, 0, 0),
        (1.5, 3, 1, 3),
    ],
    ids=str,
)
def test_what_is_no_box_is_refused_with_a_reason(box: Any, here: Checkout) -> None:
    put_box(here.box, box)
    found = candidate(here.find())
    assert (found.valid, found.bbox) == (False, None)
    assert found.problems and found.problems[0]


def test_a_box_outside_the_video_is_refused_and_swapped_sizes_are_recognised(here: Checkout) -> None:
    put_box(here.box, (510, 1410, 500, 1400))
    (problem,) = candidate(here.find()).problems
    assert "lies outside the 1920x1080 video" in problem and "swapped" not in problem
    put_box(here.box, (90, 990, 900, 1800))
    found = candidate(here.find())
    assert not found.valid
    assert "would fit 1080x1920: are width and height of source_size swapped?" in found.problems[0]


def test_what_is_named_bbox_pt_but_is_not_a_file_is_reported_and_not_opened(here: Checkout) -> None:
    folder = here.disk / "demo"
    (folder / "a" / "bbox.pt").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "b" / "bbox.pt").symlink_to("/etc/passwd")
    put_box(folder / "c" / "bbox.pt", b"x" * 70_000)
    problems = {Path(c.path).parent.name: c.problems[0] for c in row(here.find(), "here").candidates}
    assert problems == {
        "a": "is a directory, not a regular file",
        "b": "is a symbolic link to '/etc/passwd', and links are not followed",
        "c": "has 70000 bytes; a box has a few hundred, so it was not read",
    }


@pytest.mark.parametrize(
    ("box", "problems", "notes"),
    [
        (SQUARE, 0, 0),
        ((360, 1560, 1, 1079), 0, 0),  # clipped above and below: the tracker's own
        ((510, 1410, 1, 1079), 1, 0),  # higher than wide, and no border cuts the width
        ((1, 801, 90, 990), 0, 0),  # clipped at the left, then made even
        ((511, 1410, 90, 990), 2, 1),  # odd, no square
        ((510, 1412, 90, 992), 0, 1),  # 902 cannot come from 2.5 * whole numbers
        ((510, 1410, 180, 1080), 1, 0),  # the last row
        ((510, 1410, 90, 992), 1, 1),  # no square though not clipped
    ],
)
def test_what_the_tracker_would_not_have_written_is_remarked_on(
    box: tuple[int, int, int, int], problems: int, notes: int, here: Checkout
) -> None:
    put_box(here.box, box)
    found = candidate(here.find())
    assert found.valid
    assert (len(found.problems), len(found.notes)) == (problems, notes), (found.problems, found.notes)


def test_without_a_source_size_what_was_not_checked_is_noted(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    here = Checkout(tmp_path, make_inventory, actors={"demo": {}})
    put_box(here.box, (5000, 5900, 100, 1000))
    found = candidate(here.find())
    assert found.valid
    assert found.notes == ("the video's size is unknown, so whether the box lies inside was not checked",)


def test_the_size_is_read_from_the_video_where_the_inventory_names_only_that(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    video = tmp_path / "video.mp4"
    here = Checkout(tmp_path, make_inventory, actors={"demo": {"video": str(video)}})
    put_box(here.box, (500, 1400, 100, 1000))
    shutil.copy(
        here.actor("other", size_wh=(480, 270), pictures=True, video=True).input_folder / "video.mp4", video
    )
    found = next(c for c in row(here.find(), "here").candidates if c.actor == "demo")
    assert not found.valid
    assert "lies outside the 480x270 video" in found.problems[0]
    video.write_text("#EXTM3U\n/etc/passwd\n")
    found = next(c for c in row(here.find(), "here").candidates if c.actor == "demo")
    assert found.valid and "was not checked" in found.notes[0]


# --- which run --------------------------------------------------------------------------------------


def test_a_run_is_joined_to_its_input_by_its_settings_when_their_names_differ(here: Checkout) -> None:
    here.actor()
    (here.tracker / "output" / "demo").rename(here.tracker / "output" / "wide")
    (here.tracker / "configs" / "actors" / "demo.yml").rename(
        here.tracker / "configs" / "actors" / "wide.yml"
    )
    report = here.find()
    assert candidate(report).run == str(here.tracker / "output" / "wide")
    assert row(report, "here").runs[0].actor == "demo"
    assert row(report, "here").evidence.frames == 2


def test_a_box_written_after_the_frames_is_a_problem_and_before_them_is_none(here: Checkout) -> None:
    here.actor()
    assert candidate(here.find()).problems == ()
    later = time.time() + 7300
    os.utime(here.box, (later, later))
    (problem,) = candidate(here.find()).problems
    assert problem.startswith("it was written 2 h 1 min after the first of the run's frames")


def test_a_run_that_did_not_crop_has_no_use_for_the_box(here: Checkout) -> None:
    here.actor(crop_image=False, image_size_wh=(960, 540))
    put_box(here.box, SQUARE, mtime=1.0)
    assert candidate(here.find()).problems == (
        "its run was tracked with crop_image false, so it was not cropped to this box",
        "its run's images are 960x540; a run that crops has square ones",
    )


@pytest.mark.slow
def test_settings_and_frames_from_a_stranger_do_no_harm(here: Checkout) -> None:
    here.actor()
    config = here.tracker / "configs" / "actors" / "demo.yml"
    merge_bomb = b"a0: &a0 {x: 1}\n" + b"".join(
        b"a%d: &a%d {<<: [%s]}\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 20)) for i in range(1, 30)
    )
    for text in (
        b"[" * 16_000,
        b"\xff\xfe\x00",
        b"actor: 2001-99-99",
        b"actor: !!python/object/apply:os.abort []",
        b"- 1",
        merge_bomb,
    ):
        config.write_bytes(text)
        assert here.find().exit_code == 0
    config.write_bytes(b"bbox_scale: .nan\nactor: 7\nimage_size: 3\ncrop_image: maybe\n")
    run = row(here.find(), "here").runs[0]
    assert (run.bbox_scale, run.crop_image, run.image_size_wh) == (None, None, (512, 512))
    (here.tracker / "output" / "demo" / "checkpoint" / "00000.frame").write_bytes(b"torn")
    run = row(here.find(), "here").runs[0]
    assert run.image_size_wh is None
    assert any("first frame '00000.frame' cannot be used" in note for note in run.notes)


def test_names_that_are_not_text_are_found_and_reported_with_their_bytes(here: Checkout) -> None:
    for name in (b"demo/caf\xe9", b"demo/new\nline"):
        folder = os.path.join(os.fsencode(here.disk), name)
        os.makedirs(folder)
        put_box(Path(os.fsdecode(folder)) / "bbox.pt")
    latin, line = row(here.find(), "here").candidates
    assert latin.path.endswith("demo/caf\udce9/bbox.pt") and latin.path_b64 is not None
    assert line.path.endswith("demo/new\nline/bbox.pt") and line.path_b64 is None


# --- whose, and which is best ------------------------------------------------------------------------


def test_another_actors_box_is_listed_and_never_best(tmp_path: Path, make_inventory: MakeInventory) -> None:
    two = {"demo": {"source_size": [1920, 1080]}, "roman": {"source_size": [1280, 720]}}
    here = Checkout(tmp_path, make_inventory, actors=two)
    put_box(here.tracker / "input" / "roman" / "bbox.pt", (200, 700, 100, 600))
    put_box(here.tracker / "input" / "stranger" / "bbox.pt")
    put_box(here.disk / "attic" / "bbox.pt")
    report = here.find(actor="demo")
    assert {Path(c.path).parent.name: c.actor for c in row(report, "here").candidates} == {
        "roman": "roman",
        "stranger": "stranger",
        "attic": None,
    }
    assert (report.best, report.exit_code) == (None, 3)
    assert (
        report.why_no_best is not None and "attic" in report.why_no_best and "roman" not in report.why_no_best
    )
    assert here.find(actor="roman").exit_code == 0


def test_a_home_folder_called_as_the_actor_claims_nothing(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    here = Checkout(tmp_path / "demo", make_inventory)
    put_box(here.disk / "attic" / "bbox.pt")
    put_box(here.disk / "attic" / "demo" / "old" / "bbox.pt")
    owners = {Path(c.path).parent.name: c.actor for c in row(here.find(), "here").candidates}
    assert owners == {"attic": None, "old": "demo"}


def test_copies_of_one_box_agree_whatever_their_bytes(here: Checkout) -> None:
    put_box(here.box)
    put_box(here.disk / "demo" / "bbox.pt", saved(list(SQUARE)))
    report = here.find()
    assert len({c.sha256 for c in row(report, "here").candidates}) == 2
    assert report.best is not None
    assert (report.best.path, report.best.why) == (
        str(here.box),
        "all 2 that may be the actor's hold this box",
    )
    assert [c.equals for c in row(report, "here").candidates] == [
        (f"here:{here.disk}/demo/bbox.pt",),
        (f"here:{here.box}",),
    ]


def test_boxes_that_differ_with_nothing_to_decide_are_all_shown_and_none_is_best(here: Checkout) -> None:
    put_box(here.box, SQUARE)
    other = put_box(here.disk / "demo" / "bbox.pt", OTHER)
    report = here.find()
    assert (report.best, report.exit_code) == (None, 0)
    assert report.why_no_best is not None
    for path, box in ((here.box, "x 510..1410"), (other, "x 500..1400")):
        assert f"here:{str(path)!r} {box}" in report.why_no_best
    refused = here.find(fetch=True)
    assert refused.exit_code == 6
    assert refused.fetched is not None and not refused.fetched.done


def test_the_box_that_its_run_used_wins_over_stray_ones_and_not_over_another_runs(here: Checkout) -> None:
    here.actor()
    stray = put_box(here.disk / "old" / "demo" / "bbox.pt", OTHER)
    report = here.find()
    assert report.best is not None
    assert report.best.path == str(here.box)
    assert repr(str(stray)) in report.best.why
    make_actor(stray.parent.parent, "x", frames=1, seed=5, pictures=False, video=False)
    (stray.parent.parent / "output" / "x" / "checkpoint").rename(stray.parent / "checkpoint")
    put_box(stray, OTHER)
    report = here.find()
    assert report.best is None
    assert report.why_no_best is not None and f"of the run {str(stray.parent)!r}" in report.why_no_best


def test_a_box_rewritten_after_its_run_does_not_win(here: Checkout) -> None:
    here.actor()
    put_box(here.disk / "demo" / "bbox.pt", OTHER)
    os.utime(here.box, (time.time() + 7300,) * 2)
    assert here.find().best is None


def test_the_hand_made_backup_on_this_laptop_is_searched(here: Checkout) -> None:
    truth = here.actor()
    box = put_box(here.backup / "bbox.pt", truth.box)
    (truth.output_folder / "checkpoint").rename(here.backup / "checkpoint")
    here.box.unlink()
    report = here.find()
    found = candidate(report, "local")
    assert (found.place, found.actor, found.run) == ("backup", "demo", str(here.backup))
    assert row(report, "local").evidence.frames == 2
    assert report.best is not None and (report.best.host, report.best.path) == ("local", str(box))


JOB = "demo-k3x7a2bq"
PLACES_OF_JOBS = {
    "downloaded": f"backups/demo/runs/{JOB}/bbox.pt",
    "of an earlier attempt": f"backups/demo/runs/{JOB}.attempt-1/bbox.pt",
    "at work": f"disk/Being/jobs/{JOB}/attempts/1/work/input/demo/bbox.pt",
    "sent": f"disk/Being/jobs/{JOB}/files/demo/bbox.pt",
    "on its way": f"disk/Being/jobs/.in/{JOB}.0f3a/files/bbox.pt",
    "uploaded": f"disk/Being/jobs/.pushed/{JOB}.2.0123456789abcdef/demo/bbox.pt",
    "in a host's backup": f"disk/Being/data/demo/runs/{JOB}/bbox.pt",
    "in a copy of a workdir": f"disk/old/jobs/{JOB}/attempts/2/work/input/demo/bbox.pt",
    "in a copy of what was uploaded": f"disk/old/jobs/.pushed/{JOB}.2.0123456789abcdef/demo/bbox.pt",
}


def with_a_host_backup(tmp_path: Path, make_inventory: MakeInventory) -> Checkout:
    actors = {"demo": {"source_size": [1920, 1080], "host_backups": ["data/demo"]}}
    return Checkout(tmp_path, make_inventory, actors=actors)


@pytest.mark.parametrize("place", PLACES_OF_JOBS)
def test_the_box_of_a_job_is_listed_and_never_the_actors(
    tmp_path: Path, make_inventory: MakeInventory, place: str
) -> None:
    here = with_a_host_backup(tmp_path, make_inventory)
    put_box(tmp_path / PLACES_OF_JOBS[place])
    report = here.find()
    assert report.best is None and report.exit_code == 3
    (found,) = [c for r in report.results for c in r.candidates]
    assert (found.place, found.job) == ("job", JOB)
    assert any(f"recover --run {JOB}" in note for note in found.notes)


def test_boxes_of_our_own_jobs_never_compete_with_the_actors_own(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    here = with_a_host_backup(tmp_path, make_inventory)
    truth = here.actor()
    for n, place in enumerate(PLACES_OF_JOBS.values()):
        box = put_box(tmp_path / place, (400 + 2 * n, 1300 + 2 * n, 90, 990))
        # each with frames of its own, as a retrack has: another run than the actor's
        shutil.copytree(truth.output_folder / "checkpoint", box.parent / "checkpoint")
        frame = box.parent / "checkpoint" / "00000.frame"
        frame.write_bytes(frame.read_bytes() + b"\0")
    report = here.find()
    assert report.best is not None
    assert (report.best.path, report.best.why) == (str(here.box), "the only one found")
    assert len([c for r in report.results for c in r.candidates if c.job is not None]) == len(PLACES_OF_JOBS)


def test_a_copy_of_a_job_that_the_ledger_knows_is_a_jobs_wherever_it_lies(here: Checkout) -> None:
    from being_remote.jobs.ledger import Intent, ledger_of

    put_box(here.disk / "attic" / "demo" / f"{JOB}.attempt-2" / "bbox.pt")
    assert candidate(here.find(), "here").job is None
    ledger_of(here.inventory).intend(
        Intent(
            job=JOB,
            host="here",
            actor="demo",
            recipe="metrical_tracker",
            spec=b"{}",
            spec_sha256="0" * 64,
            parcel=b"",
            key="k",
        )
    )
    report = here.find()
    assert (candidate(report, "here").job, report.best) == (JOB, None)


def test_copies_with_the_same_bytes_are_one_box(here: Checkout) -> None:
    put_box(here.box)
    shutil.copy(here.box, put_box(here.disk / "demo" / "bbox.pt"))
    report = here.find()
    assert report.best is not None
    assert (report.best.path, report.best.why) == (str(here.box), "the only one found, in 2 copies")


# --- when the search is cut --------------------------------------------------------------------------


def test_not_found_in_a_search_that_was_cut_is_4_and_names_the_roots_that_it_did_not_finish(
    here: Checkout,
) -> None:
    put_box(here.disk / "a" / "b" / "c" / "d" / "demo" / "bbox.pt")
    report = here.find(search_time_s=1e-6)
    assert (report.best, report.exit_code) == (None, 4)
    assert row(report, "here").unfinished == (str(here.disk),)
    assert row(report, "here").truncated == ("longer than 1e-06 s",)
    assert report.why_no_best == "no bbox.pt of demo was found; the search of here was cut short"
    assert here.find(search_time_s=60).exit_code == 0


def test_a_find_in_a_search_that_was_cut_is_never_called_the_only_one(here: Checkout) -> None:
    put_box(here.box)
    report = here.find(search_time_s=1e-6)
    assert report.best is not None and report.exit_code == 0
    assert report.best.why == "found; there may be others: the search of here was cut short"
    put_box(here.backup / "bbox.pt")
    report = here.find(search_time_s=1e-6)
    assert (
        report.best is not None and "only" not in report.best.why and "there may be others" in report.best.why
    )


def test_a_find_beside_an_unreachable_host_is_never_called_the_only_one(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    here = Checkout(tmp_path, make_inventory)
    gone = {"address": "127.0.0.1", "port": 1, "user": "root", "workdir": "/w"}
    put_box(here.box)
    report = find_bbox(make_inventory({"here": here.entry, "gone": gone}))
    assert report.best is not None
    assert report.best.why == "found; there may be others: gone could not be searched"


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ({}, 3),
        ({"unreadable": 1}, 4),
        ({"unfinished": ("/w",)}, 4),
        ({"error": "no answer"}, 4),
        ({"missing_roots": ("/w",)}, 3),  # what is not there holds nothing
        ({"truncated": ("more than 64 folders of actors and runs",)}, 3),  # counts of evidence only
    ],
)
def test_not_found_is_3_only_where_every_folder_was_looked_at(
    why: dict[str, Any], code: int, here: Checkout
) -> None:
    report = here.find()
    seen = dataclasses.replace(row(report, "here"), **why)
    assert dataclasses.replace(report, results=(seen,)).exit_code == code


def test_a_long_search_reports_its_time_for_each_host(
    here: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    os.mkfifo(seen)
    patient = tmp_path / "patient"
    patient.write_text(f"#!/bin/sh\nread line < '{seen}'\nexec '{sys.executable}' \"$@\"\n")
    patient.chmod(0o755)
    monkeypatch.setattr("being_remote.pod_client.many_hosts.WAIT_S", 0.01)
    inventory = here.inventory
    host = inventory.hosts["here"].model_copy(update={"python": str(patient)})
    inventory = inventory.model_copy(update={"hosts": {"here": host}})
    said: list[TransferProgress] = []

    def on_progress(progress: TransferProgress) -> None:
        said.append(progress)
        if len(said) == 1:
            seen.write_text("go on\n")

    report = find_bbox(inventory, search_time_s=40, on_progress=on_progress)
    assert row(report, "here").error is None
    assert (said[0].what, said[0].total, said[0].unit) == ("searching here", 40, "s")


# --- fetch -------------------------------------------------------------------------------------------


def test_fetch_downloads_the_best_once_and_a_dry_run_only_reports_it(here: Checkout) -> None:
    put_box(here.box)
    home = here.backup / "bbox.pt"
    said = here.find(fetch=True, dry_run=True)
    assert said.fetched is not None
    assert said.fetched.what.startswith("would download ") and not said.fetched.done
    assert not home.exists() and not here.inventory.backups.exists()
    brought = here.find(fetch=True)
    assert brought.fetched is not None and brought.fetched.done and brought.exit_code == 0
    assert home.read_bytes() == here.box.read_bytes()
    before = home.stat().st_mtime_ns
    again = here.find(fetch=True)
    assert again.fetched is not None and again.fetched.what == "it is in the backup already"
    assert again.best is not None and again.best.host == "local"
    assert home.stat().st_mtime_ns == before


def test_fetch_never_writes_over_a_different_box(here: Checkout) -> None:
    here.actor()
    home = put_box(here.backup / "bbox.pt", OTHER)
    before = home.read_bytes()
    said = here.find(fetch=True, dry_run=True)
    assert said.fetched is not None and said.fetched.what.startswith("would be refused")
    with pytest.raises(InconsistentData):
        here.find(fetch=True)
    assert home.read_bytes() == before


# --- when it is gone ---------------------------------------------------------------------------------


def next_step(report: FindReport) -> str:
    """The last line that a person sees."""
    shown = io.StringIO()
    show_find_bbox(Console(file=shown, width=160), report)
    return shown.getvalue().splitlines()[-1]


def test_not_found_names_the_ways_that_the_evidence_leaves_open(here: Checkout) -> None:
    here.actor()
    here.box.unlink()
    assert here.find().recovery == ()  # frames and landmarks alone tell no crop
    (here.tracker / "input" / "demo" / "video.mp4").touch()
    report = here.find()
    assert report.exit_code == 3
    assert [way.split(":")[0] for way in report.recovery] == ["from_landmarks", "track_again"]
    crops = here.tracker / "output" / "demo" / "input"
    crops.mkdir(exist_ok=True)
    (crops / "00000.png").touch()
    report = here.find()
    ways = ["from_images", "from_landmarks", "track_again"]
    assert [way.split(":")[0] for way in report.recovery] == ways
    pod = next(row.host for row in report.results if row.host != "local")
    assert next_step(report) == (
        f"next: being-remote sync --actor demo --host {pod} --only crops,"
        " then being-remote recover --actor demo --from-images VIDEO"
    )
    (here.backup / "run/input").mkdir(parents=True)
    shutil.copy(crops / "00000.png", here.backup / "run/input")
    assert next_step(here.find()) == "next: being-remote recover --actor demo --from-images VIDEO"


def test_the_original_video_on_this_laptop_counts_as_evidence(
    tmp_path: Path, make_inventory: MakeInventory
) -> None:
    video = tmp_path / "elsewhere" / "roman.mp4"
    video.parent.mkdir()
    video.touch()
    here = Checkout(tmp_path, make_inventory, actors={"demo": {"video": str(video)}})
    assert row(here.find(), "local").evidence.videos == 1


def test_recovery_names_where_the_evidence_lies() -> None:
    evidence = {"a100": EvidenceCounts(crop_images=3), "local": EvidenceCounts(source_images=9)}
    (first, *_) = ways_of_recovery([HostRow(host, True, evidence=files) for host, files in evidence.items()])
    assert "the crops (a100) against the source images (local)" in first
