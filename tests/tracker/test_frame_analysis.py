"""One `.frame` taken apart: all that is in it, and all that is wrong with it."""

from __future__ import annotations

from typing import Any

import frame_factory as factory
import numpy as np
import pytest
import torch

from being_remote.errors import TornFile, UnsafeFile, UsageError
from being_remote.tracker.frame_analysis import MEANINGS, FrameAnalysis, analyze_frame
from being_remote.tracker.frame_entries import LAST_KEYS, SHAPES
from being_remote.tracker.frame_file import parse_frame


def taken_apart(content: Any, name: str = "00000.frame") -> FrameAnalysis:
    return analyze_frame(factory.saved(content), name)


def test_a_genuine_frame_is_shown_whole_and_has_no_problems() -> None:
    found = taken_apart(factory.content("00042"), "a/00042.frame")
    frame = parse_frame(factory.saved(factory.content("00042")), "00042.frame")
    assert found.problems == () and found.notes == ()
    assert (found.frame_id, found.global_step, found.image_size_wh) == ("00042", 1234, (512, 512))
    np.testing.assert_array_equal(found.K, frame.K)
    np.testing.assert_array_equal(found.R, frame.R)
    assert [e.key for e in found.entries] == list(frame.keys)
    assert next(e for e in found.entries if e.key == "flame.exp").shape == (1, 100)


def test_every_key_of_the_tracker_has_a_meaning() -> None:
    assert set(MEANINGS) == {*SHAPES, *LAST_KEYS}


def test_img_size_is_height_width_in_the_file_and_width_height_here() -> None:
    found = taken_apart(factory.content(size_hw=(540, 960)))
    assert found.image_size_wh == (960, 540) and found.problems == ()
    assert "without a crop" in found.notes[0]


def test_the_jaw_is_given_in_degrees_or_at_rest() -> None:
    content = factory.content()
    a = np.radians(12.0)
    content["flame"]["jaw"] = np.array([[1, 0, 0, 0, np.cos(a), -np.sin(a)]], np.float32)
    content["flame"]["eyes"] = np.array([[1, 0, 0, 0, 1, 0] * 2], np.float32)
    says = {e.key: e.says for e in taken_apart(content).entries}
    assert says["flame.jaw"] == "opens 12.0 deg"
    assert says["flame.eyes"] == "right at rest, left at rest"


def changed(**groups: dict[str, Any]) -> dict[str, Any]:
    content = factory.content()
    for group, entries in groups.items():
        content[group].update(entries)
    return content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            changed(opencv={"K": np.diag([-2337.0, 2337, 1]).astype("f4")[None]}),
            ["not a camera matrix", "opencv.K ["],
        ),
        (changed(camera={"fl": np.array([[9.0]], "f4")}), ["opencv.K ["]),
        (
            changed(camera={"t": np.array([[1, 2, 3]], "f4"), "fl": np.array([[9.0]], "f4")}),
            ["opencv.t", "opencv.K"],
        ),
        (changed(camera={"R": np.ones((1, 6), "f4")}), ["span no plane"]),
        (
            changed(flame={"exp": np.full((1, 100), factory.SIGNALLING_NAN)}),
            ["flame.exp holds numbers that are not finite"],
        ),
        (
            changed(opencv={"K": np.full((1, 3, 3), factory.SIGNALLING_NAN)}),
            ["opencv.K holds numbers that are not finite", "camera holds numbers that are not finite"],
        ),
        (changed(opencv={"K": np.eye(4, dtype="f4")[None]}), ["opencv.K must be an array of 1 x 3 x 3"]),
        (changed(flame={"jaw": np.zeros((1, 3), "f4")}), ["flame.jaw must be an array of 1 x 6"]),
        ({**factory.content(), "img_size": np.array([512, 0])}, ["img_size is 512, 0"]),
        ({**factory.content(), "img_size": np.array([540, 960])}, ["opencv.K ["]),
        (
            {**factory.content(), "img_size": [512, 512]},
            ["img_size in lists"],
        ),
        ({**factory.content(), "frame_id": "../../x"}, ["frame_id is '../../x'"]),
        ({**factory.content(), "frame_id": 7}, ["frame_id is 7, but the file is named"]),
        ({**factory.content(), "global_step": "x"}, ["global_step is a str"]),
    ],
)
def test_each_thing_that_is_wrong_is_listed(content: dict[str, Any], says: list[str]) -> None:
    found = taken_apart(content)
    for words in says:
        assert any(words in told for told in (*found.problems, *found.notes)), found


