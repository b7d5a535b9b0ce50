"""`run`: any command as a job; one workflow with `retrack`, so all that holds for a job holds for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from being_remote.errors import UsageError
from being_remote.inventory import Inventory
from being_remote.recipes.retrack_request import RetrackRequest
from being_remote.workflows.retrack import RetrackReport, retrack

if TYPE_CHECKING:
    from being_remote.jobs.follow import Say

ACTOR = "{actor}"


def run_command(
    inventory: Inventory,
    words: Sequence[str],
    around: RetrackRequest,
    *,
    follow_it: bool = False,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> RetrackReport:
    """Dispatch `words` as a job of the recipe `command`, or attach to the one of the same intent.

    Args:
        around: the host, the folder, the environment, the inputs and the limits. Where `{actor}` is used
            and no actor is named, it is the inventory's only one.

    Raises:
        UsageError, NotFoundError, HostNotReady, HostError: as `retrack`.
    """
    actors = list(around.actors)
    if any(ACTOR in text for text in (*words, around.folder or "", *around.env)) and not actors:
        actors = [inventory.the_actor(None).name]
    if len(actors) > 1:
        raise UsageError("a command is run for one actor", where="--actor")
    request = replace(around, recipe="command", command=shlex.join(words), actors=actors)
    return retrack(inventory, request, follow_it=follow_it, dry_run=dry_run, say=say)
