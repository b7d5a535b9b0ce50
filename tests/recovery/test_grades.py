"""How sure a crop is called: by what was compared, frame by frame and stretch by stretch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from being_remote.camera.crop import crop_from_box
from being_remote.crop_search.finding import CropCheck, Finding, FrameEvidence
from being_remote.recovery.crop_check import _join_checks
from being_remote.recovery.found_crop import CropSearch, FoundCrop, grade_by_check, grade_by_stretches
from being_remote.recovery.report_figures import evidence_figures
from being_remote.recovery.stored_box import RunBox, _doubt

BOX = (510, 1410, 90, 990)
CROP = crop_from_box(BOX, (1920, 1080), (512, 512))
FOUND = FoundCrop(CROP, "bbox", "bbox", warnings=("a warning",), box=RunBox(BOX, None, ""))


def frame(frame_id: int, *, agrees: bool = True) -> FrameEvidence:
    return FrameEvidence(
        frame_id, frame_id + 1, agrees, 0, True, True, 0.0, 1.0, 0.1, (0,) * 4, (0,) * 4, 0.0
    )


def check(agrees: bool | None, *ids: int, exact: bool = False, reason: str = "") -> CropCheck:
    return CropCheck(agrees, reason, tuple(map(frame, ids)), exact=exact, source="a.mp4")


def test_one_part_that_disagrees_outweighs_those_that_agree_and_those_that_are_unknown() -> None:
    unknown, denied = check(None, 3, reason="too flat"), check(False, 9, reason="another box")
    agreed = check(True, 1, exact=True)
    for parts in ([unknown, denied, agreed], [agreed, denied, unknown], [denied, unknown]):
        joined = _join_checks(parts)
        assert (joined.agrees, joined.reason, joined.exact) == (False, "another box", False)
    joined = _join_checks([agreed, unknown])
    assert (joined.agrees, joined.reason) == (None, "too flat")
    assert [f.frame_id for f in joined.frames] == [1, 3]


def test_parts_are_only_equal_where_all_of_them_are() -> None:
    assert _join_checks([check(True, 1, exact=True), check(True, 2, exact=True)]).exact
    assert not _join_checks([check(True, 1, exact=True), check(True, 2)]).exact


@pytest.mark.parametrize(
    ("checked", "grade"),
    [
        (check(True, 1, exact=True), "exact"),
        (check(True, 1), "verified"),
        (check(None, 1), "bbox"),
        (check(False, 1, reason="another box"), "unverified"),
        (None, "bbox"),
    ],
)
def test_a_box_is_exact_only_by_equal_pixels_and_what_is_unknown_changes_nothing(
    checked: CropCheck | None, grade: str
) -> None:
    graded = grade_by_check(FOUND, checked)
    assert graded.grade == grade
    denied = checked is not None and checked.agrees is False
    assert graded.doubt.startswith("THE PIXELS DISAGREE") is denied


def stretched(*ids: int, fitted_each: bool = False) -> FoundCrop:
    """The crop of a run of two chunks, with what these frames of it showed."""
    stretches = ((0, 0), (1, 1), (2, 2)) if fitted_each else ((0, 3), (4, 9))
    frames = SimpleNamespace(stretches=stretches, frame_ids=np.arange(3 if fitted_each else 10))
    return grade_by_stretches(FOUND, cast(Any, SimpleNamespace(frames=frames)), check(True, *ids))


@pytest.mark.parametrize(
    ("ids", "unchecked"),
    [
        ((1, 5), ""),
        ((3, 4), ""),
        ((1, 2), "00004 to 00009"),
        ((4, 9), "00000 to 00003"),
        ((), "00000 to 00003"),
    ],
)
def test_a_chunk_of_which_no_crop_was_compared_makes_the_box_unverified(
    ids: tuple[int, ...], unchecked: str
) -> None:
    graded = stretched(*ids)
    assert graded.grade == ("unverified" if unchecked else "bbox")
    assert unchecked in graded.doubt and bool(graded.doubt) is bool(unchecked)
    assert "K changes within the run, in 2 stretches of frames" in graded.warnings[0]


def test_where_each_frame_has_a_k_of_its_own_a_few_stand_for_all_but_none_for_none() -> None:
    assert stretched(1, fitted_each=True).grade == "bbox"
    assert stretched(fitted_each=True).grade == "unverified"


@pytest.mark.parametrize(
    ("box_host", "frame_hosts", "says"),
    [
        ("a100", ("a100", "a100"), ""),
        ("a100", ("a100", "b200"), "downloaded from 'a100', the frames from 'a100', 'b200'"),
        ("a100", ("b200", "b200"), "downloaded from 'a100', the frames from 'b200'"),
        ("a100", ("a100", None), "the frames from 'a100', before the first sync"),
        (None, (None, None), "it lay in the backup before the first sync"),
    ],
)
def test_a_box_is_only_the_runs_own_where_all_frames_came_from_its_host(
    box_host: str | None, frame_hosts: tuple[str | None, ...], says: str
) -> None:
    data, names = b"a box", [f"{n:05d}.frame" for n in range(len(frame_hosts))]
    hosts = {"bbox.pt": box_host, **{f"checkpoint/{n}": h for n, h in zip(names, frame_hosts, strict=True)}}
    origins = {
        name: SimpleNamespace(sha256=hashlib.sha256(data).hexdigest(), host=host)
        for name, host in hosts.items()
    }
    run = SimpleNamespace(trackers_box=lambda settings: None, origins=origins)
    case = SimpleNamespace(run=run, settings=None, frames=SimpleNamespace(files=names))
    found = _doubt(cast(Any, case), Path("bbox.pt"), data)
    assert says in found and bool(found) is bool(says)
    assert "not the file" in _doubt(cast(Any, case), Path("bbox.pt"), b"another box")


def test_the_errors_of_an_estimate_are_carried_into_k_and_a_confirmed_one_has_none() -> None:
    frames = SimpleNamespace(
        K=np.array([[2339.0, 0, 256], [0, 2339, 128], [0, 0, 1]]), image_size_wh=(512, 512)
    )

    def figures(grade: Any) -> Any:
        finding = Finding(
            grade, CROP, "method", "", (), 900.0, 1.8, (510.0, 90.0), (0.4, 0.3), notes=("a note",)
        )
        return evidence_figures(CropSearch(finding, "crops", "a.mp4"), cast(Any, frames))

    estimated = figures("estimated")
    assert estimated.focal_std_percent == pytest.approx(0.2)  # 1.8 of 900
    assert estimated.principal_std_px == pytest.approx((np.hypot(0.9, 0.4), np.hypot(0.45, 0.3)))
    for grade in ("exact", "verified"):
        assert figures(grade).focal_std_percent == 0 and figures(grade).principal_std_px == (0, 0)
