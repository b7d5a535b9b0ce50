"""Which of several boxes to use and, without any, which other ways to the crop are open.

A choice is made only where a rule decides; else none is made, and everything is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from being_remote.bbox_search.box_candidates import Candidate, CropBox
from being_remote.bbox_search.host_search import EvidenceCounts, HostRow
from being_remote.bbox_search.tracked_runs import FoundRun
from being_remote.inventory import LOCAL
from being_remote.wording import list_some

# Where a box is best found; this laptop's own backup comes before all of these: it needs no download.
_RANK = {"input": 1, "output": 2, "backup": 3, "elsewhere": 4}


@dataclass(frozen=True)
class ChosenBox:
    """The box to use, and why it is this one."""

    host: str
    path: str
    path_b64: str | None
    run: str | None
    sha256: str
    bbox: CropBox
    why: str


@dataclass(frozen=True)
class _OwnedCandidate:
    """A valid candidate of the actor, with its host and the run it belongs to."""

    host: str
    candidate: Candidate
    run: FoundRun | None
    box: CropBox
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.host}:{self.candidate.path!r}"

    @property
    def description(self) -> str:
        b = self.box
        of_run = f" of the run {self.run.path!r}" if self.run is not None else ""
        return f"{self.name} x {b.x_min}..{b.x_max} y {b.y_min}..{b.y_max}{of_run}"

    @property
    def used_by_its_run(self) -> bool:
        """It lies where the tracker keeps it, its run exists, and nothing speaks against it."""
        return self.candidate.place == "input" and self.run is not None and not self.candidate.problems

    @property
    def rank(self) -> tuple[bool, bool, int]:
        in_own_backup = self.host == LOCAL and self.candidate.place == "backup"
        return bool(self.candidate.problems), not in_own_backup, _RANK[self.candidate.place]

    def choice(self, why: str) -> ChosenBox:
        c = self.candidate
        if c.problems:
            why += f"; but {'; '.join(c.problems)}"
        return ChosenBox(self.host, c.path, c.path_b64, c.run, self.sha256, self.box, why)


def choose(actor: str, rows: Sequence[HostRow]) -> tuple[ChosenBox | None, str | None]:
    """Return the best box of an actor's own run, or None and why; a job's box belongs to that job alone.

    Where a host was not searched to the end, no box is called the only one.
    """
    unseen = [row.unseen for row in rows if row.unseen]
    usable = [
        _OwnedCandidate(row.host, c, next((r for r in row.runs if r.path == c.run), None), c.bbox, c.sha256)
        for row in rows
        for c in row.candidates
        if c.may_serve(actor) and c.bbox is not None and c.sha256 is not None
    ]
    boxes = set(p.box for p in usable)
    if not boxes:
        return None, "; ".join((_explain_none(actor, rows), *unseen))
    if len(boxes) == 1:
        return min(usable, key=lambda p: p.rank).choice(_explain_only(usable, unseen)), None
    used = next((p for p in usable if p.used_by_its_run), None)
    if used is not None:
        others = [p for p in usable if p.box != used.box]
        if not any(p.used_by_its_run or _has_other_run(p, used) for p in others):
            best = min((p for p in usable if p.box == used.box), key=lambda p: p.rank)
            names = ", ".join(p.name for p in others)
            why = (
                f"{used.name} lies in its run's own input folder; the others belong to no other run: {names}"
            )
            return best.choice(why), None
    shown = "; ".join(p.description for p in usable)
    return None, f"{len(boxes)} boxes differ, and nothing shows which one a run was made with: {shown}"


def with_equals(rows: Sequence[HostRow]) -> tuple[HostRow, ...]:
    """Name, in every candidate, the others on all hosts that hold the same box."""
    where: dict[CropBox, list[str]] = {}
    for row in rows:
        for c in row.candidates:
            if c.bbox is not None:
                where.setdefault(c.bbox, []).append(f"{row.host}:{c.path}")

    def named(host: str, c: Candidate) -> Candidate:
        same = where[c.bbox] if c.bbox is not None else []
        return replace(c, equals=tuple(name for name in same if name != f"{host}:{c.path}"))

    return tuple(replace(row, candidates=tuple(named(row.host, c) for c in row.candidates)) for row in rows)


def ways_of_recovery(rows: Sequence[HostRow]) -> tuple[str, ...]:
    """Return what is possible without any bbox.pt, best first; each says what it needs and where that is."""

    def where(count: Callable[[EvidenceCounts], int | None]) -> str:
        return ", ".join(row.host for row in rows if count(row.evidence))

    crops, landmarks = where(lambda e: e.crop_images), where(lambda e: e.landmarks)
    source_images = where(lambda e: e.source_images)
    pictures = source_images or where(lambda e: e.videos)
    kind = "source images" if source_images else "video"
    ways = []
    if crops and pictures:
        ways.append(
            f"from_images: register the crops ({crops}) against the {kind} ({pictures});"
            " gives the crop exactly where the pictures are lossless"
        )
    if landmarks and pictures:
        ways.append(
            f"from_landmarks: match the stored landmarks ({landmarks}) with ones detected on the {kind}"
            f" ({pictures}); an estimate, good to a few pixels"
        )
    if pictures:
        ways.append(f"track_again: track the {kind} ({pictures}) again, with a new box")
    return tuple(ways)


def _has_other_run(one: _OwnedCandidate, other: _OwnedCandidate) -> bool:
    """Whether a box belongs to a run with other frames than the other's."""
    if one.run is None or other.run is None:
        return False
    return one.run.sha256 is None or one.run.sha256 != other.run.sha256


def _explain_only(copies: Sequence[_OwnedCandidate], unseen: Sequence[str]) -> str:
    count = len(copies)
    if unseen:
        found = "found" if count == 1 else f"{count} files that may be the actor's hold this box"
        return f"{found}; there may be others: {'; '.join(unseen)}"
    if count == 1:
        return "the only one found"
    if len({copy.sha256 for copy in copies}) == 1:
        return f"the only one found, in {count} copies"
    return f"all {count} that may be the actor's hold this box"


def _explain_none(actor: str, rows: Sequence[HostRow]) -> str:
    found = [(f"{row.host}:{c.path!r}", c) for row in rows for c in row.candidates]
    invalid = [name for name, c in found if c.actor == actor and c.place != "job"]
    of_jobs = [name for name, c in found if c.actor == actor and c.place == "job"]
    unknown = [name for name, c in found if c.actor is None and c.valid]
    reasons = []
    if invalid:
        reasons.append(f"none that can be used; refused: {list_some(invalid)}")
    if unknown:
        reasons.append(
            f"owner unknown: {list_some(unknown)}; if one is {actor}'s, use it with `recover --bbox FILE`"
        )
    if of_jobs:
        reasons.append(
            f"none of {actor}'s own run; these belong to jobs, each to its own: {list_some(of_jobs)}"
        )
    return "; ".join(reasons) or f"no bbox.pt of {actor} was found"
