"""The pictures in the README, made by the project itself: `.venv/bin/python docs/make_pictures.py`.

Runs the demo in a terminal of its own, draws what it printed as an SVG, scales its overlay down, and
finds an actor's crop by its pictures.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

import cv2
import pexpect
from rich.console import Console
from rich.text import Text

from being_remote.demo.actor import make_actor
from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, recover

IMAGES = Path(__file__).parent / "images"
COLUMNS = 118
PICTURE_WIDTH = 1100


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        printed = _terminal(f"{sys.executable} -m being_remote demo", folder)
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / "demo.svg").write_text(_svg(printed.replace(folder, "~")))
        _scaled(Path(folder, "demo-out/recovered/demo/overlay.png"), "overlay.jpg")
        actor = make_actor(Path(folder, "tracker"), "demo")
        video = actor.input_folder / "video.mp4"
        run, output = RunChoice(str(actor.output_folder)), OutputChoice(out=Path(folder, "found"))
        recover(None, run, EvidenceChoice(from_images=video), output)
        _scaled(Path(folder, "found/evidence.png"), "evidence.jpg")


def _scaled(picture: Path, name: str) -> None:
    pixels = cv2.imread(str(picture))
    height = round(pixels.shape[0] * PICTURE_WIDTH / pixels.shape[1])
    small = cv2.resize(pixels, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    # 8-bit PNG of a drawn face is large; a JPEG of high quality is not.
    cv2.imwrite(str(IMAGES / name), small, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _terminal(command: str, folder: str) -> str:
    # Progress bars and notes are for those who watch.
    words = ["-c", f"{command} 2>/dev/null"]
    child = pexpect.spawn("bash", words, cwd=folder, dimensions=(50, COLUMNS), encoding="utf-8", timeout=180)
    child.logfile_read = io.StringIO()
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus:
        raise SystemExit(child.logfile_read.getvalue())
    return child.logfile_read.getvalue().replace("\r\n", "\n")


def _svg(printed: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("$ make demo\n" + printed))
    svg = console.export_svg(title="make demo")
    # Rich points to a web font; readers' own monospace font serves, and nothing is fetched.
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
