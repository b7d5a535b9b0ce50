"""Which files on a host count as results, by name, and the folders to search for them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.pod_client.disk_survey import SurveyRequest
from being_remote.tracker import layout

# Results wherever they lie, and results in a folder of this name.
_FILES = (f"*{layout.FRAME_SUFFIX}", layout.BBOX)
_FILES_OF_FOLDER = {layout.CROPS: ("*.png", "*.jpg"), layout.MESH: ("*.ply",)}
# Folders of a run that hold its results.
RESULT_FOLDERS = (layout.CHECKPOINT, *_FILES_OF_FOLDER)
# A frame or a box spelled differently: 1.FRAME, .1.frame.Xa12fg, 1.frame~, "bbox (1).pt", bbox.pt.old.
ODD_NAMES = (
    rb"(?i).*\.frame$|.*[0-9]\.frame[-~._ (].*"
    rb"|\.?bbox([^a-z]|copy|old|bak|backup|new|orig)*\.pt([-~._ (].*)?$"
)


def is_result(name: str, folder: str = "") -> bool:
    """Whether a file of this name, in a folder of this name, is a result of a run.

    Example:
        >>> is_result("00000.frame"), is_result("00000.png"), is_result("00000.png", "input")
        (True, False, True)
    """
    patterns = (*_FILES, *_FILES_OF_FOLDER.get(folder, ()))
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def survey_request(inventory: Inventory, host: SshHost | LocalHost, jobs: Sequence[str]) -> SurveyRequest:
    """Search the workdir and the tracker's folders; `jobs` are those whose recipe is wanted.

    The tracker's own folders come first, so that files below them are reported under the inventory's
    names; its input and output may be links to another disk, which are not followed below a root.
    """
    tracker = host.tracker
    own = [tracker.root / layout.OUTPUT, tracker.root / layout.INPUT, tracker.root] if tracker else []
    actors = [folder for actor in inventory.actors.values() for folder in actor_folders(actor, host)]
    return SurveyRequest(
        main=main_folder(host),
        roots=[*own, host.workdir, *actors],
        results=[(None, _FILES), *_FILES_OF_FOLDER.items()],
        odd=ODD_NAMES,
        count_below=actors,
        jobs=jobs,
        skip=_own_folders(inventory, host),
    )


def main_folder(host: SshHost | LocalHost) -> PurePosixPath:
    """The tracker's root, else the workdir."""
    return host.tracker.root if host.tracker is not None else host.workdir


def actor_folders(actor: Actor, host: SshHost | LocalHost) -> list[PurePosixPath]:
    """Every folder that the inventory gives an actor on the host."""
    tracked = [host.tracker.root / actor.input, host.tracker.root / actor.output] if host.tracker else []
    return [*tracked, *(host.workdir / backup for backup in actor.host_backups)]


def _own_folders(inventory: Inventory, host: SshHost | LocalHost) -> Sequence[Path]:
    """Where this laptop keeps backups and state, when it is the host itself."""
    return (inventory.backups, inventory.state) if isinstance(host, LocalHost) else ()
