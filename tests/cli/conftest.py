"""The command line as its users reach it, and an inventory that reaches no host."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from programs import PROGRAMS, Program, run_here


@pytest.fixture
def run_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Program:
    """Runs the program that the first word names, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return partial(run_here, capfd)


@pytest.fixture(params=sorted(PROGRAMS))
def program(request: pytest.FixtureRequest, run_program: Program) -> Program:
    """Runs a command through `being-remote` and through `invoke`."""
    return partial(run_program, request.param)


@pytest.fixture
def being_remote(run_program: Program) -> Program:
    return partial(run_program, "being-remote")


@pytest.fixture
def invoke(run_program: Program) -> Program:
    return partial(run_program, "invoke")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An inventory whose only host can never be reached: port 1 of loopback is closed."""
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "hosts: {pod: {address: 127.0.0.1, port: 1, user: root, workdir: /w}}\n"
        "actors: {demo: {source_size: [1920, 1080]}}\n"
        "search_roots: []\nbackups: backups\nssh_config: no-config\n"
    )
    (tmp_path / "no-config").touch()
    return path
