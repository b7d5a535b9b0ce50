"""Presets: what they set, and what they say."""

from __future__ import annotations

import pytest

from being_remote.errors import UsageError
from being_remote.tracker.config import check, coerce
from being_remote.tracker.presets import PRESETS, preset, text

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
