"""A lost bbox.pt found again from pictures: no pod, no sshd, no root, no torch.

A head is drawn with a known camera, and its run is stored as a backup. The box is removed, `find-bbox` and
`recover --from-images` run as separate processes, and what they find is compared with the truth.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from being_remote.demo.demo_folder import demo_folder
from being_remote.demo.typed_commands import DemoView, ShownCommand, run_commands
from being_remote.errors import InconsistentData, NotFoundError

if TYPE_CHECKING:
    from being_remote.demo.actor import ActorTruth
    from being_remote.demo.guide_comparison import GuideComparison

ACTOR, VIDEO = "demo", "original.mp4"
FRAMES = 6  # enough for the search, and quickly drawn
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("find-bbox",),
    ("recover", "--from-images", VIDEO, "--write-bbox"),
)
_ENDS_WITH = {"find-bbox": NotFoundError.exit_code}  # there is none left


@dataclass(frozen=True)
class QuickDemoReport:
    """What was lost and found. K in pixels, corner convention, of the 1920x1080 video.

    Attributes:
        guide: the first screen.
        lost_bbox, found_bbox: x_min, x_max, y_min, y_max; equal, else the demo fails.
        grade: how sure `recover` is.
        report, overlay, cameras: files to open.
    """

    steps: tuple[ShownCommand, ...]
    guide: GuideComparison
    lost_bbox: tuple[int, int, int, int]
    found_bbox: tuple[int, int, int, int]
    grade: str
    K: tuple[tuple[float, ...], ...]
    K_true: tuple[tuple[float, ...], ...]
    focal_error_px: float
    centre_error_px: float
    folder: Path
    report: Path
    overlay: Path
    cameras: Path
    seconds: float
    exit_code: int = 0


def quick_demo(folder: Path, view: DemoView) -> QuickDemoReport:
    """Lose a box and find it again, in `folder`, which is created; an earlier demo's folder is replaced.

    Raises:
        UsageError: the folder exists and was not made by a demo.
        BeingRemoteError: a command failed; its own message was shown before.
        InconsistentData: another box was found.
    """
    started = time.monotonic()
    view.note("drawing a head, filmed at 1920x1080 and tracked in a crop: a few seconds")
    with demo_folder(folder) as made:
        # Imported here: the line above is printed at once.
        from being_remote.demo.actor import make_actor
        from being_remote.demo.guide_comparison import PICTURE, compare_with_guide
        from being_remote.tracker.box_file import read_box

        truth = make_actor(made / "tracker", ACTOR, frames=FRAMES)
        backup = _store_backup(made, truth)
        guide = compare_with_guide(truth, backup, made / VIDEO, made / PICTURE)
        view.show_comparison(guide)
        box = backup / "bbox.pt"
        lost = read_box(box)
        view.note("now the run's bbox.pt is lost, as it often is:")
        view.show_line(f"rm {box.relative_to(made)}")
        box.unlink()
        steps = run_commands(COMMANDS, made, view, hint="its own message is above", expected=_ENDS_WITH)
        found = read_box(box)
        if found != lost:
            raise InconsistentData(f"holds {found}, and {lost} was lost", file=str(box))
        return _report(made, truth, steps, guide, found, started)


def _store_backup(folder: Path, truth: ActorTruth) -> Path:
    """Keep of the drawn checkout what a backup has, and the video."""
    from being_remote.backup_paths import BackupPaths

    backup = BackupPaths(folder / "backup" / ACTOR)
    checkout = truth.input_folder.parents[1]
    places = {
        truth.output_folder / "checkpoint": backup.checkpoint,
        truth.output_folder / "input": backup.crops,
        truth.output_folder / "mesh": backup.meshes,
        truth.input_folder / "bbox.pt": backup.bbox,
        checkout / "configs/actors" / f"{ACTOR}.yml": backup.config,
        truth.input_folder / "video.mp4": folder / VIDEO,
    }
    for drawn, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        drawn.rename(place)
    shutil.rmtree(checkout)
    inventory = {
        "hosts": {},
        "actors": {ACTOR: {"video": VIDEO, "source_size": list(truth.size_wh)}},
        "backups": "backup",
        "search_roots": [],
    }
    (folder / "inventory.yaml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    return backup.root


def _report(
    folder: Path,
    truth: ActorTruth,
    steps: tuple[ShownCommand, ...],
    guide: GuideComparison,
    found: tuple[int, int, int, int],
    started: float,
) -> QuickDemoReport:
    import json

    import numpy as np

    out = folder / "recovered" / ACTOR
    cameras = json.loads((out / "cameras.json").read_text())
    K = np.array(cameras["K"])
    off = np.abs(K - truth.K_source)
    assert truth.box is not None
    return QuickDemoReport(
        steps=steps,
        guide=guide,
        lost_bbox=truth.box,
        found_bbox=found,
        grade=cameras["grade"],
        K=tuple(map(tuple, K.tolist())),
        K_true=tuple(map(tuple, truth.K_source.tolist())),
        focal_error_px=float(max(off[0, 0], off[1, 1])),
        centre_error_px=float(max(off[0, 2], off[1, 2])),
        folder=folder,
        report=out / "report.html",
        overlay=out / "overlay.png",
        cameras=out / "cameras.json",
        seconds=time.monotonic() - started,
    )
