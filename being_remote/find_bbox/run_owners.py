"""Whose is it: which actor and which run a folder or a bbox.pt on one host belongs to.

Decided from where things lie and from the run's own settings, never from what a box says. What
cannot be known stays None.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from being_remote.backup_paths import RUNS
from being_remote.errors import BeingRemoteError, InconsistentData
from being_remote.inventory import Actor
from being_remote.pod import job_records as records
from being_remote.pod_client.box_search import FoundConfig, FoundFolder, FoundFrames
from being_remote.tracker import layout

if TYPE_CHECKING:
    from being_remote.tracker.frame_file import Frame
    from being_remote.tracker.run_settings import RunSettings


_OF_A_JOB = re.compile(
    f"/{records.JOBS}/(?:{re.escape(records.PUSHED)}/)?({records.JOB_ID.pattern})"
    rf"(?:/{records.ATTEMPTS}/[0-9]+/{records.WORK}/|\.[0-9]+\.[0-9a-f]+/)"
)


@dataclass(frozen=True)
class TrackedRun:
    """One output of the tracker, or a copy of one: a folder with checkpoints.

    Attributes:
        path, path_b64: the folder; base64 as well where its name is not UTF-8.
        actor: whose it is; None when that cannot be known.
        input: the input folder it was tracked from, by its settings or by the tracker's layout.
        frames, first_id, last_id: its `.frame` files.
        image_size_wh, K: the network image's size and its 3x3 camera (corner pixels), as its first
            frame says.
        crop_image, bbox_scale: from its settings; None where there are none.
        sha256: of its first frame; copies of a run agree in it.
        oldest_s, newest_s: modification times of its frames, the host's clock.
        notes: what could not be read.
    """

    path: str
    path_b64: str | None
    actor: str | None
    input: str | None
    frames: int
    first_id: str
    last_id: str
    image_size_wh: tuple[int, int] | None
    K: tuple[tuple[float, ...], ...] | None
    crop_image: bool | None
    bbox_scale: float | None
    sha256: str | None
    oldest_s: float | None
    newest_s: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostPlaces:
    """One actor's folders on one host, absolute; on this laptop there are only backups.

    `jobs` is where the host keeps our own jobs, of all actors.
    """

    input: str | None
    output: str | None
    backups: tuple[str, ...]
    jobs: str | None

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(p for p in (self.input, self.output, *self.backups) if p is not None)

    @property
    def of_jobs(self) -> tuple[str, ...]:
        """The folders that hold nothing but what our own jobs made."""
        results = tuple(f"{backup}/{RUNS}" for backup in self.backups)
        return results if self.jobs is None else (self.jobs, *results)


class Owners:
    """Who owns what on one host.

    Args:
        actors: every actor of the inventory, the one searched for first, with its places there.
        roots: the search roots there; a name above them says nothing (a home folder may be called
            as an actor is).
        jobs: the ids of all jobs that the ledger has.
    """

    def __init__(
        self, actors: Mapping[str, tuple[Actor, HostPlaces]], roots: Iterable[str], jobs: Iterable[str]
    ) -> None:
        self._actors = actors
        self._jobs = frozenset(jobs)
        self._job_folders = tuple({f"{f}/" for _, places in actors.values() for f in places.of_jobs})
        first_last = list(actors.items())[::-1]  # whoever comes first has the last word
        self._known = {p: name for name, (_, places) in first_last for p in places.all}
        self._names = {
            alias: name
            for name, (actor, _) in first_last
            for alias in (actor.output.name, actor.input.name, name)
        }
        self._roots = sorted((posixpath.normpath(r) for r in roots), key=len, reverse=True)

    def source_size(self, actor: str) -> tuple[int, int] | None:
        """Width and height of an actor's video, where the inventory knows them."""
        return self._actors[actor][0].source_size if actor in self._actors else None

    def of(self, folder: str) -> str | None:
        """The actor whose folder this is, or lies in."""
        above, name = posixpath.split(folder)
        if folder in self._known:
            return self._known[folder]
        if posixpath.basename(above) in (layout.INPUT, layout.OUTPUT):
            return self._names.get(name, name)
        if above in self._known:
            return self._known[above]
        return next((self._names[n] for n in reversed(self._below_root(folder)) if n in self._names), None)

    def of_run(self, folder: str, tracked_from: str | None) -> str | None:
        """The actor of a run; its settings say more than its name."""
        if folder in self._known or tracked_from is None:
            return self.of(folder)
        return self.of(tracked_from) or self.of(folder)

    def job_of(self, folder: str) -> str | None:
        """The job of ours that made what lies in a folder; "" where only that much is known.

        Known by place; in a copy that lies elsewhere by the ledger's ids, or by the layout of our folders.
        A job's folders are named after it: `ID`, `ID.attempt-N`, or `ID.N.HASH` where they were uploaded.
        """
        parts = folder.split("/")
        for ours in self._job_folders:
            if f"{folder}/".startswith(ours):
                names = parts[ours.count("/") :]
                return next((n.partition(".")[0] for n in names if records.JOB_ID.match(n)), "")
        if made := _OF_A_JOB.search(f"{folder}/"):
            return made[1]
        return next((job for n in parts if (job := n.partition(".")[0]) in self._jobs), None)

    def _below_root(self, folder: str) -> list[str]:
        for root in self._roots:
            if folder == root or folder.startswith(root.rstrip("/") + "/"):
                return folder[len(root) :].strip("/").split("/")
        return []


