"""Only files of tensors need torch; without it all else works, and those say what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from being_remote.demo.actor import make_actor

# A laptop without torch: importing it fails as if it were not installed.
WITHOUT = "import sys; sys.modules['torch'] = None; from being_remote.cli import main; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4 frames with its box beside it, as a backup holds it."""
    root = tmp_path_factory.mktemp("run") / "tracker"
    make_actor(root, "demo", frames=4, pictures=False, video=False)
    (root / "input/demo/bbox.pt").rename(root / "output/demo/bbox.pt")
    return root / "output/demo"


def recover(run: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ("--run", str(run), "--source-size", "1920x1080", "--out", str(folder / "out"), *words)
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, "recover", *options], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_cameras_are_recovered_without_torch(run: Path, tmp_path: Path) -> None:
    done = recover(run, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/cameras.json").exists() and (tmp_path / "out/nerfstudio/transforms.json").exists()


@pytest.mark.slow
def test_an_export_of_arrays_is_written_without_torch(run: Path, tmp_path: Path) -> None:
    done = recover(run, tmp_path, "--export", "flashavatar", "--allow-off-centre")
    assert done.returncode == 0, done.stderr
    checkpoint = tmp_path / "out/flashavatar/metrical-tracker/output/demo/checkpoint"
    assert len(list(checkpoint.glob("*.frame"))) == 4


def test_an_export_of_tensors_says_what_to_install_and_writes_nothing(run: Path, tmp_path: Path) -> None:
    done = recover(run, tmp_path, "--export", "gaussiantalker", "--export", "json")
    assert done.returncode == 2
    assert "--export gaussiantalker: it holds tensors, and torch is not installed" in done.stderr
    assert "next: pip install torch" in done.stderr
    assert not (tmp_path / "out").exists()
