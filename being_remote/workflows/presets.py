"""`retrack --show-preset`: what a preset sets, and why; with a host, what it sets in the checkout there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from being_remote.inventory import Inventory

OFFLINE = "no checkout was looked at (--host HOST looks at the one on it)"


@dataclass(frozen=True)
class PresetReport:
    """One preset; `text` is all of it for people.

    Attributes:
        host: whose checkout has the defaults that `settings` are changed from; None: a table has them.
        defaults_read: whether that checkout's own could be read.
        cost: what a frame costs with it, against the defaults.
    """

    name: str
    purpose: str
    settings: Mapping[str, Any]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]
    text: str
    host: str | None = None
    defaults_read: bool = False
    cost: tuple[str, ...] = ()
    exit_code: int = 0


def show(name: str, inventory: Inventory | None = None, host: str | None = None) -> PresetReport:
    """Explain a preset.

    Args:
        host: whose checkout to look at, by `inventory`; None: no host is asked, and the table's defaults
            are taken.

    Raises:
        UsageError: there is none of that name; or the checkout there does not know what it sets.
        HostError: no answer.
    """
    from being_remote.tracker import presets
    from being_remote.tracker.checkout_defaults import table_defaults

    found = presets.find_preset(name)
    if host is None or inventory is None:
        defaults = table_defaults(OFFLINE)
    else:
        from being_remote.recipes.tracking_facts import look_at_defaults
        from being_remote.transport import open_session

        there = inventory.host(host)
        with open_session(there, inventory, remember=False) as session:
            defaults = look_at_defaults(session, there)
    keys, source = defaults.keys, defaults.notes
    if defaults.read:
        source = (f"the defaults are those of the checkout on {host}", *source)
    cost = found.cost(keys)
    return PresetReport(
        found.name,
        found.purpose,
        found.settings_for(keys),
        {key: reason for key, reason in found.reasons.items() if key in found.settings_for(keys)},
        (*source, *found.advice(keys)),
        presets.text(name, keys, source),
        host,
        defaults.read,
        cost,
    )
