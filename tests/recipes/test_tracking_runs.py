"""A tracking from plan to intrinsics.json, with the real bundle and the stand-in tracker."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plan_runner import MakePlan, planned, run_plan
from recover_options import recover

from being_remote.demo.actor import ActorTruth
from being_remote.errors import DataError
from being_remote.recipes.registry import find_recipe
from being_remote.tracker.intrinsics_file import check_intrinsics


def result_of(work: Path) -> dict:
    return json.loads((work / "result.json").read_text())


@pytest.mark.slow
def test_a_retrack_ends_with_the_camera_that_recover_finds_in_the_same_files(
    tracked: ActorTruth, make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan(preset="gaussiantalker-round2")
    done = run_plan(plan, tmp_path / "job")
    assert done.codes == (0, 0, 0), done.log
    found = json.loads((done.work / "intrinsics.json").read_text())

    # Ours, from the same files: the tracker's output folder as a run, its box named.
    out = tmp_path / "recovered"
    box = done.work / "input" / "demo" / "bbox.pt"
    report = recover(
        None,
        run=str(done.work / "output" / "demo"),
        source_size=(640, 360),
        bbox=box,
        out=out,
        exports=["json"],
    )
    cameras = json.loads((out / "cameras.json").read_text())
    for name in ("K", "K_opencv", "K_crop", "fov_deg", "crop", "size_wh"):
        assert found[name] == cameras[name], name
    assert found["K"] == [list(row) for row in report.K]
    assert [(f["R"], f["t"], f["frame_id"]) for f in found["frames"]] == [
        (f["R"], f["t"], f["frame_id"]) for f in cameras["frames"]
    ]
    # And the camera is the true one, though the crop is another than the first run's.
    assert found["crop"]["image_size_wh"] == [768, 768]
    assert np.abs(np.array(found["K"]) - tracked.K_source).max() < 1e-3
    assert found["box"] != list(tracked.box or ())
    assert np.allclose([f["R"] for f in found["frames"]], tracked.R, atol=1e-6)
    assert [f["file"] for f in found["frames"]] == [f"{n:05d}.png" for n in tracked.source_numbers]
    assert result_of(done.work)["ok"] is True
    assert check_intrinsics(done.work) == ()  # nothing is left that was not compared


@pytest.mark.slow
def test_earlier_results_and_the_actors_folder_are_never_touched(
    tracked: ActorTruth, make_plan: MakePlan, tmp_path: Path
) -> None:
    root = tracked.input_folder.parent.parent

    def state() -> dict[str, tuple[int, int]]:
        files = [p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    before = state()
    done = run_plan(make_plan("bbox_scale=3"), tmp_path / "job")
    assert done.codes == (0, 0, 0), done.log
    assert state() == before


@pytest.mark.slow
def test_the_attempts_input_holds_links_and_nothing_cached_when_the_tracker_starts(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan()
    done = run_plan(plan, tmp_path / "job", env={"STAND_IN_EXIT_AT": "0:7"})
    assert done.codes == (0, 7)
    assert {p for p, _ in plan.prepare.links} == {"input/demo/source", "input/demo/identity.npy"}
    config = (done.work / "configs/actors/demo.yml").read_text()
    assert f"actor: '{done.work}/input/demo'" in config
    # The box was made anew, in this attempt's folder.
    assert (done.work / "input/demo/bbox.pt").is_file() and not (
        done.work / "input/demo/bbox.pt"
    ).is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "codes", "words"),
    [
        # It ends early and says 0.
        ({"STAND_IN_EXIT_AT": "7:0"}, (0, 0, 3), "7 of 12 frames"),
        ({"STAND_IN_SECOND_K_AT": "5"}, (0, 0, 6), "K changes at 00005.frame"),
        ({"STAND_IN_EXIT_AT": "7:1"}, (0, 1), "Color loss"),
        ({"STAND_IN_TEAR_AT": "7"}, (0, -9), "Color loss"),
    ],
)
def test_success_is_judged_by_the_files_and_not_by_the_exit_code(
    make_plan: MakePlan, tmp_path: Path, env: dict[str, str], codes: tuple[int, ...], words: str
) -> None:
    done = run_plan(make_plan(), tmp_path / "job", env=env)
    assert done.codes == codes, done.log
    assert words in done.log
    assert not (done.work / "intrinsics.json").exists()
    if len(codes) == 3:
        result = result_of(done.work)
        assert result["ok"] is False and words in result["reason"]


@pytest.mark.slow
def test_no_key_frames_end_with_0_and_are_found_out(make_plan: MakePlan, tmp_path: Path) -> None:
    # The recipe refuses to plan this; somebody edits the settings on the pod.
    plan = make_plan()
    settings = plan.files["settings.yml"].replace(b"keyframes: [0, 1]", b"keyframes: []")
    edited = {**plan.files, "settings.yml": settings}
    assert edited != plan.files
    done = run_plan(dataclasses.replace(plan, files=edited), tmp_path / "job")
    assert done.codes == (0, 0, 3)
    assert "0 of 12 frames" in done.log


def _damage(work: Path, what: str) -> None:
    checkpoint = work / "output/demo/checkpoint"
    if what == "missing":
        (checkpoint / "00004.frame").unlink()
    elif what == "torn":
        data = (checkpoint / "00004.frame").read_bytes()
        (checkpoint / "00004.frame").write_bytes(data[: len(data) // 2])
    elif what == "unsafe":
        torch.save({"a": print}, checkpoint / "00004.frame")
    elif what == "more":
        shutil.copy(checkpoint / "00004.frame", checkpoint / "00099.frame")
    elif what == "no box":
        (work / "input/demo/bbox.pt").unlink()
    elif what == "other box":
        torch.save(np.array([0, 5000, 0, 5000]), work / "input/demo/bbox.pt")
    elif what == "other size":
        request = work.parents[2] / "files" / "tracking.json"
        request.write_text(request.read_text().replace("512", "768"))


@pytest.fixture(scope="module")
def finished(tracked: ActorTruth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that went well; copy it before harming it."""
    plan = planned(tracked.input_folder.parent.parent)
    folder = tmp_path_factory.mktemp("finished") / "job"
    assert run_plan(plan, folder).codes == (0, 0, 0)
    return folder


