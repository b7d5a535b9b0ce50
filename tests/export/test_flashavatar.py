"""FlashAvatar's own loader, written out: which files it opens, which camera it makes of them."""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_cases import held_still
from trained_actor import Actor, expected, without

from being_remote.demo.tracker_recipe import frame_dict
from being_remote.errors import InconsistentData, UnsafeFile, UsageError
from being_remote.export import TARGETS, prepare, write
from being_remote.tracker.frame_entries import LAST_KEYS, SHAPES
from being_remote.tracker.frame_file import read_frame

TARGET = TARGETS["flashavatar"]
CHECKPOINT = "flashavatar/metrical-tracker/output/roman/checkpoint"


@dataclass(frozen=True)
class Loaded:
    """One camera as its scene holds it."""

    image: str
    R: np.ndarray
    t: np.ndarray
    fov_x: float
    fov_y: float
    payload: dict[str, Any]

    def pixels(self, X: np.ndarray) -> np.ndarray:
        """Corner pixels of a 512 x 512 picture; the projection knows no principal point."""
        seen = X @ self.R.T + self.t
        ndc = seen[:, :2] / seen[:, 2:] / (math.tan(self.fov_x / 2), math.tan(self.fov_y / 2))
        return ((ndc + 1) * 512 - 1) / 2 + 0.5


def loaded(root: Path) -> Iterator[Loaded]:
    """Scene_mica: counts the folder, takes K of the first file, and picture frame_id + 1."""
    import torch

    folder = root / CHECKPOINT
    first = torch.load(folder / "00000.frame", weights_only=False)
    K = first["opencv"]["K"][0]
    w, h = first["img_size"]  # the tracker stores height, width
    fov_x, fov_y = 2 * math.atan(w / (2 * K[0, 0])), 2 * math.atan(h / (2 * K[1, 1]))
    for frame_id in range(len(os.listdir(folder))):
        payload = torch.load(folder / f"{frame_id:05d}.frame", weights_only=False)
        for key in ("exp", "eyes", "eyelids", "jaw", "shape"):
            torch.as_tensor(payload["flame"][key])
        R = np.transpose(payload["opencv"]["R"][0]).T  # stored transposed, transposed back for the view
        yield Loaded(f"{frame_id + 1:05d}.jpg", R, payload["opencv"]["t"][0], fov_x, fov_y, payload)


@pytest.mark.parametrize("canvas", [None, "crop"])
def test_its_loader_sees_every_vertex_to_a_ten_thousandth_of_a_pixel(
    canvas: Any, actor: Actor, tmp_path: Path
) -> None:
    truth, cameras, run = actor
    export = prepare(TARGET, cameras, run, canvas=canvas, allow_off_centre=True)
    write(TARGET, export, tmp_path)
    centred = export.K.copy()
    centred[:2, 2] = 256
    views = list(loaded(tmp_path))
    assert len(views) == 12
    for i, view in enumerate(views):
        off = view.pixels(truth.vertices) - expected(cameras, i, centred, truth.vertices)
        assert np.abs(off).max() <= 1e-4
    if canvas is None:
        for i, view in enumerate(views):
            true = view.pixels(truth.vertices) - expected(cameras, i, export.K, truth.vertices)
            assert np.abs(true).max() <= 0.25 + 1e-4
    else:
        assert np.allclose(views[0].payload["opencv"]["K"][0], cameras.K_crop, atol=1e-4)


def test_every_file_carries_the_canvas_camera_in_both_of_the_trackers_spellings(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    export = prepare(TARGET, cameras, run)
    write(TARGET, export, tmp_path)
    for k in range(12):
        # The tracker's reader refuses a file whose two cameras, number or sizes contradict each other.
        frame = read_frame(tmp_path / CHECKPOINT / f"{k:05d}.frame")
        assert np.allclose(frame.K, export.K, rtol=1e-6)
        assert frame.image_size_wh == (512, 512)
        assert set(frame.keys) == {*SHAPES, *LAST_KEYS}
        assert np.array_equal(frame.R, cameras.R[k]) and np.array_equal(frame.t, cameras.t[k])


def test_the_files_are_the_trackers_own_dict_key_for_key(actor: Actor, tmp_path: Path) -> None:
    import torch

    _, cameras, run = actor
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)
    assert run.checkpoints is not None
    before = torch.load(run.checkpoints / "00004.frame", weights_only=False)
    after = torch.load(tmp_path / CHECKPOINT / "00004.frame", weights_only=False)

    def shapes(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shapes(item) for key, item in value.items()}
        return (value.shape, value.dtype) if isinstance(value, np.ndarray) else value

    assert shapes(after) == shapes(before)
    for key in ("exp", "shape", "tex", "sh", "eyes", "eyelids", "jaw"):
        assert np.array_equal(after["flame"][key], before["flame"][key])
    assert not np.array_equal(after["opencv"]["K"], before["opencv"]["K"])


