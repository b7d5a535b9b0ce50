"""A written bbox.pt is what the tracker would have written, and never takes the place of another."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import frame_factory
import numpy as np
import pytest
import torch

from being_remote.errors import InconsistentData, TornFile, UnsafeFile, UsageError
from being_remote.tracker.box_file import box_bytes, read_box
from being_remote.tracker.box_note import BoxNote, note_path, read_note, write_box
from being_remote.tracker.torch_file import bytes_for_numpy_1

BOX = (510, 1410, 90, 990)
NOTE = BoxNote(box=BOX, grade="exact", method="pixels", evidence={"frames": 3, "residual": 0.0})


def test_the_tracker_reads_its_own_array_back(tmp_path: Path) -> None:
    path = tmp_path / "roman" / "bbox.pt"
    assert write_box(path, NOTE)
    loaded = torch.load(path, weights_only=False)  # as the tracker does
    assert isinstance(loaded, np.ndarray) and loaded.dtype == np.int64 and loaded.shape == (4,)
    assert loaded.tolist() == [510, 1410, 90, 990]
    assert read_box(path) == BOX


def test_the_array_is_called_by_the_name_that_numpy_1_knows(tmp_path: Path) -> None:
    pickled = frame_factory.pickle_in(box_bytes(BOX))
    assert b"numpy.core.multiarray" in pickled and b"numpy._core" not in pickled
    genuine = frame_factory.as_numpy_1(frame_factory.saved(np.array(BOX)))
    assert frame_factory.pickle_in(genuine) == pickled
    assert torch.load(io.BytesIO(genuine), weights_only=False).tolist() == list(BOX)


def test_a_file_written_without_torch_holds_the_pickle_that_torch_writes(tmp_path: Path) -> None:
    content = frame_factory.content()
    genuine = frame_factory.as_numpy_1(frame_factory.saved(content))
    written = bytes_for_numpy_1(content)
    assert frame_factory.pickle_in(written) == frame_factory.pickle_in(genuine)
    loaded = torch.load(io.BytesIO(written), weights_only=False)
    assert np.array_equal(loaded["opencv"]["K"], content["opencv"]["K"])
    assert loaded["frame_id"] == content["frame_id"]


def test_equal_boxes_are_equal_bytes() -> None:
    assert box_bytes(BOX) == box_bytes(BOX)
    assert box_bytes(BOX) != box_bytes((510, 1410, 91, 991))


def test_the_note_says_how_it_was_found_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    write_box(path, NOTE)
    assert sorted(os.listdir(tmp_path)) == ["bbox.found.json", "bbox.pt"]
    assert json.loads(note_path(path).read_text())["evidence"] == {"frames": 3, "residual": 0.0}
    assert read_note(path) == NOTE


def test_a_note_of_another_box_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    write_box(path, NOTE)
    path.unlink()
    assert write_box(path, BoxNote(box=(0, 100, 0, 100), grade="verified", method=""))
    assert read_note(path).grade == "verified"  # type: ignore[union-attr]  # it is there
    path.write_bytes(box_bytes(BOX))
    assert read_note(path) is None
    note_path(path).unlink()
    assert read_note(path) is None


def test_over_an_equal_box_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    path.write_bytes(frame_factory.saved(torch.tensor(BOX)))  # another spelling of the same
    before = path.read_bytes()
    assert not write_box(path, NOTE)
    assert path.read_bytes() == before and not note_path(path).exists()


def test_another_box_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    before = box_bytes((512, 1412, 90, 990))
    path.write_bytes(before)
    with pytest.raises(
        InconsistentData, match=r"x 512\.\.1412, y 90\.\.990, not x 510\.\.1410.*not replaced"
    ):
        write_box(path, NOTE)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["bbox.pt"]


def test_what_cannot_be_read_is_never_replaced_either(tmp_path: Path) -> None:
    torn = tmp_path / "torn" / "bbox.pt"
    torn.parent.mkdir()
    torn.write_bytes(box_bytes(BOX)[:200])
    with pytest.raises((TornFile, UnsafeFile), match="never replaced"):
        write_box(torn, NOTE)
    assert torn.stat().st_size == 200
    link = tmp_path / "linked" / "bbox.pt"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        write_box(link, NOTE)
    assert not (tmp_path / "nowhere").exists()
    assert os.listdir(torn.parent) == os.listdir(link.parent) == ["bbox.pt"]  # and no note of another box


def test_a_box_that_appears_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bbox.pt"

    def slow_link(source: Path, target: Path, **_: object) -> None:
        path.write_bytes(box_bytes((0, 10, 0, 10)))
        raise FileExistsError

    monkeypatch.setattr(os, "link", slow_link)
    with pytest.raises(InconsistentData, match="not replaced"):
        write_box(path, NOTE)
    assert read_box(path) == (0, 10, 0, 10)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_box(tmp_path / "file" / "bbox.pt", NOTE)


@pytest.mark.parametrize("box", [(10, 10, 0, 5), (20, 10, 0, 5), (0, 1 << 40, 0, 5)])
def test_numbers_that_are_no_box_are_not_written(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InconsistentData, match="is not a box"):
        write_box(tmp_path / "bbox.pt", BoxNote(box=box, grade="exact", method=""))
    assert os.listdir(tmp_path) == []


def test_a_note_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    write_box(path, NOTE)
    note_path(path).write_text('{"box": [1, 2]}')
    with pytest.raises(InconsistentData, match="is not a note"):
        read_note(path)
