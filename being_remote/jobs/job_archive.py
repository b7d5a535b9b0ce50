"""What a submit sends: our programs as one archive, and of each job its spec and the recipe's files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from being_remote.errors import UsageError
from being_remote.jobs.spec import JobSpec

if TYPE_CHECKING:  # its home has moved since
    from importlib.abc import Traversable

MAX_BUNDLE_BYTES = 256 << 20
SHIPPED_LEAVES = ("errors.py", "media/__init__.py", "media/picture.py")
# Of tracker/, what the pod needs; tests/test_structure.py holds these to themselves.
SHIPPED_TRACKER = (
    "__init__",
    "begin",
    "box_file",
    "camera_blocks",
    "finish",
    "frame_file",
    "layout",
    "plain_pickle",
    "sequence",
    "pickle_skeleton",
    "frame_entries",
    "torch_file",
    "torch_zip",
)


def job_files(spec: JobSpec, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a job by their names below its folder: spec.json and files/.

    Args:
        files: names below files/ and their contents.

    Raises:
        UsageError: a name leaves its folder, or all of it is too big to send with a submit.
    """
    members = {"spec.json": spec.as_bytes}
    for name, data in sorted(files.items()):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise UsageError(f"not a name for a job's file: {name!r}")
        members[f"files/{path}"] = data
    if sum(map(len, members.values())) > MAX_BUNDLE_BYTES:
        raise UsageError(
            f"the job's files are more than {MAX_BUNDLE_BYTES >> 20} MiB", hint="sync them first"
        )
    return members


@cache
def programs() -> bytes:
    """Our code that travels, as an archive that Python imports; equal code gives equal bytes.

    Its `__init__` is empty: no lazy names on a pod. Nothing in it is compressed: Python reads it faster, and
    a submit compresses it as a whole.
    """
    ours = resources.files("being_remote")
    found = {name: ours.joinpath(name).read_bytes() for name in SHIPPED_LEAVES}
    found["__init__.py"] = b""
    for folder in ("pod", "camera"):
        found |= {f"{folder}/{n}": data for n, data in _modules(ours.joinpath(folder)).items()}
    tracker = _modules(ours.joinpath("tracker"))
    found |= {f"tracker/{name}.py": tracker[f"{name}.py"] for name in SHIPPED_TRACKER}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(found):
            archive.writestr(zipfile.ZipInfo(f"being_remote/{name}"), found[name])
    return out.getvalue()


def _modules(folder: Traversable) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".py")}
