"""GaussianTalker's own way from track_params.pt to a pixel, written out, and what it is given to read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trained_actor import Actor, expected, with_copy, without

from being_remote.camera.pose import rotation_from_6d
from being_remote.demo import head
from being_remote.errors import InconsistentData, NotFoundError, UnsafeFile, UsageError
from being_remote.export import TARGETS, gaussiantalker, prepare, write
from being_remote.export.gaussiantalker import canvas_landmarks, euler_angles

TARGET = TARGETS["gaussiantalker"]
D = np.diag([1.0, -1.0, -1.0])


def euler2rot(euler: np.ndarray, *, columns: bool = True) -> np.ndarray:
    """Its three matrices: each triple that its code concatenates becomes a column."""
    a, b, c = euler
    x = [[1, 0, 0], [0, math.cos(a), math.sin(a)], [0, -math.sin(a), math.cos(a)]]
    y = [[math.cos(b), 0, -math.sin(b)], [0, 1, 0], [math.sin(b), 0, math.cos(b)]]
    z = [[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]]
    three = [np.array(m).T if columns else np.array(m) for m in (x, y, z)]
    return three[0] @ three[1] @ three[2]


def read(folder: Path, split: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import torch

    # Tensors only, so that the plain torch.load of any version takes it.
    params = torch.load(folder / "track_params.pt", weights_only=True)
    assert {v.dtype for v in params.values()} == {torch.float32}
    document = json.loads((folder / f"transforms_{split}.json").read_text())
    return document, {k: v.numpy().astype(np.float64) for k, v in params.items()}


def pixels(
    document: dict[str, Any], params: dict[str, np.ndarray], frame: dict[str, Any], X: np.ndarray, **how: bool
) -> np.ndarray:
    """As its reader and rasteriser have it: X (n, 3) in its units -> (n, 2), corner pixels."""
    w, h = document["cx"] * 2, document["cy"] * 2
    fov = [2 * math.atan(size / (2 * document["focal_len"])) for size in (w, h)]
    R = np.diag([-1.0, 1, 1]) @ euler2rot(params["euler"][frame["img_id"]], **how)
    T = -params["trans"][frame["img_id"]]
    T[0] = -T[0]
    R = -R.T  # stored transposed, and undone when the view matrix is made
    seen = X @ R + T
    ndc = seen[:, :2] / seen[:, 2:] / [math.tan(f / 2) for f in fov]
    return ((ndc + 1) * (w, h) - 1) / 2 + 0.5


def test_its_reader_sees_every_vertex_to_a_ten_thousandth_of_a_pixel(actor: Actor, tmp_path: Path) -> None:
    truth, cameras, run = actor
    export = prepare(TARGET, cameras, run)
    write(TARGET, export, tmp_path)
    centred = export.K.copy()
    centred[:2, 2] = np.array(export.size_wh) / 2
    i = 0
    for split in ("train", "val"):
        document, params = read(tmp_path / "gaussiantalker", split)
        for frame in document["frames"]:
            X = params["vertices"][frame["img_id"]]
            assert np.allclose(X, 10 * truth.vertices, atol=1e-5)  # decimetres
            off = pixels(document, params, frame, X) - expected(cameras, i, centred, X / 10)
            assert np.abs(off).max() <= 1e-4
            # What the centre costs is the canvas' quarter of a pixel.
            true = pixels(document, params, frame, X) - expected(cameras, i, export.K, X / 10)
            assert np.abs(true).max() <= 0.25 + 1e-4
            i += 1
    assert i == 12


def test_read_as_rows_the_same_angles_miss_by_272_pixels() -> None:
    # The worked example's focal length, a head turned by these angles, a point 15 cm from its middle.
    R = D @ euler2rot(np.array([0.35, -0.3, 0.2]))
    triple = euler_angles(R)
    assert np.allclose(triple, [0.35, -0.3, 0.2], atol=1e-12)
    document = {"cx": 960.0, "cy": 540.0, "focal_len": 4111.5234}
    params = {"euler": triple[None], "trans": np.array([[0.1, -0.2, -15.0]])}
    X = np.array([[0.9, 0.8, 0.9]])
    right, wrong = (pixels(document, params, {"img_id": 0}, X, columns=columns) for columns in (True, False))
    assert np.linalg.norm(wrong - right) == pytest.approx(272.11, abs=0.01)


@settings(max_examples=200, deadline=None)
@given(
    r6=st.lists(st.floats(-1, 1), min_size=6, max_size=6).filter(
        lambda v: np.linalg.norm(np.cross(v[:3], v[3:])) > 1e-2
    )
)
def test_angles_give_back_any_rotation(r6: list[float]) -> None:
    R = rotation_from_6d(r6)
    assert np.abs(D @ euler2rot(euler_angles(R)) - R).max() < 1e-12


@pytest.mark.parametrize("b", [math.pi / 2, -math.pi / 2, math.pi / 2 - 1e-9])
def test_angles_give_back_a_head_seen_exactly_from_the_side_even_in_float32(b: float) -> None:
    R = (D @ euler2rot(np.array([0.7, b, -0.4]))).astype(np.float32)
    assert np.abs(D @ euler2rot(euler_angles(R)) - R).max() < 1e-6


def test_the_documents_hold_the_pictures_whole_size_the_split_and_the_numbers_of_a_25_fps_extraction(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    export = prepare(TARGET, cameras, run)
    outputs = write(TARGET, export, tmp_path)
    assert [p.name for p in outputs] == ["transforms_train.json", "transforms_val.json", "track_params.pt"]
    train, params = read(tmp_path / "gaussiantalker", "train")
    val, _ = read(tmp_path / "gaussiantalker", "val")
    for document in (train, val):
        # Its reader doubles them and resizes the background to floats where they are not its size.
        assert (document["cx"] * 2, document["cy"] * 2) == export.size_wh
        assert document["focal_len"] == pytest.approx(cameras.K_source[0, 0], abs=1e-9)
    frames = train["frames"] + val["frames"]
    assert len(train["frames"]) == 12 * 10 // 11 == 10
    # 00000.frame is source/00002.png, which ffmpeg -vf fps=25 -start_number 0 calls 1.jpg.
    assert [f["img_id"] for f in frames] == list(range(1, 13))
    assert [f["aud_id"] for f in frames] == list(range(1, 13))
    assert gaussiantalker.image_names(cameras)[0] == "ori_imgs/1.jpg"
    for i, frame in enumerate(frames):
        w2c = np.eye(4)
        w2c[:3, :3] = D @ cameras.R[i]
        w2c[:3, 3] = params["trans"][frame["img_id"]] / 10
        assert np.allclose(np.linalg.inv(w2c), frame["transform_matrix"], atol=1e-6)
    assert params["trans"][1] == pytest.approx(10 * D @ cameras.t[0], abs=1e-5)
    assert params["focal"].shape == (1,) and params["id"].shape == (1, 300)
    assert len(params["exp"]) == len(params["euler"]) == len(params["vertices"]) == 13


def test_sound_is_counted_at_25_a_second_whatever_the_pictures_rate(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    at_50 = replace(cameras, times_s=(cameras.source_numbers - 1) / 50)
    write(TARGET, prepare(TARGET, at_50, run), tmp_path)
    frames = read(tmp_path / "gaussiantalker", "train")[0]["frames"]
    assert [f["aud_id"] for f in frames] == [0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    # Blinks are read by img_id, so their rows must come at the pictures' rate.
    assert "make au.csv at 50 fps" in " ".join(TARGET.remarks(prepare(TARGET, at_50, run)))
    assert "au.csv" not in " ".join(TARGET.remarks(prepare(TARGET, cameras, run)))
    untimed = replace(cameras, times_s=None)
    write(TARGET, prepare(TARGET, untimed, run), tmp_path)
    frames = read(tmp_path / "gaussiantalker", "train")[0]["frames"]
    assert [f["aud_id"] for f in frames] == [f["img_id"] for f in frames]


def test_rows_of_frames_without_a_pose_repeat_the_nearest_and_no_document_names_them(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    gappy = without(cameras, 3, 4, 5)
    write(TARGET, prepare(TARGET, gappy, run), tmp_path)
    train, params = read(tmp_path / "gaussiantalker", "train")
    val, _ = read(tmp_path / "gaussiantalker", "val")
    named = [f["img_id"] for f in train["frames"] + val["frames"]]
    assert named == [1, 2, 3, 7, 8, 9, 10, 11, 12]
    from_pose = [0, 0, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8]
    assert np.allclose(params["euler"], euler_angles(gappy.R)[from_pose], atol=1e-6)
    assert len(params["vertices"]) == len(params["exp"]) == 13


def landmarks(folder: Path, number: int) -> np.ndarray:
    return np.loadtxt(folder / "gaussiantalker" / "ori_imgs" / f"{number}.lms")


def test_landmarks_lie_on_the_canvas_where_its_camera_sees_them(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    export = prepare(TARGET, cameras, run)
    assert TARGET.remarks(export) == ()
    assert export.canvas.x_min < 0 and export.canvas.y_min < 0  # padded before the frame's first pixel
    write(TARGET, export, tmp_path)
    for i, number in enumerate(range(1, 13)):
        found = landmarks(tmp_path, number)
        assert found.shape == (68, 2)
        assert np.abs(found - expected(cameras, i, export.K, head.landmarks_68())).max() < 1e-3
    # Taken for 00001.npy, the file of another picture, the first would be off by the head's motion.
    assert np.abs(landmarks(tmp_path, 1) - landmarks(tmp_path, 2)).max() > 1


def test_landmarks_keep_the_trackers_numbers_where_the_frames_at_hand_have_others(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    write(TARGET, prepare(TARGET, cameras, run), tmp_path / "same")
    later = replace(cameras, source_numbers=cameras.source_numbers + 30)
    write(TARGET, prepare(TARGET, later, replace(run, kpt_offset=30)), tmp_path / "later")
    for number in range(1, 13):
        assert np.array_equal(
            landmarks(tmp_path / "later", number + 30), landmarks(tmp_path / "same", number)
        )


def test_a_frame_without_a_face_borrows_the_nearest_landmarks_and_is_named(
    actor: Actor, tmp_path: Path
) -> None:
    _, cameras, run = actor
    run, kpt = with_copy(run, "kpt", tmp_path)
    np.save(kpt / "00005.npy", np.zeros((68, 2)))
    export = prepare(TARGET, cameras, run)
    (said,) = TARGET.remarks(export)
    assert "no face in 1 frames (00003)" in said
    write(TARGET, export, tmp_path)
    assert np.array_equal(landmarks(tmp_path, 4), landmarks(tmp_path, 3))
    assert not np.array_equal(landmarks(tmp_path, 4), landmarks(tmp_path, 5))
    (kpt / "00007.npy").unlink()
    with pytest.raises(NotFoundError, match=r"00005 \(source/00007\)(.|\n)*sync --only kpt"):
        write(TARGET, export, tmp_path)


def test_landmarks_outside_of_a_small_window_are_reported_with_their_frames(
    actor: Actor,
) -> None:
    _, cameras, run = actor
    whole = prepare(TARGET, cameras, run)
    found = canvas_landmarks(whole)
    assert found is not None
    middle = np.array(whole.size_wh) / 2
    # As large as the widest face but one needs: landmarks of one frame hang over.
    reach = np.abs(found.points - middle).max(axis=(1, 2))
    side = 2 * round(float(np.sort(reach)[-2:].mean()))
    assert np.sort(reach)[-1] - np.sort(reach)[-2] > 2
    (said,) = TARGET.remarks(prepare(TARGET, cameras, run, canvas=(side, side)))
    assert f"outside of this canvas of {side}x{side} in 1 frames ({reach.argmax():05d})" in said
    assert TARGET.remarks(prepare(TARGET, cameras, run, canvas=(2 * side, 2 * side))) == ()


def test_a_single_frame_leaves_none_to_train_on_and_gets_a_remark(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    one, two = (prepare(TARGET, without(cameras, *range(n, 12)), run) for n in (1, 2))
    assert "1 frame: it is kept for testing, so 0 are left to train on" in TARGET.remarks(one)[0]
    write(TARGET, one, tmp_path)
    assert read(tmp_path / "gaussiantalker", "train")[0]["frames"] == []
    assert TARGET.remarks(two) == ()


def test_rows_are_found_by_number_where_the_runs_order_is_another(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    numbers = cameras.source_numbers.copy()
    numbers[4:7] = 7, 8, 6
    mixed = replace(cameras, source_numbers=np.roll(numbers, -1))  # the last frame has the lowest number
    write(TARGET, prepare(TARGET, mixed, replace(run, kpt=None)), tmp_path)
    train, params = read(tmp_path / "gaussiantalker", "train")
    assert len(params["euler"]) == 13
    for i, frame in enumerate(train["frames"]):
        assert params["trans"][frame["img_id"]] == pytest.approx(10 * D @ cameras.t[i], abs=1e-5)


def test_without_landmarks_the_rest_is_written_with_a_remark(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    export = prepare(TARGET, cameras, replace(run, kpt=None))
    assert "sync --only kpt" in TARGET.remarks(export)[0]
    write(TARGET, export, tmp_path)
    assert not (tmp_path / "gaussiantalker" / "ori_imgs").exists()


def test_without_meshes_nothing_is_written_and_sync_is_named(actor: Actor, tmp_path: Path) -> None:
    _, cameras, run = actor
    with pytest.raises(NotFoundError, match="sync --only meshes") as refused:
        prepare(TARGET, cameras, replace(run, meshes=None))
    assert refused.value.exit_code == 3
    run, meshes = with_copy(run, "meshes", tmp_path)
    (meshes / "00007.ply").unlink()
    export = prepare(TARGET, cameras, run)
    with pytest.raises(NotFoundError, match=r"1 of 12 meshes are missing, first 00007.ply(.|\n)*sync --only"):
        write(TARGET, export, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_meshes_that_change_their_vertex_count_or_claim_a_billion_are_refused(
    actor: Actor, tmp_path: Path
) -> None:
    from being_remote.demo.actor import mesh_bytes

    truth, cameras, run = actor
    run, meshes = with_copy(run, "meshes", tmp_path)
    export = prepare(TARGET, cameras, run)
    whole = (meshes / "00003.ply").read_bytes()
    (meshes / "00003.ply").write_bytes(mesh_bytes(truth.vertices[:-1], truth.faces[:1]))
    count = len(truth.vertices)
    with pytest.raises(InconsistentData, match=f"has {count - 1} vertices, and 00000.ply has {count}"):
        write(TARGET, export, tmp_path / "out")
    (meshes / "00003.ply").write_bytes(whole.replace(b"vertex %d" % count, b"vertex 1000000000"))
    with pytest.raises(UnsafeFile, match="1 to 2000000 vertices"):
        write(TARGET, export, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_vertices_than_the_trainer_should_load_are_refused_with_the_figure(
    actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, cameras, run = actor
    monkeypatch.setattr(gaussiantalker, "MAX_VERTEX_BYTES", 13 * len(truth.vertices) * 12)
    write(TARGET, prepare(TARGET, cameras, run), tmp_path)
    monkeypatch.setattr(gaussiantalker, "MAX_VERTEX_BYTES", 13 * len(truth.vertices) * 12 - 1)
    with pytest.raises(UsageError, match=f"13 heads of {len(truth.vertices)} vertices are"):
        write(TARGET, prepare(TARGET, cameras, run), tmp_path)


def test_a_hundred_thousand_heads_are_more_than_is_written_and_a_usual_run_is_not() -> None:
    assert 838 * 5023 * 12 < gaussiantalker.MAX_VERTEX_BYTES < 100_000 * 5023 * 12
