"""The scripts in `examples/` run as they stand, in a folder with the inventory that they assume."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_the_example_of_a_backup_projects_a_point_and_writes_two_exports(notebook: Path) -> None:
    printed = run("backup_to_camera.py")
    assert "<Recovery of 'roman': 6 frames, grade " in printed
    assert "frame 00002: x " in printed
    assert (notebook / "for-trainers/nerfstudio/transforms.json").is_file()
    assert (notebook / "for-trainers/report.html").is_file()


@pytest.mark.slow
def test_the_example_of_a_pod_downloads_and_exports_with_pictures(notebook: Path) -> None:
    printed = run("pod_to_camera.py")
    assert "a100\n" in printed
    assert list((notebook / "for-gaussiantalker").rglob("*.jpg"))


@pytest.mark.slow
def test_the_example_of_a_retrack_recovers_one_camera_from_both_runs(notebook: Path) -> None:
    *_, first, second = run("retrack.py").splitlines()
    _, first_grade, first_side, first_fx = first.split()
    _, second_grade, second_side, second_fx = second.split()
    assert (first_grade, second_grade) == ("verified", "verified")
    assert (first_side, second_side) == ("324", "454")
    assert float(first_fx) == pytest.approx(float(second_fx), rel=1e-6)


@pytest.mark.slow
def test_the_example_of_a_command_prints_what_the_command_wrote(notebook: Path) -> None:
    assert run("any_command.py").splitlines() == ["succeeded", "hello from the pod"]


def test_every_example_is_run(notebook: Path) -> None:
    here = Path(__file__).read_text()
    assert [p.name for p in EXAMPLES.glob("*.py") if f'run("{p.name}")' not in here] == []
