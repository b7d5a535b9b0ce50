"""What `sync --watch` reports: its rounds, why it waits, and its totals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from being_remote.transfer.quarantine import QuarantineRow

# The host does not answer; the disk here is full; another sync of this backup runs; the host holds
# nothing of the actor yet.
Trouble = Literal["away", "full", "busy", "empty"]


@dataclass(frozen=True)
class WatchRound:
    """A round that downloaded files or has other news. `files` is how many the host holds by now."""

    round: int
    host: str
    actor: str
    files: int
    transferred_files: int
    transferred_bytes: int
    snapshot: int | None
    seconds: float
    new_run: str | None
    quarantined: tuple[QuarantineRow, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class WatchPause:
    """Why the watch waits; reported when that begins, and as "back" when a round succeeds again."""

    waiting_for: Trouble | Literal["back"]
    reason: str


@dataclass(frozen=True)
class WatchReport:
    """The totals of a watch.

    Attributes:
        rounds: how many looked at the host to the end.
        files: what the host held at the last of them; None if there was none.
        away_s: seconds in which the host did not answer.
    """

    host: str
    actor: str
    folder: Path
    rounds: int
    files: int | None
    transferred_files: int
    transferred_bytes: int
    snapshot: int | None
    quarantined: tuple[QuarantineRow, ...]
    away_s: float
    seconds: float

    @property
    def exit_code(self) -> int:
        """130: only Ctrl-C leads to a report."""
        return 130
