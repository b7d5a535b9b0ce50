"""`sync --list`, `--restore` and `--prune` through both programs; Invoke has a `--list` of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import Program

from being_remote.backup.history import History
from being_remote.backup.put_file import put_file
from being_remote.cli import main


@pytest.fixture
def folder(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: an inventory whose host is gone, and a backup with three snapshots."""
    for i in range(3):
        put_file(inventory.parent / "backups/demo", f"run/logs/{i}", b"log %d" % i, host="pod")
    monkeypatch.chdir(inventory.parent)
    return inventory.parent


def exit_code(*words: str) -> int:
    """Of the command, run in this process."""
    with pytest.raises(SystemExit) as left:
        main(["sync", *words])
    return int(left.value.code or 0)


def test_list_after_the_command_lists_snapshots(folder: Path, program: Program) -> None:
    done = program("sync", "--list", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(g["generation"], g["files"], g["live"]) for g in document["generations"]] == [
        (0, 1, False),
        (1, 2, False),
        (2, 3, True),
    ]


def test_restore_and_prune_take_their_values(folder: Path, program: Program) -> None:
    done = program("sync", "--restore", "0")
    assert done.returncode == 0, done.stderr
    assert "snapshot 0: 1 file, 5 B is live again, as snapshot 3" in done.stdout
    assert "undo: sync --restore 2" in done.stdout
    assert "would remove 2 of 4 snapshots" in program("sync", "--prune", "keep=2", "--dry-run").stdout
    pruned = json.loads(program("sync", "--prune=keep=2", "--json").stdout)
    assert (pruned["kept"], pruned["removed"]) == ([2, 3], [0, 1])


def test_the_table_has_a_row_for_each_snapshot_and_says_what_the_history_takes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("--restore=0") == 0
    (folder / "backups/demo/run/logs/0").unlink()
    capsys.readouterr()
    assert exit_code("--list") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == [
        *("snapshot", "made", "why", "host", "files", "size", "added", "changed", "removed")
    ]
    assert [row.split()[0] for row in rows[1:5]] == ["0", "1", "2", "3"]
    assert "restored (0)" in rows[4] and rows[4].endswith("live")
    assert any(row.endswith("10 B of it only for older snapshots") for row in rows)
    assert any(row.startswith("note: 1 file added, changed or removed by hand") for row in rows)


def test_a_dry_run_of_a_restore_prints_its_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--restore=0", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "would restore it: 0 added, 0 changed, 2 removed" in said
    assert "a --watch that runs now, brings back what pod has otherwise" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prune=3"], "e.g. --prune keep=5"),
        (["--prune=keep=0"], "at least one snapshot must be kept"),
        (["--prune=keep=-1"], "e.g. --prune keep=5"),
        (["--list", "--restore=1"], "--list and --restore do not go together"),
        (["--restore=1", "--prune=keep=1"], "--restore and --prune do not go together"),
        (["--prune=keep=1", "--host=pod"], "--prune and --host do not go together"),
        (["--list", "--only=bbox"], "--list and --only do not go together"),
        (["--list", "--verify"], "--list and --verify do not go together"),
        (["--list", "--watch"], "--list and --watch do not go together"),
        (["--list", "--wait=5m"], "--list and --wait do not go together"),
        (["--dry-run", "--break-lock"], "--dry-run holds no lock"),
        (["--restore=one"], "--restore"),
        (["--force"], "--force goes with --prune only"),
        (["--list", "--force"], "--force goes with --prune only"),
    ],
)
def test_invalid_arguments_are_2_and_say_what_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert exit_code(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err


def test_prune_of_the_fuller_snapshot_is_6_and_needs_force(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(folder / "backups/demo")
    put_file(history.root, "checkpoint/00000.frame", b"a frame", host="pod")
    with history.lock():
        history.show(history.commit({}, why="sync", new_tree=True).number)
    assert exit_code("--prune=keep=2") == 0
    assert exit_code("--prune=keep=1", "--dry-run") == 6
    capsys.readouterr()
    assert exit_code("--prune=keep=1") == 6
    said = " ".join(capsys.readouterr().err.split())
    assert "1 in snapshot 3, 0 in the newest one; nothing was removed" in said
    assert "sync --restore 3" in said and "--force" in said
    assert exit_code("--prune=keep=1", "--force") == 0
    assert history.snapshot_numbers() == [4]


def test_an_unknown_snapshot_is_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--restore=9", "--json") == 3
    assert json.loads(capsys.readouterr().out)["error"]["class"] == "NotFoundError"
