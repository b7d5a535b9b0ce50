"""The command line as its users reach it, and an inventory that reaches no host."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import PROGRAMS, Program, run_in


@pytest.fixture(params=sorted(PROGRAMS))
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    """Runs a command in `tmp_path`, through `being-remote` and through `invoke`."""
    return lambda *words: run_in(tmp_path, *PROGRAMS[request.param], *words)


@pytest.fixture
def being_remote(tmp_path: Path) -> Program:
    return lambda *words: run_in(tmp_path, *PROGRAMS["being-remote"], *words)


@pytest.fixture
def invoke(tmp_path: Path) -> Program:
    return lambda *words: run_in(tmp_path, *PROGRAMS["invoke"], *words)


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
