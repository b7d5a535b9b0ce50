"""The crop found from stored pictures: on one core, beside features and a similarity alone.

    python bench/crop_search.py

Frames are drawn and decoded beforehand: reading them costs the same whichever way one searches. The
other way is what one would write otherwise: SIFT on the full frame and cv2.estimateAffinePartial2D. It
gives an estimate only, while ours also proves it by making the crop again. Times are processor time,
so that what else the machine does is left out.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
from common import Row, process_cost, show

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "crop_search"))

from scenes import Drawn, Scene

from being_remote.crop_search.finding import Finding, StoredCrop
from being_remote.crop_search.image_search import from_images

RUNS = 3
MEMORY_MIB = 700
SEARCH = "--search"
FULL_HD = Scene(size_wh=(1920, 1080), box=(510, 1410, 90, 990))
UHD = Scene(size_wh=(3840, 2160), box=(1100, 2900, 150, 1950))


def processor_s(work: Callable[[], object]) -> float:
    """Median seconds of processor time."""
    taken = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def drawn(scene: Scene, count: int) -> tuple[list[StoredCrop], Drawn]:
    """Stored pictures and a source whose frames are all in memory."""
    source = scene.source(count)
    for number in range(1, count + 1):
        source.frame(number)
    return scene.stored(range(2, count)), source


def searched(stored: list[StoredCrop], source: Drawn, grade: str) -> Finding:
    """The answer; ends the benchmark if it is not the one known."""
    found = from_images(stored, source)
    if found.grade != grade or found.crop is None:
        raise SystemExit(f"{found.grade} instead of {grade}: {found.reason}")
    return found


def features_alone(stored: StoredCrop, frame: np.ndarray) -> object:
    """What one would write otherwise."""
    sift, grey = cv2.SIFT.create(), cv2.COLOR_BGR2GRAY
    here, of_here = sift.detectAndCompute(cv2.cvtColor(stored.picture, grey), None)
    there, of_there = sift.detectAndCompute(cv2.cvtColor(frame, grey), None)
    pairs = cv2.BFMatcher().knnMatch(of_here, of_there, k=2)
    good = [m for m, n in pairs if m.distance < 0.75 * n.distance]
    a = np.array([here[m.queryIdx].pt for m in good])
    b = np.array([there[m.trainIdx].pt for m in good])
    return cv2.estimateAffinePartial2D(a, b)


def rows(name: str, scene: Scene, first_s: float, further_s: float) -> list[Row]:
    """One size: the first frame, and what each further one adds."""
    stored, source = drawn(scene, 9)
    one = processor_s(lambda: searched(stored[3:4], source, "estimated"))
    all_five = processor_s(lambda: searched(stored, source, "exact"))
    other = processor_s(lambda: features_alone(stored[3], source.frame(stored[3].source_number)))
    more = (all_five - one) / 4
    return [
        Row(f"{name}: first frame, features alone", f"{one:.2f} s", f"{other:.2f} s", one / other),
        Row(f"{name}: first frame", f"{one:.2f} s", f"{first_s:g} s allowed", one / first_s, 1.0),
        Row(
            f"{name}: each further frame", f"{more:.2f} s", f"{further_s:g} s allowed", more / further_s, 1.0
        ),
    ]


class Files:
    """PNG frames, read one by one, as a person has them."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.png"))
        self.count = len(self.paths)
        self.size_wh = cv2.imread(str(self.paths[0])).shape[1::-1]

    def frame(self, number: int) -> np.ndarray:
        return cv2.imread(str(self.paths[number - 1]))


def memory() -> Row:
    """Peak of a fresh process that searches 4K frames on disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored, source = drawn(UHD, 9)
        for kind in ("source", "stored"):
            (folder / kind).mkdir()
        for number in range(1, 10):
            cv2.imwrite(str(folder / f"source/{number:05d}.png"), source.frame(number))
        for one in stored:
            cv2.imwrite(str(folder / f"stored/{one.source_number:05d}.png"), one.picture)
        peak = process_cost([sys.executable, __file__, SEARCH, name]).peak_mib
    return Row("peak memory, 4K", f"{peak:.0f} MiB", f"{MEMORY_MIB} MiB allowed", peak / MEMORY_MIB, 1.0)


def search_folder(folder: Path) -> None:
    """What the fresh process does."""
    stored = [
        StoredCrop(int(path.stem) - 1, int(path.stem), cv2.imread(str(path)), path.name)
        for path in sorted((folder / "stored").glob("*.png"))
    ]
    found = from_images(stored, Files(folder / "source"))
    if found.grade != "exact":
        raise SystemExit(found.reason)


def main() -> None:
    cv2.setNumThreads(1)
    if SEARCH in sys.argv:
        search_folder(Path(sys.argv[-1]))
        return
    found = rows("1080p", FULL_HD, 1.5, 0.4) + rows("4K", UHD, 5.0, 5.0)
    show(f"crop search on one core, medians of {RUNS}", [*found, memory()])


if __name__ == "__main__":
    main()
