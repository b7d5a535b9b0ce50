"""From `.frame` files to the trainers' files: ours beside the script that a person would write.

    python bench/exports.py            838 frames to every default format
    python bench/exports.py --full     and 100,000 frames to json, npz, nerfstudio and colmap

Whole processes, imports and all, alternating, each in a fresh one. The other script reads with
torch.load in a loop, scales K and writes one transforms.json; ours reads safely and writes every
format that needs neither meshes nor torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import Row, process_cost, show

MANY = 100_000
MANY_TARGETS = ("json", "npz", "nerfstudio", "colmap")
NEEDED_PER_S, ALLOWED_MIB = 3000, 600

OTHER = """
import glob, json, sys
import numpy as np
import torch
frames = [torch.load(p, weights_only=False) for p in sorted(glob.glob(sys.argv[1] + "/*.frame"))]
A = np.array([[900 / 512, 0, 510], [0, 900 / 512, 90], [0, 0, 1]])
K = A @ frames[0]["opencv"]["K"][0]
entries = []
for number, frame in enumerate(frames, 2):
    w2c = np.eye(4)
    w2c[:3, :3], w2c[:3, 3] = frame["opencv"]["R"][0], frame["opencv"]["t"][0]
    c2w = np.linalg.inv(w2c) @ np.diag([1, -1, -1, 1])
    entries.append({"file_path": f"images/{number:05d}.png", "transform_matrix": c2w.tolist()})
head = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": 1920, "h": 1080}
with open(sys.argv[2] + "/transforms.json", "w") as f:
    json.dump({**head, "frames": entries}, f, indent=1)
"""

OURS = """
import sys
from pathlib import Path
import numpy as np
from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.export import Cameras, RunFiles, prepare, targets, write
from being_remote.tracker.sequence import read_sequence
folder, out = map(Path, sys.argv[1:3])
run = read_sequence(folder)
crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), run.image_size_wh)
numbers = run.frame_ids + 2
cameras = Cameras(
    "bench", intrinsics_in_source(run.K, crop), run.K, run.R, run.t, run.frame_ids, numbers,
    (numbers - 1) / 25, crop, "bbox",
)
for target in targets(sys.argv[3:]):
    write(target, prepare(target, cameras, RunFiles(checkpoints=folder)), out)
"""


def frames_in(folder: Path, count: int) -> Path:
    """A folder of `count` frames, made by a process of its own."""
    folder.mkdir()
    maker = Path(__file__).with_name("read_frames.py")
    subprocess.run([sys.executable, str(maker), "--write", str(folder), str(count)], check=True)
    return folder


def script(code: str, folder: Path, *names: str) -> tuple[float, float]:
    """Seconds and peak MiB of one fresh process, writing into a fresh folder.

    The folder stays until the end: ext4 passes over inodes that were freed in the last seconds, one by
    one, so deleting what one run wrote would slow the next one down.
    """
    out = tempfile.mkdtemp(dir=folder.parent)
    cost = process_cost([sys.executable, "-c", code, str(folder), out, *names])
    return cost.seconds, cost.peak_mib


def short_clip(folder: Path, pairs: int) -> list[Row]:
    """838 frames, in alternating pairs: medians, and the median of the pairs' ratios."""
    script(OURS, folder)  # once unmeasured: files and libraries come from the disk the first time
    both = [(script(OURS, folder), script(OTHER, folder)) for _ in range(pairs)]
    rows = []
    for i, (what, unit, target) in enumerate((("time", "s", 0.35), ("peak memory", "MiB", None))):
        ours, other = (median(pair[who][i] for pair in both) for who in (0, 1))
        ratio = median(a[i] / b[i] for a, b in both)
        shown = [f"{value:.3g} {unit}" for value in (ours, other)]
        rows.append(Row(f"838 frames, every default format; one by torch, {what}", *shown, ratio, target))
    return rows


def long_clip(folder: Path) -> list[Row]:
    """100,000 frames, reading included, against what is promised."""
    seconds, peak_mib = script(OURS, folder, *MANY_TARGETS)
    what = f"{MANY:,} frames to {', '.join(MANY_TARGETS)}"
    rate = MANY / seconds
    return [
        Row(f"{what}, rate", f"{rate:,.0f}/s", f"{NEEDED_PER_S:,}/s", NEEDED_PER_S / rate, 1.0),
        Row(
            f"{what}, peak memory",
            f"{peak_mib:.0f} MiB",
            f"{ALLOWED_MIB} MiB",
            peak_mib / ALLOWED_MIB,
            1.0,
        ),
    ]


def main() -> None:
    """Make the frames, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="also 100,000 frames")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of whole processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = short_clip(frames_in(Path(temporary, "short"), 838), options.pairs)
        if options.full:
            rows += long_clip(frames_in(Path(temporary, "long"), MANY))
    show("from .frame files to the trainers' files", rows)


if __name__ == "__main__":
    main()
