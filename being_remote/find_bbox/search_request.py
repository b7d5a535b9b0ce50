"""The request of a search for bbox.pt: the tracker's names, the places to look in, and the limits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from being_remote.inventory import Actor
from being_remote.pod_client.box_search import LIMITS
from being_remote.tracker import layout

PICTURES = (".png", ".jpg", ".jpeg")
# Where each kind of evidence lies below a run's, an actor's or a backup's folder.
_PLACES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "crop_images": [(name, PICTURES) for name in (layout.CROPS, layout.IMAGES, "run/" + layout.CROPS)],
    "source_images": [(layout.SOURCE, PICTURES)],
    "landmarks": [
        (folder + name, (".npy",)) for folder in ("", "actor/") for name in (layout.KPT, layout.KPT_DENSE)
    ],
    "meshes": [(layout.MESH, (".ply",)), ("run/" + layout.MESH, (".ply",))],
    "videos": [("", (".mp4", ".mov", ".avi", ".mkv"))],
}
# What the tracker may have written elsewhere, where the input's own path holds the word "source".
_DERIVED = (
    (layout.IMAGES, "crop_images", PICTURES),
    (layout.KPT, "landmarks", (".npy",)),
    (layout.KPT_DENSE, "landmarks", (".npy",)),
)
_CONFIGS = ("config.yml", "actor/config.yml", "run/config.yml", f"../../{layout.ACTOR_CONFIGS}/{{name}}.yml")
# Folders of programs, and our own store: the live tree of a backup holds what counts of it.
SKIP_NAMES = (".git", ".history", "__pycache__", "node_modules", "site-packages")
SKIP_PATHS = ("/proc", "/sys", "/dev", "/run")
# Large and unlikely, so searched last.
_LAST_NAMES = (".cache", ".Trash", ".Trash-0", "Trash")


def make_request(
    actor: Actor,
    *,
    known: Iterable[PurePath],
    roots: Iterable[PurePath],
    of_jobs: Iterable[str] = (),
    search_time_s: float,
) -> dict[str, Any]:
    """Return the request of a search.

    Args:
        known: the folders that the inventory names; searched first.
        roots: everything below them is searched, likely places first.
        of_jobs: folders of our own jobs; searched last.
        search_time_s: the search ends after so many seconds, and names what it has not searched.
    """
    places = {kind: list(found) for kind, found in _PLACES.items()}
    for name, kind, suffixes in _DERIVED:
        beside = os.path.relpath(layout.derived_folder(actor.input, name), actor.input)
        if beside != name:
            places[kind].append((beside, suffixes))
    return {
        "box_name": layout.BBOX,
        "run_folder": layout.CHECKPOINT,
        "frame_suffix": layout.FRAME_SUFFIX,
        "known": list(dict.fromkeys(map(str, known))),
        "names": sorted({actor.name, actor.input.name, actor.output.name}),
        "places": places,
        "configs": _CONFIGS,
        "roots": list(dict.fromkeys(map(str, roots))),
        "skip_names": SKIP_NAMES,
        "skip_paths": SKIP_PATHS,
        "first_names": [layout.INPUT, layout.OUTPUT],
        "last_names": _LAST_NAMES,
        "last_paths": list(of_jobs),
        "limits": {**LIMITS, "seconds": search_time_s},
    }
