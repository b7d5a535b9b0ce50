"""Every export, read back by its own documented rule in code that shares nothing with the writer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import trainer_readers as readers
from export_cases import any_cameras, held_still
from hypothesis import given, settings

from being_remote.camera.canvas import full_frame
from being_remote.camera.crop import crop_from_box
from being_remote.camera.free_crop import free_crop
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.errors import InconsistentData, NoSpace, NotFoundError, UsageError
from being_remote.export import TARGETS, Cameras, Export, RunFiles, prepare, targets, write
from being_remote.export.files import write_atomically
from being_remote.export.json_text import nerf_intrinsics
from being_remote.export.target import CanvasChoice, off_centre

POINT = np.array([0.03, -0.05, 0.08])
WITHOUT_FRAMES = ("json", "npz", "nerfstudio", "colmap", "insta")


def written(cameras: Cameras, name: str, folder: Path, canvas: CanvasChoice = None) -> Path:
    """The folder of one export."""
    target = TARGETS[name]
    write(target, prepare(target, cameras, canvas=canvas), folder)
    return folder / target.folder


def laid_out(cameras: Cameras, name: str, folder: Path, canvas: CanvasChoice = None) -> Path:
    """As `written`, but without waiting for the disk: for many cameras in a row."""
    target = TARGETS[name]
    for file, pieces in target.files(prepare(target, cameras, canvas=canvas)):
        path = folder / target.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(pieces))
    return folder / target.folder


def seen(cameras: Cameras, i: int) -> np.ndarray:
    """Where the point is, written out: X_cam = R X + t, then the pinhole."""
    x, y, z = cameras.R[i] @ POINT + cameras.t[i]
    f, cx, cy = cameras.K_source[0, 0], *cameras.K_source[:2, 2]
    return np.array([f * x / z + cx, f * y / z + cy])


def in_front(cameras: Cameras) -> np.ndarray:
    """A point one unit before each camera, off its axis: (N, 3)."""
    X = np.array([0.11, -0.07, 1.0]) - cameras.t
    return np.stack([np.linalg.inv(R) @ x for R, x in zip(cameras.R, X, strict=True)])


READERS = {
    "json": readers.cameras_json,
    "npz": readers.cameras_npz,
    "nerfstudio": readers.nerfstudio,
    "colmap": readers.colmap,
    "insta": readers.insta_cpp,
}


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(cameras=any_cameras())
def test_every_reader_projects_to_a_billionth_of_a_pixel_of_the_camera_that_was_exported(
    cameras: Cameras,
) -> None:
    X = in_front(cameras)
    with TemporaryDirectory() as folder:
        for name, read in READERS.items():
            views = list(read(laid_out(cameras, name, Path(folder))).values())
            assert len(views) == len(cameras.frame_ids)
            for i, view in enumerate(views):
                p = cameras.K_source @ (cameras.R[i] @ X[i] + cameras.t[i])
                assert np.abs(view(X[i]) - p[:2] / p[2]).max() < 1e-9, name


@settings(max_examples=40, deadline=None)
@given(cameras=any_cameras())
def test_readers_of_the_trackers_crop_see_what_the_stored_k_sees(cameras: Cameras) -> None:
    X = in_front(cameras)
    with TemporaryDirectory() as folder:
        for name in ("nerfstudio", "colmap", "insta"):
            views = list(READERS[name](laid_out(cameras, name, Path(folder), "crop")).values())
            for i, view in enumerate(views):
                p = cameras.K_crop @ (cameras.R[i] @ X[i] + cameras.t[i])
                assert np.abs(view(X[i]) - p[:2] / p[2]).max() < 1e-9, name


def test_the_worked_example_reaches_every_reader_to_all_its_printed_digits(
    cameras: Cameras, tmp_path: Path
) -> None:
    nerf = json.loads((written(cameras, "nerfstudio", tmp_path) / "transforms.json").read_text())
    insta = json.loads((written(cameras, "insta", tmp_path) / "transforms.json").read_text())
    colmap = (written(cameras, "colmap", tmp_path) / "sparse/0/cameras.txt").read_text().split("\n")[1]
    document = json.loads((written(cameras, "json", tmp_path) / "cameras.json").read_text())
    for given_ in (nerf, insta):
        assert [f"{given_[k]:.4f}" for k in ("fl_x", "fl_y", "cx", "cy")] == [
            "4111.5234",
            "4111.5234",
            "958.2422",
            "529.4531",
        ]
    assert colmap == "1 PINHOLE 1920 1080 4111.5234375 4111.5234375 958.2421875 529.453125"
    assert [f"{v:.4f}" for v in (document["K_opencv"][0][2], document["K_opencv"][1][2])] == [
        "957.7422",
        "528.9531",
    ]
    assert f"{document['fov_deg'][0]:.1f}" == "26.3"


def test_cameras_json_projects_a_point_to_its_pixel_and_half_a_pixel_less_for_opencv(
    cameras: Cameras, tmp_path: Path
) -> None:
    import cv2

    document = json.loads((written(cameras, "json", tmp_path) / "cameras.json").read_text())
    for i, frame in enumerate(document["frames"]):
        R, t = np.array(frame["R"]), np.array(frame["t"])
        p = np.array(document["K"]) @ (R @ POINT + t)
        assert np.allclose(p[:2] / p[2], seen(cameras, i), atol=1e-9)
        pixel, _ = cv2.projectPoints(
            POINT[None], cv2.Rodrigues(R)[0], t, np.array(document["K_opencv"]), None
        )
        assert np.allclose(pixel.ravel(), seen(cameras, i) - 0.5, atol=1e-6)
    assert document["K_opencv"][0][2] == 957.7421875
    first, second = document["frames"]
    assert (first["frame_id"], first["source_number"], first["file"], first["time_s"]) == (
        "00000",
        2,
        "00002.png",
        0.04,
    )
    assert second["frame_id"] == "00002"
    assert document["crop"]["origin"] == [510, 90]
    assert document["crop"]["scale"] == [1.7578125, 1.7578125]
    assert set(document["conventions"]) >= {"K", "K_opencv", "R_t", "size_wh"}


def test_cameras_json_keeps_the_stored_k_beside_that_of_the_frames(cameras: Cameras, tmp_path: Path) -> None:
    document = json.loads((written(cameras, "json", tmp_path) / "cameras.json").read_text())
    assert document["K_crop"] == cameras.K_crop.tolist() and document["K"] == cameras.K_source.tolist()


def test_the_first_frame_and_the_first_moment_are_known_ones(cameras: Cameras, tmp_path: Path) -> None:
    known = replace(cameras, video_frames=np.array([0, -1]), times_s=np.array([0.0, np.nan]))
    frames = json.loads((written(known, "json", tmp_path) / "cameras.json").read_text())["frames"]
    assert [frame["video_frame"] for frame in frames] == [0, None]
    assert [frame["time_s"] for frame in frames] == [0.0, None]


def test_each_angle_of_view_is_that_of_its_own_focal_length() -> None:
    named = nerf_intrinsics(np.array([[500.0, 0, 400], [0, 250, 200], [0, 0, 1]]), (1000, 500))
    assert named["camera_angle_x"] == pytest.approx(np.pi / 2)  # 2 atan(500 / 500)
    assert named["camera_angle_y"] == pytest.approx(np.pi / 2)  # 2 atan(250 / 250)


def test_the_npz_needs_no_pickle_and_holds_the_same_numbers(cameras: Cameras, tmp_path: Path) -> None:
    with np.load(written(cameras, "npz", tmp_path) / "cameras.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["K"], cameras.K_source)
        assert np.array_equal(arrays["R"], cameras.R)
        assert np.array_equal(arrays["t"], cameras.t)
        assert arrays["source_numbers"].tolist() == [2, 4]
        assert arrays["size_wh"].tolist() == [1920, 1080]
        assert arrays["K_opencv"][0, 2] == 957.7421875
        assert arrays["crop_box"].tolist() == [510, 1410, 90, 990]
        assert str(arrays["grade"]) == cameras.grade
        assert "world-to-camera" in json.loads(str(arrays["conventions"]))["R_t"]


def test_nerfstudios_ray_through_a_pixel_hits_the_point_that_was_drawn_there(
    cameras: Cameras, tmp_path: Path
) -> None:
    document = json.loads((written(cameras, "nerfstudio", tmp_path) / "transforms.json").read_text())
    assert (document["camera_model"], document["w"], document["h"]) == ("OPENCV", 1920, 1080)
    for i, frame in enumerate(document["frames"]):
        # nerfstudio Cameras._generate_rays: ((x - cx) / fx, -(y - cy) / fy, -1), x and y being pixel + 0.5.
        x, y = seen(cameras, i)
        ray = [(x - document["cx"]) / document["fl_x"], -(y - document["cy"]) / document["fl_y"], -1.0]
        c2w = np.array(frame["transform_matrix"])
        direction, origin = c2w[:3, :3] @ ray, c2w[:3, 3]
        off = np.cross(direction / np.linalg.norm(direction), POINT - origin)
        assert np.linalg.norm(off) < 1e-9
        assert direction @ (POINT - origin) > 0  # in front, not behind
        assert c2w[3].tolist() == [0, 0, 0, 1]
    assert [f["file_path"] for f in document["frames"]] == ["images/00002.png", "images/00004.png"]


def test_convention_nerfstudios_axes_read_as_opencvs_would_look_the_other_way(
    cameras: Cameras, tmp_path: Path
) -> None:
    document = json.loads((written(cameras, "nerfstudio", tmp_path) / "transforms.json").read_text())
    w2c = np.linalg.inv(np.array(document["frames"][0]["transform_matrix"]))
    depth = (w2c[:3, :3] @ POINT + w2c[:3, 3])[2]
    assert depth == pytest.approx(-(cameras.R[0] @ POINT + cameras.t[0])[2])
    assert depth == pytest.approx(-1.4174, abs=1e-4)


def test_nerfstudio_gets_documented_keys_only(cameras: Cameras, tmp_path: Path) -> None:
    document = json.loads((written(cameras, "nerfstudio", tmp_path) / "transforms.json").read_text())
    intrinsics = {"camera_model", "w", "h", "fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2"}
    assert set(document) == intrinsics | {"frames"}
    assert set(document["frames"][0]) == {"file_path", "transform_matrix"}


def test_unknown_times_are_null_in_json_and_nan_in_npz(cameras: Cameras, tmp_path: Path) -> None:
    timeless = replace(cameras, times_s=None)
    document = json.loads((written(timeless, "json", tmp_path) / "cameras.json").read_text())
    assert [f["time_s"] for f in document["frames"]] == [None, None]
    with np.load(written(timeless, "npz", tmp_path) / "cameras.npz") as arrays:
        assert np.isnan(arrays["times_s"]).all()


def test_unknown_numbers_are_null_in_json_and_marked_in_npz_and_never_become_names(
    cameras: Cameras, tmp_path: Path
) -> None:
    half = replace(
        cameras,
        source_numbers=np.array([0, 4]),
        times_s=np.array([np.nan, 0.12]),
        video_frames=np.array([-1, 3]),
        numbers_by="pixels",
    )
    document = json.loads((written(half, "json", tmp_path) / "cameras.json").read_text())
    keys = ("source_number", "file", "video_frame", "time_s")
    told = [tuple(f[key] for key in keys) for f in document["frames"]]
    assert told == [(None, None, None, None), (4, "00004.png", 3, 0.12)]
    assert document["numbers_by"] == "pixels"
    with np.load(written(half, "npz", tmp_path) / "cameras.npz") as arrays:
        assert arrays["source_numbers"].tolist() == [0, 4] and arrays["video_frames"].tolist() == [-1, 3]
        assert np.isnan(arrays["times_s"]).tolist() == [True, False] and str(arrays["numbers_by"]) == "pixels"
    run = RunFiles(checkpoints=tmp_path, meshes=tmp_path)
    for name in ("nerfstudio", "colmap", "gaussian-avatars", "gaussiantalker"):
        with pytest.raises(InconsistentData, match="names frames by their source number, and 1 of 2 have"):
            prepare(TARGETS[name], half, run, allow_off_centre=True)


def test_no_two_targets_write_one_file() -> None:
    places = [f"{t.folder}/{name}" for t in TARGETS.values() for name in t.main_files]
    assert len(set(places)) == len(places)
    assert all(t.folder for t in TARGETS.values() if len(t.main_files) > 1 or t.image_names)


@pytest.mark.parametrize("name", WITHOUT_FRAMES)
def test_the_files_that_a_target_lists_are_those_it_writes(
    name: str, cameras: Cameras, tmp_path: Path
) -> None:
    listed = write(TARGETS[name], prepare(TARGETS[name], cameras), tmp_path)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(listed)


def test_an_unknown_export_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'blender'(.|\n)*json, npz, nerfstudio"):
        targets(["json", "blender"])
    assert [t.name for t in targets(["npz", "npz"])] == ["npz"]


def test_without_a_name_those_are_written_that_need_neither_meshes_nor_torch_nor_pictures() -> None:
    assert [t.name for t in targets([])][:6] == [*WITHOUT_FRAMES, "gaussian-avatars"]
    assert not {"gaussiantalker", "flashavatar"} & {t.name for t in targets([])}


def test_an_off_centre_camera_is_refused_with_its_error_in_px_and_degrees(
    cameras: Cameras, tmp_path: Path
) -> None:
    target, run = TARGETS["gaussian-avatars"], RunFiles(checkpoints=tmp_path)
    with pytest.raises(
        UsageError, match=r"lies 1\.00 px left of and 6\.00 px above(.|\n)*512x512(.|\n)*0\.15 degrees"
    ):
        prepare(target, cameras, run, canvas="crop")
    allowed = prepare(target, cameras, run, canvas="crop", allow_off_centre=True)
    assert "0.15 degrees" in off_centre(target, allowed)
    assert off_centre(target, prepare(target, cameras, run)) == ""
    assert prepare(TARGETS["nerfstudio"], cameras, canvas="crop").K[0, 2] == pytest.approx(255)


@pytest.mark.parametrize(
    ("off", "says"),
    [
        ((0.0, 0.4), ""),
        ((0.6, 0.0), "0.60 px right of and 0.00 px above"),
        ((0.0, -7.0), "0.00 px left of and 7.00 px above"),
    ],
)
def test_a_camera_that_is_off_centre_on_one_axis_alone_is_off_centre(
    cameras: Cameras, off: tuple[float, float], says: str
) -> None:
    K = cameras.K_source.copy()
    K[:2, 2] = np.add((960, 540), off)
    export = Export(replace(cameras, K_source=K), full_frame((1920, 1080)))
    found = off_centre(TARGETS["gaussiantalker"], export)
    assert says in found and bool(found) is bool(says)


def test_a_window_around_the_principal_point_is_centred_enough_for_every_target(
    cameras: Cameras, tmp_path: Path
) -> None:
    export = prepare(TARGETS["gaussian-avatars"], cameras, RunFiles(checkpoints=tmp_path), canvas=(1024, 768))
    assert export.size_wh == (1024, 768)
    assert export.K[0, 0] == cameras.K_source[0, 0]
    assert np.abs(export.K[:2, 2] - (512, 384)).max() <= 0.5


def test_two_focal_lengths_are_refused_by_a_trainer_that_takes_one_with_the_figures(
    cameras: Cameras, tmp_path: Path
) -> None:
    crop = crop_from_box((510, 1410, 150, 1079), (1920, 1080), (512, 512))
    odd = replace(cameras, crop=crop, K_source=intrinsics_in_source(cameras.K_crop, crop))
    run = RunFiles(checkpoints=tmp_path)
    with pytest.raises(UsageError, match=r"4239\.44 and 4244\.01 px(.|\n)*0\.\d\d px"):
        prepare(TARGETS["gaussian-avatars"], odd, run)
    assert prepare(TARGETS["colmap"], odd).K[1, 1] == pytest.approx(4244.01, abs=0.005)


@pytest.mark.parametrize("stretch", [1.0012, 1 / 1.0012])
def test_whichever_focal_length_is_the_longer_one_focal_is_refused_and_nearly_equal_ones_are_not(
    cameras: Cameras, tmp_path: Path, stretch: float
) -> None:
    run = RunFiles(checkpoints=tmp_path, meshes=tmp_path)
    for name in [name for name, target in TARGETS.items() if target.one_focal]:
        for power, refused in ((1, True), (0.05, False)):  # 0.6 px at the border, and 0.03
            K = cameras.K_source.copy()
            K[1, 1] *= stretch**power
            odd = replace(cameras, K_source=K)
            if refused:
                with pytest.raises(UsageError, match="uses fx for fy, and they differ"):
                    prepare(TARGETS[name], odd, run)
            else:
                prepare(TARGETS[name], odd, run)


def test_a_size_that_a_trainer_cannot_take_is_refused_with_both_sizes(cameras: Cameras) -> None:
    fixed = replace(TARGETS["nerfstudio"], size_wh=(512, 512), canvas="recentred square")
    assert prepare(fixed, cameras).size_wh == (512, 512)
    with pytest.raises(UsageError, match="512x512 only, and this canvas is 768x640"):
        prepare(fixed, cameras, canvas=(768, 640))


def test_frame_ids_of_six_digits_are_written_completely_or_renumbered(
    cameras: Cameras, frames_folder: Path, tmp_path: Path
) -> None:
    (frames_folder / "00002.frame").rename(frames_folder / "100000.frame")
    set_frame_id(frames_folder / "100000.frame")
    long = replace(cameras, frame_ids=np.array([0, 100_000]))
    run = RunFiles(checkpoints=frames_folder)
    for name in ("insta", "gaussian-avatars"):
        write(TARGETS[name], prepare(TARGETS[name], long, run), tmp_path)
    insta = json.loads((tmp_path / "insta/transforms.json").read_text())
    assert [f["file_path"] for f in insta["frames"]] == ["images/00000.png", "images/100000.png"]
    avatars = json.loads((tmp_path / "gaussian-avatars/transforms.json").read_text())
    assert [f["file_path"] for f in avatars["frames"]] == ["images/00000_00.png", "images/00001_00.png"]
    said = TARGETS["insta"].remarks(prepare(TARGETS["insta"], long))
    assert "up to 100000: names of six digits sort" in said[-1]
    five = prepare(TARGETS["insta"], replace(cameras, frame_ids=np.array([0, 99_999])))
    assert len(TARGETS["insta"].remarks(five)) == 1  # the short split alone


def set_frame_id(path: Path) -> None:
    import torch

    content = torch.load(path, weights_only=False)
    torch.save({**content, "frame_id": path.stem}, path)


def test_a_crop_that_is_only_estimated_is_no_canvas(cameras: Cameras) -> None:
    crop = free_crop((900.4, 900.4), (510.2, 89.7), (1920, 1080), (512, 512))
    with pytest.raises(UsageError, match=r"only estimated \(900\.40x900\.40 px at 510\.20, 89\.70\)"):
        prepare(TARGETS["colmap"], replace(cameras, crop=crop), canvas="crop")
    with pytest.raises(UsageError, match="100000x100000"):
        prepare(TARGETS["colmap"], cameras, canvas=(100_000, 100_000))


def test_missing_files_of_a_target_are_named_with_the_command_that_downloads_them(cameras: Cameras) -> None:
    with pytest.raises(NotFoundError, match=r"checkpoints(.|\n)*sync --only checkpoints"):
        prepare(TARGETS["gaussian-avatars"], cameras)


def test_json_and_npz_describe_the_original_frames_whatever_the_canvas(
    cameras: Cameras, tmp_path: Path
) -> None:
    document = json.loads((written(cameras, "json", tmp_path, "crop") / "cameras.json").read_text())
    assert document["K"][0][0] == 4111.5234375
    assert prepare(TARGETS["npz"], cameras, canvas=(64, 64)).size_wh == (1920, 1080)


def test_twenty_thousand_frames_stream_through_in_pieces(cameras: Cameras) -> None:
    n = 20_000
    many = held_still(cameras, n)
    for name, path in (("nerfstudio", "transforms.json"), ("colmap", "sparse/0/images.txt")):
        export = Export(many, prepare(TARGETS[name], cameras).canvas)
        pieces = dict(TARGETS[name].files(export))[path]
        sizes = [len(piece) for piece in pieces]
        assert max(sizes) < 1 << 18, name
        assert sum(sizes) > 1 << 20, name


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text("old")

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError):
        write_atomically(path, broken())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["cameras.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("synced", [True, False])
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path: Path, synced: bool) -> None:
    path = tmp_path / "cameras.json"
    path.write_text("old")
    temporary = tmp_path / f".cameras.json.{os.getpid()}"
    temporary.symlink_to("/dev/full")  # every write to it fails with ENOSPC, as on a full disk
    with pytest.raises(NoSpace, match="disk is full"):
        write_atomically(path, [b"new"], synced=synced)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["cameras.json"]


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "cameras.json", [b""])


def test_a_window_that_shows_nothing_of_what_the_tracker_saw_is_refused(cameras: Cameras) -> None:
    # The crop is x 510..1410, y 90..990, the principal point (958, 529); moved, the crop lies beside it.
    aside = replace(cameras, crop=crop_from_box((1400, 1800, 60, 460), (1920, 1080), (512, 512)))
    with pytest.raises(UsageError, match=r"256x256, source pixels x 830\.\.1086,.* saw, x 1400\.\.1800"):
        prepare(TARGETS["nerfstudio"], aside, canvas=(256, 256))
    with pytest.raises(UsageError, match=r"x 516\.\.1400"):  # ends are exclusive
        prepare(TARGETS["nerfstudio"], aside, canvas=(884, 256))
    assert prepare(TARGETS["nerfstudio"], aside, canvas=(886, 256)).canvas.copied[1] == 1401
    assert prepare(TARGETS["nerfstudio"], cameras, canvas=(256, 256)).size_wh == (256, 256)
