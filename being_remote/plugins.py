"""What other installed packages add: exporters, recipes and host checks, found by their entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from being_remote.errors import UsageError

Group = Literal["being_remote.exports", "being_remote.recipes", "being_remote.checks"]


@cache
def installed(group: Group) -> dict[str, Any]:
    """Return what the installed packages register under `group`, by the name of the entry point.

    Raises:
        UsageError: a plug-in cannot be imported, or two packages use one name.
    """
    found: dict[str, Any] = {}
    for point in entry_points(group=group):
        package = point.dist.name if point.dist else "an unknown package"
        if point.name in found:
            raise UsageError(
                f"{group}: more than one package registers {point.name!r}, {package} among them",
                hint="uninstall one of them",
            )
        try:
            found[point.name] = point.load()
        except Exception as e:  # a plug-in may raise anything
            raise UsageError(
                f"{group}: {point.name!r} of {package} cannot be loaded: {type(e).__name__}: {e}",
                hint=f"update or uninstall {package}",
            ) from e
    return found
