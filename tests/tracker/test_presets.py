"""Presets: what they set, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from being_remote.demo.checkout import CONFIG
from being_remote.errors import UsageError
from being_remote.tracker.checkout_defaults import read_defaults
from being_remote.tracker.frame_cost import frame_cost
from being_remote.tracker.presets import PRESETS, find_preset, text
from being_remote.tracker.settings import KEYS, check, coerce

ROUND_2 = PRESETS["gaussiantalker-round2"].settings_for(KEYS)


def test_the_three_presets_set_what_their_names_promise() -> None:
    assert list(PRESETS) == ["flashavatar", "gaussiantalker-round2", "full-face"]
    assert PRESETS["flashavatar"].settings_for(KEYS) == {}
    assert PRESETS["full-face"].settings_for(KEYS) == {"optimize_shape": True, "optimize_jaw": True}
    expected = {"bbox_scale": 3.5, "image_size": [768, 768], "optimize_shape": True, "optimize_jaw": True}
    assert {k: v for k, v in ROUND_2.items() if k != "pyr_levels"} == expected
    assert ROUND_2["pyr_levels"] == [[1.0, 240], [0.25, 60], [0.5, 60], [1.0, 105]]


@pytest.mark.parametrize(
    "levels", [[[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]], [[0.5, 10], [0.125, 9], [0.5, 300]]]
)
def test_a_preset_keeps_the_levels_of_the_checkout_and_gives_each_more_iterations(levels: Any) -> None:
    keys = read_defaults(CONFIG.replace(str(KEYS["pyr_levels"].default), str(levels)).encode(), "c").keys
    made = PRESETS["gaussiantalker-round2"].settings_for(keys)["pyr_levels"]
    assert isinstance(made, list)
    assert [scale for scale, _ in made] == [scale for scale, _ in levels]
    assert [n for _, n in made] == [round(1.5 * n) for _, n in levels]
    assert f"(default {levels})" in text("gaussiantalker-round2", keys)


def test_the_cost_of_a_preset_is_that_of_the_formula() -> None:
    (cost,) = PRESETS["gaussiantalker-round2"].cost()
    dense = (0.0625 * 61 + 0.25 * 61 + 105) * 768**2 / ((0.0625 * 41 + 0.25 * 41 + 71) * 512**2)
    assert f"{dense:.1f} times the dense work" in cost and f"{dense:.1f}" == "3.3"
    assert "241 landmark iterations" in cost and "161" in cost
    assert cost in text("gaussiantalker-round2")
    assert PRESETS["full-face"].cost() == ()
    # The pyramid of older commits under this formula, which compares pictures on all levels but the first.
    older = frame_cost({"pyr_levels": [[0.75, 130], [1.25, 130], [1.5, 130]], "image_size": [768, 768]})
    usual = frame_cost({})
    assert older is not None and usual is not None
    assert 13.4 < older.dense_pixels / usual.dense_pixels < 13.6


def test_a_checkout_that_lacks_a_key_of_a_preset_is_named_and_one_without_a_pyramid_is_reported() -> None:
    older = read_defaults(CONFIG.replace("cfg.optimize_jaw", "cfg.jaw_too").encode(), "c").keys
    with pytest.raises(UsageError, match="sets optimize_jaw, which this checkout"):
        PRESETS["full-face"].settings_for(older)
    fork = read_defaults(CONFIG.replace("cfg.pyr_levels", "cfg.sampling").encode(), "c").keys
    assert "pyr_levels" not in PRESETS["gaussiantalker-round2"].settings_for(fork)
    assert "no pyr_levels" in text("gaussiantalker-round2", fork)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_setting_is_as_the_tracker_takes_it_and_has_its_reason_in_the_text(name: str) -> None:
    shown = text(name)
    for key, value in find_preset(name).settings_for(KEYS).items():
        assert coerce(key, value) == value and type(coerce(key, value)) is type(value)
        assert f"{key}: {str(value).lower()}" in shown
        assert find_preset(name).reasons[key] in shown
    check(find_preset(name).settings_for(KEYS))
    assert all(note in shown for note in find_preset(name).advice(KEYS))
    assert set(find_preset(name).reasons) == set(find_preset(name).settings_for(KEYS))


def test_the_text_says_what_478_landmarks_can_mean_and_what_the_resolution_gains() -> None:
    shown = text("gaussiantalker-round2")
    assert "115 of them" in shown and "cannot mean" in shown
    assert "7 % more" in shown and "43 % more" in shown and "clipped" in shown


def test_the_advice_is_for_the_defaults_of_the_checkout() -> None:
    fork = CONFIG.replace("bbox_scale = 2.5", "bbox_scale = 2.0").replace("[512, 512]", "[640, 640]")
    fork = fork.replace("optimize_jaw = False", "optimize_jaw = True")
    keys = read_defaults(fork.encode(), "c").keys
    shown = text("gaussiantalker-round2", keys)
    assert "31 % fewer pixels across the face than 2 at 640" in shown and "9 % fewer" in shown
    assert "this checkout fits jaw by default" in text("flashavatar", keys)
    assert "jaw at rest" in text("flashavatar") and "jaw at rest" not in text("flashavatar", keys)


def test_for_an_unknown_preset_the_known_ones_are_named() -> None:
    with pytest.raises(UsageError, match="round3") as caught:
        text("gaussiantalker-round3")
    assert "gaussiantalker-round2" in caught.value.hint
