"""The note of what is on its way, after it was cut short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from being_remote.backup.history import History
from being_remote.backup.incoming import ExpectedFile, note_contents, note_expected

A, B = ("run/" + "a" * 100, "0" * 64), ("run/b", "1" * 64)


@pytest.mark.slow
@pytest.mark.parametrize("left", range(1, len(json.dumps(A))))
def test_a_half_written_line_is_removed_before_another_is_appended(tmp_path: Path, left: int) -> None:
    history = History(tmp_path)
    history.history_folder.mkdir()
    note_expected(history, "pod", [ExpectedFile("run/a", "files/a", 3, 7)])
    whole = history.fetching.stat().st_size
    note_contents(history, [A])
    os.truncate(history.fetching, whole + left)
    note_contents(history, [B])
    lines = history.fetching.read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == ["pod", ["run/a", "files/a", 3, 7], list(B)]


def test_many_lines_and_long_lines_are_kept(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.history_folder.mkdir()
    awaited = [ExpectedFile("run/" + "ü" * 4000 + str(n), "files/a", 3, 7) for n in range(40)]
    note_expected(history, "pod", awaited)
    note_contents(history, [A])
    note_contents(history, [B])
    lines = history.fetching.read_bytes().splitlines()
    assert len(lines) == 43 and [json.loads(line) for line in lines[-2:]] == [list(A), list(B)]
