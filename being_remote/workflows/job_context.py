"""The `JobContext` of a command: hosts reached through the transport, recipes from the registry."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from being_remote.inventory import Inventory
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import ledger_of
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.transport import session_opener

if TYPE_CHECKING:
    from being_remote.transfer.staged_upload import UploadResult


def job_context(inventory: Inventory, *, dry_run: bool = False) -> JobContext:
    """What the functions on jobs work with; in a dry run opening a session writes nothing."""
    return JobContext(
        inventory=inventory,
        ledger=ledger_of(inventory),
        open_session=session_opener(inventory, remember=not dry_run),
        find_recipe=find_recipe,
        upload_input=functools.partial(_upload_input, inventory),
        judge=RESULT_JUDGE,
    )


def _upload_input(inventory: Inventory, *args: Any, **more: Any) -> UploadResult:
    from being_remote.push.actor_input import push_actor  # a submit uploads nothing

    return push_actor(inventory, *args, **more)
