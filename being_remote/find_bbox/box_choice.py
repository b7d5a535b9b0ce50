"""Which of several boxes, and if none is left: which other ways to the crop are open.

A choice is made only where a rule decides; else it is withheld, and everything is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from being_remote.find_bbox.box_candidates import ActorFiles, Candidate, CropBox, HostCandidates
from being_remote.find_bbox.run_owners import TrackedRun
from being_remote.inventory import LOCAL

# In whose company a box is best found; the laptop's own backup comes first, it needs no fetching.
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
    run: TrackedRun | None
    box: CropBox
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.host}:{self.candidate.path!r}"

    @property
    def told(self) -> str:
        b = self.box
        of_run = f" of the run {self.run.path!r}" if self.run is not None else ""
        return f"{self.name} x {b.x_min}..{b.x_max} y {b.y_min}..{b.y_max}{of_run}"

    @property
    def used_by_its_run(self) -> bool:
        """It lies where the tracker keeps it, its run is there, and nothing speaks against it."""
        return self.candidate.place == "input" and self.run is not None and not self.candidate.problems

    @property
    def rank(self) -> tuple[bool, bool, int]:
        at_home = self.host == LOCAL and self.candidate.place == "backup"
        return bool(self.candidate.problems), not at_home, _RANK[self.candidate.place]


def choose(
    actor: str, judged: Mapping[str, HostCandidates], *, unseen: Sequence[str] = ()
) -> tuple[ChosenBox | None, str | None]:
    """The best box of an actor's own run, or None and why; a job's box is of the job alone.

    Args:
        actor: whose.
        judged: what each host holds.
        unseen: why there may be others that nobody looked at; then none is the only one.
    """
    usable = [
        _OwnedCandidate(host, c, next((r for r in answer.runs if r.path == c.run), None), c.bbox, c.sha256)
        for host, answer in judged.items()
        for c in answer.candidates
        if c.may_serve(actor) and c.bbox is not None and c.sha256 is not None
    ]
    boxes = list(dict.fromkeys(p.box for p in usable))
    if not boxes:
        return None, "; ".join((_none_of_its_own(actor, judged), *unseen))
    if len(boxes) == 1:
        best = min(usable, key=lambda p: p.rank)
        copies = len(usable)
        if unseen:
            found = "found" if copies == 1 else f"{copies} files that may be the actor's hold this box"
            return _best(best, f"{found}; there may be others: {'; '.join(unseen)}"), None
        if copies > 1 and len({p.sha256 for p in usable}) == 1:
            return _best(best, f"the only one found, in {copies} copies"), None
        why = "the only one found" if copies == 1 else f"all {copies} that may be the actor's hold this box"
        return _best(best, why), None
    used = [p for p in usable if p.used_by_its_run]
    others = [p for p in usable if used and p.box != used[0].box]
    rivals = [p for p in others if p.used_by_its_run or _other_run(p, used[0])]
    if used and not rivals:
        best = min((p for p in usable if p.box == used[0].box), key=lambda p: p.rank)
        names = ", ".join(p.name for p in others)
        why = f"{used[0].name} lies in its run's own input folder; what differs is of no other run: {names}"
        return _best(best, why), None
    shown = "; ".join(p.told for p in usable)
    return None, f"{len(boxes)} boxes differ, and nothing decides which one a run was made with: {shown}"


def with_equals(judged: Mapping[str, HostCandidates]) -> dict[str, HostCandidates]:
    """Every candidate told which others, here and elsewhere, hold the same box."""
    where: dict[CropBox, list[str]] = {}
    for host, answer in judged.items():
        for c in answer.candidates:
            if c.bbox is not None:
                where.setdefault(c.bbox, []).append(f"{host}:{c.path}")

    def told(host: str, c: Candidate) -> Candidate:
        same = where.get(c.bbox, []) if c.bbox is not None else []
        return replace(c, equals=tuple(name for name in same if name != f"{host}:{c.path}"))

    return {
        host: replace(answer, candidates=tuple(told(host, c) for c in answer.candidates))
        for host, answer in judged.items()
    }


def ways_of_recovery(evidence: Mapping[str, ActorFiles]) -> tuple[str, ...]:
    """What is open without any bbox.pt, best first; each says what it leans on and where that is."""

    def where(has: Callable[[ActorFiles], int | None]) -> str:
        return ", ".join(host for host, e in evidence.items() if has(e))

    crops = where(lambda e: e.crop_images)
    landmarks = where(lambda e: e.landmarks)
    pictures = where(lambda e: e.source_images) or where(lambda e: e.videos)
    kind = "source images" if where(lambda e: e.source_images) else "video"
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
        ways.append(f"track_again: the {kind} ({pictures}) can be tracked anew, with a new box")
    return tuple(ways)


def _other_run(one: _OwnedCandidate, other: _OwnedCandidate) -> bool:
    """Whether a box belongs to a run with other frames than the other's."""
    if one.run is None or other.run is None:
        return False
    return one.run.sha256 is None or one.run.sha256 != other.run.sha256


def _best(placed: _OwnedCandidate, why: str) -> ChosenBox:
    c = placed.candidate
    if c.problems:
        why += f"; but {'; '.join(c.problems)}"
    return ChosenBox(placed.host, c.path, c.path_b64, c.run, placed.sha256, placed.box, why)


def _none_of_its_own(actor: str, judged: Mapping[str, HostCandidates]) -> str:
    found = [(host, c) for host, answer in judged.items() for c in answer.candidates]
    invalid = [f"{host}:{c.path!r}" for host, c in found if c.actor == actor and c.place != "job"]
    of_jobs = [f"{host}:{c.path!r}" for host, c in found if c.actor == actor and c.place == "job"]
    unknown = [f"{host}:{c.path!r}" for host, c in found if c.actor is None and c.valid]
    said = []
    if invalid:
        said.append(f"none that can be used; refused: {', '.join(invalid[:5])}")
    if unknown:
        said.append(
            f"whose these are is not known: {', '.join(unknown[:5])}; if one is {actor}'s,"
            " give it to `recover --bbox FILE`"
        )
    if of_jobs:
        said.append(
            f"none of {actor}'s own run; these are of jobs, each for its own: {', '.join(of_jobs[:5])}"
        )
    return "; ".join(said) or f"no bbox.pt of {actor} was found"
