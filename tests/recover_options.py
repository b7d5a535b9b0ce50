"""`recover` with its choices as flat options, as a command line gives them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from being_remote.inventory import Inventory
from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RecoverReport, RunChoice
from being_remote.workflows.recover import recover as recover_by_choices


def recover(inventory: Inventory | None, **options: Any) -> RecoverReport:
    """Recover a run; each option is a field of one of the three choices, or `on_progress`."""
    progress = {name: options.pop(name) for name in ("on_progress",) if name in options}
    choices: list[Any] = []
    for choice in (RunChoice, EvidenceChoice, OutputChoice):
        names = {field.name for field in fields(choice)} & options.keys()
        choices.append(choice(**{name: options.pop(name) for name in names}))
    assert not options, f"recover has no options {sorted(options)}"
    return recover_by_choices(inventory, *choices, **progress)
