"""Being Remote: find a face crop on rented pods, download checkpoints, recover the camera.

The names below are the public API. They are imported at first use (PEP 562), so that
`import being_remote` loads no heavy library.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "analyze": "being_remote.workflows.analyze",
    "BeingRemoteError": "being_remote.errors",
    "check_crop": "being_remote.crop_search.known_crop_check",
    "compare": "being_remote.workflows.compare",
    "Crop": "being_remote.camera.crop",
    "crop_from_box": "being_remote.camera.crop",
    "EvidenceChoice": "being_remote.workflows.recover",
    "find_bbox": "being_remote.workflows.find_bbox",
    "from_images": "being_remote.crop_search.image_search",
    "intrinsics_in_source": "being_remote.camera.intrinsics",
    "Inventory": "being_remote.inventory",
    "load_inventory": "being_remote.inventory",
    "open_session": "being_remote.transport",
    "OutputChoice": "being_remote.workflows.recover",
    "read_box": "being_remote.tracker.box_file",
    "read_frame": "being_remote.tracker.frame_file",
    "read_sequence": "being_remote.tracker.sequence",
    "recover": "being_remote.workflows.recover",
    "retrack": "being_remote.workflows.retrack",
    "RetrackRequest": "being_remote.recipes.retrack_request",
    "RunChoice": "being_remote.workflows.recover",
    "sync": "being_remote.workflows.sync",
}

__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604 - the keys are strings; ruff cannot see that


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
