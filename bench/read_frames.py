"""Reading a run's `.frame` files: ours beside torch.load, in one run, as ratios.

    python bench/read_frames.py            838 frames
    python bench/read_frames.py --full     and 100,000 frames (600 MB in the temp folder)

First whole processes (imports and all), alternating, each in a fresh one; then the loops alone.
The frames are made here: eight by torch.save, the rest from them with other ids and steps.

Reading is done by one thread: it is parsing, 55 microseconds a frame, and holds the interpreter's lock
(checksums take 2 of them, reading from memory 9). Tried on two cores with 20,000 frames, of 1.3 s: two
threads 1.4 to 1.6 s, a second thread that only reads ahead 1.2 s, two fresh processes 0.9 s; 838 frames
take 0.05 s, and with two fresh processes 0.33 s. From a disk that has none of them in memory, 838 take
0.19 s, read ahead 0.12 s.
"""

from __future__ import annotations

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import Row, process_cost, show

STEP = 70_000

# What a person would write, and what this package does; both end with K for the 1920x1080 video.
WHOLE = {
    "torch": """
import glob, sys, torch
frames = [torch.load(p, weights_only=False) for p in sorted(glob.glob(sys.argv[1] + "/*.frame"))]
K, R, t = ([f["opencv"][k][0] for f in frames] for k in "KRt")
""",
    "ours": """
import sys
from being_remote.camera.crop import crop_from_box
from being_remote.camera.intrinsics import intrinsics_in_source
from being_remote.tracker.sequence import read_sequence
run = read_sequence(sys.argv[1])
K = intrinsics_in_source(run.K, crop_from_box((510, 1410, 90, 990), (1920, 1080), run.image_size_wh))
""",
}

OURS = ("read_sequence", "read_frame each")
LOOP_HEAD = """
import glob, sys, time
paths = sorted(glob.glob(sys.argv[1] + "/*.frame"))
"""
LOOPS = {
    "torch.load unsafe": """
import torch
start = time.perf_counter()
for p in paths: torch.load(p, weights_only=False)
""",
    "torch.load weights_only": """
import numpy as np, torch
names = [np.ndarray, np.dtype, np._core.multiarray._reconstruct, np.dtypes.Float32DType, np.dtypes.Int64DType]
torch.serialization.add_safe_globals(names)
start = time.perf_counter()
for p in paths: torch.load(p, weights_only=True)
""",
    "read_frame each": """
from being_remote.tracker.frame_file import read_frame
start = time.perf_counter()
for p in paths: read_frame(p)
""",
    "read_sequence": """
from being_remote.tracker.sequence import read_sequence
start = time.perf_counter()
read_sequence(sys.argv[1])
""",
}
# The peak of this process; wait4 would include the process that started it.
TAIL = """
import sys, time
seconds = time.perf_counter() - start if "start" in globals() else 0
if sys.platform == "linux":
    peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(seconds, peak)
"""


@dataclass(frozen=True)
class Loop:
    """What a script reported: seconds since `start`, and its peak memory."""

    seconds: float
    peak_mib: float


def run(code: str, folder: Path) -> Loop:
    """Run a script in a fresh process on a folder of frames."""
    argv = [sys.executable, "-c", code + TAIL, str(folder)]
    seconds, peak_mib = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return Loop(float(seconds), float(peak_mib))


