"""The files that travel with a tracking: `settings.yml` for the tracker, `tracking.json` for our steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from being_remote.inventory import Actor
from being_remote.tracker.checkout_defaults import CheckoutDefaults, from_values
from being_remote.tracker.settings import Settings, complete, parse_settings, to_yaml

NAME = "metrical-tracker"
SETTINGS = "settings.yml"
REQUEST = "tracking.json"


def write_tracking_files(
    actor: Actor, folder: str, settings: Settings, expected: int | None, defaults: CheckoutDefaults
) -> dict[str, bytes]:
    """The files by name.

    Args:
        folder: the actor's folder in the job's own input and output.
        settings: those that differ from `defaults`.
        expected: how many frames there will be, if that is known.
    """
    full = complete(settings, defaults.keys)
    request = {
        "actor": actor.name,
        "folder": folder,
        "settings": SETTINGS,
        "expected": expected,
        "begin_frames": full["begin_frames"],
        "end_frames": full["end_frames"],
        "keyframes": full["keyframes"],
        "fps": full["fps"],
        "crop_image": full["crop_image"],
        "image_size_hw": full["image_size"],
        "source_size_wh": actor.source_size,
        # `compare` reads from these what the settings leave out.
        "defaults": defaults.values if defaults.read else None,
    }
    return {
        SETTINGS: to_yaml(settings, defaults.keys),
        REQUEST: json.dumps(request, indent=1, sort_keys=True).encode() + b"\n",
    }


def read_request(files: Mapping[str, bytes]) -> dict[str, Any]:
    """`tracking.json` of a job's files; empty for a job that another laptop sent."""
    request: dict[str, Any] = json.loads(files.get(REQUEST, b"{}"))
    return request


def settings_of(files: Mapping[str, bytes]) -> tuple[dict[str, Any], CheckoutDefaults | None]:
    """What a job's files set, and the defaults of the checkout that it was planned for, if they say.

    Unknown keys are kept as they are written: they are the checkout's.
    """
    defaults = from_values(read_request(files).get("defaults"))
    data = files.get(SETTINGS, b"")
    if defaults is None:
        settings, _ = parse_settings(data, SETTINGS, keep_unknown=True)
    else:
        settings, _ = parse_settings(data, SETTINGS, defaults.keys, keep_unknown=True)
    return settings, defaults


def full_settings_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """All settings of a job, with the defaults of its checkout where its files hold them."""
    settings, defaults = settings_of(files)
    return {**(defaults.values if defaults is not None else {}), **settings}
