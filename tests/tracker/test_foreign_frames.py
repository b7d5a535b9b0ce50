"""A sound camera is read from whatever form it is stored in; the form is said, and is checked as strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import foreign_frames as foreign
import frame_factory as factory
import numpy as np
import pytest
from without_unpickling import printed_without_unpickling

from being_remote.errors import BeingRemoteError, DataError, InconsistentData, TornFile, UnsafeFile
from being_remote.tracker import frame_entries
from being_remote.tracker.file_check import check_bytes
from being_remote.tracker.frame_analysis import analyze_frame
from being_remote.tracker.frame_file import is_resumable, parse_frame
from being_remote.tracker.sequence import read_cameras, read_sequence


@pytest.mark.parametrize("name", foreign.VARIANTS)
def test_a_sound_camera_is_read_from_every_form_and_the_form_is_noted(name: str) -> None:
    data, truth = foreign.variant(name, "00042", seed=5, size_hw=(480, 640))
    check_bytes("00042.frame", data)  # a sync keeps it
    frame = parse_frame(data, "00042.frame")
    for key in ("K", "R", "t"):
        np.testing.assert_array_equal(getattr(frame, key), truth["opencv"][key][0])
        assert getattr(frame, key).dtype == np.float64
    assert (frame.frame_id, frame.image_size_wh) == ("00042", (640, 480))
    assert frame.notes, "nothing is said of its form"
    found = analyze_frame(data, "00042.frame")
    assert found.problems == ()
    assert set(frame.notes) <= set(found.notes)
    np.testing.assert_array_equal(found.K, frame.K)


def test_a_file_of_the_tracker_s_own_form_has_no_notes() -> None:
    for data in (factory.saved(factory.content()), factory.as_numpy_1(factory.saved(factory.content()))):
        assert parse_frame(data, "00000.frame").notes == ()


@pytest.mark.parametrize("name", foreign.VARIANTS)
def test_a_run_of_such_files_is_read_with_one_warning_of_its_form(name: str, tmp_path: Path) -> None:
    for i in range(3):
        data, _ = foreign.variant(name, f"{i:05d}", seed=i)
        (tmp_path / f"{i:05d}.frame").write_bytes(data)
    run = read_sequence(tmp_path)
    for i in range(3):
        _, truth = foreign.variant(name, f"{i:05d}", seed=i)
        np.testing.assert_array_equal(run.R[i], truth["opencv"]["R"][0])
        np.testing.assert_array_equal(run.t[i], truth["opencv"]["t"][0])
    (warning,) = run.warnings
    assert "not of metrical-tracker's own form" in warning and len(warning) < 1000


def test_a_foreign_block_that_contradicts_the_camera_is_refused_as_a_genuine_one_is() -> None:
    for name in (
        "tensors",
        "protocol 4",
        "without an archive",
        "lists",
        "no tex and sh",
        "a number as frame_id",
    ):
        change, save = foreign.VARIANTS[name]
        content = factory.content()
        content["camera"]["fl"] = np.array([[9.5]], np.float32)
        with pytest.raises(InconsistentData, match=r"opencv\.K .* and the K of camera\.fl"):
            parse_frame(save(change(content)), "00000.frame")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("K", np.diag([0.0, 2300, 1])[None], "not a camera matrix"),
        ("K", np.array([[[2339, 0.5, 256], [0, 2339, 256], [0, 0, 1]]]), "not a camera matrix"),
        ("K", np.array([[[2339, 0, 256], [0.5, 2339, 256], [0, 0, 1]]]), "not a camera matrix"),
        ("K", np.array([[[2339, 0, 256], [0, 2339, 256], [0, 0, 2]]]), "not a camera matrix"),
        ("K", np.full((1, 3, 3), np.nan), "not finite"),
        ("R", 1.01 * np.eye(3)[None], "not a rotation"),
        ("R", np.diag([1.0, 1, -1])[None], "not a rotation"),
        ("K", np.eye(4)[None], "opencv.K must be an array of 1 x 3 x 3"),
        ("K", np.diag([2339.0, 2339, 1])[None, :, :, None], "opencv.K must be an array of 1 x 3 x 3"),
        ("R", np.eye(3)[..., None], "opencv.R must be an array of 1 x 3 x 3"),
        ("K", np.zeros((2, 3, 3)), "opencv.K must be an array of 1 x 3 x 3"),
        ("K", np.float16([[[2339, 0, 256], [0, 2339, 256], [0, 0, 1]]]), "float16, too coarse"),
        ("t", [0.0, None, 1.0], "opencv.t must be an array of 1 x 3; it is a list"),
        ("t", [[0.0, 0.0, 1.0], [0.0, 1.0]], "it is a list"),
    ],
)
def test_a_camera_that_is_unsound_is_refused_without_a_second_block_too(
    key: str, value: Any, says: str
) -> None:
    content = factory.content()
    del content["camera"]
    content["opencv"][key] = value
    with pytest.raises(InconsistentData, match=says):
        parse_frame(factory.saved(content), "00000.frame")
    assert any(says in problem for problem in analyze_frame(factory.saved(content), "00000.frame").problems)


def _mutations() -> dict[str, dict[str, Any]]:
    """Genuine content with one entry each replaced by something else, or gone."""
    odd: list[Any] = [
        None,
        "x",
        7,
        [1, 2],
        np.zeros((1, 2), np.float32),
        np.full((1, 3, 3), np.nan),
        {},
        True,
    ]
    found = {}
    for key in (
        "opencv.K",
        "opencv.R",
        "opencv.t",
        "camera.R",
        "camera.fl",
        "camera.pp",
        "flame.exp",
        "flame.jaw",
    ):
        group, _, name = key.partition(".")
        for i, value in enumerate(odd):
            content = factory.content()
            content[group][name] = value
            found[f"{key} {i}"] = content
    for key in ("img_size", "frame_id", "global_step", "camera", "flame", "opencv"):
        for i, value in enumerate(odd):
            found[f"{key} {i}"] = {**factory.content(), key: value}
        found[f"no {key}"] = {k: v for k, v in factory.content().items() if k != key}
    return found


def test_analyze_finds_a_problem_exactly_where_the_reader_refuses() -> None:
    refused = 0
    for name, content in _mutations().items():
        data = factory.saved(content)
        try:
            parse_frame(data, "00000.frame")
            said = ""
        except BeingRemoteError as e:
            said, refused = str(e), refused + 1
        assert bool(analyze_frame(data, "00000.frame").problems) is bool(said), (name, said)
    assert 20 < refused < len(_mutations()) - 20


def test_a_missing_entry_that_is_needed_is_named() -> None:
    data, _ = foreign.variant("no tex and sh")
    frame = parse_frame(data, "00000.frame")
    assert frame.flame_for("exp").shape == (1, 100)
    with pytest.raises(InconsistentData, match=r"00000\.frame: has no flame\.tex"):
        frame.flame_for("tex")


def test_the_tracker_resumes_only_from_frames_that_it_could_have_written() -> None:
    for name in foreign.VARIANTS:
        data, _ = foreign.variant(name)
        lacks = {
            "no camera block",
            "half a camera block",
            "a camera block of matrices",
            "no tex and sh",
            "no flame",
        }
        lacks |= {"other names in flame", "fx and fy of their own"}
        assert is_resumable(parse_frame(data, "00000.frame")) is (name not in lacks), name


def test_reading_them_imports_neither_torch_nor_unpickles(tmp_path: Path) -> None:
    for i, name in enumerate(foreign.VARIANTS):
        (tmp_path / f"{i:05d}.frame").write_bytes(foreign.variant(name, f"{i:05d}")[0])
    code = (
        "import os\n"
        "from being_remote.tracker.frame_file import read_frame\n"
        "for name in sorted(os.listdir(sys.argv[1])): read_frame(os.path.join(sys.argv[1], name))\n"
    )
    assert printed_without_unpickling(code, tmp_path) == "\n"


@pytest.mark.parametrize("name", ["without an archive", "tensors, without an archive", "a bare pickle"])
def test_a_file_without_an_archive_that_is_cut_anywhere_is_refused(name: str) -> None:
    data, _ = foreign.variant(name)
    for cut in range(0, len(data), 97):
        with pytest.raises(DataError):
            parse_frame(data[:cut], "00000.frame")
    with pytest.raises((TornFile, UnsafeFile)):
        parse_frame(data + b"more", "00000.frame")


def test_an_earlier_file_never_lends_its_numbers_to_a_tensor_of_the_next() -> None:
    # Tensors lie outside of the pickle: two files may differ in nothing else.
    frame_entries._layouts.clear()
    frames = []
    for seed in (1, 2):
        data, truth = foreign.variant("tensors", seed=seed)
        frames.append(parse_frame(data, "00000.frame"))
        np.testing.assert_array_equal(frames[-1].R, truth["opencv"]["R"][0])
    assert not np.array_equal(frames[0].R, frames[1].R)


def write(folder: Path, number: int, content: dict[str, Any]) -> None:
    content = {**content, "frame_id": f"{number:05d}"}
    (folder / f"{number:05d}.frame").write_bytes(factory.saved(content))


def test_a_run_tracked_in_chunks_has_a_k_for_each_frame(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path, i, foreign.with_K(factory.content(seed=i), 9.13 if i < 4 else 8.5))
    run = read_cameras(tmp_path)
    assert run.K_each[:, 0, 0].round(2).tolist() == [2337.28] * 4 + [2176.0] * 2
    assert run.stretches == ((0, 3), (4, 5)) and run.warnings == ()
    for i in range(4, 6):  # each chunk counts its steps from its own start
        write(tmp_path, i, {**foreign.with_K(factory.content(seed=i), 8.5), "global_step": 10})
    assert read_cameras(tmp_path).warnings == ()
    with pytest.raises(InconsistentData, match=r"K changes at 00004\.frame"):
        read_sequence(tmp_path)


def test_a_few_files_that_are_not_of_the_run_are_left_out_and_named(tmp_path: Path) -> None:
    for i in range(120):
        write(tmp_path, i, factory.content(seed=i))
    (tmp_path / "last.frame").write_bytes(b"\x00")
    (tmp_path / "7.frame").write_bytes(b"\x00")
    (tmp_path / "00500.frame").write_bytes((tmp_path / "00003.frame").read_bytes())
    run = read_cameras(tmp_path)
    assert run.frame_ids.tolist() == list(range(120)) and run.stretches == ((0, 119),)
    said = "\n".join(run.warnings)
    assert "last.frame is left out: is not named by a frame_id" in said
    assert "7.frame is left out: has the same id as 00007.frame" in said
    assert "00500.frame is left out: frame_id is '00003'" in said


@pytest.mark.parametrize("stray", ["torn", "another image size", "another K", "no rotation"])
def test_one_stray_frame_among_many_is_left_out_and_a_second_of_few_is_not(
    stray: str, tmp_path: Path
) -> None:
    def strange(i: int) -> None:
        if stray == "another image size":
            write(tmp_path, i, factory.content(size_hw=(256, 256)))
        elif stray == "another K":
            write(tmp_path, i, foreign.with_K(factory.content(), 8.5))
        elif stray == "no rotation":
            content = factory.content()
            content["opencv"]["R"] = content["opencv"]["R"] * np.float32(1.1)
            write(tmp_path, i, content)
        else:
            (tmp_path / f"{i:05d}.frame").write_bytes((tmp_path / "00000.frame").read_bytes()[:3000])

    for i in range(120):
        write(tmp_path, i, factory.content(seed=i))
    strange(50)
    run = read_cameras(tmp_path)
    assert run.missing_ids == (50,) and any("00050.frame is left out" in w for w in run.warnings)
    strange(51)
    if stray == "another K":
        assert len(read_cameras(tmp_path).stretches) == 3
    else:
        with pytest.raises(DataError):
            read_cameras(tmp_path)
