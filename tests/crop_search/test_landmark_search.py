"""With a detector: it is asked again inside the crop it led to, until magnification plays no part."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search import landmark_search
from being_remote.crop_search.landmark_search import (
    FaceMesh,
    StoredFace,
    Window,
    from_frames,
    window_like_the_trackers,
)
from being_remote.demo import head
from being_remote.demo.actor import full_frame_camera, motion
from being_remote.demo.tracker_recipe import project
from being_remote.errors import UsageError

SIZE_WH = (1920, 1080)
CROP = crop_from_box((510, 1410, 90, 990), SIZE_WH, (512, 512))
COUNT = 12


def shown() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    K = full_frame_camera(SIZE_WH, rng)
    R, t = motion(K, SIZE_WH, "none", COUNT, rng)
    return [project(K, R[i], t[i], head.landmarks_478()) for i in range(COUNT)]


@dataclass
class Frames:
    """Frames that hold nothing but their number."""

    size_wh: tuple[int, int] = SIZE_WH
    count: int = COUNT

    def frame(self, number: int) -> np.ndarray:
        return np.full((1, 1, 3), number, np.uint8)


@dataclass
class BiasedDetector:
    """Places the points too far apart, the more so the larger the window it looks into."""

    faces: list[np.ndarray]
    asked: list[Window | None] = field(default_factory=list)
    blind: bool = False

    def find(self, picture: np.ndarray, around: Window | None = None) -> np.ndarray | None:
        self.asked.append(around)
        if self.blind and around is not None:
            return None
        face = self.faces[int(picture[0, 0, 0]) - 1]
        side = 1920 if around is None else around[2] - around[0]
        return face + 1e-5 * (side - 900) * (face - face.mean(axis=0))


def stored_faces(faces: list[np.ndarray]) -> list[StoredFace]:
    return [StoredFace(i + 1, (f - CROP.origin) / CROP.scale_x) for i, f in enumerate(faces)]


def test_a_detector_that_depends_on_magnification_still_leads_to_the_crop() -> None:
    mesh = BiasedDetector(shown())
    told: list[tuple[int, int]] = []
    found = from_frames(
        stored_faces(shown()),
        Frames(),
        (512, 512),
        mesh,
        on_progress=lambda *done: told.append(done),
    )
    assert found.grade == "landmark"
    assert abs(found.side_px - 900) < 0.02  # the first look alone is 9 px off
    assert mesh.asked[0] is None and mesh.asked[COUNT] is not None
    assert told[0] == (1, 3 * COUNT) and told[-1] == (3 * COUNT, 3 * COUNT)


def test_a_face_that_is_missing_in_the_crop_it_led_to_is_unknown() -> None:
    mesh = BiasedDetector(shown(), blind=True)
    found = from_frames(stored_faces(shown()), Frames(), (512, 512), mesh)
    assert (found.grade, found.crop) == ("unknown", None)


def test_the_window_around_a_face_is_the_trackers_square() -> None:
    points = np.array([[100.0, 200.0], [180.0, 320.0]])  # half extents 40 and 60: 2.5 times the larger
    assert window_like_the_trackers(points) == (-10, 110, 290, 410)


class _Mesh:
    """MediaPipe's answer: one point, a quarter across and three quarters down whatever it is shown."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def process(self, picture: np.ndarray) -> SimpleNamespace:
        self.shown.append(picture)
        face = SimpleNamespace(landmark=[SimpleNamespace(x=0.25, y=0.75)])
        return SimpleNamespace(multi_face_landmarks=[face])


def test_points_found_in_a_window_are_in_pixels_of_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = _Mesh()
    monkeypatch.setattr(landmark_search, "_load", lambda: mesh)
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :, 0] = 7  # blue, which MediaPipe takes last
    found = FaceMesh().find(picture, (-20, 10, 60, 50))
    assert found is not None and found.tolist() == [[-20 + 0.25 * 80, 10 + 0.75 * 40]]
    (part,) = mesh.shown
    assert part.shape == (40, 80, 3)
    assert part[0, 0].tolist() == [0, 0, 0] and part[0, 20].tolist() == [0, 0, 7]  # black where it hangs over


def test_without_mediapipe_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotInstalled:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "mediapipe":
                raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(sys, "meta_path", [NotInstalled, *sys.meta_path])
    for name in [n for n in sys.modules if n.split(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UsageError, match=r"MediaPipe is not installed\n.*being-remote\[landmarks\]"):
        FaceMesh()


def test_a_mediapipe_without_the_model_is_distinguished_from_none(tmp_path: Path) -> None:
    (tmp_path / "mediapipe").mkdir()
    (tmp_path / "mediapipe" / "__init__.py").write_text("")
    code = "from being_remote.crop_search.landmark_search import FaceMesh; FaceMesh()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": f"{tmp_path}:."}
    )
    assert "is installed without its face mesh model" in done.stderr
