"""The `JobContext` of a command: hosts reached through the transport, recipes from the registry."""

from __future__ import annotations

import functools

from being_remote.host_checks.job_obstacles import find_obstacles
from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.preflight import Preflight
from being_remote.push.actor_input import push_actor
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.transport import session_opener


def job_context(inventory: Inventory, *, dry_run: bool = False, force: bool = False) -> JobContext:
    """What the functions on jobs work with.

    Args:
        dry_run: opening a session writes nothing.
        force: jobs are sent to hosts that lack what they need.
    """
    return JobContext(
        inventory=inventory,
        ledger=ledger_of(inventory),
        open_session=session_opener(inventory, remember=not dry_run),
        find_recipe=find_recipe,
        upload_input=functools.partial(push_actor, inventory),
        judge=RESULT_JUDGE,
        preflight=Preflight(find_recipe, None if force else find_obstacles),
    )
