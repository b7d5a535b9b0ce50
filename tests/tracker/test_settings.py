"""Settings: what a person types becomes what the tracker's yacs takes, or is refused by name."""

from __future__ import annotations

import contextlib
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from being_remote.demo.checkout import CONFIG
from being_remote.errors import InconsistentData, UsageError
from being_remote.tracker.checkout_defaults import read_defaults
from being_remote.tracker.run_settings import RunSettings, parse_run_settings
from being_remote.tracker.settings import (
    KEYS,
    PATHS,
    check,
    coerce,
    compare,
    parse_override,
    parse_settings,
    parse_sweep,
    to_yaml,
)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("image_size=768", [768, 768]),
        ("image_size=[768, 768]", [768, 768]),
        ("image_size=[768.0, 640]", [768, 640]),
        ("bbox_scale=3", 3.0),
        ("translation_lr=1e-3", 0.001),
        ("optimize_jaw=1", True),
        ("optimize_jaw=no", False),
        ("optimize_shape=yes", True),
        ("w_pho=400.0", 400),
        ("keyframes=5", [5]),
        ("keyframes=[0, 10, 20]", [0, 10, 20]),
        ("pyr_levels=[[1, 50.0]]", [[1.0, 50]]),
        ("sigma=-1", -1.0),
        ("flame_geom_path=data/other.pkl", "data/other.pkl"),
        (" fps = 30", 30),
    ],
)
def test_a_typed_value_gets_the_type_of_the_trackers_default(typed: str, value: object) -> None:
    key, got = parse_override(typed)
    assert got == value
    assert type(got) is type(KEYS[key].default)
    if isinstance(got, list) and isinstance(value, list):
        assert [type(v) for v in got] == [type(v) for v in value]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("bbox_scale=0", "above 0"),
        ("bbox_scale=.nan", "a number"),
        ("bbox_scale=true", "a number"),
        ("bbox_scale=[1]", "a number"),
        ("fps=29.97", "a whole number"),
        ("begin_frames=-1", "at least 0"),
        ("optimize_jaw=2", "true or false"),
        ("optimize_jaw=maybe", "true or false"),
        ("image_size=[512]", r"\[height, width\]"),
        ("image_size=[0, 0]", r"\[height, width\]"),
        ("image_size=1000000", r"\[height, width\]"),
        ("image_size=768x768", r"\[height, width\]"),
        ("image_size={a: 1}", "height, width"),
        ("keyframes=[]", "frame numbers"),
        ("keyframes=[-1]", "frame numbers"),
        ("pyr_levels=[]", "scale, iterations"),
        ("pyr_levels=[90]", "scale, iterations"),
        ("pyr_levels=[[0.5, 0]]", "scale, iterations"),
        ("pyr_levels=[[0.5, 90, 1]]", "scale, iterations"),
        ("flame_geom_path=12", "text"),
        ("flame_geom_path=2001-01-01", "text"),
        ("flame_geom_path=2001-99-99", "not a YAML value"),
        ("bbox_scale=[1", "not a YAML value"),
        ("bbox_scale=" + "[" * 5000, "not a YAML value"),
        ("bbox_scale=", "not a YAML value|a number"),
        ("bbox_scale", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("save_folder=/tmp", "set by the job"),
        ("actor=x", "set by the job"),
        ("config_name=x", "set by the job"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_the_form_it_must_have(typed: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_override(typed)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("bbox_scal", "bbox_scale"),
        ("optimise_shape", "optimize_shape"),
        ("imagesize", "image_size"),
        ("iterations", "pyr_levels"),
        ("num_iters", "pyr_levels"),
    ],
)
def test_for_an_unknown_key_the_nearest_known_one_is_named(key: str, near: str) -> None:
    with pytest.raises(UsageError, match=r"not a setting of the tracker") as caught:
        parse_override(f"{key}=1")
    assert near in caught.value.hint


_plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_any = _plain | st.lists(_plain | st.lists(_plain, max_size=3), max_size=4)


@pytest.mark.slow
@given(key=st.sampled_from([k for k in KEYS if k not in PATHS]), value=_any)
def test_whatever_is_accepted_is_taken_by_the_trackers_own_rules(key: str, value: object) -> None:
    try:
        got = coerce(key, value)
    except UsageError:
        return
    written = yaml.safe_load(to_yaml({key: got}))
    assert written == {key: got}
    # yacs: the very type of the default, or it stops.
    assert type(written[key]) is type(KEYS[key].default)
    assert coerce(key, got) == got


def test_the_table_is_that_of_the_newest_commit() -> None:
    levels = [[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]]
    assert KEYS["pyr_levels"].default == levels
    weights = {name: KEYS[name].default for name in KEYS if name.startswith("w_lmks")}
    assert weights == {
        "w_lmks": 7000,
        "w_lmks_68": 1000,
        "w_lmks_lid": 1000,
        "w_lmks_mouth": 15000,
        "w_lmks_iris": 1000,
        "w_lmks_oval": 2000,
    }
    assert parse_override("w_lmks_68=500") == ("w_lmks_68", 500)
    of_a_checkout = read_defaults(CONFIG.encode(), "configs/config.py")
    assert of_a_checkout.read and of_a_checkout.notes == ()
    assert {k: (type(v), v) for k, v in of_a_checkout.values.items()} == {
        k: (type(key.default), key.default) for k, key in KEYS.items()
    }


def test_a_crop_that_is_not_square_is_refused_unless_nothing_is_cropped() -> None:
    with pytest.raises(UsageError, match="not square"):
        check({"image_size": [540, 960]})
    check({"image_size": [540, 960], "crop_image": False})


def test_two_settings_are_compared_with_defaults_filled_in_and_paths_left_out() -> None:
    before = {"bbox_scale": 2.5, "actor": "./input/a", "begin_frames": 1}
    after = {"bbox_scale": 3.5, "actor": "/w/input/a", "begin_frames": 1, "w_exp": 0.02}
    (change,) = compare(before, after)
    assert (change.key, change.before, change.after) == ("bbox_scale", 2.5, 3.5)
    assert "another K" in change.meaning
    assert compare(after, after) == ()


def test_settings_from_a_stranger_are_read_and_what_is_unknown_is_named() -> None:
    text = (
        b"actor: './input/a'\nimage_size: [ 768, 768 ] # height, width\nsampling: [[0.5, 200]]\n"
        b"bbox_scale: {a: b}\nfps: 29.97\n? [1, 2]\n: 3\n"
    )
    found, passed_over = parse_settings(text, "a.yml")
    assert found == {"actor": "./input/a", "image_size": [768, 768]}
    assert len(passed_over) == 4
    assert "sampling" in passed_over[0] and "fps" in passed_over[2]
    assert parse_settings(b"", "a.yml") == ({}, ())


@pytest.mark.parametrize("text", [b"- a", b"a: [", b"x" * 70_000, b"[" * 5000, b"\xff\xfe\x00"])
def test_a_file_that_is_no_settings_is_refused(text: bytes) -> None:
    with pytest.raises(InconsistentData, match=r"a\.yml"):
        parse_settings(text, "a.yml")


HOSTILE = [
    b"fps: !!bool x",
    b"fps: !!int ''",
    b"fps: !!float ''",
    b"fps: !!timestamp x",
    b"fps: 2001-99-99",
    b"fps: !!python/object/apply:os.system [x]",
    b"fps: !!binary x",
    b"fps: !!set {a}",
    b"fps: 0x" + b"f" * 4000,
    b"fps: 1" + b"0" * 5000,
    b"fps: " + b"1:" * 2000 + b"1",
    b'actor: "\\ud800"',
    b'actor: "\\0"',
    b'actor: "\\U00110000"',
    b"fps: *a",
    b"fps: &a [*a]",
    b"fps: =",
    b"%YAML 1." + b"9" * 5000 + b"\n---\nfps: 3",
    b"[" * 60_000,
    b"fps: " + b"[" * 60_000,
    b"- " * 30_000,
    b"--- {}\n--- {}",
    b"\x00",
    b"fps: {<<: 5}",
]


def test_a_thousand_settings_that_each_name_a_large_value_take_no_time() -> None:
    lists = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 5)
    )
    started = time.process_time()
    found, passed_over = parse_settings((lists + "fps: *a4\n" * 1000).encode(), "a.yml")
    assert time.process_time() - started < 3
    assert found == {} and len(passed_over) == 1005


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:24].decode("ascii", "replace"))
def test_a_hostile_value_or_tag_is_passed_over_or_refused_and_no_bug(text: bytes) -> None:
    for read in (parse_settings, parse_run_settings):
        with contextlib.suppress(InconsistentData):
            found = read(text, "a.yml")
            assert isinstance(found, RunSettings) or found[0] == {}
    written = text.decode("ascii", "replace").partition(":")[2].strip()
    for parse in (parse_override, parse_sweep):
        with contextlib.suppress(UsageError):
            parse(f"fps={written}")


def test_settings_that_would_fill_the_memory_are_never_built() -> None:
    bomb = "a: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"k{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    )
    found, passed_over = parse_settings(f"{bomb}pyr_levels: *a29\nbegin_frames: 3\n".encode(), "a.yml")
    assert found == {"begin_frames": 3}
    assert len(passed_over) == 31
