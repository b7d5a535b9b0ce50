"""The recipes by name: those of this package, and what other installed packages register."""

from __future__ import annotations

from being_remote.errors import UsageError
from being_remote.jobs.recipe import Recipe
from being_remote.plugins import installed
from being_remote.recipes.command import Command
from being_remote.recipes.metrical_tracker import MetricalTracker

BUILT_IN: tuple[Recipe, ...] = (MetricalTracker(), Command())


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by name. An entry point of `being_remote.recipes` names an instance of a Recipe.

    Raises:
        UsageError: a plug-in cannot be loaded.
    """
    return {**installed("being_remote.recipes"), **{recipe.name: recipe for recipe in BUILT_IN}}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.

    Example:
        >>> find_recipe("command").name
        'command'
    """
    built_in = next((recipe for recipe in BUILT_IN if recipe.name == name), None)
    if built_in is not None:
        return built_in  # a broken plug-in keeps nobody from using ours
    known = all_recipes()
    if name not in known:
        raise UsageError(f"no recipe named {name!r}", hint=f"known recipes: {', '.join(sorted(known))}")
    return known[name]


def recipes_with_results(*, all_files: bool) -> tuple[str, ...]:
    """The names of the recipes whose jobs leave something for `pull`.

    Example:
        >>> recipes_with_results(all_files=False)
        ('metrical-tracker',)
    """
    known = all_recipes().items()
    return tuple(name for name, r in known if r.results or (all_files and r.more_results))
