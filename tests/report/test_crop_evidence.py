"""The picture of the evidence shows what it says: same pixels, true differences, named scales."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from being_remote.crop_search.finding import ScoreLattice
from being_remote.report import crop_evidence
from being_remote.report.crop_evidence import GRADES, MARK, PANEL, SIDE, CropEvidence, draw

STORED = cv2.resize(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8), (512, 512))
TOP = 132  # the upper panels' first row
LEFTS = (36, 524, 1012)
LOWER = TOP + SIDE + 96


def evidence(made: np.ndarray = STORED, scores: ScoreLattice | None = None, **more: object) -> CropEvidence:
    given = {"title": "roman: frame 00012", "grade": "exact", "figures": ("side 900 px",)} | more
    return CropEvidence(stored=STORED, made=made, scores=scores, **given)  # type: ignore[arg-type]  # by name


def panel(picture: np.ndarray, k: int) -> np.ndarray:
    return picture[TOP : TOP + SIDE, LEFTS[k] : LEFTS[k] + SIDE]


def lattice(best: tuple[int, int, int] = (2, 3, 3), shape: tuple[int, int] = (5, 7)) -> ScoreLattice:
    """Scores that fall off from one place (side, y, x)."""
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[1]]
    values = 1 - 1e-3 * ((k - best[0]) ** 2 + (j - best[1]) ** 2 + (i - best[2]) ** 2)
    half_s, half_d = shape[0] // 2, shape[1] // 2
    return ScoreLattice(range(-2 * half_s, 2 * half_s + 1, 2), range(-half_d, half_d + 1), values)


def marked(picture: np.ndarray, left: int, width: int = SIDE) -> np.ndarray:
    """Middle (x, y) of what bears the mark's colour below `left`."""
    part = picture[LOWER:, left : left + width].astype(int)
    rows, columns = np.nonzero(np.abs(part - MARK).max(axis=2) < 12)
    assert len(rows) > 20
    return np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2


def test_both_pictures_are_shown_and_a_difference_of_nothing_is_black() -> None:
    picture = draw(evidence())
    expected = cv2.resize(STORED, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.array_equal(panel(picture, 0), expected)
    assert np.array_equal(panel(picture, 1), expected)
    black = cv2.applyColorMap(np.zeros((1, 1), np.uint8), cv2.COLORMAP_INFERNO)[0, 0]
    assert (panel(picture, 2) == black).all()


def test_the_difference_is_where_the_pictures_differ_and_as_large_on_its_scale() -> None:
    made = STORED.copy()
    made[128:256, 256:384] = np.clip(STORED[128:256, 256:384].astype(int) - 16, 0, 255)
    heat = panel(draw(evidence(made)), 2)
    scale = SIDE / 512
    inside = heat[round(160 * scale) : round(220 * scale), round(290 * scale) : round(350 * scale)]
    top = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), cv2.COLORMAP_INFERNO)[0, 0]
    assert np.abs(np.median(inside.reshape(-1, 3), axis=0) - top).max() < 12  # 16 of 16 levels
    outside = heat[: round(100 * scale)]
    assert outside.max() < 20


@pytest.mark.parametrize(("levels", "name"), [(5, "8"), (16, "16"), (30, "32"), (200, "255")])
def test_the_scale_of_the_difference_is_named(
    monkeypatch: pytest.MonkeyPatch, levels: int, name: str
) -> None:
    said: list[str] = []
    plain = crop_evidence._text
    monkeypatch.setattr(
        crop_evidence, "_text", lambda p, words, *a, **k: (said.append(words), plain(p, words, *a, **k))
    )
    low, high = np.full((64, 64, 3), 20, np.uint8), np.full((64, 64, 3), 20 + levels, np.uint8)
    draw(CropEvidence("", "verified", low, high, (), None))
    assert f"{name} levels of 255" in said
    assert f"mean {levels:.2f}, largest {levels}" in said


def test_the_best_place_is_marked_where_it_is_x_to_the_right_and_y_down() -> None:
    at = {
        best: marked(draw(evidence(scores=lattice(best))), LEFTS[0])
        for best in ((2, 3, 3), (2, 1, 3), (2, 3, 5))
    }
    cell = at[2, 3, 5][0] - at[2, 3, 3][0]
    assert cell > 60  # two cells
    assert at[2, 3, 5][1] == at[2, 3, 3][1]
    assert at[2, 1, 3] == pytest.approx(at[2, 3, 3] - [0, cell])


def test_the_places_are_those_at_the_side_that_was_found() -> None:
    scores = lattice((2, 3, 5))
    other = scores.scores.copy()
    other[0] = lattice((0, 1, 1)).scores[0]  # at a side four pixels smaller another place is best
    at_side, changed = (draw(evidence(scores=s)) for s in (scores, replace(scores, scores=other)))
    assert np.array_equal(marked(at_side, LEFTS[0]), marked(changed, LEFTS[0]))


def test_a_difference_in_one_channel_is_a_difference() -> None:
    made = STORED.copy()
    made[..., 0] ^= 64
    assert panel(draw(evidence(made)), 2).mean() > panel(draw(evidence()), 2).mean() + 20


def test_the_best_side_is_marked_along_the_curve() -> None:
    at = [marked(draw(evidence(scores=lattice((k, 3, 3)))), LEFTS[1] + 60, SIDE - 60)[0] for k in (0, 2, 4)]
    assert at[0] < at[1] < at[2]
    assert at[2] - at[1] == pytest.approx(at[1] - at[0], abs=1.5)


def test_without_scores_the_words_take_the_whole_width() -> None:
    with_scores, without = draw(evidence(scores=lattice())), draw(evidence())
    assert (without[LOWER + 400, LEFTS[0] + 10] == PANEL).all()
    assert not (with_scores[LOWER + 400, LEFTS[0] + 10] == PANEL).all()
    assert with_scores.shape == without.shape


@pytest.mark.parametrize("grade", [*GRADES, "unheard of"])
def test_every_grade_has_its_badge(grade: str) -> None:
    badge = draw(evidence(grade=grade))[34:40, 40:50].reshape(-1, 3)
    assert (badge == badge[0]).all() and badge[0].max() > 120


def test_long_and_many_figures_stay_within_their_panel() -> None:
    many = [("a rather long figure with a name like /a/b/c/d " * 4)] * 30
    plain, full = draw(evidence(scores=lattice(), figures=())), draw(evidence(scores=lattice(), figures=many))
    changed = np.argwhere((plain != full).any(axis=2))
    assert changed[:, 0].min() > LOWER and changed[:, 0].max() < full.shape[0] - 36
    assert changed[:, 1].min() > LEFTS[2] and changed[:, 1].max() < LEFTS[2] + SIDE


def test_odd_sizes_and_flat_scores_can_be_drawn() -> None:
    small = np.zeros((30, 50, 3), np.uint8)
    values = np.full((1, 3, 3), 0.5)
    picture = draw(
        CropEvidence("\x1b[31m ü", "exact", small, small, (), ScoreLattice((0,), (-1, 0, 1), values))
    )
    assert picture.shape == draw(evidence()).shape