def templates() -> Iterator[bytes]:
    """Genuine frames of one run (one K, different poses), as torch.save writes them."""
    import numpy as np
    import torch

    from being_remote.camera.intrinsics import from_ndc
    from being_remote.camera.pose import opencv_from_pytorch3d, rotation_from_6d

    rng = np.random.default_rng(0)

    def f4(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    shape, fl, pp = f4(1, 300), np.array([[9.13]], np.float32), np.array([[0.004, 0.023]], np.float32)
    for _ in range(8):
        r6, T = f4(1, 6), f4(1, 3)
        R, t = opencv_from_pytorch3d(rotation_from_6d(r6), T)
        flame = {"exp": f4(1, 100), "shape": shape, "tex": f4(1, 140), "sh": f4(1, 9, 3)}
        flame.update(eyes=f4(1, 12), eyelids=f4(1, 2), jaw=f4(1, 6))
        K = from_ndc(fl, pp, (512, 512)).astype(np.float32)
        buffer = io.BytesIO()
        torch.save(
            {
                "flame": flame,
                "camera": {"R": r6, "t": T, "fl": fl, "pp": pp},
                "opencv": {"R": np.asfortranarray(R.astype(np.float32)), "t": t.astype(np.float32), "K": K},
                "img_size": np.array([512, 512]),
                "frame_id": "00000",
                "global_step": STEP,
            },
            buffer,
        )
        yield buffer.getvalue()


def write_frames(folder: Path, count: int) -> None:
    """`count` frames: the templates with other ids and steps, checksums right."""
    made = []
    for data in templates():
        start = data.index(b"\x80\x02}")
        end = data.index(b"PK\x07\x08", start)
        made.append((data, data[start:end]))
    for number in range(count):
        data, pickled = made[number % len(made)]
        patched = pickled.replace(b"\x05\x00\x00\x0000000", b"\x05\x00\x00\x00%05d" % number)
        patched = patched.replace(
            b"J" + struct.pack("<i", STEP), b"J" + struct.pack("<i", STEP + 270 * number)
        )
        old, new = (struct.pack("<I", zlib.crc32(p)) for p in (pickled, patched))
        (folder / f"{number:05d}.frame").write_bytes(data.replace(pickled, patched).replace(old, new))


def whole_processes(folder: Path, count: int, pairs: int) -> list[Row]:
    """Whole processes in alternating pairs: medians, and the median of the pairs' ratios."""
    seconds = [
        tuple(
            process_cost([sys.executable, "-c", WHOLE[who], str(folder)]).seconds for who in ("ours", "torch")
        )
        for _ in range(pairs)
    ]
    peaks = [tuple(run(WHOLE[who], folder).peak_mib for who in ("ours", "torch")) for _ in range(3)]
    rows = []
    for what, unit, both, target in (("time", "s", seconds, 0.25), ("peak memory", "MiB", peaks, 0.5)):
        ours, other = (median(pair[i] for pair in both) for i in (0, 1))
        shown = [f"{value:.3g} {unit}" for value in (ours, other)]
        ratio = median(a / b for a, b in both)
        rows.append(Row(f"{count} frames, whole process, {what}, torch.load unsafe", *shown, ratio, target))
    return rows


def loops(folder: Path, count: int, repeats: int) -> list[Row]:
    """The loops alone, imports aside: the best of the repeats; ratios of seconds."""
    best = {}
    for name, code in LOOPS.items():
        runs = [run(LOOP_HEAD + code, folder) for _ in range(repeats)]
        best[name] = min(runs, key=lambda r: r.seconds)

    def loop_text(loop: Loop) -> str:
        return f"{count / loop.seconds:,.0f}/s {loop.peak_mib:.0f} MiB"

    return [
        Row(
            f"{count} frames, {ours}, {name}",
            loop_text(best[ours]),
            loop_text(best[name]),
            best[ours].seconds / best[name].seconds,
        )
        for ours in OURS
        for name in LOOPS
        if name not in OURS
    ]


def main() -> None:
    """Make the frames, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="also 100,000 frames")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of whole processes")
    parser.add_argument("--write", nargs=2, metavar=("FOLDER", "COUNT"), help="only write frames")
    options = parser.parse_args()
    if options.write:
        write_frames(Path(options.write[0]), int(options.write[1]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in (838, 100_000) if options.full else (838,):
            folder = Path(temporary, str(count))
            folder.mkdir()
            # In a process of its own: torch must not weigh on the ones that are measured.
            subprocess.run([sys.executable, __file__, "--write", str(folder), str(count)], check=True)
            if count == 838:
                rows += whole_processes(folder, count, options.pairs)
            rows += loops(folder, count, repeats=3 if count == 838 else 1)
    show("reading .frame files", rows)


if __name__ == "__main__":
    main()
