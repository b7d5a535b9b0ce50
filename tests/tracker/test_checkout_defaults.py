"""The keys and defaults of a checkout are read from its own file, of which nothing is run."""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path

import pytest

from being_remote.demo.checkout import CONFIG
from being_remote.errors import UsageError
from being_remote.tracker.checkout_defaults import MAX_NOTES, from_values, read_defaults
from being_remote.tracker.presets import PRESETS, text
from being_remote.tracker.settings import (
    KEYS,
    check,
    coerce,
    compare,
    complete,
    parse_override,
    parse_settings,
    to_yaml,
)
from being_remote.tracker.settings_forecast import crop_settings

FORK = """
import os
cfg = CN()
cfg.keyframes = [0]
cfg.bbox_scale = 3  # an int in this fork
cfg.w_lmks = 5000.0
cfg.gpu_ids = '0'
cfg.scales = (1.0,
              0.5)
cfg.note = None; cfg.names = ['a', 'b']
cfg.root = os.path.join('a', 'b')
if os.name:
    cfg.fps = 99
def f():
    cfg.w_pho = 1
cfg.w_pho = 2
cfg.w_pho = 3
"""


def test_frames_are_never_counted_with_fractions_whatever_a_checkout_says() -> None:
    found = read_defaults(b"cfg.begin_frames = 1.0\ncfg.end_frames = 2\ncfg.fps = 29.97\n", "config.py")
    assert found.values == {"end_frames": 2, "fps": 29.97}
    assert found.notes[0] == "config.py: the default of begin_frames is not read: '1.0' has an unknown form"


def test_a_forks_own_keys_are_known_and_take_values_of_their_own_type() -> None:
    found = read_defaults(FORK.encode(), "pod: /w/configs/config.py")
    keys = found.keys
    assert found.read
    assert found.values == {
        "keyframes": [0],
        "bbox_scale": 3,
        "w_lmks": 5000.0,
        "gpu_ids": "0",
        "scales": [1.0, 0.5],
        "note": None,
        "names": ["a", "b"],
        "w_pho": 3,
    }
    assert parse_override("scales=[1, 2]", keys) == ("scales", [1.0, 2.0])
    assert parse_override("bbox_scale=4.0", keys) == ("bbox_scale", 4)
    assert coerce("note", "x", keys) == "x" and coerce("names", ["c"], keys) == ["c"]
    for wrong in ("bbox_scale=2.5", "scales=[a]", "scales=1", "names=[1]", "gpu_ids=1", "bbox_scale=0"):
        with pytest.raises(UsageError):
            parse_override(wrong, keys)
    # What this checkout does not know, yacs would stop at.
    with pytest.raises(UsageError, match="not a setting of the tracker"):
        parse_override("w_lmks_68=1", keys)


def test_what_could_not_be_read_is_reported() -> None:
    notes = " ".join(read_defaults(FORK.encode(), "pod: c.py").notes)
    assert "pod: c.py: the default of root is not read" in notes
    assert "pod: c.py has no begin_frames 0" in notes and "fps 25" in notes
    many = "".join(f"cfg.k{i} = f()\n" for i in range(100)) + "cfg.a = 1\n"
    assert len(read_defaults(many.encode(), "c").notes) == MAX_NOTES + 1


def test_text_that_yacs_would_take_for_a_number_stays_text() -> None:
    keys = read_defaults(FORK.encode(), "c").keys
    key, value = parse_override("gpu_ids='1'", keys)
    written = to_yaml({key: value}, keys)
    assert value == "1" and written == b"gpu_ids: '''1'''\n"
    assert parse_settings(written, "a.yml", keys) == ({"gpu_ids": "1"}, ())


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"x" * 70_000,
        b"cfg.a = '''",
        b"\xff\xfe",
        b"if True:\n  x\n y\n",
        b"print('hello')\n",
        b"cfg.a = 1\n" + b"".join(b"cfg.k%d = 1\n" % i for i in range(400)),
    ],
)
def test_a_file_that_cannot_be_read_leaves_the_table_with_a_note(data: bytes | None) -> None:
    found = read_defaults(data, "pod: c.py")
    assert not found.read and found.keys is KEYS
    (note,) = found.notes
    assert note.startswith("pod: c.py") and "by a table" in note


@pytest.mark.parametrize(
    "line",
    [
        "bbox_scale = 0",
        "bbox_scale = -2.5",
        "bbox_scale = 'x'",
        "bbox_scale = 3",
        "image_size = 512",
        "image_size = [0, 0]",
        "image_size = [512, 512.5]",
        "begin_frames = 1.0",
        "begin_frames = -1",
        "end_frames = True",
        "keyframes = []",
        "fps = 0",
        "fps = 29.97",
        "crop_image = 1",
        "optimize_jaw = None",
        "pyr_levels = []",
        "pyr_levels = [[0.5, 0]]",
        "pyr_levels = [[1, 2, 3]]",
        "kernel_size = -1",
        "w_pho = 'a'",
    ],
)
def test_whatever_a_checkout_has_for_a_known_key_presets_are_explained_or_refused_in_words(line: str) -> None:
    found = read_defaults(f"{CONFIG}cfg.{line}\n".encode(), "c")
    key, value = line.split(" = ")
    assert found.read
    assert found.notes or found.values[key] == ast.literal_eval(value)
    for name in PRESETS:
        with contextlib.suppress(UsageError):  # the checkout lacks a key, or takes another type for it
            assert text(name, found.keys)
    check({}, found.keys)
    assert crop_settings(complete({}, found.keys)).bbox_scale > 0


@pytest.mark.parametrize(
    "value",
    [
        "__import__('os').mkdir('made')",
        "[" * 3000 + "]" * 3000,
        "-" * 3000 + "1",
        "1" + "+1" * 3000,
        "9" * 6000,
        "1e999",
        "{'a': 1}",
        "b'x'",
        "1j",
        "[0] * 9",
        "['a\\n']",
        "'" + "x" * 5000 + "'",
        str([[1] * 20] * 20),
    ],
)
def test_a_hostile_value_is_neither_run_nor_built(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_defaults(f"cfg.bad = {value}\ncfg.good = 1\n".encode(), "c")
    assert "bad" not in found.values and found.notes
    assert found.values["good"] == 1 if found.read else found.keys is KEYS
    assert not list(tmp_path.iterdir())


def test_the_defaults_of_a_job_are_kept_and_read_again() -> None:
    found = read_defaults(CONFIG.encode(), "c")
    again = from_values(found.values)
    assert again is not None and again.keys == found.keys
    for odd in (None, [], {}, {"a": {"b": 1}}, {"a": [[1] * 300]}):
        assert from_values(odd) is None


def test_two_checkouts_are_compared_with_the_defaults_of_each() -> None:
    old = read_defaults(CONFIG.replace("w_lmks = 7000", "w_lmks = 5000").encode(), "c").keys
    new = read_defaults((CONFIG + "cfg.of_a_fork = 1\n").encode(), "c").keys
    changes = {c.key: (c.before, c.after) for c in compare({"w_pho": 1}, {"w_pho": 1}, new, keys_before=old)}
    assert changes == {"w_lmks": (5000, 7000), "of_a_fork": (None, 1)}
    assert compare({"w_lmks": 7000}, {}, new, keys_before=new) == ()
