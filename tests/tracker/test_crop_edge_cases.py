"""Every edge case of the tracker's crop that is known, handled or refused with its reason.

One table, a row for each case, so that none is forgotten; what a row needs in depth is tested where
the code is: boxes' types in test_frame_file, maps in test_crop, mixed runs in test_sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import frame_factory as factory
import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box, resize_only
from being_remote.camera.intrinsics import from_ndc, intrinsics_in_source
from being_remote.errors import InconsistentData, UsageError
from being_remote.tracker import layout
from being_remote.tracker.box_file import parse_box
from being_remote.tracker.frame_file import parse_frame
from being_remote.tracker.frame_numbering import source_frame_numbers
from being_remote.tracker.sequence import read_sequence
from being_remote.tracker.settings import check

FULL_HD = (1920, 1080)
K = np.array([[2339.0, 0, 255], [0, 2339, 250], [0, 0, 1]])


def a_box_cut_by_one_border() -> None:
    crop = crop_from_box((510, 1410, 180, 1079), FULL_HD, (512, 512))
    cut = crop_from_box((510, 1410, 1, 839), FULL_HD, (512, 512))
    assert crop.clipped and cut.clipped
    # 900 x 838: 31 rows of zeros above and below, so the face is not in the middle of the crop.
    assert (cut.pad_y, cut.origin, cut.side) == (31, (510, -30), 900)


def an_odd_difference_keeps_two_focal_lengths() -> None:
    K_source = intrinsics_in_source(K, crop_from_box((510, 1410, 150, 1079), FULL_HD, (512, 512)))
    # Averaged they would be 4241.7, which is right for neither axis.
    assert K_source[0, 0] == pytest.approx(4239.44, abs=5e-3)
    assert K_source[1, 1] == pytest.approx(4244.01, abs=5e-3)


def a_box_larger_than_the_frame() -> None:
    with pytest.raises(ValueError, match="lies outside a frame of 1280x720"):
        crop_from_box((510, 1410, 90, 990), (1280, 720), (512, 512))


def a_box_of_a_smaller_video_cannot_be_told_by_its_numbers() -> None:
    # It is valid, and is another region: only pixels show that (crop_search.check_crop). Never rescaled.
    small = crop_from_box((340, 940, 60, 660), FULL_HD, (512, 512))
    assert (small.side, small.origin) == (600, (340, 60))


def an_image_that_is_not_square_with_a_crop() -> None:
    with pytest.raises(ValueError, match=r"960x540 is not square.*belongs to no image"):
        crop_from_box((510, 1410, 90, 990), FULL_HD, (960, 540))
    with pytest.raises(UsageError, match="crops to squares only"):
        check({"image_size": [540, 960]})


def no_crop_at_all() -> None:
    crop = resize_only(FULL_HD, (960, 540))
    assert (crop.scale_x, crop.scale_y, crop.origin) == (2, 2, (0, 0))
    uneven = resize_only(FULL_HD, (512, 512))
    assert (uneven.scale_x, uneven.scale_y) == (3.75, 1080 / 512)
    frame = parse_frame(factory.saved(factory.content(size_hw=(540, 960))), "00000.frame")
    assert frame.image_size_wh == (960, 540)
    np.testing.assert_allclose(frame.K, from_ndc(frame.focal_ndc, frame.principal_ndc, (960, 540)), rtol=1e-5)


def a_crop_smaller_than_the_image() -> None:
    crop = crop_from_box((0, 400, 0, 400), (512, 512), (512, 512))
    assert crop.scale_x == 400 / 512 < 1


def a_box_of_another_type() -> None:
    spelled = [
        np.array([510, 1410, 90, 990]),
        np.array([[510, 1410, 90, 990]], np.int32),
        np.array([510, 1410, 90, 990], np.uint16),
        [510, 1410, 90, 990],
        (510.0, 1410.0, 90.0, 990.0),
        [np.int64(n) for n in (510, 1410, 90, 990)],
    ]
    assert {parse_box(factory.saved(value), "bbox.pt") for value in spelled} == {(510, 1410, 90, 990)}


def a_box_in_another_order() -> None:
    # y first fits FULL_HD, too, where it is small enough: only pixels show it. Where it does not fit
    # it is refused, and x, y, width, height of others ends before it begins.
    with pytest.raises(ValueError, match="are width and height swapped"):
        crop_from_box((90, 990, 510, 1410), FULL_HD, (512, 512))
    with pytest.raises(InconsistentData, match=r"not a box: x 1410\.\.90"):
        parse_box(factory.saved(np.array([1410, 90, 510, 900])), "bbox.pt")


def several_boxes_in_one_run(folder: Path) -> None:
    # A box that was deleted and made anew comes with another fit, so with another K.
    for number, focal in enumerate((9.13, 9.13, 8.5)):
        content = factory.content(f"{number:05d}")
        content["camera"]["fl"] = np.array([[focal]], np.float32)
        content["opencv"]["K"] = from_ndc(
            content["camera"]["fl"], content["camera"]["pp"], (512, 512)
        ).astype("f4")
        (folder / f"{number:05d}.frame").write_bytes(factory.saved(content))
    with pytest.raises(InconsistentData, match=r"K changes at 00002\.frame"):
        read_sequence(folder)


def another_image_size_within_one_run(folder: Path) -> None:
    for number, side in enumerate((512, 768)):
        content = factory.content(f"{number:05d}", size_hw=(side, side))
        (folder / f"{number:05d}.frame").write_bytes(factory.saved(content))
    with pytest.raises(InconsistentData, match=r"img_size changes at 00001\.frame"):
        read_sequence(folder)


def a_path_that_holds_source_twice() -> None:
    given = PurePosixPath("input/source_png")
    assert layout.derived_folder(given, "images") == PurePosixPath("input/images_png/images")
    assert layout.derived_folder(given, "kpt") == PurePosixPath("input/kpt_npy/kpt")
    place = next(p for p in layout.PLACES if p.folder == layout.KPT_DENSE)
    on_host = place.folder_on(PurePosixPath("/w"), given, PurePosixPath("output/x"))
    assert on_host == PurePosixPath("/w/input/kpt_dense_npy/kpt_dense")


def more_than_99999_frames(folder: Path) -> None:
    for number in (99_999, 100_000, 7):
        (folder / f"{number:05d}.frame").write_bytes(factory.saved(factory.content(f"{number:05d}")))
    assert read_sequence(folder).frame_ids.tolist() == [7, 99_999, 100_000]
    # The tracker sorted the source's names as text: 100000.png comes right after 10000.png.
    assert source_frame_numbers([10_000], 0, source_images=100_500) == 100_000


ROWS: dict[str, Callable[..., None]] = {
    f.__name__: f
    for f in (
        a_box_cut_by_one_border,
        an_odd_difference_keeps_two_focal_lengths,
        a_box_larger_than_the_frame,
        a_box_of_a_smaller_video_cannot_be_told_by_its_numbers,
        an_image_that_is_not_square_with_a_crop,
        no_crop_at_all,
        a_crop_smaller_than_the_image,
        a_box_of_another_type,
        a_box_in_another_order,
        several_boxes_in_one_run,
        another_image_size_within_one_run,
        a_path_that_holds_source_twice,
        more_than_99999_frames,
    )
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_each_edge_case_is_handled_or_refused_with_its_reason(
    row: Callable[..., None], tmp_path: Path
) -> None:
    if row.__code__.co_argcount:
        row(tmp_path)
    else:
        row()
