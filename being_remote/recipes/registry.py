"""The recipes there are, by the name that a job's spec.json has of its own."""

from __future__ import annotations

from being_remote.errors import UsageError
from being_remote.recipes import Recipe
from being_remote.recipes.command import Command
from being_remote.recipes.metrical_tracker import MetricalTracker

_KNOWN: dict[str, Recipe] = {r.name: r for r in (MetricalTracker(), Command())}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.

    Example:
        >>> recipe("command").name
        'command'
    """
    if name not in _KNOWN:
        raise UsageError(f"no recipe named {name!r}", hint=f"known recipes: {', '.join(sorted(_KNOWN))}")
    return _KNOWN[name]


def with_results(*, all_files: bool) -> tuple[str, ...]:
    """The names of the recipes whose jobs leave something for `pull`.

    Example:
        >>> with_results(all_files=False)
        ('metrical-tracker',)
    """
    return tuple(r.name for r in _KNOWN.values() if r.results or (all_files and r.more_results))
