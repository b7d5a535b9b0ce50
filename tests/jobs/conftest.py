"""A host that is this machine, with locks of its own, and jobs for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk
from gpu_card import Card

from being_remote.inventory import LocalHost
from being_remote.transport.local_session import LocalSession


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return made


@pytest.fixture
def locks_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of this test's own: what other tests lease and queue for is not in its way."""
    folder = tmp_path / "own" / "locks"
    (tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(folder))
    return folder


@pytest.fixture
def desk(tmp_path: Path, locks_folder: Path) -> Iterator[Desk]:
    host = LocalHost(name="here", kind="local", workdir=tmp_path / "work")
    (tmp_path / "work").mkdir()
    made = Desk(LocalSession(host), tmp_path / "work")
    yield made
    made.clean()
