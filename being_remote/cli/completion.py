"""What the shell completes: names from the inventory and the ledger.

It contacts no host, asks nothing, and offers nothing rather than an error. A name that a shell would not take
literally is left out: the shell's own script evaluates what is offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from being_remote.inventory import Inventory

_LITERAL = re.compile(r"[A-Za-z0-9_.@%+=/][A-Za-z0-9_.@%+=/,-]*")
_MOST = 200

Complete = Callable[[Any], list[str]]


def complete_host(ctx: Any) -> list[str]:
    return _offer(ctx, lambda inventory: inventory.hosts)


def complete_actor(ctx: Any) -> list[str]:
    return _offer(ctx, lambda inventory: inventory.actors)


def complete_job(ctx: Any) -> list[str]:
    from being_remote.workflows.known_names import job_names

    return _offer(ctx, job_names)


def complete_run(ctx: Any) -> list[str]:
    """An actor or a job; the shell itself adds files."""
    return [*complete_actor(ctx), *complete_job(ctx)]


def complete_preset(ctx: Any) -> list[str]:
    from being_remote.workflows.known_names import preset_names

    return list(preset_names())


def complete_recipe(ctx: Any) -> list[str]:
    from being_remote.workflows.known_names import recipe_names

    return list(recipe_names())


def complete_export(ctx: Any) -> list[str]:
    from being_remote.workflows.known_names import export_names

    return list(export_names())


def complete_kind(ctx: Any) -> list[str]:
    from being_remote.workflows.known_names import kind_names

    return list(kind_names())


def _offer(ctx: Any, names_of: Callable[[Inventory], Iterable[str]]) -> list[str]:
    """Names that the inventory of this command line, or of this folder, knows."""
    from being_remote.errors import BeingRemoteError
    from being_remote.inventory import find_inventory, given_inventory, load_inventory

    try:
        given = ctx.params.get("inventory")
        named = given_inventory(given)
        names = names_of(load_inventory(named or find_inventory(Path.cwd())))
    except (BeingRemoteError, OSError, ValueError):
        return []
    return [name for name in names if _LITERAL.fullmatch(name)][:_MOST]
