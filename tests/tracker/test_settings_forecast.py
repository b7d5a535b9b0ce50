"""`--what-if`: which settings change the crop, the figures, and the words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box, resize_only
from being_remote.cli.json_values import to_json
from being_remote.demo import head
from being_remote.demo.actor import make_actor
from being_remote.demo.tracker_recipe import face_box, project
from being_remote.errors import UsageError
from being_remote.tracker.presets import PRESETS
from being_remote.tracker.settings import KEYS, Settings
from being_remote.tracker.settings_forecast import WhatIf, crop_settings, parse_what_if, what_if

ROUND_2 = PRESETS["gaussiantalker-round2"].settings_for(KEYS)
FULL_HD = (1920, 1080)
CROP = crop_from_box((510, 1410, 90, 990), FULL_HD, (512, 512))
K = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])


def ask(*words: str, before: Settings | None = None) -> WhatIf:
    return what_if(CROP, before or {}, parse_what_if(words, before or {}), K)


def test_the_guides_question_is_answered_with_figures() -> None:
    found = ask("bbox_scale=3.5", "image_size=[768,768]")
    assert found.lines[0].endswith("about 7 % more pixels across the face (205 -> 219)")
    assert "top and bottom: 14% of the network image" in found.lines[1]
    # The focal follows the crop: 2339 * 900/512 * 768/1260. Scaled by the image alone it would be 3508.5.
    assert found.lines[2] == "focal length in the network image: 2339.0 -> 2506.1 px"
    assert found.least.K is not None and found.least.K[0][0] == pytest.approx(2339 * 900 / 512 * 768 / 1260)
    # The principal point of the source, (958.2422, 529.4531), seen from the new crop's origin (330, -90).
    assert found.least.K[0][2] == pytest.approx((958.2421875 - 330) * 768 / 1260)
    assert found.least.K[1][2] == pytest.approx((529.453125 + 90) * 768 / 1260)
    assert [c.key for c in found.changes] == ["bbox_scale", "image_size"]


def test_3_5_at_768_gains_7_percent_at_1024_43_and_the_larger_crop_alone_loses_29() -> None:
    gains = {768: 7.14, 1024: 42.86, 512: -28.57}
    for image, gain in gains.items():
        assert ask("bbox_scale=3.5", f"image_size={image}").least.gain_percent == pytest.approx(
            gain, abs=0.01
        )


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right", "none"])
def test_the_forecast_box_is_the_one_that_the_trackers_rule_makes(tmp_path: Path, edge: str) -> None:
    truth = make_actor(tmp_path, frames=1, edge=edge, pictures=False)  # type: ignore[arg-type]  # of Edge
    assert truth.box is not None
    crop = crop_from_box(truth.box, truth.size_wh, (512, 512))
    landmarks = project(truth.K_source, truth.R_source[0], truth.t_source[0], head.landmarks_68())
    for scale in (1.5, 2.0, 3.5):
        made = crop_from_box(face_box(landmarks, truth.size_wh, scale), truth.size_wh, (512, 512))
        ends = what_if(crop, {}, {"bbox_scale": scale})
        for end in (ends.least, ends.most) if ends.exact else ():
            found = end.x_min, end.x_max, end.y_min, end.y_max
            assert found == (made.x_min, made.x_max, made.y_min, made.y_max), (edge, scale)
        assert ends.least.side - 2 <= made.side <= ends.most.side + 2, (edge, scale)
        assert ends.exact or edge not in ("none", "top", "left")


def test_a_corner_says_both_ends_of_what_the_face_can_be() -> None:
    crop = crop_from_box((1200, 1919, 300, 1079), FULL_HD, (512, 512))
    found = what_if(crop, {}, {"bbox_scale": 2.0})
    assert not found.exact and found.least.face_px != found.most.face_px
    assert "both ends of what it can be are given" in found.lines[-1]
    assert "22 to 25 % more" in found.lines[0]


def test_a_box_that_the_runs_scale_cannot_have_made_is_doubted_in_words() -> None:
    crop = crop_from_box((510, 1412, 90, 992), FULL_HD, (512, 512))
    assert "only about right" in what_if(crop, {}, {"bbox_scale": 2.0}).lines[-1]


def test_an_image_larger_than_the_crop_gains_no_detail_and_that_is_reported() -> None:
    small = crop_from_box((100, 300, 100, 300), FULL_HD, (512, 512))
    assert "no more detail" in " ".join(what_if(small, {}, ROUND_2).lines)


def test_without_a_change_of_the_crop_there_is_nothing_to_say() -> None:
    assert what_if(CROP, {}, {"optimize_jaw": True}).lines == ()
    assert ask("bbox_scale=2.5").lines == ()


def test_of_a_run_without_a_crop_an_image_can_be_forecast_but_no_crop() -> None:
    before = {"crop_image": False, "image_size": [540, 960]}
    whole = resize_only(FULL_HD, (960, 540))
    found = what_if(whole, before, parse_what_if(["image_size=[1080,1920]"], before), K)
    assert found.face_px_before is None and found.least.gain_percent == pytest.approx(100)
    assert found.least.K is not None and found.least.K[0][0] == pytest.approx(2 * 2339)
    with pytest.raises(UsageError, match="nothing says where the face is"):
        what_if(whole, before, parse_what_if(["crop_image=true", "image_size=512"], before))


def test_giving_up_the_crop_squeezes_a_wide_frame_unless_the_image_has_its_shape() -> None:
    assert "squeezed unevenly" in " ".join(ask("crop_image=false").lines)
    whole = ask("crop_image=false", "image_size=[540,960]")
    assert "squeezed" not in " ".join(whole.lines) and whole.least.face_px == pytest.approx(180)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["image_size=[540,960]"], "not square"),
        (["optimize_jaw=true"], "does not change the crop"),
        (["bbox_scale"], "not KEY=VALUE"),
        (["bbox_scale=0"], "above 0"),
        (["bbox_scale=.nan"], "is not a number"),
        (["bbox_scale=1e400"], "is not a number"),
        (["bbox_scal=3"], "not a setting of the tracker"),
        (["crop_image=false", "bbox_scale=3"], "means nothing without a crop"),
        (["image_size=[99999,99999]"], "whole pixels"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_the_reason(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ask(*words)


def test_the_answer_is_plain_json() -> None:
    document = json.loads(json.dumps(to_json(ask("bbox_scale=3.5")), allow_nan=False))
    assert document["least"]["side"] == 1260 and document["least"]["clipped"] == ["top", "bottom"]
    assert document["face_px_before"] == [204.8, 204.8] and document["exact"] is True


def test_the_crops_settings_come_with_their_defaults_and_as_width_height() -> None:
    assert crop_settings({}).image_size_wh == (512, 512)
    assert crop_settings({"image_size": [540, 960]}).image_size_wh == (960, 540)
