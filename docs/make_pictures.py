"""The pictures in the README, made by the project itself: `.venv/bin/python docs/make_pictures.py`.

Runs the demo in a terminal of its own, draws what it printed as an SVG with its long outputs cut, keeps its
picture of the mesh through the wrong and the right camera, and finds an actor's crop by its pictures.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pexpect
from rich.console import Console
from rich.text import Text

from being_remote.demo.actor import make_actor
from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, recover

IMAGES = Path(__file__).parent / "images"
COLUMNS = 118
PICTURE_WIDTH = 1100
MAX_LINES = 40
# How many lines of each command's output are shown, of its first and of its last; one says how many are not.
SHOWN = {
    "trust": (0, 0),
    "find-bbox": (1, 0),
    "sync": (0, 1),
    "recover": (1, 0),
    "retrack": (0, 3),
    "pull": (0, 0),
}
END = "The camera of the original video"  # begins what the demo prints after its last command


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        printed = _terminal(f"{sys.executable} -m being_remote demo", folder)
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / "demo.svg").write_text(_svg(_shorten(printed.replace(folder, "~"))))
        shutil.copy(Path(folder, "demo-out/before-after.jpg"), IMAGES)
        actor = make_actor(Path(folder, "tracker"), "demo")
        video = actor.input_folder / "video.mp4"
        run, output = RunChoice(str(actor.output_folder)), OutputChoice(out=Path(folder, "found"))
        recover(None, run, EvidenceChoice(from_images=video), output)
        _scale(cv2.imread(str(Path(folder, "found/evidence.png"))), "evidence.jpg")


def _scale(pixels: np.ndarray, name: str) -> None:
    height = round(pixels.shape[0] * PICTURE_WIDTH / pixels.shape[1])
    small = cv2.resize(pixels, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    # 8-bit PNG of a drawn face is large; a JPEG of high quality is not.
    cv2.imwrite(str(IMAGES / name), small, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _terminal(command: str, folder: str) -> str:
    # Progress bars and notes are for those who watch.
    words = ["-c", f"{command} 2>/dev/null"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    child = pexpect.spawn(
        "bash",
        words,
        cwd=folder,
        env=environment,
        dimensions=(50, COLUMNS),
        encoding="utf-8",
        timeout=180,
    )
    child.logfile_read = io.StringIO()
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus:
        raise SystemExit(child.logfile_read.getvalue())
    return child.logfile_read.getvalue().replace("\r\n", "\n")


def _shorten(printed: str) -> str:
    """The first screen and the end whole; of each command's output the lines that `SHOWN` counts."""
    begin, *blocks = re.split(r"^(?=\$ being-remote )", "$ make demo\n" + printed, flags=re.MULTILINE)
    blocks[-1], end = re.split(f"^(?={END})", blocks[-1], flags=re.MULTILINE)
    lines = begin.splitlines()
    for block in blocks:
        command, *output = (line for line in block.splitlines() if line.strip())
        first, last = SHOWN[command.split()[2]]
        cut = len(output) - first - last
        mark = [f"\x1b[2m  [{cut} more lines]\x1b[0m"] if cut > 0 else []
        lines += [command, *output[:first], *mark, *output[len(output) - last :]]
    lines += ["", *(line for line in end.splitlines() if line.strip())]
    if len(lines) > MAX_LINES:
        raise SystemExit(f"{len(lines)} lines, more than {MAX_LINES}:\n" + "\n".join(lines))
    return "\n".join(lines)


def _svg(printed: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed))
    svg = console.export_svg(title="make demo")
    # Rich points to a web font; readers' own monospace font serves, and nothing is fetched.
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
