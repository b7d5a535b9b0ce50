"""The recipes by name: those of this package, and what other installed packages register."""

from __future__ import annotations

from collections.abc import Callable

from being_remote.errors import UsageError
from being_remote.jobs.recipe import Recipe
from being_remote.plugins import installed


def _metrical_tracker() -> Recipe:
    from being_remote.recipes.metrical_tracker import MetricalTracker

    return MetricalTracker()


def _command() -> Recipe:
    from being_remote.recipes.command import Command

    return Command()


# A recipe is imported when it is asked for: the start of a command waits for the imports.
BUILT_IN: dict[str, Callable[[], Recipe]] = {"metrical-tracker": _metrical_tracker, "command": _command}


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by name. An entry point of `being_remote.recipes` names an instance of a Recipe.

    Raises:
        UsageError: an installed package adds something that is not a Recipe of a new name.
    """
    added, recipes = installed("being_remote.recipes"), {name: make() for name, make in BUILT_IN.items()}
    for name, recipe in added.items():
        if not isinstance(recipe, Recipe) or recipe.name != name or name in recipes:
            raise UsageError(
                f"the recipe {name!r} of an installed package is not a Recipe of that new name",
                hint="update or uninstall the package",
            )
    return {**recipes, **added}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.

    Example:
        >>> find_recipe("command").name
        'command'
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()  # works though a plug-in is broken
    recipes = all_recipes()
    if name not in recipes:
        raise UsageError(f"no recipe named {name!r}", hint=f"known recipes: {', '.join(sorted(recipes))}")
    return recipes[name]


def recipes_with_results() -> tuple[str, ...]:
    """The names of the recipes whose jobs leave something for `pull` without --all.

    Example:
        >>> recipes_with_results()
        ('metrical-tracker',)
    """
    return tuple(name for name, r in all_recipes().items() if r.results)
