"""The `JobContext` of a command: hosts reached through the transport, recipes from the registry."""

from __future__ import annotations

import functools

from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.ledger_repair import repair_ledger
from being_remote.push.actor_input import push_actor
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.transport import session_opener


def job_context(inventory: Inventory, *, dry_run: bool = False) -> JobContext:
    """What the functions on jobs work with; in a dry run opening a session writes nothing.

    A corrupt ledger is rebuilt first, but not in a dry run.
    """
    context = JobContext(
        inventory=inventory,
        ledger=ledger_of(inventory),
        open_session=session_opener(inventory, remember=not dry_run),
        find_recipe=find_recipe,
        upload_input=functools.partial(push_actor, inventory),
        judge=RESULT_JUDGE,
    )
    if not dry_run:
        repair_ledger(context)
    return context
