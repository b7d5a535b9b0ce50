"""The two programs of the command line, and how a test runs one without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
PROGRAMS = {
    "being-remote": [str(BIN / "being-remote")],
    "invoke": [str(BIN / "invoke"), "--search-root", str(Path(__file__).parents[2])],
}

Program = Callable[..., "subprocess.CompletedProcess[str]"]


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
