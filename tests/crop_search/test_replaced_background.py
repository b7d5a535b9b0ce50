"""Crops whose background was replaced before the tracking are compared by the part that was kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scenes import Picture, Scene

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search.crop_rendering import content_window, grey_of
from being_remote.crop_search.finding import StoredCrop
from being_remote.crop_search.image_search import from_images
from being_remote.crop_search.known_crop_check import check_crop
from being_remote.crop_search.replaced_background import inner_part

FRAMES = 12
NUMBERS = range(2, FRAMES)
SCENE = Scene(size_wh=(640, 360), box=(170, 490, 20, 340), fill=0.4, seed=2, image=256)
IMAGE = (256, 256)
BLACK, WHITE, GREEN = (0, 0, 0), (255, 255, 255), (64, 177, 0)


def head_of(scene: Scene, number: int) -> NDArray[np.bool_]:
    """Where the head is in a frame: what changes when there is none."""
    still = replace(scene, noise=0.0)
    moved = cv2.absdiff(still.frame(number), replace(still, fill=0.0).frame(number)).max(axis=2) > 0
    return np.asarray(
        cv2.morphologyEx(moved.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15))), dtype=bool
    )


def matted(
    scene: Scene, behind: Callable[[Picture], Picture] | tuple[int, int, int], blur: float = 0
) -> list[StoredCrop]:
    """The stored pictures of a video whose frames had their background replaced."""
    found = []
    crop = crop_from_box(scene.box, scene.size_wh, (scene.image, scene.image))
    for one in scene.stored(NUMBERS):
        frame, head = scene.frame(one.source_number), head_of(scene, one.source_number).astype(np.float32)
        alpha = cv2.GaussianBlur(head, (0, 0), blur)[..., None] if blur else head[..., None]
        back = behind(frame) if callable(behind) else np.full_like(frame, behind)
        made = np.asarray(np.clip(frame * alpha + back * (1 - alpha) + 0.5, 0, 255), dtype=np.uint8)
        part = made[crop.y_min : crop.y_max, crop.x_min : crop.x_max]
        picture = cv2.resize(part, (scene.image, scene.image), interpolation=cv2.INTER_CUBIC)
        found.append(replace(one, picture=np.asarray(picture, dtype=np.uint8)))
    return found


def with_faces(stored: list[StoredCrop], scene: Scene) -> list[StoredCrop]:
    """The same, the face known: an ellipse within the head."""
    crop = crop_from_box(scene.box, scene.size_wh, (scene.image, scene.image))
    found = []
    for one in stored:
        head = head_of(scene, one.source_number)[crop.y_min : crop.y_max, crop.x_min : crop.x_max]
        small = cv2.resize(head.astype(np.uint8), (scene.image, scene.image), interpolation=cv2.INTER_AREA)
        face = cv2.erode(small, np.ones((13, 13), np.uint8)).astype(bool)
        found.append(replace(one, face=face))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("colour", "blur"), [(BLACK, 0), (WHITE, 2), (GREEN, 1)])
def test_a_box_is_found_and_confirmed_by_the_face_before_one_colour(
    colour: tuple[int, int, int], blur: float
) -> None:
    stored, source = matted(SCENE, colour, blur), SCENE.source(FRAMES)
    finding = from_images(stored, source)
    assert finding.crop is not None and finding.grade in ("exact", "verified"), finding.reason
    assert (finding.crop.x_min, finding.crop.x_max, finding.crop.y_min, finding.crop.y_max) == SCENE.box
    assert "background of the stored pictures was replaced" in finding.notes[0]
    crop = crop_from_box(SCENE.box, SCENE.size_wh, IMAGE)
    seen = check_crop(crop, stored, source)
    assert seen.agrees and seen.exact, seen.reason
    assert "only the inner" in seen.notes[0]


@pytest.mark.slow
def test_a_box_beside_the_right_one_is_denied_before_one_colour_too() -> None:
    stored, source = matted(SCENE, GREEN), SCENE.source(FRAMES)
    x0, x1, y0, y1 = SCENE.box
    for box in ((x0 + 1, x1 + 1, y0, y1), (x0, x1, y0 - 2, y1 - 2), (x0 - 2, x1 + 2, y0 - 2, y1 + 2)):
        assert check_crop(crop_from_box(box, SCENE.size_wh, IMAGE), stored, source).agrees is False


def other_room(frame: Picture) -> Picture:
    return replace(SCENE, backdrop="checks", fill=0.0, seed=9).frame(1)


@pytest.mark.slow
def test_before_another_picture_the_face_must_be_known() -> None:
    source = SCENE.source(FRAMES)
    stored = matted(SCENE, other_room)
    assert from_images(stored, source).grade == "unknown"
    finding = from_images(with_faces(stored, SCENE), source)
    assert finding.crop is not None and finding.grade in ("exact", "verified"), finding.reason
    assert (finding.crop.x_min, finding.crop.x_max, finding.crop.y_min, finding.crop.y_max) == SCENE.box
    assert "around the face" in finding.notes[0]
    other = replace(SCENE, take=1).source(FRAMES)
    crop = crop_from_box(SCENE.box, SCENE.size_wh, IMAGE)
    assert check_crop(crop, with_faces(stored, SCENE), other).agrees is not True


@pytest.mark.slow
@pytest.mark.parametrize("colour", [BLACK])
def test_the_face_of_another_take_or_clip_stays_unknown(colour: tuple[int, int, int]) -> None:
    stored = matted(SCENE, colour)
    crop = crop_from_box(SCENE.box, SCENE.size_wh, IMAGE)
    for other in (replace(SCENE, take=1), replace(SCENE, seed=22)):
        source = other.source(FRAMES)
        assert from_images(stored, source).grade == "unknown"
        assert check_crop(crop, stored, source).agrees is not True


def test_the_inner_part_is_what_stands_before_the_one_colour_and_not_the_colour() -> None:
    picture = np.full((256, 256, 3), GREEN, np.uint8)
    picture[80:180, 90:170] = np.random.default_rng(0).integers(0, 256, (100, 80, 3))
    picture[30:36, 200:206] = 255  # a speck of the matte
    (one, *_) = SCENE.stored([2])
    inner = inner_part(replace(one, picture=picture), content_window(grey_of(picture)))
    assert inner is not None and inner.mask[120:140, 120:140].all()
    rows, columns = np.flatnonzero(inner.mask.any(axis=1)), np.flatnonzero(inner.mask.any(axis=0))
    assert rows[0] > 80 and rows[-1] < 179 and columns[0] > 90 and columns[-1] < 169


def test_a_whole_picture_has_no_inner_part() -> None:
    for kind in ("room", "grain"):
        (one, *_) = replace(SCENE, backdrop=kind).stored(NUMBERS)
        assert inner_part(one, content_window(grey_of(one.picture))) is None
