"""The two programs of the command line, and how a test runs one without a terminal.

A start of Python and its imports cost more than most commands: `Program`s run in this process, from the
entry point on. `run_in` starts the real program, for what only that shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import invoke.main
import pytest

from being_remote.cli import main

BIN = Path(sys.executable).parent
PROGRAMS = {
    "being-remote": [str(BIN / "being-remote")],
    "invoke": [str(BIN / "invoke"), "--search-root", str(Path(__file__).parents[2])],
}

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def run_here(capture: pytest.CaptureFixture[str], name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in this process and in its current folder."""
    capture.readouterr()
    code: Any = 0
    try:
        if name == "invoke":
            invoke.main.program.run([*PROGRAMS[name], *words])
        else:
            main(words)
    except SystemExit as e:
        code = e.code or 0
    stdout, stderr = capture.readouterr()
    return subprocess.CompletedProcess([name, *words], code, stdout, stderr)


def run_in(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program without a terminal."""
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    return subprocess.run(
        argv,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
