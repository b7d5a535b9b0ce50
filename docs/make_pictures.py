"""The pictures in the README, made by the project itself: `.venv/bin/python docs/make_pictures.py`.

Runs the demo in a terminal of its own, draws what it printed as an SVG, draws its mesh through the wrong and
the right camera, and finds an actor's crop by its pictures.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pexpect
from rich.console import Console
from rich.text import Text

from being_remote.camera.crop import crop_from_box
from being_remote.demo.actor import make_actor
from being_remote.media.video import open_source
from being_remote.report.overlay import OverlayFrame, draw
from being_remote.report.pictures import put_text
from being_remote.tracker.ply import read_ply
from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, recover

IMAGES = Path(__file__).parent / "images"
COLUMNS = 118
PICTURE_WIDTH = 1100
# What is cut off a frame beside the head, and where the overlay's legend begins.
SIDE_PX, LEGEND_TOP_PX = 330, 880


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        printed = _terminal(f"{sys.executable} -m being_remote demo", folder)
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / "demo.svg").write_text(_svg(printed.replace(folder, "~")))
        _before_and_after(Path(folder, "demo-out"))
        actor = make_actor(Path(folder, "tracker"), "demo")
        video = actor.input_folder / "video.mp4"
        run, output = RunChoice(str(actor.output_folder)), OutputChoice(out=Path(folder, "found"))
        recover(None, run, EvidenceChoice(from_images=video), output)
        _scale(cv2.imread(str(Path(folder, "found/evidence.png"))), "evidence.jpg")


def _before_and_after(demo: Path) -> None:
    """The mesh on one frame through "add the offset, keep the focal length", and through the recovered K."""
    backup = demo / "backup/demo"
    run = RunChoice(str(backup))
    sizes = EvidenceChoice(source_size=(1920, 1080), video=demo / "original.mp4")
    report = recover(None, run, sizes, OutputChoice(explain=True, dry_run=True))
    assert report.explain is not None and report.K is not None
    with np.load(demo / "recovered/demo/cameras.npz") as cameras:
        place = len(cameras["R"]) // 2
        R, t, frame_id = cameras["R"][place], cameras["t"][place], int(cameras["frame_ids"][place])
        index, box = int(cameras["video_frames"][place]), tuple(map(int, cameras["crop_box"]))
        crop = crop_from_box(
            box, tuple(cameras["size_wh"].tolist()), tuple(cameras["image_size_wh"].tolist())
        )
    mesh = read_ply(backup / f"run/mesh/{frame_id:05d}.ply")
    with open_source(demo / "original.mp4") as video:
        picture = video.frame(index)
    degrees = sorted(error.degrees for error in report.explain.errors)
    wrong = f"offset added, focal length kept: {degrees[0]:.0f} to {degrees[-1]:.0f} degrees off"
    both = []
    for title, K in ((wrong, report.explain.guide_K), ("recovered", report.K)):
        drawn = draw(OverlayFrame("", np.array(K), R, t, crop, mesh, picture))
        both.append(drawn[:LEGEND_TOP_PX, SIDE_PX:-SIDE_PX])
        put_text(both[-1], title, (24, 50), (255, 255, 255), 1.2, 2)
    _scale(np.hstack(both), "before-after.jpg")


def _scale(pixels: np.ndarray, name: str) -> None:
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
