"""The documents: their links lead somewhere, their commands exist, and the example of an exporter works."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.cli.app import app
from being_remote.cli.command_list import COMMANDS
from being_remote.export import Cameras, Target, prepare

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_every_command_of_it_exists(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    for line in command_lines(text):
        command, *rest = shlex.split(line, comments=True)
        assert command in COMMANDS or command.startswith("-") or command == "X", line
        if command in COMMANDS:
            own = rest[: rest.index("--")] if "--" in rest else rest
            assert {word.partition("=")[0] for word in own if word.startswith("--")} <= options(command), line


def command_lines(text: str) -> list[str]:
    """What follows the program's name in the lines to copy: indented ones, and those of shell blocks."""
    shells = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [*re.findall(r"^    .*$", text, re.MULTILINE), *"\n".join(shells).splitlines()]
    found = [re.match(r"\s*(?:invoke|being-remote) (.*)", line) for line in lines]
    return [line[1] for line in found if line]


@cache
def options(command: str) -> set[str]:
    program: Any = typer.main.get_command(app)
    return {"--help", *(name for parameter in program.commands[command].params for name in parameter.opts)}


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 160


def test_the_picture_of_the_demo_is_at_most_40_lines_of_a_terminal() -> None:
    picture = (ROOT / "docs/images/demo.svg").read_text()
    lines = {round(float(y)) for y in re.findall(r'<text [^>]* y="([0-9.]+)"[^>]*clip-path', picture)}
    assert 30 < len(lines) <= 40
    assert "more&#160;lines]" in picture  # what is cut is marked


def test_the_exporter_of_the_contributors_page_writes_the_camera_of_the_video() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 35
    names: dict[str, object] = {}
    exec(code, names)
    target = names["TARGET"]
    assert isinstance(target, Target)
    crop = crop_from_box((510, 1410, 180, 1079), (1920, 1080), (512, 512))
    K_crop = np.array([[2000.0, 0, 250], [0, 2000, 260], [0, 0, 1]])
    K = intrinsics_in_source(K_crop, crop)
    numbers = np.array([3, 4])
    cameras = Cameras(
        "roman",
        K,
        K_crop,
        np.stack([np.eye(3)] * 2),
        np.ones((2, 3)),
        numbers - 1,
        numbers,
        None,
        crop,
        "exact",
    )
    ((name, pieces),) = target.files(prepare(target, cameras))
    document = json.loads(b"".join(pieces))
    assert name == "cameras.json" and document["size_wh"] == [1920, 1080]
    assert np.allclose(document["K"], K) and [f["file"] for f in document["frames"]] == [
        "00003.png",
        "00004.png",
    ]
