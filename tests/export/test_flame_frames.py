"""FLAME coefficients that are fewer than FLAME's, or not as many in every frame, for those who copy them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trained_actor import Actor, with_coefficients

from being_remote.errors import InconsistentData
from being_remote.export import TARGETS, prepare, write


@pytest.mark.parametrize("name", ["flashavatar", "gaussiantalker"])
def test_fewer_coefficients_than_flames_are_reported_with_both_counts(
    actor: Actor, tmp_path: Path, name: str
) -> None:
    _, cameras, run = actor
    target = TARGETS[name]
    fewer = with_coefficients(
        run, tmp_path, exp=np.zeros((1, 50), np.float32), shape=np.zeros((1, 200), np.float32)
    )
    whole, export = (prepare(target, cameras, files) for files in (run, fewer))
    more = [said for said in target.remarks(export) if said not in target.remarks(whole)]
    assert [" ".join(said.split()[:8]) for said in more] == [
        "the run has 50 expression coefficients, and FLAME",
        "the run has 200 shape coefficients, and FLAME",
    ]
    assert "FLAME 100:" in more[0] and "FLAME 300:" in more[1]
    write(target, export, tmp_path)


@pytest.mark.parametrize("name", ["flashavatar", "gaussiantalker"])
def test_frames_of_other_coefficients_than_the_first_are_refused(
    actor: Actor, tmp_path: Path, name: str
) -> None:
    _, cameras, run = actor
    mixed = with_coefficients(run, tmp_path, "00004.frame", exp=np.zeros((1, 50), np.float32))
    with pytest.raises(InconsistentData, match=r"flame\.exp has 50 numbers, and in 00000\.frame 100"):
        write(TARGETS[name], prepare(TARGETS[name], cameras, mixed), tmp_path / "out")
