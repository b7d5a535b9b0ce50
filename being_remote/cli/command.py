"""Make a command of a function: add the options that every command has, and hand the function its `Out`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from being_remote.cli.options import InventoryOpt, JsonOpt, TrustInventoryOpt, VerboseOpt
from being_remote.cli.output import Out

_ALWAYS: dict[str, Any] = {"as_json": JsonOpt, "verbose": VerboseOpt}
_INVENTORY: dict[str, Any] = {"inventory": InventoryOpt, "trust_inventory": TrustInventoryOpt}


def command(body: Callable[..., None]) -> Callable[..., None]:
    """Return the command that runs `body(out, **its own options)`; its docstring is the command's help."""
    return _add_options(body, {**_INVENTORY, **_ALWAYS})


def command_without_inventory(body: Callable[..., None]) -> Callable[..., None]:
    """Return the same for a `body` that never reads an inventory."""
    return _add_options(body, _ALWAYS)


def _add_options(body: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    # All are passed by keyword.
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(body, eval_str=True).parameters.values()
        if parameter.annotation is not Out
    ]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if annotation is InventoryOpt else False,
            annotation=annotation,
        )
        for name, annotation in options.items()
    ]

    @wraps(body)
    def run(**given: Any) -> None:
        with Out(**{name: given.pop(name) for name in options}) as out:
            body(out, **given)

    # Typer reads both.
    signature = inspect.Signature([*own, *shared])
    run.__signature__ = signature  # type: ignore[attr-defined]  # a function may have one
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return run
