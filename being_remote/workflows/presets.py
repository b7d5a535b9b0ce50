"""`retrack --show-preset`: what a preset sets, and why. Contacts nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PresetReport:
    """One preset; `text` is all of it for people."""

    name: str
    purpose: str
    settings: Mapping[str, Any]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]
    text: str
    exit_code: int = 0


def show(name: str) -> PresetReport:
    """Explain a preset.

    Raises:
        UsageError: there is none of that name.
    """
    from being_remote.tracker import presets

    found = presets.preset(name)
    return PresetReport(
        found.name, found.purpose, found.settings, found.reasons, found.notes, presets.text(name)
    )