def test_gaps_are_closed_in_files_and_pictures_alike_with_a_remark(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    gappy = without(cameras, 2, 7)
    export = prepare(TARGET, gappy, run)
    write(TARGET, export, tmp_path)
    views = list(loaded(tmp_path))
    assert len(views) == 10
    assert [v.payload["frame_id"] for v in views] == [f"{k:05d}" for k in range(10)]
    assert np.allclose(views[2].t, cameras.t[3], atol=1e-7)
    names = TARGET.image_names(gappy) if TARGET.image_names else []
    # The picture of the pose that was frame 3, hence source/00005.png, is the one its loader opens for 2.
    assert names[2] == f"dataset/roman/imgs/{views[2].image}" == "dataset/roman/imgs/00003.jpg"
    assert gappy.source_numbers[2] == 5
    assert any("new numbers, 0 to 9" in said for said in TARGET.remarks(export))


def test_runs_too_short_or_too_long_for_its_split_get_a_remark(actor: Actor) -> None:
    _, cameras, run = actor

    def remarks(count: int) -> str:
        return " ".join(TARGET.remarks(prepare(TARGET, held_still(cameras, count), run)))

    assert "keeps the last 500 for testing" in remarks(500)
    assert remarks(501) == remarks(10_500) == ""
    assert "first 10000 only" in remarks(10_501)


def test_a_canvas_that_is_not_512_is_refused(actor: Actor) -> None:
    _, cameras, run = actor
    with pytest.raises(UsageError, match="512x512 only, and this canvas is 768x768"):
        prepare(TARGET, cameras, run, canvas=(768, 768))


def test_its_folder_holds_nothing_but_frames(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)
    assert sorted(os.listdir(tmp_path / CHECKPOINT)) == [f"{k:05d}.frame" for k in range(12)]


def test_a_name_that_no_folder_should_have_is_made_plain(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    for name, folder in (("../a b", "_a_b"), ("..", "actor"), ("rün/1", "r_n_1")):
        named = replace(without(cameras, *range(1, 12)), name=name)
        write(TARGET, prepare(TARGET, named, run), tmp_path / folder)
        assert (tmp_path / folder / "flashavatar/metrical-tracker/output" / folder).is_dir()


def test_what_is_not_finite_or_not_plain_data_is_not_passed_on(actor: Actor, tmp_path: Path) -> None:
    import torch

    truth, cameras, run = actor
    alone = without(cameras, *range(1, 12))
    rng = np.random.default_rng(0)
    frame = frame_dict(
        0, truth.K_crop, truth.R[0], truth.t[0], (512, 512), np.ones((1, 300), np.float32), rng
    )
    frame["flame"]["exp"][0, 7] = np.nan
    torch.save(frame, tmp_path / "00000.frame")
    export = prepare(TARGET, alone, replace(run, checkpoints=tmp_path))
    with pytest.raises(InconsistentData, match=r"flame\.exp holds numbers that are not finite"):
        write(TARGET, export, tmp_path / "out")
    torch.save({"flame": Path("x")}, tmp_path / "00000.frame")
    with pytest.raises(UnsafeFile):
        write(TARGET, export, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_old_numpy_can_read_the_files_and_new_torch_needs_what_the_note_says(
    actor: Actor, tmp_path: Path
) -> None:
    import torch

    _, cameras, run = actor
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)
    path = tmp_path / CHECKPOINT / "00000.frame"
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("/data.pkl")))
    # numpy 1 has no module numpy._core; numpy 2 still answers to numpy.core here.
    assert b"numpy._core" not in pickled and b"cnumpy.core.multiarray\n_reconstruct\n" in pickled
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights"):
        torch.load(path)
    assert any("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1" in note for note in TARGET.notes)


def test_an_older_export_of_more_frames_is_refused_because_the_trainer_would_count_its_rest(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)
    first = tmp_path / CHECKPOINT / "00000.frame"
    before = first.read_bytes()
    fewer = prepare(TARGET, without(cameras, 0, 5), run)
    # Written over, its loader would take 00010.frame and 00011.frame of the old numbering, too.
    with pytest.raises(UsageError, match=r"than this export's 10 \(2, first '00010.frame'\)"):
        write(TARGET, fewer, tmp_path)
    assert first.read_bytes() == before
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)  # the same again is no other
    write(TARGET, fewer, tmp_path / "elsewhere")


def test_a_leftover_of_a_killed_call_is_refused_because_it_would_be_counted(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    (tmp_path / CHECKPOINT).mkdir(parents=True)
    (tmp_path / CHECKPOINT / ".00003.frame.4711").touch()
    with pytest.raises(UsageError, match="other files than this export's 12 \\(1,"):
        write(TARGET, prepare(TARGET, cameras, run), tmp_path)
