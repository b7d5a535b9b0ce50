"""Whether a bbox.pt that was found can be used for this actor's video, and what speaks against it.

`problems` are sentences that a person should heed; `notes` say what was not checked or is merely odd.
Only what makes the box unusable makes it invalid.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from being_remote.bbox_search.owners import HostPlaces, Owners
from being_remote.bbox_search.tracked_runs import FoundRun, decode_name
from being_remote.errors import BeingRemoteError
from being_remote.inventory import Actor
from being_remote.pod_client.box_search import BoxFile
from being_remote.wording import duration

DEFAULT_BBOX_SCALE = 2.5
# Copying keeps times to a second or two on some file systems.
CLOCK_SLACK_S = 2.0


@dataclass(frozen=True)
class CropBox:
    """The tracker's crop box: source pixels, end-exclusive."""

    x_min: int
    x_max: int
    y_min: int
    y_max: int

    @property
    def tracker_order(self) -> tuple[int, int, int, int]:
        """x_min, x_max, y_min, y_max."""
        return self.x_min, self.x_max, self.y_min, self.y_max


@dataclass(frozen=True)
class Candidate:
    """One file (or anything else of that name) and the verdict on it."""

    # where; base64 as well where the name is not UTF-8
    path: str
    path_b64: str | None
    place: str  # "input", "output" or "backup" of the actor, "job" (of a job's own tracking), or "elsewhere"
    actor: str | None  # whose it is; None: unknown
    run: str | None  # the folder of the run it belongs to, on the same host
    bbox: CropBox | None  # None where it could not be read
    valid: bool  # it can be used for this actor's video
    # sentences
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str | None  # None where the content was not read. mtime: seconds, by the host's clock.
    mtime: float
    bytes: int
    equals: tuple[str, ...] = ()  # "host:path" of the other candidates that hold the same box
    job: str | None = None  # the job of ours that made it, "" where its id is unknown; None for all others

    def may_serve(self, actor: str) -> bool:
        """Whether it can be the box of the actor's own run; a job's box belongs to that job alone."""
        return self.valid and self.actor == actor and self.place != "job"


def check_candidate(
    found: BoxFile, actor: Actor, places: HostPlaces, owners: Owners, runs: Iterable[FoundRun]
) -> Candidate:
    """Check one file that a search found for `actor` on a host with these places, owners and runs."""
    from being_remote.tracker.box_rules import explain_outside, find_edits

    path, path_b64 = decode_name(found.path)
    folder, mtime_s = posixpath.dirname(path), found.mtime_ns / 1e9
    run, notes = _find_run(folder, places, runs)
    owner = run.actor if run is not None and run.actor is not None else owners.find_actor(folder)
    box, problems = _read_box(found, path)
    valid = box is not None
    if box is not None:
        size = owners.source_size(actor.name if owner is None else owner)
        outside = explain_outside(box.tracker_order, size) if size is not None else ""
        valid = not outside
        problems += [outside] if outside else find_edits(box.tracker_order, size)
        if size is None:
            notes.append("the video's size is unknown, so whether the box lies inside was not checked")
        notes += _impossible_sides(box, size, run)
    job = owners.find_job(folder)
    if job is not None:
        notes.append(
            f"made by job {job or 'of ours'} for its own tracking: recover --run {job or 'JOB'} uses it"
        )
    if box is not None and run is not None:
        problems += _run_conflicts(run)
        notes += run.notes
        if late := _explain_late(run, mtime_s):
            if folder == run.path:  # a copy: copying a folder sets its times in any order
                notes.append(late)
            else:
                problems.append(f"{late}: they may have been made with another box")
    return Candidate(
        path=path,
        path_b64=path_b64,
        place="job" if job is not None else places.kind(folder),
        job=job,
        actor=owner,
        run=None if run is None else run.path,
        bbox=box,
        valid=valid,
        problems=tuple(problems),
        notes=tuple(notes),
        sha256=None if found.content is None else hashlib.sha256(found.content).hexdigest(),
        mtime=mtime_s,
        bytes=found.bytes,
    )


def _find_run(folder: str, places: HostPlaces, runs: Iterable[FoundRun]) -> tuple[FoundRun | None, list[str]]:
    """Return the run that lies beside a box, or that was tracked from its folder."""
    beside = [run for run in runs if run.path == folder]
    from_here = beside or [run for run in runs if run.input == folder]
    if len(from_here) <= 1:
        return (from_here[0] if from_here else None), []
    named = [run for run in from_here if run.path == places.output]
    others = ", ".join(repr(run.path) for run in from_here)
    if named:
        return named[0], [f"several runs were tracked from this folder: {others}"]
    return None, [f"several runs were tracked from this folder, and none is the inventory's: {others}"]


def _read_box(found: BoxFile, path: str) -> tuple[CropBox | None, list[str]]:
    from being_remote.tracker.box_file import parse_box

    if found.what == "symlink":
        target = decode_name(found.target or b"?")[0]
        return None, [f"is a symbolic link to {target!r}, and links are not followed"]
    if found.what != "file":
        what = "a directory" if found.what == "directory" else "a device or a pipe"
        return None, [f"is {what}, not a regular file"]
    if found.problem == "TOO_BIG":
        return None, [f"has {found.bytes} bytes; a box has a few hundred, so it was not read"]
    if found.content is None:
        return None, [f"could not be read ({found.problem})"]
    try:
        return CropBox(*parse_box(found.content, path)), []
    except BeingRemoteError as e:
        return None, [e.what]


def _impossible_sides(
    box: CropBox, source_size_wh: tuple[int, int] | None, run: FoundRun | None
) -> list[str]:
    """Name the sides that the run's bbox_scale cannot give, where no border cut them."""
    from being_remote.tracker.box_rules import cut_axes, possible_side

    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    if source_size_wh is None:
        uncut = [width] if width == height else []
    else:
        cuts = cut_axes(box.tracker_order, source_size_wh)
        uncut = [side for side, cut in zip((width, height), cuts, strict=True) if not cut]
    scale, whose = (run.bbox_scale if run is not None else None), "its run's"
    if scale is None:
        scale, whose = DEFAULT_BBOX_SCALE, "the default"
    return [
        f"its side of {side} px cannot come from {whose} bbox_scale {scale:g}: edited, or made with another"
        for side in sorted(set(uncut))
        if not possible_side(side, scale)
    ]


def _run_conflicts(run: FoundRun) -> Iterator[str]:
    """Why the run cannot have used any box."""
    if run.crop_image is False:
        yield "its run was tracked with crop_image false, so it was not cropped to this box"
    if run.image_size_wh is not None and run.image_size_wh[0] != run.image_size_wh[1]:
        width, height = run.image_size_wh
        yield f"its run's images are {width}x{height}; a run that crops has square ones"


def _explain_late(run: FoundRun, box_mtime_s: float) -> str | None:
    """Say that the box is younger than the run's first frame."""
    late_s = box_mtime_s - (run.oldest_s if run.oldest_s is not None else box_mtime_s)
    if late_s <= CLOCK_SLACK_S:
        return None
    return f"it was written {duration(late_s)} after the first of the run's frames"
