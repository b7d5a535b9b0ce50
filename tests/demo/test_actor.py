"""The generated actor is what the tracker would have left: its rules, its schema, and true pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from being_remote.demo.actor import ActorTruth, make_actor
from being_remote.demo.tracker_recipe import crop_image, face_box
from being_remote.media.video import open_source


def dot_centre(picture: np.ndarray, near_xy: np.ndarray, radius_px: float) -> np.ndarray:
    """Corner-convention centre of a white dot on black, measured in the picture alone."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    inside = np.hypot(x - near_xy[0], y - near_xy[1]) < radius_px
    weight = np.clip(picture[inside].mean(axis=1) - 30.0, 0, None)
    return np.array([(x[inside] * weight).sum(), (y[inside] * weight).sum()]) / weight.sum()


def project(K: np.ndarray, R: np.ndarray, t: np.ndarray, points: np.ndarray) -> np.ndarray:
    seen = (points @ R.T + t) @ K.T
    return seen[:, :2] / seen[:, 2:]


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> ActorTruth:
    return make_actor(tmp_path_factory.mktemp("tracker"), frames=2)


@pytest.mark.slow
def test_the_tree_is_the_trackers_and_counts_as_it_counts(actor: ActorTruth) -> None:
    def names(folder: Path) -> list[str]:
        return sorted(p.name for p in folder.iterdir())

    three = ["00001", "00002", "00003"]
    assert names(actor.input_folder / "source") == [f"{n}.png" for n in three]
    assert names(actor.input_folder / "images") == [f"{n}.png" for n in three]
    assert (
        names(actor.input_folder / "kpt")
        == names(actor.input_folder / "kpt_dense")
        == [f"{n}.npy" for n in three]
    )
    assert names(actor.output_folder / "checkpoint") == ["00000.frame", "00001.frame"]
    assert names(actor.output_folder / "input") == ["00000.png", "00001.png"]
    assert names(actor.output_folder / "mesh") == ["00000.ply", "00001.ply"]
    assert actor.source_numbers == (2, 3)
    config = yaml.safe_load((actor.input_folder.parents[1] / "configs/actors/demo.yml").read_text())
    assert (config["actor"], config["begin_frames"]) == ("./input/demo", 1)
    skipped = cv2.imread(str(actor.input_folder / "images" / "00002.png"))
    assert np.array_equal(cv2.imread(str(actor.output_folder / "input" / "00000.png")), skipped)


def test_a_frame_file_has_every_key_shape_and_type_of_the_tracker(actor: ActorTruth) -> None:
    # Our own file, so loading it freely is safe; it is how the tracker's users load theirs.
    frame = torch.load(actor.output_folder / "checkpoint" / "00001.frame", weights_only=False)
    shapes = {
        "flame": {"exp": (1, 100), "shape": (1, 300), "tex": (1, 140), "sh": (1, 9, 3), "eyes": (1, 12)}
        | {"eyelids": (1, 2), "jaw": (1, 6)},
        "camera": {"R": (1, 6), "t": (1, 3), "fl": (1, 1), "pp": (1, 2)},
        "opencv": {"R": (1, 3, 3), "t": (1, 3), "K": (1, 3, 3)},
    }
    assert {g: {k: v.shape for k, v in frame[g].items()} for g in shapes} == shapes
    assert {v.dtype for g in shapes for v in frame[g].values()} == {np.dtype("float32")}
    assert (frame["frame_id"], type(frame["global_step"])) == ("00001", int)
    assert (frame["img_size"].tolist(), frame["img_size"].dtype) == ([512, 512], np.int64)
    assert set(frame) == {*shapes, "img_size", "frame_id", "global_step"}
    # The two spellings of the pose agree: 6D rows of PyTorch3D's R, which is (D R_cv)^T.
    R_p3d = (np.diag([-1, -1, 1]) @ frame["opencv"]["R"][0]).T
    assert np.allclose(frame["camera"]["R"].reshape(2, 3), R_p3d[:2], atol=1e-7)
    assert np.allclose(frame["camera"]["fl"][0, 0] * 256, frame["opencv"]["K"][0, 0, 0])
    assert np.allclose(256 - frame["camera"]["pp"][0] * 256, frame["opencv"]["K"][0, :2, 2])


