"""The quick demo: a lost box is found again by the commands of a user, and nothing else is needed or left."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from faults import small_disk

from being_remote.demo.demo_folder import demo_folder

BEING_REMOTE = [sys.executable, "-m", "being_remote"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("quick")
    # Neither torch, whose import fails in every process, nor a program of OpenSSH.
    (folder / "python").mkdir()
    (folder / "python/sitecustomize.py").write_text("import sys; sys.modules['torch'] = None")
    (folder / "bin").mkdir()
    for program in ("sh", "python3"):
        (folder / "bin" / program).symlink_to(str(shutil.which(program)))
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--quick", "--json"],
        cwd=folder,
        env={**os.environ, "PATH": str(folder / "bin"), "PYTHONPATH": str(folder / "python")},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return folder / "demo-out", json.loads(done.stdout)


@pytest.mark.slow
def test_a_lost_box_is_found_from_pictures_without_torch_and_without_ssh(quick: tuple[Path, dict]) -> None:
    folder, report = quick
    assert [(s["command"][0], s["exit_code"]) for s in report["steps"]] == [("find-bbox", 3), ("recover", 0)]
    assert report["found_bbox"] == report["lost_bbox"]
    assert report["grade"] == "verified"
    assert report["focal_error_px"] < 5e-4 and report["centre_error_px"] < 1e-4
    assert (folder / "backup/demo/bbox.pt").exists()


@pytest.mark.slow
def test_the_first_screen_has_the_guides_error_and_a_picture_of_it(quick: tuple[Path, dict]) -> None:
    _, report = quick
    guide, ours = report["guide"]["guide"], report["guide"]["ours"]
    assert 7 < guide["centre_deg"] < guide["corner_deg"] < 15 and guide["mesh_px"] > 100
    assert ours["corner_deg"] < 1e-4 and ours["mesh_px"] < 1e-3
    assert Path(report["guide"]["picture"]).read_bytes().startswith(b"\xff\xd8")


@pytest.mark.slow
def test_the_files_to_open_exist(quick: tuple[Path, dict]) -> None:
    _, report = quick
    assert "<html" in Path(report["report"]).read_text()[:200]
    assert Path(report["overlay"]).exists() and Path(report["cameras"]).exists()


def terminal(folder: Path, columns: int = 80) -> pexpect.spawn:
    """The quick demo in a terminal without a display."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    child = pexpect.spawn(
        BEING_REMOTE[0],
        [*BEING_REMOTE[1:], "demo", "--quick"],
        cwd=str(folder),
        env=environment,  # type: ignore[arg-type]  # its stub wants os._Environ
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=100,
    )
    child.logfile_read = io.StringIO()
    return child


@pytest.mark.slow
def test_a_terminal_of_80_columns_breaks_no_word_and_ends_with_three_links(tmp_path: Path) -> None:
    child = terminal(tmp_path)
    child.expect(pexpect.EOF)
    child.close()
    printed = child.logfile_read.getvalue().replace("\r\n", "\n")
    assert child.exitstatus == 0, printed
    links = re.findall(r"\x1b\]8;[^;]*;file://([^\x1b]+)\x1b", printed)
    out = tmp_path / "demo-out"
    wanted = ["recovered/demo/report.html", "recovered/demo/overlay.png", "recovered/demo"]
    assert [Path(link) for link in links[-3:]] == [out / name for name in wanted]
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\", "", printed)
    first_screen = plain.splitlines()[:24]
    assert any("offset added" in line and "7 to 14" in line for line in first_screen)
    # What is longer than the terminal is a path or a command, which is never wrapped.
    assert not [line for line in plain.splitlines() if len(line) > 80 and "/" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["drawing a head", "being-remote recover"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    child = terminal(tmp_path)
    child.expect(moment)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in child.logfile_read.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_makes_nothing_and_names_the_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--quick", "--dry-run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "being-remote recover --from-images original.mp4" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_wrong_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = quick_into(tmp_path / "file/demo")
    assert done.returncode == 2 and "cannot be made: Not a directory" in done.stderr


def test_a_disk_without_room_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        done = quick_into(disk / "demo")
        assert done.returncode == 6 and "a demo needs about 200.0 MB" in done.stderr
        assert list(disk.iterdir()) == []


def test_a_demo_interrupted_while_it_removes_an_earlier_one_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo_folder(tmp_path / "demo") as folder:
        (folder / "backup").mkdir()
        (folder / "original.mp4").touch()

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt), demo_folder(folder):
            pass
    with demo_folder(folder):
        assert [path.name for path in folder.iterdir()] == [".made-by-being-remote-demo"]


def quick_into(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BEING_REMOTE, "demo", "--quick", "--out", str(folder)], capture_output=True, text=True
    )


def test_quick_and_keep_contradict_each_other(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BEING_REMOTE, "demo", "--quick", "--keep"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and "no pod" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "terminal", "opens"),
    [
        ({"DISPLAY": ":0"}, True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, True),
        ({"DISPLAY": ":0"}, False, False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, True, False),
        ({}, True, False),
    ],
)
def test_a_browser_opens_only_at_a_terminal_with_a_display(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], terminal: bool, opens: bool
) -> None:
    asked = tmp_path / "asked"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {asked}.part && mv {asked}.part {asked}\n')
    browser.chmod(0o755)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = (
        "import sys, pathlib; from being_remote.cli.demo import open_in_browser;"
        f"sys.stdout.isatty = lambda: {terminal};"
        "sys.exit(not open_in_browser(pathlib.Path('/page one.html')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "BROWSER": str(browser)})
    assert (done.returncode == 0) == opens
    assert asked.exists() == opens
    if opens:
        assert asked.read_text().strip() == "file:///page%20one.html"
