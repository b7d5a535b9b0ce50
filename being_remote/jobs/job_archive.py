"""The archive that a submit sends: the spec, our code that travels, and the recipe's files.

Deterministic: equal inputs give equal bytes, whoever packs them and when.
"""

from __future__ import annotations

import io
import tarfile
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


def build(spec: JobSpec, files: Mapping[str, bytes]) -> bytes:
    """A tar of spec.json, bundle/ and files/.

    Args:
        files: names below files/ and their contents.

    Raises:
        UsageError: a name leaves its folder, or all of it is too big to send with a submit.
    """
    members = {"spec.json": spec.as_bytes, **_code()}
    for name, data in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise UsageError(f"not a name for a job's file: {name!r}")
        members[f"files/{path}"] = data
    if sum(map(len, members.values())) > MAX_BUNDLE_BYTES:
        raise UsageError(
            f"the job's files are more than {MAX_BUNDLE_BYTES >> 20} MiB", hint="sync them first"
        )
    folders = {"bundle", "files"} | {str(p) for m in members for p in PurePosixPath(m).parents if p.name}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted(folders):
            tar.addfile(_entry(folder, tarfile.DIRTYPE))
        for name in sorted(members):
            entry = _entry(name, tarfile.REGTYPE)
            entry.size = len(members[name])
            tar.addfile(entry, io.BytesIO(members[name]))
    return out.getvalue()


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, 0o755 if kind == tarfile.DIRTYPE else 0o644, 0
    return entry


@cache
def _code() -> dict[str, bytes]:
    """bundle/being_remote/...: our code that travels. Its `__init__` is empty: no lazy names on a pod."""
    ours = resources.files("being_remote")
    found = {name: ours.joinpath(name).read_bytes() for name in SHIPPED_LEAVES}
    found["__init__.py"] = b""
    for folder in ("pod", "camera"):
        found |= {f"{folder}/{n}": data for n, data in _modules(ours.joinpath(folder)).items()}
    tracker = _modules(ours.joinpath("tracker"))
    found |= {f"tracker/{name}.py": tracker[f"{name}.py"] for name in SHIPPED_TRACKER}
    return {f"bundle/being_remote/{name}": data for name, data in found.items()}


def _modules(folder: Traversable) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".py")}