def test_whatever_recover_refuses_has_a_problem_and_the_rest_has_none() -> None:
    found = taken_apart(factory.content("00003"), "00004.frame")
    assert found.problems == ("frame_id is '00003', but the file is named '00004'",)


def test_a_principal_point_outside_of_the_image_and_one_far_off_are_noted() -> None:
    from being_remote.camera.intrinsics import from_ndc

    for pp, outside in ((1.2, True), (0.5, False)):
        content = factory.content()
        content["camera"]["pp"] = np.array([[pp, 0]], np.float32)
        content["opencv"]["K"] = from_ndc([[9.13]], [[pp, 0]], (512, 512)).astype(np.float32)
        found = taken_apart(content)
        assert found.problems == ()
        assert any("outside of the image" in n for n in found.notes) is outside
        assert any("from its centre" in n for n in found.notes) is not outside


def test_a_focal_that_never_left_its_start_is_noted() -> None:
    from being_remote.camera.intrinsics import from_ndc

    content = factory.content()
    content["camera"]["fl"] = np.array([[5000 / 512]], np.float32)
    content["opencv"]["K"] = from_ndc([[5000 / 512]], content["camera"]["pp"], (512, 512)).astype(np.float32)
    assert any("never fitted" in note for note in taken_apart(content).notes)


def test_a_file_of_a_fork_is_shown_with_what_it_lacks_and_adds() -> None:
    content = factory.content()
    content["opencv"]["intrinsics"] = content["opencv"].pop("K")
    content["extra"] = {"fps": 25, "tags": ["a", None]}
    found = taken_apart(content)
    assert found.K is None and "lacks opencv.K" in found.problems[0]
    assert any("opencv.intrinsics, extra.fps, extra.tags" in note for note in found.notes)
    assert next(e for e in found.entries if e.key == "extra.fps").says == "25"


def test_names_and_texts_of_a_hostile_file_are_cut_and_escaped() -> None:
    content = {**factory.content(), "a\x1b[31m" * 1000: "b\n" * 10_000}
    found = taken_apart(content)
    assert max(len(e.key) for e in found.entries) <= 80 and max(len(e.says) for e in found.entries) < 200
    assert all(text.isprintable() for text in (*found.problems, *found.notes))


def test_ten_thousand_strange_entries_cost_no_more_than_their_bytes() -> None:
    found = taken_apart({**factory.content(), **{f"k{i}": i for i in range(3000)}})
    assert len(found.entries) == 3017 and len(found.notes[0]) < 400


@pytest.mark.parametrize(
    "box", [np.array([510, 1410, 90, 990]), [510, 1410, 90, 990], torch.tensor([510, 1410, 90, 990])]
)
def test_a_bbox_given_by_mistake_is_called_one_and_shown(box: Any) -> None:
    with pytest.raises(UsageError, match=r"is a bbox\.pt.*x 510\.\.1410, y 90\.\.990 \(900x900") as caught:
        analyze_frame(factory.saved(box), "bbox.pt")
    assert "--bbox" in caught.value.hint


@pytest.mark.parametrize("value", [None, 3, "text", True])
def test_an_archive_of_anything_else_is_no_frame(value: Any) -> None:
    with pytest.raises(UsageError, match=r"is not a \.frame: it holds"):
        analyze_frame(factory.saved(value), "x.frame")


def test_a_torn_or_unsafe_file_is_not_opened_further() -> None:
    data = factory.saved(factory.content())
    with pytest.raises(TornFile):
        analyze_frame(data[:-300], "00000.frame")
    with pytest.raises(UnsafeFile):
        analyze_frame(factory.with_pickle(data, b"cos\nsystem\n(S'true'\ntR."), "00000.frame")
