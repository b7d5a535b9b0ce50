"""Presets: what they set, what they say, and what they foretell for the actor at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from being_remote.demo.actor import make_actor
from being_remote.errors import UsageError
from being_remote.tracker.config import check, coerce
from being_remote.tracker.presets import PRESETS, gain, gain_notes, preset, text

ROUND_2 = PRESETS["gaussiantalker-round2"].settings


def test_the_three_presets_set_what_their_names_promise() -> None:
    assert list(PRESETS) == ["flashavatar", "gaussiantalker-round2", "full-face"]
    assert PRESETS["flashavatar"].settings == {}
    assert PRESETS["full-face"].settings == {"optimize_shape": True, "optimize_jaw": True}
    expected = {"bbox_scale": 3.5, "image_size": [768, 768], "optimize_shape": True, "optimize_jaw": True}
    assert {k: v for k, v in ROUND_2.items() if k != "pyr_levels"} == expected
    levels = ROUND_2["pyr_levels"]
    assert isinstance(levels, list)
    assert sum(iterations for _, iterations in levels) > 270


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_setting_is_as_the_tracker_takes_it_and_has_its_reason_in_the_text(name: str) -> None:
    shown = text(name)
    for key, value in preset(name).settings.items():
        assert coerce(key, value) == value and type(coerce(key, value)) is type(value)
        assert f"{key}: {str(value).lower()}" in shown
        assert preset(name).reasons[key] in shown
    check(preset(name).settings)
    assert all(note in shown for note in preset(name).notes)
    assert set(preset(name).reasons) == set(preset(name).settings)


def test_the_text_says_what_478_landmarks_can_mean_and_what_the_resolution_gains() -> None:
    shown = text("gaussiantalker-round2")
    assert "115 of them" in shown and "cannot mean" in shown
    assert "7 %" in shown and "43 %" in shown and "clipped" in shown


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="round3") as caught:
        text("gaussiantalker-round3")
    assert "gaussiantalker-round2" in caught.value.hint


def test_3_5_at_768_gains_7_percent_and_at_1024_43() -> None:
    box, size = (510, 1410, 90, 990), (1920, 1080)
    assert gain(box, size, {}, ROUND_2).face == pytest.approx(15 / 14, abs=1e-3)
    assert gain(box, size, {}, {**ROUND_2, "image_size": [1024, 1024]}).face == pytest.approx(
        10 / 7, abs=1e-3
    )
    # The larger crop alone, at 512, loses pixels on the face: what the preset's reason says.
    assert gain(box, size, {}, {"bbox_scale": 3.5}).face == pytest.approx(1 - 0.286, abs=1e-3)


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right", "none"])
def test_the_foretold_box_is_the_one_that_the_trackers_rule_makes(tmp_path: Path, edge: str) -> None:
    from being_remote.demo import actor, head
    from being_remote.demo.motion import project

    truth = make_actor(tmp_path, frames=1, edge=edge, pictures=False)  # type: ignore[arg-type]  # of Edge
    assert truth.box is not None
    landmarks = project(truth.K_source, truth.R_source[0], truth.t_source[0], head.landmarks_68())
    for scale in (1.5, 2.0, 3.5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(actor, "BBOX_SCALE", scale)
            made = actor.face_box(landmarks, truth.size_wh)
        foretold = gain(truth.box, truth.size_wh, {}, {"bbox_scale": scale}).box
        assert max(abs(a - b) for a, b in zip(made, foretold, strict=True)) <= 6, (edge, scale)
        # The tracker's sides are even, so the foretold padding is whole, too.
        assert (foretold[1] - foretold[0]) % 2 == (foretold[3] - foretold[2]) % 2 == 0


def test_notes_tell_of_borders_and_of_enlarged_crops_and_are_silent_without_a_change() -> None:
    box = (510, 1410, 90, 990)
    cut = " ".join(gain_notes(box, (1920, 1080), {}, ROUND_2))
    assert "7 % more" in cut and "top and bottom" in cut and "14%" in cut
    small = (100, 300, 100, 300)
    assert "no more detail" in " ".join(gain_notes(small, (1920, 1080), {}, ROUND_2))
    assert gain_notes(box, (1920, 1080), {}, {"optimize_jaw": True}) == ()
    with pytest.raises(ValueError, match="outside"):
        gain(box, (640, 480), {}, ROUND_2)
