"""What `sync --watch` tells: its rounds, why nothing comes, and what it came to. No side effects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from being_remote.sync.sync_report import QuarantineRow

Trouble = Literal["away", "full", "busy", "empty"]


@dataclass(frozen=True)
class WatchRound:
    """A round that brought files home, or has other news. `files` is what the host holds by now."""

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
    """Why nothing comes for now; said when it begins, and as "back" when a round works again.

    `waiting_for` is "away" (the host does not answer), "full" (the disk here), "busy" (another sync of
    this backup), "empty" (the host holds nothing of the actor yet) or "back".
    """

    waiting_for: Trouble | Literal["back"]
    reason: str


@dataclass(frozen=True)
class WatchReport:
    """What a watch came to by the time it was stopped.

    Attributes:
        rounds: how many looked at the host to the end.
        files: what the host held at the last of them; None if there was none.
        away_s: seconds for which the host did not answer.
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
        """Ctrl-C is the only way to a report."""
        return 130
