"""What an attempt goes on from: its own host's attempt before, or what was brought from another host."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from plan_runner import MakePlan

from being_remote.demo.actor import ActorTruth
from being_remote.errors import InconsistentData
from being_remote.jobs.recipe import CarriedFiles
from being_remote.recipes.registry import find_recipe
from being_remote.tracker.begin import begin, box_path


class Desk:
    """The finished run of an actor as parts of work folders, and an attempt that is about to begin."""

    def __init__(self, folder: Path, tracked: ActorTruth, files: dict[str, bytes]) -> None:
        self.folder, self.tracked, self.files = folder, tracked, files
        self.work = folder / "work"
        (self.work / "input/demo").mkdir(parents=True)
        for name in ("source", "identity.npy"):
            (self.work / "input/demo" / name).symlink_to(tracked.input_folder / name)
        (folder / "files").mkdir()
        for name, data in files.items():
            (folder / "files" / name).write_bytes(data)

    def made(self, name: str, frames: int, box: bytes | None = None) -> Path:
        """A work folder with so many frames."""
        work = self.folder / name
        for part in ("input/demo", "output/demo/checkpoint", "output/demo/input", "output/demo/mesh"):
            (work / part).mkdir(parents=True)
        (work / "input/demo/bbox.pt").write_bytes(box or (self.tracked.input_folder / "bbox.pt").read_bytes())
        for number in range(frames):
            for part, suffix in (("checkpoint", "frame"), ("input", "png"), ("mesh", "ply")):
                name = f"{part}/{number:05d}.{suffix}"
                shutil.copy(self.tracked.output_folder / name, work / "output/demo" / name)
        return work

    def carried(self, *homes: Path) -> CarriedFiles | None:
        return find_recipe("metrical-tracker").find_resumable(self.files, homes)

    def pushed(self, frames: int) -> Path:
        """What the laptop puts there of an attempt with so many frames."""
        work = self.made("pushed", frames)
        carried = self.carried(work)
        assert carried is not None
        (work / "pushed.json").write_bytes(carried.note)
        return work

    def begin(self, previous: Path | None, pushed: Path | None) -> str:
        there = [str(path) if path else "" for path in (previous, pushed)]
        return begin(str(self.work), str(self.folder / "files"), *there)[-1]

    @property
    def frames(self) -> int:
        return len(list((self.work / "output/demo/checkpoint").glob("*.frame")))

    @property
    def box(self) -> bytes:
        return (self.work / "input/demo/bbox.pt").read_bytes()


@pytest.fixture
def desk(tracked: ActorTruth, make_plan: MakePlan, tmp_path: Path) -> Desk:
    return Desk(tmp_path, tracked, dict(make_plan().files))


def another_box(folder: Path) -> bytes:
    torch.save([10, 300, 20, 310], folder / "other.pt")
    return (folder / "other.pt").read_bytes()


@pytest.mark.parametrize(
    ("before", "brought", "whose", "kept"),
    [
        (11, 9, "the attempt before", 11),
        (9, 11, "another host's attempt", 11),
        (9, 9, "the attempt before", 9),
    ],
)
def test_the_longer_of_both_is_kept_and_of_equals_the_hosts_own(
    desk: Desk, before: int, brought: int, whose: str, kept: int
) -> None:
    said = desk.begin(desk.made("attempts/1/work", before), desk.pushed(brought))
    assert said.startswith(f"{kept} whole frames of {whose} are kept")
    assert desk.frames == kept


def test_an_attempt_that_ended_while_it_began_takes_nothing_from_those_before_it(desk: Desk) -> None:
    desk.made("attempts/1/work", 12)
    desk.made("attempts/2/work", 9)  # its disk was full in the middle of its beginning
    empty = desk.made("attempts/4/work", 0)
    assert desk.begin(empty, None).startswith("12 whole frames of attempt 1 are kept")
    assert desk.frames == 12


def test_an_earlier_attempt_with_another_box_is_not_resumed_either(desk: Desk) -> None:
    desk.made("attempts/1/work", 12, another_box(desk.folder))
    said = desk.begin(desk.made("attempts/2/work", 10), desk.pushed(9))
    assert said.startswith("10 whole frames of the attempt before are kept") and desk.frames == 10


def test_an_attempt_with_another_box_is_not_resumed_where_the_box_is_named(desk: Desk) -> None:
    previous = desk.made("attempts/1/work", 12, another_box(desk.folder))
    said = desk.begin(previous, desk.pushed(9))
    assert said.startswith("9 whole frames of another host's attempt are kept")
    assert hashlib.sha256(desk.box).digest() != hashlib.sha256(another_box(desk.folder)).digest()


def test_frames_that_the_note_does_not_name_are_not_of_the_run(desk: Desk) -> None:
    pushed = desk.pushed(9)
    shutil.copy(
        desk.tracked.output_folder / "checkpoint/00009.frame", pushed / "output/demo/checkpoint/00009.frame"
    )
    assert "9 whole frames" in desk.begin(None, pushed) and desk.frames == 9


def test_a_box_that_is_not_the_one_that_the_note_names_stops_it(desk: Desk) -> None:
    pushed = desk.pushed(9)
    (pushed / "input/demo/bbox.pt").write_bytes(another_box(desk.folder))
    with pytest.raises(InconsistentData, match="not the box that was uploaded"):
        desk.begin(desk.made("attempts/1/work", 12), pushed)
    assert desk.frames == 0


def test_the_folder_with_most_whole_frames_is_uploaded_and_of_it_only_what_is_whole(desk: Desk) -> None:
    torn = desk.made("first", 12)
    (torn / "output/demo/checkpoint/00009.frame").write_bytes(b"PK")
    (torn / "output/demo/mesh/00002.ply").write_bytes(b"ply\n")
    (torn / "output/demo/input/00003.png").unlink()
    (torn / "output/demo/input/00003.png").symlink_to("/etc/hostname")
    carried = desk.carried(desk.made("second", 8), torn)
    assert carried is not None and (carried.folder, carried.done) == (torn, 9)
    assert len(carried.names) == 1 + 3 * 9 - 2
    assert carried.total_bytes == sum((torn / name).stat().st_size for name in carried.names)
    note = json.loads(carried.note)
    assert note["box_sha256"] == note["files"][box_path({"folder": "demo"})]
    assert note["files"].keys() == set(carried.names)
    assert desk.carried(torn, desk.made("third", 9)) == carried  # of equals the first


def test_nothing_is_carried_where_nothing_can_be_read(desk: Desk) -> None:
    empty = desk.folder / "empty"
    empty.mkdir()
    assert desk.carried() is None and desk.carried(empty) is None
    unsafe = desk.made("unsafe", 12)
    torch.save(print, unsafe / "input/demo/bbox.pt")
    assert desk.carried(unsafe) is None  # frames without the box that they were cropped by
