"""One folder is one run, or the reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import frame_factory as factory
import numpy as np
import pytest

from being_remote.camera.intrinsics import from_ndc
from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.frame_file import read_frame
from being_remote.tracker.sequence import read_sequence


def write(folder: Path, number: int, **more: Any) -> None:
    """One genuine frame with its own pose and a step that rises with its number."""
    content = factory.content(f"{number:05d}", seed=number)
    content["global_step"] = 270 * (number + 1)
    content.update(more)
    (folder / f"{number:05d}.frame").write_bytes(factory.saved(content))


def with_other_k(number: int) -> dict[str, Any]:
    content = factory.content(seed=number)
    content["camera"]["fl"] = np.array([[8.5]], np.float32)
    content["opencv"]["K"] = from_ndc(content["camera"]["fl"], content["camera"]["pp"], (512, 512)).astype(
        np.float32
    )
    return {"camera": content["camera"], "opencv": content["opencv"]}


def test_each_frame_of_a_run_is_read_as_it_is_alone(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path, number)
    run = read_sequence(tmp_path)
    for i in range(6):
        frame = read_frame(tmp_path / f"{i:05d}.frame")
        np.testing.assert_array_equal(run.K, frame.K)
        np.testing.assert_array_equal(run.R[i], frame.R)
        np.testing.assert_array_equal(run.t[i], frame.t)
    assert run.frame_ids.tolist() == list(range(6)) and run.frame_ids.dtype == np.int64
    assert (run.image_size_wh, run.missing_ids, run.warnings) == ((512, 512), (), ())


def test_frames_are_ordered_as_numbers_not_as_text(tmp_path: Path) -> None:
    for number in (99999, 100000, 3):
        write(tmp_path, number)
    assert read_sequence(tmp_path).frame_ids.tolist() == [3, 99999, 100000]


def test_gaps_are_listed_and_reported(tmp_path: Path) -> None:
    for number in (1, 2, 5):
        write(tmp_path, number)
    run = read_sequence(tmp_path)
    assert run.missing_ids == (0, 3, 4)
    assert run.warnings == ("3 of 6 frames have no file: 0, 3, 4",)


def test_frames_left_over_from_the_key_frame_stage_are_reported(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number)
    write(tmp_path, 3, global_step=90)
    (warning,) = read_sequence(tmp_path).warnings
    assert warning.startswith("00003.frame was written before 00002.frame (step 90 after 810)")


def test_a_second_k_names_the_frame_where_it_changes_and_both(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number)
    write(tmp_path, 3, **with_other_k(3))
    write(tmp_path, 4, **with_other_k(4))
    with pytest.raises(InconsistentData) as caught:
        read_sequence(tmp_path)
    assert "K changes at 00003.frame: 00000.frame to 00002.frame have f 2337.28" in str(caught.value)
    assert "00003.frame has f 2176.00" in str(caught.value)
    assert "keep one of them" in str(caught.value)


def test_a_second_image_size_names_the_frame_where_it_changes(tmp_path: Path) -> None:
    write(tmp_path, 0)
    factory.write_frame(tmp_path, "00001", size_hw=(256, 256))
    with pytest.raises(InconsistentData, match=r"img_size changes at 00001\.frame"):
        read_sequence(tmp_path)


def test_a_frame_that_contradicts_itself_is_named(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number)
    content = factory.content(seed=2)
    content["opencv"]["R"] = content["opencv"]["R"] * np.float32(1.01)
    write(tmp_path, 2, opencv=content["opencv"])
    with pytest.raises(InconsistentData, match=r"00002\.frame: opencv\.R is not a rotation"):
        read_sequence(tmp_path)


def test_a_torn_frame_is_named_with_the_next_step(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number)
    torn = tmp_path / "00001.frame"
    torn.write_bytes(torn.read_bytes()[:3000])
    with pytest.raises(TornFile, match=r"00001\.frame: is cut short: 3000 bytes[^\n]*\n.*`sync` again"):
        read_sequence(tmp_path)


def test_a_link_in_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 0)
    (tmp_path / "00001.frame").symlink_to(tmp_path / "00000.frame")
    with pytest.raises(UnsafeFile, match=r"00001\.frame: is a symbolic link"):
        read_sequence(tmp_path)


def test_a_frame_named_otherwise_than_its_id_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 0)
    (tmp_path / "00000.frame").rename(tmp_path / "00009.frame")
    with pytest.raises(InconsistentData, match="but the file is named"):
        read_sequence(tmp_path)


def test_names_that_are_no_id_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 0)
    (tmp_path / "last.frame").touch()
    with pytest.raises(InconsistentData, match=r"last\.frame: is not named by a frame_id"):
        read_sequence(tmp_path)
    (tmp_path / "last.frame").rename(tmp_path / "0.frame")
    with pytest.raises(InconsistentData, match="has the same id as"):
        read_sequence(tmp_path)


def test_an_id_beyond_any_video_does_not_ask_for_memory(tmp_path: Path) -> None:
    (tmp_path / "999999999999.frame").touch()
    with pytest.raises(InconsistentData, match="is not named by a frame_id"):
        read_sequence(tmp_path)


def test_other_files_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, 0)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "00001.frame.part").touch()
    assert read_sequence(tmp_path).frame_ids.tolist() == [0]


def test_no_folder_and_no_frames_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"holds no \.frame"):
        read_sequence(tmp_path)
    with pytest.raises(NotFoundError, match="cannot be listed"):
        read_sequence(tmp_path / "gone")