@pytest.mark.slow
def test_dots_measured_in_source_and_crop_lie_where_the_true_camera_puts_them(actor: ActorTruth) -> None:
    for i, number in enumerate(actor.source_numbers):
        source = cv2.imread(str(actor.input_folder / "source" / f"{number:05d}.png"))
        crop = cv2.imread(str(actor.input_folder / "images" / f"{number:05d}.png"))
        for xy in project(actor.K_source, actor.R[i], actor.t[i], actor.markers):
            assert np.linalg.norm(dot_centre(source, xy, 8) - xy) < 0.02
            uv = (xy - actor.origin_xy) / actor.scale_xy
            off_px = (dot_centre(crop, uv, 4) - uv) * actor.scale_xy
            assert np.linalg.norm(off_px) < 0.05


def test_the_other_pixel_convention_would_be_seen_in_the_crop(actor: ActorTruth) -> None:
    # OpenCV's reading of the same map is (scale - 1) / 2 = 0.46 px off at 980 -> 512.
    crop = cv2.imread(str(actor.input_folder / "images" / "00002.png"))
    xy = project(actor.K_source, actor.R[0], actor.t[0], actor.markers)[0]
    wrong = (xy - 0.5 - actor.origin_xy) / actor.scale_xy + 0.5
    off_px = (dot_centre(crop, wrong, 4) - wrong) * actor.scale_xy
    assert np.allclose(off_px, -(np.array(actor.scale_xy) - 1) / 2, atol=0.06)


def test_the_mesh_lies_on_the_drawn_head(actor: ActorTruth) -> None:
    empty = cv2.imread(str(actor.input_folder / "source" / "00001.png"))
    moved = cv2.imread(str(actor.input_folder / "source" / "00003.png"))
    changed = np.abs(empty.astype(int) - moved).max(axis=2) > 12
    y, x = np.nonzero(changed)
    xy = np.vstack(
        [project(actor.K_source, R, t, actor.vertices) for R, t in zip(actor.R, actor.t, strict=True)]
    )
    assert x.min() > xy[:, 0].min() - 12 and x.max() < xy[:, 0].max() + 12
    assert y.min() > xy[:, 1].min() - 12 and y.max() < xy[:, 1].max() + 12


def test_the_video_shows_the_source_frames(actor: ActorTruth) -> None:
    path = actor.input_folder / "video.mp4"
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 25
    with open_source(path) as video:
        assert (video.size_wh, video.frame_count) == ((1920, 1080), 3)
        source = cv2.imread(str(actor.input_folder / "source" / "00003.png"))
        assert np.abs(video.frame(2).astype(int) - source).mean() < 4


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right", "none"])
def test_the_box_follows_the_trackers_rule_and_is_cut_at_the_chosen_edge_only(
    tmp_path: Path, edge: str
) -> None:
    truth = make_actor(tmp_path, frames=1, edge=edge, pictures=False)  # type: ignore[arg-type]  # of Edge
    assert truth.box is not None
    x0, x1, y0, y1 = truth.box
    cut = {"left": x0 <= 1, "right": x1 >= 1918, "top": y0 <= 1, "bottom": y1 >= 1078}
    assert cut == {side: side == edge for side in cut}
    assert (x1 - x0) % 2 == (y1 - y0) % 2 == 0
    if edge == "none":
        assert x1 - x0 == y1 - y0
        assert (x1 - x0) % 10 in (0, 4)
    assert torch.load(truth.input_folder / "bbox.pt", weights_only=False).tolist() == [x0, x1, y0, y1]


def test_face_box_clips_at_the_last_row_and_keeps_sides_even() -> None:
    # Half-size 200 about (500, 900): 2 * 2.5 * 200 = 1000, so y would end at 1400.
    landmarks = np.array([[300.9, 700.2], [700.4, 1100.0]])
    assert face_box(landmarks, (1920, 1080), 2.5) == (0, 1000, 401, 1079)


def test_without_a_crop_there_is_no_box_and_the_settings_agree(tmp_path: Path) -> None:
    truth = make_actor(tmp_path, frames=1, crop_image=False, image_size_wh=(960, 540), pictures=False)
    assert truth.box is None and not (truth.input_folder / "bbox.pt").exists()
    assert (truth.scale_xy, truth.origin_xy) == ((2.0, 2.0), (0, 0))
    config = yaml.safe_load((tmp_path / "configs/actors/demo.yml").read_text())
    assert (config["crop_image"], config["image_size"]) == (False, [540, 960])


def test_the_crop_recipe_pads_a_wide_box_above_and_below_with_zeros() -> None:
    picture = np.full((100, 200, 3), 255, np.uint8)
    crop = crop_image(picture, (20, 120, 0, 60), (100, 100))
    assert crop[:18].max() == 0 and crop[-18:].max() == 0
    assert crop[22:78].min() == 255
