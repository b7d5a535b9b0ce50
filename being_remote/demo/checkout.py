"""A checkout of the tracker on a throw-away pod: the stand-in under the tracker's name."""

from __future__ import annotations

import shutil
from pathlib import Path

from being_remote.demo import head, stand_in_tracker
from being_remote.demo.actor import Truth


def install(checkout: Path, truth: Truth) -> None:
    """Make `checkout` one that can track `truth`'s actor anew.

    What it is to find is written beside the actor's source images; FLAME's files, which a real
    checkout needs, it does without.
    """
    shutil.copyfile(stand_in_tracker.__file__, checkout / "tracker.py")
    stand_in_tracker.write_truth(
        truth.input_folder / stand_in_tracker.TRUTH,
        truth.K_source,
        truth.R_source,
        truth.t_source,
        head.landmarks_68(),
        head.landmarks_478(),
    )
