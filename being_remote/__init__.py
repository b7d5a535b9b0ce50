"""Being Remote: find a face crop on rented pods, download checkpoints, recover the camera.

The names below are the Python API, for notebooks and scripts. They are imported at first use (PEP 562), so
that `import being_remote` loads no heavy library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from being_remote.api.analyze import analyze as analyze
    from being_remote.api.arguments import load_inventory as load_inventory
    from being_remote.api.cameras import FrameCameras as FrameCameras
    from being_remote.api.compare import compare as compare
    from being_remote.api.doctor import doctor as doctor
    from being_remote.api.find_bbox import find_bbox as find_bbox
    from being_remote.api.recover import Recovery as Recovery
    from being_remote.api.recover import recover as recover
    from being_remote.api.submit import Job as Job
    from being_remote.api.submit import SubmitOptions as SubmitOptions
    from being_remote.api.submit import find_job as find_job
    from being_remote.api.submit import submit as submit
    from being_remote.api.sync import sync as sync
    from being_remote.api.tracker_files import read_box as read_box
    from being_remote.api.tracker_files import read_frame as read_frame
    from being_remote.api.tracker_files import read_sequence as read_sequence
    from being_remote.camera.crop import Crop as Crop
    from being_remote.camera.crop import crop_from_box as crop_from_box
    from being_remote.camera.intrinsics import intrinsics_in_source as intrinsics_in_source
    from being_remote.errors import BeingRemoteError as BeingRemoteError
    from being_remote.inventory import Inventory as Inventory

__version__ = "0.1.0"

_MODULES = {
    "analyze": "being_remote.api.analyze",
    "BeingRemoteError": "being_remote.errors",
    "compare": "being_remote.api.compare",
    "Crop": "being_remote.camera.crop",
    "crop_from_box": "being_remote.camera.crop",
    "doctor": "being_remote.api.doctor",
    "find_bbox": "being_remote.api.find_bbox",
    "find_job": "being_remote.api.submit",
    "FrameCameras": "being_remote.api.cameras",
    "intrinsics_in_source": "being_remote.camera.intrinsics",
    "Inventory": "being_remote.inventory",
    "Job": "being_remote.api.submit",
    "load_inventory": "being_remote.api.arguments",
    "read_box": "being_remote.api.tracker_files",
    "read_frame": "being_remote.api.tracker_files",
    "read_sequence": "being_remote.api.tracker_files",
    "recover": "being_remote.api.recover",
    "Recovery": "being_remote.api.recover",
    "SubmitOptions": "being_remote.api.submit",
    "submit": "being_remote.api.submit",
    "sync": "being_remote.api.sync",
}

__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604 - the keys are strings; ruff cannot see that


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
