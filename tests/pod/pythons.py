"""Which Pythons a pod may have, of those on this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def old_python() -> str:
    """The oldest Python that pods have, where this machine has it."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.8*/bin/python"))
    return str(pyenv[0]) if pyenv else shutil.which("python3.8") or sys.executable