def finish(job: Path, python: str) -> subprocess.CompletedProcess[str]:
    work = job / "attempts/1/work"
    return subprocess.run(
        [python, "-B", "-m", "being_remote.tracker.finish", str(work), str(job / "files")],
        env={"PYTHONPATH": str(job / "bundle")},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("missing", 3, "11 of 12 frames are there; missing: 00004.frame"),
        ("torn", 6, "00004.frame"),
        ("unsafe", 6, "00004.frame"),
        ("more", 6, "00099.frame"),
        ("no box", 3, "bbox.pt"),
        ("other box", 6, "bbox.pt"),
        ("other size", 6, "512x512"),
    ],
)
def test_a_run_that_is_not_whole_gets_no_intrinsics(
    finished: Path, tmp_path: Path, what: str, code: int, words: str
) -> None:
    job = tmp_path / "job"
    shutil.copytree(finished, job, symlinks=True)
    work = job / "attempts/1/work"
    (work / "intrinsics.json").unlink()
    _damage(work, what)
    done = finish(job, sys.executable)
    assert done.returncode == code, done.stdout + done.stderr
    result = result_of(work)
    assert result["ok"] is False and words in result["reason"]
    assert not (work / "intrinsics.json").exists()


# A pod's interpreter may be as old as 3.8 with numpy 1.20: name one here to try it as well.
OTHER_PYTHONS = [p for p in [os.environ.get("OLD_PYTHON_WITH_NUMPY")] if p]


