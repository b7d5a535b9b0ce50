"""Which settings a tracking runs with: base, preset, overrides; and with what they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from being_remote.errors import DataError, UsageError
from being_remote.recipes.earlier_runs import LocalRuns
from being_remote.recipes.tracking_facts import TrackingFacts, decoded
from being_remote.tracker.checkout_defaults import CheckoutDefaults
from being_remote.tracker.presets import find_preset
from being_remote.tracker.settings import (
    FOOTAGE,
    PATHS,
    Keys,
    Settings,
    check,
    coerce,
    parse_override,
    parse_settings,
)


class RepeatedTracking(BaseModel):
    """A tracking that is repeated on another host: all its settings, and its frames if they were known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: Mapping[str, Any]
    frames: int | None


class TrackingOptions(BaseModel):
    """What a person may choose.

    Attributes:
        preset: a name of `tracker.presets.PRESETS`.
        overrides: "KEY=VALUE" each, the value in YAML.
        repeated: nothing is chosen then: the settings are those of that tracking.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | None = None
    overrides: tuple[str, ...] = ()
    repeated: RepeatedTracking | None = None


def settings_for(
    options: TrackingOptions, own: Settings, defaults: CheckoutDefaults, where: str
) -> dict[str, Any]:
    """The settings that differ from the checkout's defaults, checked.

    Without a preset the actor's own settings file is the base (never a job of ours, or equal requests
    would mean something else after each); with one, the tracker's defaults and the preset. In both
    cases what describes the video (`config.FOOTAGE`) is kept from the file, so that frames keep their
    numbers; overrides come last.

    Args:
        own: the actor's own settings.
        where: the checkout's file, for the error.

    Raises:
        UsageError: invalid settings, or ones that this checkout does not know.
    """
    try:
        settings = _chosen(options, own, defaults)
    except UsageError as e:
        if e.where or not defaults.read:
            raise
        raise UsageError(e.what, where=where, hint=e.hint) from e
    check(settings, defaults.keys)
    return settings


def own_settings(facts: TrackingFacts, keys: Keys) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The actor's own settings without their paths, and notes on what of them was not understood.

    The file on the host counts, since the tracker there would read it; else the local one.
    """
    data = decoded(facts.host.settings) if facts.host.settings is not None else facts.local.settings
    if data is None:
        return {}, ("the actor has no settings file on the host or here: the tracker's defaults are taken",)
    try:
        found, ignored = parse_settings(data, "the actor's settings", keys)
    except DataError as e:
        said = e.what.splitlines()[0]  # a YAML error draws a picture below
        return {}, (f"the actor's settings: {said}; the tracker's defaults are taken for them",)
    kept = {key: value for key, value in found.items() if key not in PATHS}
    return kept, tuple(f"ignored in the actor's settings: {line}" for line in ignored)


def last_settings(own: Settings, local: LocalRuns) -> tuple[Settings, tuple[str, ...]]:
    """What a new run is compared with: the actor's last successful job, else the run of its own settings."""
    if local.last_job is None:
        return own, ()
    note = f"compared with {local.last_job.job}, the actor's last job that succeeded"
    return local.last_job.settings, (note,)


def _chosen(options: TrackingOptions, own: Settings, defaults: CheckoutDefaults) -> dict[str, Any]:
    keys = defaults.keys
    if options.repeated is not None:
        # This checkout has to take the same settings, whatever its own defaults are.
        same = {k: coerce(k, value, keys) for k, value in options.repeated.settings.items() if k not in PATHS}
        return {k: value for k, value in same.items() if not defaults.read or value != keys[k].default}
    base = dict(own)
    if options.preset is not None:
        footage = {key: base[key] for key in FOOTAGE if key in base}
        base = {**footage, **find_preset(options.preset).settings_for(keys)}
    for written in options.overrides:
        key, value = parse_override(written, keys)
        base[key] = value
    return base
