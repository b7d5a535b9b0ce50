"""A host that is a folder, and a sync of it that needs no tracker: lines must end with END."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from folder_sync import FolderHost  # found through the line above, as the killed process finds it


@pytest.fixture
def host(tmp_path: Path) -> FolderHost:
    return FolderHost(tmp_path / "host", tmp_path / "home")
