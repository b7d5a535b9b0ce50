"""Genuine files of every spelling are read; wrong ones are refused with what is wrong."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import frame_factory as factory
import numpy as np
import pytest
import torch
from without_unpickling import printed_without_unpickling

from being_remote.errors import InconsistentData, NotFoundError, TornFile, UnsafeFile
from being_remote.tracker.box_file import parse_box, read_box
from being_remote.tracker.frame_entries import SHAPES
from being_remote.tracker.frame_file import parse_frame, read_frame

SPELLINGS = {"numpy 2": lambda data: data, "numpy 1": factory.as_numpy_1}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_number_of_a_genuine_frame_comes_out_as_torch_reads_it(spelled: Any) -> None:
    truth = factory.content("00042", seed=5)
    frame = parse_frame(spelled(factory.saved(truth)), "00042.frame")
    assert (frame.frame_id, frame.global_step, frame.image_size_wh) == ("00042", 1234, (512, 512))
    for name in ("K", "R", "t"):
        np.testing.assert_array_equal(getattr(frame, name), truth["opencv"][name][0])
        assert getattr(frame, name).dtype == np.float64
    assert frame.focal_ndc == truth["camera"]["fl"][0, 0]
    np.testing.assert_array_equal(frame.principal_ndc, truth["camera"]["pp"][0])
    for name, values in truth["flame"].items():
        np.testing.assert_array_equal(frame.flame[name], values)
    assert set(frame.keys) == {*SHAPES, "frame_id", "global_step"}


def test_r_stored_column_by_column_is_not_transposed() -> None:
    # The tracker's R is the clone of a transposed tensor and keeps its strides.
    truth = factory.content()
    assert truth["opencv"]["R"].flags.f_contiguous and not truth["opencv"]["R"].flags.c_contiguous
    np.testing.assert_array_equal(parse_frame(factory.saved(truth), "00000.frame").R, truth["opencv"]["R"][0])


def test_img_size_is_height_width_in_the_file_and_width_height_here() -> None:
    data = factory.saved(factory.content(size_hw=(540, 960)))
    assert parse_frame(data, "00000.frame").image_size_wh == (960, 540)


def test_arrays_that_come_out_cannot_be_written_to() -> None:
    frame = parse_frame(factory.saved(factory.content()), "00000.frame")
    with pytest.raises(ValueError, match="read-only"):
        frame.flame["exp"][0, 0] = 1


def test_what_a_fork_adds_is_tolerated_and_listed() -> None:
    content = {"extra": {"fps": 25, "tags": ["a", None, True, 2.5]}, **factory.content()}
    content["flame"]["neck"] = np.zeros((1, 6), np.float32)
    frame = parse_frame(factory.saved(content), "00000.frame")
    assert set(frame.keys) >= {"extra.fps", "extra.tags", "flame.neck"}


def test_a_large_step_a_small_step_and_a_negative_one_are_read() -> None:
    for step in (0, 255, 256, 65536, 2**40, -1):
        data = factory.saved({**factory.content(), "global_step": step})
        assert parse_frame(data, "00000.frame").global_step == step


def test_a_frame_of_a_fork_without_our_keys_names_the_missing_and_the_found() -> None:
    content = factory.content()
    del content["camera"]["fl"]
    content["opencv"]["intrinsics"] = content["opencv"].pop("K")
    with pytest.raises(InconsistentData, match=r"lacks opencv\.K; it holds .*opencv\.intrinsics"):
        parse_frame(factory.saved(content), "00000.frame")


@pytest.mark.parametrize(
    ("group", "key", "value", "says"),
    [
        (
            "opencv",
            "K",
            np.eye(4, dtype=np.float32)[None],
            r"opencv.K must be an array of 1 x 3 x 3; it is .* 1 x 4 x 4",
        ),
        ("camera", "pp", np.array([[np.nan, 0]], np.float32), "not finite"),
        ("camera", "pp", np.full((1, 2), factory.SIGNALLING_NAN), "not finite"),
        ("camera", "R", np.array([[1, 0, 0, 2, 0, 0]], np.float32), "span no plane"),
        ("camera", "fl", np.array([[9.14]], np.float32), r"opencv\.K .* and the K of camera\.fl"),
        ("camera", "pp", np.array([[0.005, 0.023]], np.float32), r"opencv\.K .* and the K of camera\.fl"),
        ("camera", "t", np.array([[0.01, -0.02, 1.2]], np.float32), r"opencv\.t .* and camera\.t"),
        ("camera", "R", np.array([[1, 0, 0, 0, 1, 0]], np.float32), r"opencv\.R .* and camera\.R"),
        ("opencv", "R", np.diag([1.0, 1, -1]).astype(np.float32)[None], "not a rotation"),
        ("opencv", "R", np.full((1, 3, 3), 1e200), "not a rotation"),
        ("camera", "R", np.full((1, 6), 1e300), "span no plane"),
        ("opencv", "K", np.diag([-2337.0, 2337, 1]).astype(np.float32)[None], "not a camera matrix"),
    ],
)
def test_a_frame_that_contradicts_itself_is_refused_with_the_place(
    group: str, key: str, value: Any, says: str
) -> None:
    content = factory.content()
    content[group][key] = value
    with pytest.raises(InconsistentData, match=says):
        parse_frame(factory.saved(content), "00000.frame")


def _turned(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@pytest.mark.parametrize(("turn_rad", "refused"), [(1e-5, False), (5e-4, True)])
def test_a_pose_that_was_edited_by_a_few_hundredths_of_a_degree_is_noticed(
    turn_rad: float, refused: bool
) -> None:
    content = factory.content()
    content["opencv"]["R"] = (content["opencv"]["R"][0] @ _turned(turn_rad)).astype(np.float32)[None]
    with pytest.raises(InconsistentData, match="differ") if refused else contextlib.nullcontext():
        parse_frame(factory.saved(content), "00000.frame")


def test_a_rotation_that_was_scaled_by_a_thousandth_is_none() -> None:
    content = factory.content()
    content["opencv"]["R"] = content["opencv"]["R"] * np.float32(1.001)
    with pytest.raises(InconsistentData, match="not a rotation"):
        parse_frame(factory.saved(content), "00000.frame")


def test_img_size_given_as_width_height_contradicts_the_ndc_block() -> None:
    content = factory.content(size_hw=(540, 960))
    content["img_size"] = np.array([960, 540])
    with pytest.raises(InconsistentData, match="img_size"):
        parse_frame(factory.saved(content), "00000.frame")


@pytest.mark.parametrize("size", [np.array([0, 512]), np.array([np.nan, 512]), np.array([1 << 40, 512])])
def test_an_impossible_img_size_is_refused(size: Any) -> None:
    with pytest.raises(InconsistentData, match="img_size"):
        parse_frame(factory.saved({**factory.content(), "img_size": size}), "00000.frame")


@pytest.mark.parametrize("frame_id", ["../x", "0000a", "", "٣٤", "12345678", -7, 10**7, 7.5, [7], True, None])
def test_a_frame_id_that_is_no_digits_is_refused(frame_id: Any) -> None:
    with pytest.raises(InconsistentData, match="frame_id"):
        parse_frame(factory.saved({**factory.content(), "frame_id": frame_id}), f"{frame_id}.frame")


def test_a_frame_that_is_named_otherwise_than_its_id_is_refused(tmp_path: Path) -> None:
    factory.write_frame(tmp_path, "00003").rename(tmp_path / "00004.frame")
    with pytest.raises(InconsistentData, match="'00003', but the file is named"):
        read_frame(tmp_path / "00004.frame")


def test_a_frame_that_is_not_a_dict_is_refused() -> None:
    with pytest.raises(InconsistentData, match="it holds a list"):
        parse_frame(factory.saved([1, 2]), "00000.frame")


BOXES = {
    "array int64": np.array([510, 1410, 90, 990]),
    "array int32": np.array([510, 1410, 90, 990], np.int32),
    "array float64": np.array([510.0, 1410, 90, 990]),
    "array float32": np.array([510, 1410, 90, 990], np.float32),
    "array 1x4": np.array([[510, 1410, 90, 990]]),
    "array int16": np.array([510, 1410, 90, 990], np.int16),
    "array uint16": np.array([510, 1410, 90, 990], np.uint16),
    "array uint32": np.array([510, 1410, 90, 990], np.uint32),
    "array uint64": np.array([510, 1410, 90, 990], np.uint64),
    "list": [510, 1410, 90, 990],
    "tuple": (510, 1410, 90, 990),
    "list of numpy scalars": [np.int64(510), np.float32(1410), np.int32(90), np.float64(990)],
    "list of small numpy scalars": [np.int16(510), np.uint16(1410), np.uint8(90), np.int16(990)],
    "list in a list": [[510, 1410, 90, 990]],
    "tensor int64": torch.tensor([510, 1410, 90, 990]),
    "tensor int32": torch.tensor([510, 1410, 90, 990], dtype=torch.int32),
    "tensor int16": torch.tensor([510, 1410, 90, 990], dtype=torch.int16),
    "tensor float32": torch.tensor([510.0, 1410, 90, 990]),
    "tensor 1x4": torch.tensor([[510, 1410, 90, 990]], dtype=torch.float64),
    "tensor view": torch.tensor([0, 510, 1410, 90, 990])[1:],
}


@pytest.mark.parametrize("value", BOXES.values(), ids=BOXES.keys())
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_box_is_read_in_the_tracker_s_order_from_every_type_it_may_have(value: Any, spelled: Any) -> None:
    data = factory.saved(value)
    if not isinstance(value, torch.Tensor):
        data = spelled(data)
    box = parse_box(data, "bbox.pt")
    assert box == (510, 1410, 90, 990)
    assert all(type(n) is int for n in box)


@pytest.mark.parametrize("one_byte", [np.uint8, np.int8, torch.uint8, torch.int8])
def test_a_box_of_a_tiny_video_may_be_stored_in_single_bytes(one_byte: Any) -> None:
    numbers = [5, 95, 9, 99]
    made = torch.tensor(numbers, dtype=one_byte) if isinstance(one_byte, torch.dtype) else None
    data = factory.saved(np.array(numbers, one_byte) if made is None else made)
    assert parse_box(data, "bbox.pt") == (5, 95, 9, 99)


def test_a_box_of_another_program_is_refused_because_its_order_is_unknown() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([90, 990, 510, 1410]))
    with pytest.raises(InconsistentData, match=r"numpy array \(\.npy\).*y_min, y_max, x_min, x_max"):
        parse_box(buffer.getvalue(), "bbox.npy")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.array([1, 2, 3, 4, 5]), "an array of 5"),
        ([1, 2, 3, 4, 5], "it holds 5 entries"),
        (np.array([1, np.nan, 3, 4]), "four whole numbers; it holds 1.0, nan"),
        ([1, float("inf"), 3, 4], "four whole numbers"),
        ([1.5, 2, 3, 4], "four whole numbers; it holds 1.5"),
        ([True, 2, 3, 4], "four whole numbers; it holds bool"),
        (["1", 2, 3, 4], "four whole numbers; it holds str"),
        (np.array([900, 500, 90, 990]), r"not a box: x 900\.\.500"),
        (np.array([500, 900, 990, 90]), r"not a box: x 500\.\.900, y 990\.\.90"),
        ([0, 2**40, 0, 10], "not a box"),
        (np.array([0, 2**63, 0, 10], np.uint64), "not a box"),
        (np.array([[510], [1410], [90], [990]]), "an array of 4 x 1"),
        ([torch.tensor(1)] * 4, "it holds Tensor"),
        (torch.tensor([1, 2, 3]), "an array of 3"),
        (torch.tensor(4), "an array of one number"),
        ({"bbox": 1}, "it holds a dict"),
        (None, "it holds nothing"),
        ([], "it holds a list"),
    ],
)
def test_a_box_of_wrong_numbers_is_refused_with_what_it_holds(value: Any, says: str) -> None:
    with pytest.raises(InconsistentData, match=says):
        parse_box(factory.saved(value), "bbox.pt")


def test_an_empty_file_is_torn() -> None:
    for parse in (parse_box, parse_frame):
        with pytest.raises(TornFile, match=r"is empty.*\n.*sync"):
            parse(b"", "bbox.pt")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"00000\.frame"):
        read_frame(tmp_path / "00000.frame")


def test_links_folders_pipes_and_devices_are_refused_unread(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("/etc/passwd")
    os.mkfifo(pipe)
    for path, says in (
        (link, "symbolic link"),
        (tmp_path, "folder"),
        (pipe, "pipe"),
        (Path("/dev/zero"), "device"),
    ):
        with pytest.raises(UnsafeFile, match=says):
            read_box(path)


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(UnsafeFile, match=r"1099511627776 bytes"):
        read_box(path)


@pytest.mark.parametrize(
    "value", [[510, 1410, 90, 990], np.array([510, 1410, 90, 990]), torch.tensor([510, 1410, 90, 990])]
)
def test_a_box_in_torch_s_format_before_zip_archives_is_read(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "bbox.pt"
    torch.save(value, path, _use_new_zipfile_serialization=False)
    assert read_box(path) == (510, 1410, 90, 990)


def test_a_web_page_saved_as_bbox_pt_is_called_no_archive() -> None:
    with pytest.raises(TornFile, match="not an archive"):
        parse_box(b"<html>login</html>", "bbox.pt")


def test_names_with_control_characters_are_escaped_in_messages() -> None:
    with pytest.raises(TornFile) as caught:
        parse_frame(b"", "a\x1b[31m.frame")
    assert "\x1b" not in str(caught.value)


def test_reading_frames_and_arrays_imports_neither_torch_nor_pickle_loads(tmp_path: Path) -> None:
    factory.write_frame(tmp_path)
    (tmp_path / "bbox.pt").write_bytes(factory.saved(np.array([1, 2, 3, 4])))
    code = (
        "from being_remote.tracker.box_file import read_box\n"
        "from being_remote.tracker.frame_file import read_frame\n"
        "from being_remote.tracker.sequence import read_sequence\n"
        "read_frame(sys.argv[1] + '/00000.frame'); read_sequence(sys.argv[1])\n"
        "print(read_box(sys.argv[1] + '/bbox.pt'))\n"
    )
    assert printed_without_unpickling(code, tmp_path) == "(1, 2, 3, 4)\n\n"
