"""`analyze`: one frame in words, its problems, and what to do next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from console_text import console_text
from face_runs import make_run

from being_remote.cli.json_values import to_json
from being_remote.cli.run_tables import show_analyze
from being_remote.errors import NotFoundError, TornFile, UnsafeFile, UsageError
from being_remote.workflows.analyze import AnalyzeReport, analyze


def printed(report: AnalyzeReport) -> str:
    return console_text(show_analyze, report, width=160)


def edit(frame: Path, group: str, key: str, value: object) -> None:
    content = torch.load(frame, weights_only=False)
    content[group][key] = value
    torch.save(content, frame)


def test_the_camera_of_the_frame_and_of_the_original_video_are_reported(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman")
    report = analyze(run / "checkpoint" / "00000.frame", source_size=(1920, 1080))
    assert report.exit_code == 0 and report.problems == ()
    assert (
        report.K is not None
        and report.K[0][0] == pytest.approx(2339)
        and report.K[0][2] == pytest.approx(255)
    )
    assert report.K_opencv is not None and report.K_opencv[0][2] == pytest.approx(254.5)
    assert report.principal_off_px == pytest.approx((-1, -6))
    assert report.fov_deg == pytest.approx((12.493, 12.494), abs=2e-3)
    assert report.source is not None and report.source.box == (510, 1410, 90, 990)
    # The worked example of a 900 px crop; the focal kept at 2339 would be the guide's mistake.
    assert report.source.K[0][0] == pytest.approx(4111.5234, abs=1e-3)
    assert report.source.K[0][2] == pytest.approx(958.2422, abs=1e-3)
    text = printed(report)
    assert "4111.52" in text and "flame.jaw" in text and f"recover --run {run}" in text.replace("\n  ", " ")


def test_the_json_has_what_scripts_need(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman")
    document = json.loads(json.dumps(to_json(analyze(run / "checkpoint" / "00003.frame")), allow_nan=False))
    assert document["frame_id"] == "00003" and document["image_size_wh"] == [512, 512]
    assert len(document["K"]) == 3 and document["problems"] == []
    assert {"flame.exp", "opencv.K", "frame_id"} <= set(document["keys"])
    assert [entry["key"] for entry in document["contents"]] == document["keys"]


def test_a_frame_that_contradicts_itself_is_shown_whole_with_6(tmp_path: Path) -> None:
    frame = make_run(tmp_path, "roman") / "checkpoint" / "00000.frame"
    edit(frame, "camera", "fl", np.array([[8.0]], np.float32))
    edit(frame, "camera", "t", np.array([[1.0, 2, 3]], np.float32))
    report = analyze(frame, source_size=(1920, 1080))
    assert report.exit_code == 6 and len(report.problems) == 2
    assert report.K is not None and report.source is None
    text = printed(report)
    assert text.count("problem: ") == 2 and "recover refuses it" in text


def test_numbers_that_are_not_finite_still_make_a_document(tmp_path: Path) -> None:
    frame = make_run(tmp_path, "roman") / "checkpoint" / "00000.frame"
    edit(frame, "opencv", "K", np.full((1, 3, 3), np.nan, np.float32))
    edit(frame, "opencv", "t", np.full((1, 3), np.inf, np.float32))
    report = analyze(frame)
    json.dumps(to_json(report), allow_nan=False)
    assert report.K is None and report.distance_m is None and report.exit_code == 6
    assert "not finite" in printed(report)


def test_a_run_without_a_crop_needs_no_box(tmp_path: Path) -> None:
    K = np.array([[2500.0, 0, 480], [0, 2500, 270], [0, 0, 1]])
    settings = "crop_image: false\nimage_size: [540, 960]\n"
    run = make_run(tmp_path, "justin", settings=settings, image_size_wh=(960, 540), K=K, box=False)
    report = analyze(run / "checkpoint" / "00000.frame", source_size=(1920, 1080))
    assert report.source is not None and report.source.box is None
    assert report.source.K[0][0] == pytest.approx(5000)
    assert not any("find-bbox" in step for step in report.next)


def test_without_a_box_the_ways_that_are_left_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman", box=False)
    report = analyze(run / "checkpoint" / "00000.frame", source_size=(1920, 1080))
    assert report.source is None and report.exit_code == 0
    assert any("find-bbox" in step for step in report.next)
    assert any("--from-images" in step for step in report.next)


def test_a_box_of_another_video_is_a_note_and_gives_no_camera(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman")
    report = analyze(run / "checkpoint" / "00000.frame", source_size=(640, 360))
    assert report.source is None
    assert any("lies outside a frame of 640x360" in note for note in report.notes)


def test_a_box_or_settings_that_cannot_be_read_cost_only_a_note(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman")
    frame = run / "checkpoint" / "00000.frame"
    (tmp_path / "input" / "roman" / "bbox.pt").write_bytes(b"PK\x03\x04broken")
    assert any("bbox.pt" in note for note in analyze(frame).notes)
    (tmp_path / "configs" / "actors" / "roman.yml").write_text("begin_frames: [")
    report = analyze(frame)
    assert report.exit_code == 0 and any("roman.yml" in note for note in report.notes)


def test_a_file_that_is_not_a_frame_is_refused_with_the_next_step(tmp_path: Path) -> None:
    run = make_run(tmp_path, "roman")
    with pytest.raises(UsageError, match=r"is a bbox\.pt, not a \.frame: x 510\.\.1410, y 90\.\.990"):
        analyze(tmp_path / "input" / "roman" / "bbox.pt")
    with pytest.raises(UsageError, match="is a folder") as caught:
        analyze(run)
    assert str(run / "checkpoint" / "00000.frame") in caught.value.hint
    with pytest.raises(NotFoundError):
        analyze(tmp_path / "00000.frame")
    torn = tmp_path / "00001.frame"
    torn.write_bytes((run / "checkpoint" / "00001.frame").read_bytes()[:-100])
    with pytest.raises(TornFile):
        analyze(torn)
    (tmp_path / "00002.frame").symlink_to(run / "checkpoint" / "00002.frame")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        analyze(tmp_path / "00002.frame")


def test_a_folder_of_any_name_stays_text_on_the_terminal(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a\x1b[31m '; rm -rf ~ \n", "roman")
    text = printed(analyze(run / "checkpoint" / "00000.frame", source_size=(1920, 1080)))
    assert "\x1b" not in text and "\\x1b" in text
    assert "'\"'\"'" in text  # quoted for a shell


def test_loading_the_workflow_loads_no_heavy_library() -> None:
    code = (
        "import sys, being_remote.workflows.analyze, being_remote.workflows.compare;"
        "print(*{'numpy', 'cv2', 'torch', 'fabric'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
