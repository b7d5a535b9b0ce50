"""What `recover` prints: doubts first, a camera only where there is one, no name that a terminal obeys."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from console_text import console_text
from recover_options import recover
from rich.console import Console

from being_remote.cli.app import app
from being_remote.cli.recover_tables import show_recover
from being_remote.crop_search.finding import CropCheck, FrameEvidence
from being_remote.demo.actor import make_actor
from being_remote.export import TARGETS
from being_remote.recovery.report_figures import EvidenceFigures
from being_remote.workflows.recover import RecoverReport

DEFAULT = [t.name for t in TARGETS.values() if t.default]
WIDE, NARROW = 150, 80
SEEN = FrameEvidence(0, 2, True, 0, True, False, 1.25, 0.9987, 0.001, (0, 0, 0, 0), (0, 0, 0, 0), 0.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RecoverReport:
    truth = make_actor(tmp_path_factory.mktemp("mt"), frames=2, pictures=False)
    return recover(
        None,
        run=str(truth.output_folder),
        source_size=(1920, 1080),
        explain=True,
        dry_run=True,
        what_if=["bbox_scale=3.5"],
        exports=DEFAULT,
    )


def printed(report: RecoverReport, width: int = WIDE) -> str:
    return console_text(show_recover, report, width)


def test_all_of_a_camera_is_printed_and_paths_are_never_broken(report: RecoverReport) -> None:
    for width in (WIDE, NARROW):
        text = printed(report, width)
        assert report.K is not None and f"{report.K[0][0]:.4f}" in text
        assert "the guide's answer (wrong)" in text and "what if: for this actor" in text
        assert f"would write {next(o for o in report.outputs if o.endswith('overlay.png'))}\n" in text
        parts = (f"{report.grade}: ", " fx ", "would write ", "crop: x", "notes on what")
        assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
        assert "not checked by pixels" in text.replace("\n  ", " ")


def test_a_forecast_is_all_that_is_printed_where_nothing_else_was_asked_for(report: RecoverReport) -> None:
    text = printed(replace(report, outputs=(), exports=(), notes=()))
    assert text.startswith("what if: for this actor")
    assert "nothing was written; --export NAME" in text
    assert "corner convention" not in text and "would write" not in text and "field of view" not in text


def test_the_grade_is_said_in_words(report: RecoverReport) -> None:
    first = printed(replace(report, grade="exact")).splitlines()[0]
    assert first == "exact: the pixels show the crop: made again, it equals the stored pictures"


def test_a_terminal_can_open_the_files_with_a_click(report: RecoverReport) -> None:
    stream = io.StringIO()
    show_recover(Console(file=stream, force_terminal=True, width=WIDE), report)
    overlay = next(o for o in report.outputs if o.endswith("overlay.png"))
    assert f";{Path(overlay).absolute().as_uri()}\x1b\\" in stream.getvalue()


def test_pictures_that_were_made_before_are_not_listed_as_written(report: RecoverReport) -> None:
    one = replace(report.exports[0], images=9, images_kept=7)
    told = replace(report, exports=(one,), dry_run=False)
    assert f"wrote 2 pictures for {one.name}; 7 were made before" in printed(told)
    first = replace(told, exports=(replace(one, images_kept=0),))
    assert f"wrote 9 pictures for {one.name}\n" in printed(first)


def test_many_trainers_notes_are_counted_and_those_of_one_are_shown(report: RecoverReport) -> None:
    assert f"{len(report.notes)} notes on what the trainers need: in report.html" in printed(report)
    one = replace(report, exports=report.exports[:1], notes=("json: remember this",))
    assert "note: json: remember this" in printed(one)


def test_an_estimate_is_printed_with_its_error_bars(report: RecoverReport) -> None:
    found = EvidenceFigures(
        method="registration",
        evidence="5 of 6 stored crops in here",
        source="video.mp4",
        reason="one frame only",
        frames=(SEEN,),
        phantoms=3,
        residual=1.25,
        margin=0.001,
        side_px=900.4,
        side_std_px=0.3,
        origin_px=(510.0, 90.0),
        origin_std_px=(0.2, 0.2),
        focal_std_percent=0.033,
        principal_std_px=(0.21, 0.25),
        frame_offset=0,
        notes=(),
    )
    estimate = replace(report, grade="estimated", crop_by="images", bbox=None, evidence=found)
    text = printed(estimate)
    assert "side +-0.30 px, focal length +-0.033 %, principal point +-0.21, 0.25 px" in text
    assert "3 left out, match no frame" in text and "residual 1.25 of 255" in text
    assert "error bars" not in printed(replace(estimate, grade="exact"))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_without_a_camera_the_next_step_is_printed(report: RecoverReport, width: int) -> None:
    lost = replace(report, K=None, crop=None, grade="unknown", outputs=(), warnings=("the crop is unknown",))
    text = printed(lost, width)
    assert "no camera: nothing was written" in text and "original video " not in text
    assert "warning: the crop is unknown" in text and "wrote" not in text
    denied = replace(report, K=None, check=CropCheck(False, "elsewhere", (SEEN,), source="v.mp4"), outputs=())
    text = printed(denied, width)
    assert "1 stored crops against v.mp4: they disagree" in text
    assert "--from-images v.mp4" in text and "--no-check" in text
    assert denied.check is not None
    nowhere = printed(replace(denied, check=replace(denied.check, frames=())), width)
    assert "no stored crop matches v.mp4: they disagree" in nowhere


def test_names_from_files_cannot_command_the_terminal(report: RecoverReport) -> None:
    bad = "x\x1b[2J\x07"
    hostile = replace(report, run=bad, warnings=(bad,), notes=(bad,), bbox=f"/tmp/{bad}/bbox.pt", job=bad)
    assert "\x1b" not in printed(hostile) and "\\x1b[2J" in printed(hostile)


def test_the_help_names_every_export() -> None:
    command = typer.main.get_command(app).commands["recover"]  # type: ignore[attr-defined]  # it is a group
    (option,) = (p for p in command.params if p.name == "export")
    assert all(name in option.help for name in TARGETS)