def run_in(folder: FoundFolder, owners: Owners) -> TrackedRun | None:
    """The run in a folder, or None where there are no checkpoints."""
    if folder.frames is None or folder.frames.count == 0:
        return None
    path, path_b64 = text_of(folder.path)
    settings, notes = _settings(folder.configs)
    first, more = _first_frame(folder.frames)
    size = None if first is None else first.image_size_wh
    tracked_from = _input_of(path, settings)
    if size is not None and settings is not None and settings.image_size_wh != size:
        told = "x".join(map(str, settings.image_size_wh))
        notes.append(f"its settings say images of {told}, its frames {size[0]}x{size[1]}")
    frames = folder.frames
    return TrackedRun(
        path=path,
        path_b64=path_b64,
        actor=owners.of_run(path, tracked_from),
        input=tracked_from,
        frames=frames.count,
        first_id=text_of(frames.first)[0],
        last_id=text_of(frames.last)[0],
        image_size_wh=size,
        K=None if first is None else tuple(map(tuple, first.K.tolist())),
        crop_image=None if settings is None else settings.crop_image,
        bbox_scale=None if settings is None else settings.bbox_scale,
        sha256=None if frames.content is None else hashlib.sha256(frames.content).hexdigest(),
        oldest_s=None if frames.oldest_ns is None else frames.oldest_ns / 1e9,
        newest_s=None if frames.newest_ns is None else frames.newest_ns / 1e9,
        notes=(*notes, *more),
    )


def text_of(data: bytes) -> tuple[str, str | None]:
    """A name as text, and as base64 where the text cannot say it.

    Example:
        >>> text_of(b"/w/roman"), text_of(b"/w/caf\\xe9")
        (('/w/roman', None), ('/w/caf\\udce9', 'L3cvY2Fm6Q=='))
    """
    text = data.decode("utf-8", "surrogateescape")
    return text, None if _is_utf8(data) else b64encode(data).decode()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _settings(configs: Iterable[FoundConfig]) -> tuple[RunSettings | None, list[str]]:
    """The first readable settings beside a run, and what stood in the way of others."""
    from being_remote.tracker.run_settings import parse_run_settings

    notes = []
    for config in configs:
        name = repr(posixpath.basename(text_of(config.path)[0]))
        if config.content is None:
            notes.append(f"its settings {name} were not read ({config.problem})")
            continue
        try:
            return parse_run_settings(config.content, name), notes
        except InconsistentData as e:
            notes.append(f"its settings {name}: {e.what}")
    return None, notes


def _input_of(run: str, settings: RunSettings | None) -> str | None:
    """The input folder: `actor` of the settings, relative to the checkout; else by the same name."""
    outputs, name = posixpath.split(run)
    if posixpath.basename(outputs) != layout.OUTPUT:
        return None  # a copy: nothing lies beside it as in a checkout
    checkout = posixpath.dirname(outputs)
    if settings is not None and settings.actor.strip("./"):
        return posixpath.normpath(posixpath.join(checkout, settings.actor))
    return posixpath.join(checkout, layout.INPUT, name)


def _first_frame(frames: FoundFrames) -> tuple[Frame | None, list[str]]:
    from being_remote.tracker.frame_file import parse_frame

    name = text_of(frames.first)[0] + layout.FRAME_SUFFIX
    if frames.content is None:
        return None, [f"its first frame {name!r} was not read ({frames.problem})"]
    try:
        return parse_frame(frames.content, name), []
    except BeingRemoteError as e:
        return None, [f"its first frame {name!r} cannot be used: {e.what}"]
