"""The settings a camera depends on: the tracker's defaults, and nothing but plain data."""

from __future__ import annotations

from pathlib import Path

import pytest

from being_remote.errors import DataError, InconsistentData, UnsafeFile
from being_remote.tracker.run_settings import RunSettings, read_run_settings


def test_what_the_file_leaves_out_has_the_trackers_default(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("? [a, b]\n: 1\nkeyframes: [ 0, 1 ]\nw_pho: 350\npyr_levels: [[1.0, 2], [3, 4]]\n")
    defaults = RunSettings("", 0, 0, 25.0, True, (512, 512), 2.5)
    assert read_run_settings(path) == defaults
    path.write_text("")
    assert read_run_settings(path) == defaults


def test_every_setting_is_read_and_the_image_size_is_width_height(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(
        "actor: './input/a'\nbegin_frames: 1\nend_frames: 7\nfps: 30\ncrop_image: false\n"
        "image_size: [540, 960]\nbbox_scale: 3.5\n"
    )
    assert read_run_settings(path) == RunSettings("./input/a", 1, 7, 30.0, False, (960, 540), 3.5)


def test_what_the_file_says_is_stronger_than_the_defaults_of_its_checkout(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("begin_frames: 3\n")
    found = read_run_settings(path, {"begin_frames": 1, "fps": 30, "other": "x"})
    assert (found.begin_frames, found.fps, found.bbox_scale) == (3, 30.0, 2.5)


def test_merge_keys_that_would_fill_the_memory_are_never_built(tmp_path: Path) -> None:
    lines = ["a0: &a0 {k: v}"] + [
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)
    ]
    (tmp_path / "bomb.yml").write_text("\n".join(lines) + "\nbegin_frames: 3\n")
    assert read_run_settings(tmp_path / "bomb.yml").begin_frames == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("begin_frames: -1", "begin_frames"),
        ("begin_frames: many", "begin_frames"),
        ("fps: .nan", "fps"),
        ("crop_image: 'no way'", "crop_image"),
        ("crop_image: 'no'", "crop_image"),  # the tracker would take the text for true
        ("crop_image: 0", "crop_image"),
        ("image_size: 512", "image_size"),
        ("image_size: [1, 2, 3, 4, 5]", "image_size"),
        ("begin_frames: {a: 1}", "begin_frames"),
        ("- a\n- list", "settings"),
        ("a: [", "cannot be read"),
        ("begin_frames: !!python/object/apply:os.system ['true']", "cannot be read|begin_frames"),
        ("actor: 2001-99-99", "cannot be read|actor"),
        ("fps: !!bool x", "does not fit its tag"),
        ("fps: !!timestamp x", "does not fit its tag"),
        ("fps: !!int ''", "does not fit its tag"),
        ("fps: !!float ''", "does not fit its tag"),
        ("bbox_scale: 5e-324", "bbox_scale"),
        ("[" * 5000, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.yml"
    path.write_text(text)
    with pytest.raises(InconsistentData, match=words):
        read_run_settings(path)


def test_a_large_file_or_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big.yml").write_text("# " + "x" * 100_000)
    with pytest.raises(DataError, match=r"big\.yml"):
        read_run_settings(tmp_path / "big.yml")
    (tmp_path / "link.yml").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeFile):
        read_run_settings(tmp_path / "link.yml")
