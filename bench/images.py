"""Making a trainer's pictures from a 1080p video: ours beside the ffmpeg command for the same crop.

    python bench/images.py             120 frames of each: half a second of ours is its start
    python bench/images.py --full      838 frames
    python bench/images.py --runs 5

Needs an ffmpeg: the system's, or `pip install imageio-ffmpeg`. Whole processes, imports and all,
alternating; on the clock, and in processor time, which other work on the machine disturbs less. The
video is drawn here and encoded with H.264. Both sides use all cores. JPEG: ours has
quality 95, ffmpeg its best (-q:v 1), as GaussianTalker's own extraction asks for; mean file sizes are
printed. PNG: OpenCV's default (zlib level 1, run lengths) beside ffmpeg's level 1; ffmpeg's own default,
level 6 or so, takes ten times as long for files a tenth smaller.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from common import Cost, Row, process_cost, show

from being_remote.export import TARGETS, Cameras, Export, RunFiles, prepare

SIZE_WH = (1920, 1080)
K = np.array([[4111.52, 0, 958.24], [0, 4111.52, 529.45], [0, 0, 1]])

OURS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from images import export_of
from being_remote.export import TARGETS
from being_remote.export.images import make_images, plan_images, source_words, standing
from being_remote.tracker.source_frames import source_frames
from being_remote.media.video import open_source
target, video, count, out = TARGETS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])

plan = plan_images(target, export_of(target.name, count), source_words(video, 25))
with open_source(video) as source:
    make_images(plan, source_frames(source, 25), out)
assert standing(plan, out) == count
"""


def cameras(count: int) -> Cameras:
    """Poses do not matter here; the canvas follows from K and the crop."""
    from being_remote.camera.crop import crop_from_box

    ids = np.arange(count)
    return Cameras(
        "bench",
        K,
        K,
        np.tile(np.diag([1.0, -1, -1]), (count, 1, 1)),
        np.tile([0, 0, 1.5], (count, 1)),
        ids,
        ids + 1,
        ids / 25,
        crop_from_box((510, 1410, 90, 990), SIZE_WH, (512, 512)),
        "bbox",
    )


def export_of(target: str, count: int) -> Export:
    """What `recover` would hand to the target; no run's files are needed for its pictures."""
    nowhere = Path()
    return prepare(TARGETS[target], cameras(count), RunFiles(nowhere, nowhere, nowhere))


def ffmpeg() -> str:
    """The system's, or the one that imageio-ffmpeg carries."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make_video(path: Path, count: int, program: str) -> None:
    """Drawn frames of the demo's head, over and over, with noise so that no frame repeats."""
    import cv2

    from being_remote.demo.actor import full_frame_camera, motion
    from being_remote.demo.picture import draw, make_studio

    rng = np.random.default_rng(0)
    camera = full_frame_camera(SIZE_WH, rng)
    studio = make_studio(SIZE_WH, (1123.0, 600.0), 0)
    with tempfile.TemporaryDirectory() as frames:
        for i, (R, t) in enumerate(zip(*motion(camera, SIZE_WH, "top", 12, rng), strict=True)):
            cv2.imwrite(f"{frames}/{i:02d}.png", draw(studio, camera, R, t))
        source = ["-framerate", "25", "-stream_loop", "-1", "-i", f"{frames}/%02d.png"]
        encode = ["-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-vf", "noise=alls=4:allf=t"]
        argv = [program, "-v", "error", "-y", *source, *encode, "-frames:v", str(count), str(path)]
        subprocess.run(argv, check=True)


def filters(target: str) -> str:
    """The same canvas, in ffmpeg's words."""
    canvas = export_of(target, 1).canvas
    left, top = max(-canvas.x_min, 0), max(-canvas.y_min, 0)
    width, height = max(canvas.width, SIZE_WH[0] + left), max(canvas.height, SIZE_WH[1] + top)
    x, y = canvas.x_min + left, canvas.y_min + top
    words = ["fps=25", f"pad={width}:{height}:{left}:{top}", f"crop={canvas.width}:{canvas.height}:{x}:{y}"]
    if canvas.resampled:
        words.append("scale={}:{}:flags=bicubic".format(*canvas.out_size_wh))
    return ",".join(words if target != "nerfstudio" else words[:1])


def mean_kib(folder: Path, suffix: str) -> float:
    """Of the pictures that were made."""
    sizes = [p.stat().st_size for p in folder.rglob(f"*{suffix}") if p.name != "valid_region.png"]
    return sum(sizes) / len(sizes) / 1024


def compare(
    target: str, suffix: str, options: Sequence[str], words: str, video: Path, count: int, runs: int
) -> list[Row]:
    """Our pictures of a target beside ffmpeg's: on the clock, and in processor time."""
    program, here = ffmpeg(), str(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as at:
        ours, theirs = Path(at) / "ours", Path(at) / "theirs"

        def fresh(folder: Path, argv: Sequence[str]) -> Cost:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            return process_cost(argv)

        us = [sys.executable, "-c", OURS, target, str(video), str(count), str(ours), here]
        them = [program, "-v", "error", "-i", str(video), "-vf", filters(target), *options]
        them.append(str(theirs / f"%05d{suffix}"))
        fresh(ours, us), fresh(theirs, them)  # once unmeasured: libraries come from the disk
        pairs = [(fresh(ours, us), fresh(theirs, them)) for _ in range(runs)]
        sizes = f"{mean_kib(ours, suffix):.0f} KiB", f"{mean_kib(theirs, suffix):.0f} KiB"
    rows = []
    for what, cost in (("", "seconds"), (", processor time", "cpu_seconds")):
        both = [(getattr(a, cost), getattr(b, cost)) for a, b in pairs]
        shown = [
            f"{seconds:.1f} s, {count / seconds:.0f}/s, {size}"
            for seconds, size in zip((median(side) for side in zip(*both, strict=True)), sizes, strict=True)
        ]
        rows.append(Row(f"{target}, {words}{what}", *shown, median(a / b for a, b in both), 1.2))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="838 frames instead of 120")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    count = 838 if given.full else 120
    with tempfile.TemporaryDirectory() as at:
        video = Path(at) / "video.mp4"
        make_video(video, count, ffmpeg())
        best = ("-qmin", "1", "-q:v", "1")  # what GaussianTalker's own extraction asks for
        rows = []
        for target, suffix, options, words in (
            ("gaussiantalker", ".jpg", best, "JPEG 95 beside -q:v 1"),
            ("flashavatar", ".jpg", best, "JPEG 95 beside -q:v 1"),
            ("nerfstudio", ".png", ("-compression_level", "1", "-pred", "up"), "PNG beside level 1"),
        ):
            rows += compare(target, suffix, options, words, video, count, given.runs)
    show(f"Pictures of {count} frames of {SIZE_WH[0]}x{SIZE_WH[1]}", rows)


if __name__ == "__main__":
    main()
