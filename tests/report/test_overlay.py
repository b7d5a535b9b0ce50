"""The overlay draws what it says, where it says, and leaves the rest of the frame readable."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from being_remote.camera.crop import Crop, crop_from_box, resize_only
from being_remote.report.overlay import CANVAS, CROP, MESH, PRINCIPAL, OverlayFrame, draw
from being_remote.report.pictures import jpeg, png
from being_remote.tracker.ply import Mesh

SIZE_WH = (960, 540)
GREY = 120


def shown(crop: Crop | None = None, mesh: Mesh | None = None, *, canvas: bool = False) -> OverlayFrame:
    return OverlayFrame(
        title="roman: frame 00000",
        K=np.array([[2000.0, 0, 500.5], [0, 2000, 270.5], [0, 0, 1]]),
        R=np.diag([1.0, -1, -1]),
        t=np.array([0.0, 0.0, 1.0]),
        crop=crop or crop_from_box((300, 700, 100, 400), SIZE_WH, (512, 512)),
        mesh=mesh,
        picture=None if canvas else np.full((SIZE_WH[1], SIZE_WH[0], 3), GREY, np.uint8),
    )


def like(pixel: np.ndarray, colour: tuple[int, int, int], tolerance: int = 40) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= tolerance)


def test_the_overlay_has_the_frames_size_and_is_a_png() -> None:
    picture = draw(shown())
    assert picture.shape == (540, 960, 3)
    assert np.array_equal(cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_COLOR), picture)


def test_the_crop_is_outlined_on_both_sides_of_its_edges_and_nowhere_else_near() -> None:
    picture = draw(shown())
    for x, y in [(300, 130), (699, 130), (600, 100), (600, 399)]:
        assert like(picture[y, x], CROP), (x, y, picture[y, x])
    for x in (299, 300):  # the edge x = 300 lies between these two pixels
        assert like(picture[130, x], CROP)
    for x in (295, 305):
        assert not like(picture[130, x], CROP)
    assert (picture[130, 320] == GREY).all()  # inside the frame is as it was
    assert picture[40, 100].max() < GREY  # what the tracker never saw is darker


def test_padding_is_dashed_and_hatched_inside_the_frame_only() -> None:
    # 400 x 300 is padded by 50 above and below: dashed lines at y = 50 and y = 450.
    row = draw(shown())[450, 305:695].astype(int)
    amber = np.abs(row - CROP).max(axis=1) <= 40
    assert 0.3 < amber.mean() < 0.7
    hatched = draw(shown())[420:440, 320:690]
    assert len(np.unique(hatched.reshape(-1, 3), axis=0)) >= 2
    full = draw(shown(crop_from_box((300, 600, 100, 400), SIZE_WH, (512, 512))))
    assert len(np.unique(full[420:440, 320:590].reshape(-1, 3), axis=0)) == 1  # square: no padding


def test_the_principal_point_is_marked_at_its_corner_pixel() -> None:
    picture = draw(shown())
    assert like(picture[270, 500], PRINCIPAL)  # 500.5 is the centre of pixel 500
    assert like(picture[270, 508], PRINCIPAL)
    assert not like(picture[262, 508], PRINCIPAL)


def test_mesh_points_appear_where_k_projects_them_and_those_behind_do_not() -> None:
    front, behind = [0.02, 0.02, 0.1], [0.03, -0.03, -5.0]
    # f 2000, depth 1 - 0.1: u = 500.5 + 2000 * 0.02 / 0.9, v = 270.5 - the same
    picture = draw(shown(mesh=Mesh(np.array([front, behind, [0, 0, 3.0]]), None)))
    assert like(picture[226, 544], MESH, 60)
    assert not like(picture[246, 544], MESH, 60)


def test_a_head_that_is_turned_is_drawn_turned_the_same_way() -> None:
    c, s = np.cos(0.5), np.sin(0.5)
    turned = replace(shown(), R=np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
    point = np.array([0.04, 0.0, 0.0])  # to the right in the head's axes: right and below in the picture
    picture = draw(replace(turned, mesh=Mesh(np.array([point, [0, 0, -5.0], [0, 0, -6.0]]), None)))
    u, v = 500.5 + 2000 * 0.04 * c, 270.5 + 2000 * 0.04 * s
    assert like(picture[int(v), int(u)], MESH, 60)
    assert not like(picture[int(541 - v), int(u)], MESH, 60)


def test_a_picture_on_the_page_keeps_its_shape() -> None:
    for height, width, wanted in (
        (1440, 2560, (720, 1280)),
        (2560, 1440, (2276, 1280)),
        (90, 160, (90, 160)),
    ):
        made = cv2.imdecode(np.frombuffer(jpeg(np.zeros((height, width, 3), np.uint8)), np.uint8), 1)
        assert made.shape[:2] == wanted


def test_the_picture_that_was_given_is_not_drawn_upon() -> None:
    frame = shown()
    draw(frame)
    assert frame.picture is not None and (frame.picture == GREY).all()


def test_of_a_closed_mesh_only_the_side_that_is_seen_is_drawn() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05
    corners[:, 0] += np.where(corners[:, 2] < 0, 0.03, 0)  # the back lies elsewhere in the picture
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))])
    hidden = corners[0] @ np.diag([1.0, -1, -1]) + [0, 0, 1]
    u, v = (hidden[:2] / hidden[2] * 2000 + [500.5, 270.5]).astype(int)
    with_faces = draw(shown(mesh=Mesh(corners, faces)))
    assert not like(with_faces[v, u], MESH, 60)
    assert like(draw(shown(mesh=Mesh(corners, None)))[v, u], MESH, 60)


def test_without_a_mesh_the_heads_axes_are_drawn() -> None:
    picture = draw(shown())
    # x axis: 8 cm at 1 m is 160 px to the right of the projected origin.
    assert picture[270, 620, 2] > 180 > picture[270, 620, 0]


def test_without_a_picture_the_canvas_is_plain_and_the_legend_is_there() -> None:
    picture = draw(shown(canvas=True))
    assert (picture[130, 350] == CANVAS).all()
    assert (picture[400:, 640:].max(axis=2) > 200).sum() > 100  # text


@pytest.mark.parametrize("size_wh", [(160, 90), (3840, 2160), (400, 400)])
def test_any_frame_size_can_be_drawn(size_wh: tuple[int, int]) -> None:
    crop = resize_only(size_wh, (512, 512))
    K = np.array([[900.0, 0, 5000], [0, 900, -3000], [0, 0, 1]])  # a principal point far outside
    picture = draw(OverlayFrame("ünïcode \x1b[31m", K, np.eye(3), np.array([0, 0, 1.0]), crop, None, None))
    assert picture.shape == (size_wh[1], size_wh[0], 3)


@pytest.mark.parametrize("K", [np.diag([1e12, 1e12, 1.0]), [[900.0, 0, 1e30], [0, 900, -1e30], [0, 0, 1]]])
@pytest.mark.parametrize("mesh", [None, Mesh(np.array([[0.02, 0.02, 0.1], [1e30, 0, 0]]), None)])
def test_a_camera_that_looks_light_years_past_the_frame_still_makes_a_picture(
    K: np.ndarray, mesh: Mesh | None
) -> None:
    far = OverlayFrame(
        "", np.array(K), np.eye(3), np.array([0, 0, 1.0]), resize_only(SIZE_WH, (512, 512)), mesh, None
    )
    assert draw(far).shape == (540, 960, 3)
