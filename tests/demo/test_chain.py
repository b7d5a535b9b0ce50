"""The demo: the whole chain with real commands, and the camera it ends with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

BEING_REMOTE = [sys.executable, "-m", "being_remote"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--json"], cwd=folder, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return folder / "demo-out", json.loads(done.stdout)


@pytest.mark.slow
def test_the_recovered_camera_is_the_true_one_to_what_float32_can_hold(demo: tuple[Path, dict]) -> None:
    _, report = demo
    assert report["focal_error_px"] < 5e-4
    assert report["centre_error_px"] < 1e-4
    # The guide's answer leaves f at the crop's, about half of it.
    assert abs(report["K"][0][0] - report["K_true"][0][0]) < 1 < report["K"][0][0] / 3
    assert report["reprojection_error_px"] < 1e-3
    assert report["points"] > 10_000


@pytest.mark.slow
def test_the_chain_is_the_commands_of_a_user_and_each_one_answered(demo: tuple[Path, dict]) -> None:
    _, report = demo
    verbs = ["trust", "find-bbox", "sync", "recover", "retrack", "pull"]
    assert [s["command"][0] for s in report["steps"]] == verbs
    assert {s["exit_code"] for s in report["steps"]} == {0}
    find, sync = report["steps"][1]["answer"], report["steps"][2]["answer"]
    assert find["best"]["host"] == "pod"
    assert sync["verified"] == sync["files"] == sync["transferred_files"] > 24


@pytest.mark.slow
def test_the_camera_transformed_on_the_pod_is_ours_to_the_last_bit(demo: tuple[Path, dict]) -> None:
    _, report = demo
    retrack, pull = report["steps"][4]["answer"], report["steps"][5]["answer"]
    again = report["retracked"]
    assert retrack["state"] == "succeeded" and retrack["job"] == pull["job"] == again["job"]
    assert again["equal"] is True
    # Another crop at another size, the same camera.
    assert again["image_size_wh"] == [768, 768]
    assert again["side"] == 1372
    assert again["focal_error_px"] < 1e-3
    pulled = json.loads(Path(again["intrinsics"]).read_text())
    assert pulled["K"] == again["K"]
    assert len(pulled["frames"]) == 24


@pytest.mark.slow
def test_the_files_stay_and_the_pod_goes(demo: tuple[Path, dict]) -> None:
    folder, report = demo
    assert Path(report["overlay"]).read_bytes().startswith(b"\x89PNG")
    assert Path(report["cameras"]).is_file()
    assert (folder / "backup" / "demo" / "bbox.pt").is_file()
    assert not (folder / "pod").exists()


@pytest.mark.slow
def test_ctrl_c_stops_the_pod_and_leaves_nothing_behind(tmp_path: Path) -> None:
    child = pexpect.spawn(
        BEING_REMOTE[0], [*BEING_REMOTE[1:], "demo"], cwd=str(tmp_path), encoding="utf-8", timeout=100
    )
    child.expect(r"a pod listens on 127\.0\.0\.1 port (\d+)")
    port = int(child.match.group(1))
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    child.expect("being-remote sync")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.slow
def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--out", "mine"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "was not made by a demo" in done.stderr
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"


@pytest.mark.slow
def test_a_dry_run_of_the_demo_makes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--dry-run"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "being-remote find-bbox --host pod" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_kept_pod_is_not_forgotten_by_the_next_demo(tmp_path: Path) -> None:
    (tmp_path / "demo-out").mkdir()
    (tmp_path / "demo-out" / ".made-by-being-remote-demo").write_text(str(os.getpid()))
    done = subprocess.run([*BEING_REMOTE, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"kill {os.getpid()}" in done.stderr
