"""What `sync` tells: its report, and the sentences in it. No side effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from being_remote.backup.arrivals import Arrival, Offer, Plan
from being_remote.backup.manifest import Manifest, shown_path
from being_remote.backup.quarantine import SetAside
from being_remote.backup.settle import Settled
from being_remote.workflows.homecoming.actor_files import EXAMPLES, Found, Task


@dataclass(frozen=True)
class Quarantined:
    """A file that did not become live. `kept_as` is None where only its name was refused."""

    path: str
    reason: str
    kept_as: Path | None
    path_b64: str | None = None


@dataclass(frozen=True)
class Some:
    """How many files, and the first few of them."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncReport:
    """What a sync did, or with `dry_run` would do.

    Attributes:
        folder: the backup on this laptop.
        files, bytes: what the host has of the kinds asked for.
        transferred_files, transferred_bytes: what came over the link; with `dry_run` what would, at most.
        quarantined: files that did not become live, each with its reason.
        verified: how many files have here, read again, the hash made on the host; None: not asked.
        mismatched: files that differ even after they were fetched again: they change over there.
        snapshot: the generation that is live now; None where there is no backup.
        vanished, shrunk: gone or smaller on the host; the earlier versions stay here.
        adopted: files put or changed here by hand, now in the history.
        new_run: why the live tree was replaced as a whole; None when it was added to.
        method: "rsync" or "tar"; None when nothing had to be fetched.
        phases_s: seconds spent on the listing, the transfer and the check.
    """

    host: str
    actor: str
    folder: Path
    files: int
    bytes: int
    transferred_files: int
    transferred_bytes: int
    quarantined: tuple[Quarantined, ...]
    verified: int | None
    snapshot: int | None
    dry_run: bool
    mismatched: Some = Some()
    vanished: Some = Some()
    shrunk: Some = Some()
    adopted: Some = Some()
    new_run: str | None = None
    warnings: tuple[str, ...] = ()
    method: str | None = None
    seconds: float = 0.0
    round_trips: int = 0
    phases_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """6 when something was set aside or stayed different; everything else is home."""
        return 6 if not self.dry_run and (self.quarantined or self.mismatched.count) else 0


def from_listing(
    task: Task,
    host: str,
    found: Found,
    planned: Plan,
    before: Manifest | None,
    aside: tuple[SetAside, ...],
) -> SyncReport:
    """What can be said from the listing and the plan."""
    here = before.files if before is not None else {}
    there = {o.path: o for o in found.offers}
    # What came from another host, or a folder that could not be read, is not missed here.
    gone = [
        path
        for path, entry in here.items()
        if found.complete and path not in there and entry.host in (host, None) and task.belongs(path)
    ]
    smaller = [o.path for o in planned.wanted if o.path in here and o.bytes < here[o.path].bytes]
    warnings = list(found.warnings)
    if gone:
        warnings.append(f"not on {host} (any more), kept here: {_counted(gone)}")
    if smaller:
        warnings.append(
            f"smaller on {host} than before: {_counted(smaller)}; "
            f"what they were stays in generation {before.generation if before is not None else 0}"
        )
    return SyncReport(
        host=host,
        actor=task.actor.name,
        folder=task.root,
        files=len(found.offers),
        bytes=sum(o.bytes for o in found.offers),
        transferred_files=0,
        transferred_bytes=0,
        quarantined=tuple(_quarantined(a) for a in aside),
        verified=None,
        snapshot=before.generation if before is not None else None,
        dry_run=False,
        vanished=some(gone),
        shrunk=some(smaller),
        warnings=tuple(warnings),
    )


def compared(
    offers: Iterable[Offer], live: Manifest | None, aside: Mapping[str, SetAside]
) -> tuple[int, list[str]]:
    """How many live files have the host's hash, and which have not.

    The manifest speaks for the live files: all were read again before, and the rest written since.
    """
    here = live.files if live is not None else {}
    asked = [o for o in offers if o.path not in aside]
    wrong = [o.path for o in asked if o.path not in here or o.sha256 != here[o.path].sha256]
    return len(asked) - len(wrong), wrong


def notes(
    host: str,
    settled: Sequence[Settled],
    arrivals: Sequence[Arrival],
    before: Manifest | None,
    mismatched: Sequence[str],
) -> list[str]:
    """What else a person should hear of."""
    said = []
    for each in settled:
        if each.put_back:
            said.append(f"missing here and put back: {_counted(each.put_back)}")
        said += [f"{a.path!r} lay here already and is not sound: {a.reason}" for a in each.unsound]
    for arrival in arrivals:
        if arrival.missed:
            said.append(f"went away on {host} just now: {_counted(arrival.missed)}")
        if arrival.new_run:
            earlier = before.generation if before is not None else 0
            said.append(
                f"{host} holds another run than the backup did: {arrival.new_run}. "
                f"It is live now as a whole; the earlier one is kept as generation {earlier}"
            )
    if mismatched:
        said.append(f"changing on {host} while we compare: {_counted(mismatched)}")
    return said


def _quarantined(aside: SetAside) -> Quarantined:
    path, path_b64 = shown_path(aside.path)
    return Quarantined(path, aside.reason, aside.kept_as, path_b64)


def some(paths: Sequence[str]) -> Some:
    return Some(len(paths), tuple(shown_path(p)[0] for p in paths[:EXAMPLES]))


def _counted(paths: Sequence[str]) -> str:
    """How many, and the first few.

    Example:
        >>> _counted(["a.frame"])
        "1 file ('a.frame')"
    """
    more = ", ..." if len(paths) > EXAMPLES else ""
    named = ", ".join(repr(p) for p in paths[:EXAMPLES]) + more
    return f"{len(paths)} file{'' if len(paths) == 1 else 's'} ({named})"
