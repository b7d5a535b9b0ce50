"""The wheel: what is built is complete, and works from a folder that has no checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy, so that the build leaves nothing in the checkout.
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "being_remote", source / "being_remote", ignore=shutil.ignore_patterns("__pycache__")
    )
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-build-isolation",
            "--no-deps",
            "-w",
            out,
            source,
        ],
        check=True,
        cwd=out,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_the_console_script(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = [n for n in names if n.endswith("entry_points.txt")]
        assert "being-remote = being_remote.cli:main" in archive.read(entry_points).decode()
    kinds = ("*.py", "*.html", "*.css", "*.js")
    modules = {p.relative_to(ROOT).as_posix() for k in kinds for p in (ROOT / "being_remote").rglob(k)}
    assert modules <= names
    assert "being_remote/py.typed" in names
    assert not [n for n in names if n.startswith(("tests/", "bench/", "docs/"))]


@pytest.mark.slow
def test_the_installed_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, cwd=tmp_path)
    code = (
        "import being_remote, sys, importlib.resources as r\n"
        f"assert being_remote.__file__.startswith({str(site)!r}), being_remote.__file__\n"
        "assert [getattr(being_remote, n) for n in being_remote.__all__]\n"
        "assert r.files('being_remote.pod').joinpath('box_search.py').read_bytes()\n"
        "from being_remote.cli import main\n"
        "main(['--help'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "find-bbox" in done.stdout
