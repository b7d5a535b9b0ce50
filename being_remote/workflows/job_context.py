"""The `JobContext` of a command: hosts reached through the transport, recipes from the registry."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from being_remote.inventory import Inventory, LocalHost, SshHost
from being_remote.jobs.context import JobContext
from being_remote.jobs.ledger import ledger_of
from being_remote.jobs.preflight import Preflight
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.result_judge import RESULT_JUDGE
from being_remote.session import Session
from being_remote.transport import session_opener

if TYPE_CHECKING:
    from being_remote.transfer.staged_upload import UploadResult


def job_context(
    inventory: Inventory, *, dry_run: bool = False, force: bool = False, again: bool = False
) -> JobContext:
    """What the functions on jobs work with. A corrupt ledger is rebuilt first, but not in a dry run.

    Args:
        dry_run: opening a session writes nothing.
        force: jobs are sent to hosts that lack what they need.
        again: jobs start also beside another ledger's of the same intent.
    """
    context = JobContext(
        inventory=inventory,
        ledger=ledger_of(inventory),
        open_session=session_opener(inventory, remember=not dry_run),
        find_recipe=find_recipe,
        upload_input=functools.partial(_upload_input, inventory),
        judge=RESULT_JUDGE,
        preflight=Preflight(find_recipe, None if force else _find_obstacles),
        again=again,
    )
    if not dry_run and context.ledger.find_damage() is not None:
        from being_remote.jobs.ledger_repair import repair_ledger  # a whole ledger does not need it

        repair_ledger(context)
    return context


def _find_obstacles(
    session: Session, host: SshHost | LocalHost, *, gpus: int, tools: Collection[str]
) -> tuple[str, ...]:
    from being_remote.host_checks.job_obstacles import find_obstacles  # only a new job needs it

    return find_obstacles(session, host, gpus=gpus, tools=tools)


def _upload_input(inventory: Inventory, *args: Any, **more: Any) -> UploadResult:
    from being_remote.push.actor_input import push_actor  # a submit uploads nothing

    return push_actor(inventory, *args, **more)
