"""The names that a person may type: of jobs, and of what is installed. Contacts no host."""

from __future__ import annotations

from collections.abc import Iterable

from being_remote.inventory import Inventory


def job_names(inventory: Inventory) -> Iterable[str]:
    """The ids of this laptop's jobs, the newest first, and `last`."""
    from being_remote.jobs.ledger import LAST, ledger_of

    newest_first = [job.job for job in ledger_of(inventory).jobs()]
    return (LAST, *newest_first) if newest_first else ()


def preset_names() -> Iterable[str]:
    """The presets of `retrack`."""
    from being_remote.tracker.presets import PRESETS

    return PRESETS


def recipe_names() -> Iterable[str]:
    """The recipes of `retrack`, without those of other packages."""
    from being_remote.recipes.registry import BUILT_IN

    return BUILT_IN


def export_names() -> Iterable[str]:
    """The exports of `recover`."""
    from being_remote.export import all_targets

    return all_targets()


def kind_names() -> Iterable[str]:
    """The kinds of files of `sync --only`."""
    from being_remote.tracker.layout import KINDS

    return KINDS
