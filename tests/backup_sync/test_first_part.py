"""Where the rest of a sync takes long, what cannot be made again is safe first."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from local_actor import FRAMES, SyncedActor
from remote_homes import Homes

from being_remote.backup_sync import sync_pass
from being_remote.session import Feedback
from being_remote.workflows.snapshots import list_snapshots


@pytest.fixture
def long_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_pass, "LONG_BYTES", 1)


def stop(_: str) -> None:
    raise KeyboardInterrupt


def test_the_frames_are_live_and_in_a_snapshot_once_they_are_called_safe(
    here: SyncedActor, long_rest: None
) -> None:
    said: list[tuple[str, set[str], list[int]]] = []
    report = here.sync(
        feedback=Feedback(
            say=lambda text: said.append((text, set(here.live()), here.history.snapshot_numbers()))
        )
    )
    ((text, live, snapshots),) = said
    assert text.startswith(f"safe in snapshot 0: {FRAMES} frames; ") and "; meshes, logs follow (" in text
    assert len([path for path in live if path.endswith(".frame")]) == FRAMES and snapshots == [0]
    assert not [path for path in live if path.startswith("run/")]  # the logs, which came later
    assert set(here.live()) > live and report.exit_code == 0
    assert here.history.snapshot_numbers() == [report.snapshot]  # one for both parts


def test_the_frames_of_a_pod_are_live_before_the_rest_is_asked_for(homes: Homes, long_rest: None) -> None:
    said: list[tuple[str, int, bool]] = []

    def say(text: str) -> None:
        live = homes.root / "checkpoint"
        said.append((text, len(list(live.iterdir())), (homes.root / "run/logs").exists()))

    report = homes.sync(feedback=Feedback(say=say))
    ((text, frames, has_logs),) = said
    assert text.startswith("safe in snapshot 0: ") and frames == FRAMES and not has_logs
    assert (homes.root / "run/logs").exists() and report.exit_code == 0


def test_ctrl_c_after_the_first_part_keeps_it_and_the_next_sync_downloads_the_rest_alone(
    here: SyncedActor, long_rest: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        here.sync(feedback=Feedback(say=stop))
    first = here.live()
    assert len(here.frames()) == FRAMES and list_snapshots(here.inventory).live == 0
    report = here.sync()
    assert report.transferred_files == len(here.live()) - len(first) > 0


@pytest.mark.slow
@pytest.mark.parametrize("other_run", [False, True])
def test_a_sync_in_two_parts_ends_as_one_in_one_part(
    here: SyncedActor, second_run: Path, monkeypatch: pytest.MonkeyPatch, other_run: bool
) -> None:
    if other_run:
        here.sync()
        here.holds(second_run)
    ended = []
    for long_bytes, backup in ((1 << 40, "whole"), (1, "parts")):
        before = here.root.parent / "before"
        if before.exists():
            before.rename(here.root)
        if here.root.exists() and backup == "whole":
            shutil.copytree(here.root, before)
        monkeypatch.setattr(sync_pass, "LONG_BYTES", long_bytes)
        report = here.sync()
        figures = dataclasses.replace(report, seconds=0, phases_s={}, round_trips=0, snapshot=None)
        ended.append((here.live(), figures, here.sync().transferred_files))
        here.root.rename(here.root.parent / backup)
    whole, parts = ended
    assert whole == parts and parts[2] == 0
    assert (parts[1].new_run is not None) == other_run


def test_a_small_rest_comes_with_the_frames_without_a_word(here: SyncedActor) -> None:
    said: list[str] = []
    here.sync(feedback=Feedback(say=said.append))
    assert not said and here.history.snapshot_numbers() == [0]
