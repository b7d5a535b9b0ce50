"""INSTA's transforms*.json: OpenCV camera-to-world, with every field that a loader takes f from.

Its C++ loader takes the focal length from x_fov, its PyTorch port from fl_x, others from
camera_angle_x: all agree. Frames that were never tracked are left out, since the reader needs a list
without gaps. `offset` and `scale` are not written, because its loaders would apply them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import degrees

from being_remote.camera.pose import opencv_c2w
from being_remote.export.cameras import Cameras
from being_remote.export.json_text import document, nerf_intrinsics, rows
from being_remote.export.target import Export, File, Target
from being_remote.tracker.frame_numbering import FIVE_DIGITS

TEST_FRAMES = 350
VAL_FRAMES = 20


def image_names(cameras: Cameras) -> list[str]:
    """Named by frame_id, in the folder where INSTA's matting reads frames; it writes images/."""
    return [f"background/{i:05d}.png" for i in cameras.frame_ids.tolist()]


def held_back(frames: int) -> int:
    """How many frames, from the end, are for testing: 350, or half of a short clip.

    INSTA's own script takes 350 from any clip and leaves none to train on below 351.

    Example:
        >>> [held_back(n) for n in (838, 400, 3, 1)]
        [350, 200, 1, 0]
    """
    return min(TEST_FRAMES, frames // 2)


def files(export: Export) -> Iterator[File]:
    """The four documents: all, train, test, and val, which overlaps test."""
    head = nerf_intrinsics(export.K, export.size_wh)
    head["x_fov"] = degrees(head["camera_angle_x"])
    head["y_fov"] = degrees(head["camera_angle_y"])
    head["integer_depth_scale"] = 0.001
    count = len(export.cameras.frame_ids)
    test = count - held_back(count)
    splits = {
        "transforms.json": slice(None),
        "transforms_train.json": slice(0, test),
        "transforms_test.json": slice(test, count),
        "transforms_val.json": slice(max(count - VAL_FRAMES, 0), count),
    }
    for name, part in splits.items():
        yield name, document(head, _frames(export.cameras, part))


def _frames(cameras: Cameras, part: slice) -> Iterator[str]:
    poses = opencv_c2w(cameras.R[part], cameras.t[part])
    for frame_id, pose in zip(cameras.frame_ids[part].tolist(), rows(poses), strict=True):
        yield (
            f'{{"transform_matrix": {pose}, "file_path": "images/{frame_id:05d}.png",'
            f' "mesh_path": "meshes/{frame_id:05d}.obj", "exp_path": "flame/exp/{frame_id:05d}.txt",'
            f' "depth_path": "depth/{frame_id:05d}.png", "seg_mask_path": "seg_mask/{frame_id:05d}.png"}}'
        )


def remarks(export: Export) -> Sequence[str]:
    """How a clip that is too short for INSTA's split was split, and how a very long one is sorted."""
    count, last = len(export.cameras.frame_ids), int(export.cameras.frame_ids[-1])
    test = held_back(count)
    found = []
    if test != TEST_FRAMES:
        found.append(
            f"{count} frames are too few to keep 350 for testing: {test} are kept, {count - test} are trained"
            " on"
        )
    if last > FIVE_DIGITS:
        found.append(
            f"frame ids go up to {last}: names of six digits sort among those of five, so programs that go"
            " through the frames by name read 100000 right after 10000"
        )
    return found


TARGET = Target(
    name="insta",
    folder="insta",
    main_files=("transforms.json", "transforms_train.json", "transforms_test.json", "transforms_val.json"),
    notes=(
        "its loaders need, beside these files, images/ with a matte in their alpha and seg_mask/, both of the"
        " canvas, and meshes/*.obj, flame/exp/*.txt and canonical.obj, which do not depend on it: run the"
        " steps of INSTA's generate.sh, but put the pictures of this canvas into background/ in place of its"
        " own before the matting, and these files over its transforms at the end",
        "the tracker's depth maps belong to its crop: on any canvas but --canvas crop take depth/ away, or"
        " the C++ loader stops at the first; the PyTorch port cannot do without, so give it --canvas crop",
        "of the tracker's input/ take only pictures that have a .frame: others are older files",
    ),
    files=files,
    image_names=image_names,
    remarks=remarks,
)
