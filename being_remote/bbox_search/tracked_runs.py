"""The runs of the tracker that a search found: whose they are, from which input, with which settings."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.bbox_search.owners import Owners
from being_remote.errors import BeingRemoteError, InconsistentData
from being_remote.local_path import shown_path
from being_remote.pod_client.box_search import FoundConfig, FoundFolder, FoundFrames
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.tracker.frame_file import Frame
    from being_remote.tracker.run_settings import RunSettings


@dataclass(frozen=True)
class FoundRun:
    """One output of the tracker, or a copy of one: a folder with checkpoints."""

    # the folder; base64 as well where its name is not UTF-8
    path: str
    path_b64: str | None
    actor: str | None  # whose it is; None: unknown
    input: str | None  # the input folder it was tracked from, by its settings or by the tracker's layout
    # its `.frame` files
    frames: int
    first_id: str
    last_id: str
    # the network image's size and its 3x3 camera (corner pixels), by its first frame
    image_size_wh: tuple[int, int] | None
    K: tuple[tuple[float, ...], ...] | None
    # from its settings; None where it has none
    crop_image: bool | None
    bbox_scale: float | None
    sha256: str | None  # of its first frame; copies of a run agree in it
    # modification times of its frames, by the host's clock
    oldest_s: float | None
    newest_s: float | None
    notes: tuple[str, ...] = ()  # what could not be read


def read_run(folder: FoundFolder, owners: Owners) -> FoundRun | None:
    """Return the run in a folder; None where there are no checkpoints."""
    frames = folder.frames
    if frames is None or frames.count == 0:
        return None
    path, path_b64 = decode_name(folder.path)
    settings, notes = _read_settings(folder.configs)
    first, more = _read_first_frame(frames)
    size = None if first is None else first.image_size_wh
    tracked_from = _find_input(path, settings)
    if size is not None and settings is not None and settings.image_size_wh != size:
        expected = "x".join(map(str, settings.image_size_wh))
        notes.append(f"its settings say images of {expected}, its frames {size[0]}x{size[1]}")
    return FoundRun(
        path=path,
        path_b64=path_b64,
        actor=owners.find_run_actor(path, tracked_from),
        input=tracked_from,
        frames=frames.count,
        first_id=decode_name(frames.first)[0],
        last_id=decode_name(frames.last)[0],
        image_size_wh=size,
        K=None if first is None else tuple(map(tuple, first.K.tolist())),
        crop_image=None if settings is None else settings.crop_image,
        bbox_scale=None if settings is None else settings.bbox_scale,
        sha256=None if frames.content is None else hashlib.sha256(frames.content).hexdigest(),
        oldest_s=None if frames.oldest_ns is None else frames.oldest_ns / 1e9,
        newest_s=None if frames.newest_ns is None else frames.newest_ns / 1e9,
        notes=(*notes, *more),
    )


def decode_name(name: bytes) -> tuple[str, str | None]:
    """Return a name as text, and as base64 where it is not UTF-8.

    Example:
        >>> decode_name(b"/w/roman"), decode_name(b"/w/caf\\xe9")
        (('/w/roman', None), ('/w/caf\\udce9', 'L3cvY2Fm6Q=='))
    """
    path = os.fsdecode(name)
    return path, shown_path(path)[1]


def _read_settings(configs: Iterable[FoundConfig]) -> tuple[RunSettings | None, list[str]]:
    """Return the first readable settings beside a run, and why others were not read."""
    from being_remote.tracker.run_settings import parse_run_settings

    notes = []
    for config in configs:
        name = repr(posixpath.basename(decode_name(config.path)[0]))
        if config.content is None:
            notes.append(f"its settings {name} were not read ({config.problem})")
            continue
        try:
            return parse_run_settings(config.content, name), notes
        except InconsistentData as e:
            notes.append(f"its settings {name}: {e.what}")
    return None, notes


def _find_input(run: str, settings: RunSettings | None) -> str | None:
    """Return the input folder: `actor` of the settings, relative to the checkout; else by the same name."""
    outputs, name = posixpath.split(run)
    if posixpath.basename(outputs) != layout.OUTPUT:
        return None  # a copy: nothing lies beside it as in a checkout
    checkout = posixpath.dirname(outputs)
    if settings is not None and settings.actor.strip("./"):
        return posixpath.normpath(posixpath.join(checkout, settings.actor))
    return posixpath.join(checkout, layout.INPUT, name)


def _read_first_frame(frames: FoundFrames) -> tuple[Frame | None, list[str]]:
    from being_remote.tracker.frame_file import parse_frame

    name = decode_name(frames.first)[0] + layout.FRAME_SUFFIX
    if frames.content is None:
        return None, [f"its first frame {name!r} was not read ({frames.problem})"]
    try:
        return parse_frame(frames.content, name), []
    except BeingRemoteError as e:
        return None, [f"its first frame {name!r} cannot be used: {e.what}"]