@pytest.mark.parametrize("python", [sys.executable, *OTHER_PYTHONS])
def test_the_transform_gives_the_same_bytes_whichever_python_runs_it(
    finished: Path, tmp_path: Path, python: str
) -> None:
    job = tmp_path / "job"
    shutil.copytree(finished, job, symlinks=True)
    made = job / "attempts/1/work/intrinsics.json"
    before = made.read_bytes()
    made.unlink()
    done = finish(job, python)
    assert done.returncode == 0, done.stderr
    assert made.read_bytes() == before


@pytest.mark.slow
def test_a_resumed_attempt_continues_from_the_whole_frames_before_a_torn_one(
    tracked: ActorTruth, make_plan: MakePlan, tmp_path: Path
) -> None:
    plan, job = make_plan(), tmp_path / "job"
    first = run_plan(plan, job, env={"STAND_IN_TEAR_AT": "10"})
    assert first.codes == (0, -9)
    second = run_plan(plan, job, attempt=2)
    assert second.codes == (0, 0, 0), second.log
    assert "10 whole frames of the attempt before are kept" in second.log
    assert "Snapshot loaded for frame 00009" in second.log
    K = json.loads((second.work / "intrinsics.json").read_text())["K"]
    assert np.abs(np.array(K) - tracked.K_source).max() < 1e-3
    # Meshes and crops of the kept frames come along, and the first attempt stays as it was.
    for folder in ("checkpoint", "mesh", "input"):
        assert len(list((second.work / "output/demo" / folder).iterdir())) == 12, folder
    assert len(list((first.work / "output/demo/checkpoint").iterdir())) == 11


@pytest.mark.slow
def test_an_attempt_after_one_that_hardly_began_starts_from_the_beginning(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    # What lies there may be the key-frame stage's, with a K that is not final.
    plan, job = make_plan(), tmp_path / "job"
    assert run_plan(plan, job, env={"STAND_IN_DIE_AT": "1"}).codes == (0, -9)
    second = run_plan(plan, job, attempt=2)
    assert second.codes == (0, 0, 0), second.log
    assert "nothing of the attempt before is kept" in second.log and "Training from beginning" in second.log


@pytest.mark.slow
def test_a_run_without_a_crop_needs_no_box(make_plan: MakePlan, tracked: ActorTruth, tmp_path: Path) -> None:
    plan = make_plan("crop_image=false", "image_size=[180, 320]")
    done = run_plan(plan, tmp_path / "job")
    assert done.codes == (0, 0, 0), done.log
    found = json.loads((done.work / "intrinsics.json").read_text())
    assert found["grade"] == "whole frame" and found["box"] is None
    assert np.abs(np.array(found["K"]) - tracked.K_source).max() < 1e-3
    find_recipe("metrical-tracker").verify_results(done.work)


def test_pictures_that_changed_since_the_plan_stop_it_before_the_tracker_starts(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan()
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for image in sorted(Path(plan.prepare.links[0][1]).iterdir())[:5]:
        (fewer / image.name).symlink_to(image)
    links = (("input/demo/source", str(fewer)), plan.prepare.links[1])
    changed = dataclasses.replace(plan, prepare=dataclasses.replace(plan.prepare, links=links))
    done = run_plan(changed, tmp_path / "job")
    assert done.codes == (6,)
    assert "has images for 4 frames; the job was planned for 12" in done.log


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["K"][0].__setitem__(0, 2339.0), "K"),
        (lambda d: d.update(box=[0, 100, 0, 100]), "box"),
        (lambda d: d["frames"][3]["t"].__setitem__(2, 9.0), "cameras are not those"),
        (lambda d: d.update(K_crop=[[1, 0, 0], [0, 1, 0], [0, 0, float("nan")]]), "K_crop"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d["frames"].clear(), "frames"),
        (lambda d: d["frames"][0].update(file="../../x"), "file"),
        (lambda d: d.update(size_wh=[64, 36]), "outside|follow"),
    ],
)
def test_intrinsics_that_a_pod_changed_are_refused_here(
    finished: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    work = tmp_path / "work"
    shutil.copytree(finished / "attempts/1/work", work, symlinks=True)
    path = work / "intrinsics.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=words):
        find_recipe("metrical-tracker").verify_results(work)
