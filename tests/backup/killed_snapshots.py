"""killed_snapshots.py ACTION ROOT_PATTERN N...: for each N, the action killed at its N-th disk change.

Prints for each N how many changes were seen: fewer than N means that it came to its end.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from folder_sync import judge
from killed_sync import killed_at

from being_remote.backup.history import History
from being_remote.backup.prune import merge_snapshots, plan_pruning, prune
from being_remote.backup.restore import RestoreResult, read_verified, restore
from being_remote.backup.verification import scrub
from being_remote.session import no_progress


def restore_first(history: History) -> RestoreResult:
    """Make the oldest snapshot live again."""
    return restore(history, read_verified(history, history.snapshot_numbers()[0], no_progress), judge)


def prune_to_two(history: History) -> None:
    prune(history, plan_pruning(history, 2))


def absorb_last(history: History) -> None:
    earlier, later = history.snapshot_numbers()[-2:]
    merge_snapshots(history, history.read(earlier), history.read(later))


def scrub_all(history: History) -> None:
    scrub(history, no_progress)


ACTIONS = {f.__name__: f for f in (restore_first, prune_to_two, absorb_last, scrub_all)}


def act(action: str, root: Path) -> None:
    history = History(root)
    with history.lock():
        ACTIONS[action](history)


def main(action: str, pattern: str, numbers: list[int]) -> None:
    for n in numbers:
        root = Path(pattern.replace("{n}", str(n)))
        print(n, killed_at(n, root, functools.partial(act, action)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(n) for n in sys.argv[3:]])
