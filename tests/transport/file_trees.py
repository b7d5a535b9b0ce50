"""Folders of files for tests of transfers: written with names of any bytes, and read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

WHEN = 1_700_000_000_123_456_789
AWKWARD = [
    b"plain", b"a b", b"-rf", b"--delete", b"it's", b'"q"', b"$(touch hacked)", b"`id`", b"a;b", b"a\nb",
    b"*", b"[x]", b"\xff\xfe\x80", "grün".encode(), b"back\\slash", b"new\\nline", b"tab\t", b" lead",
    b"trail ", b"#c", b";d", b":e", b"deep/er/f", b"-d/-f", b"x" * 200,
]  # fmt: skip


def put(folder: Path, files: Mapping[bytes, bytes], when: int = WHEN) -> None:
    for name, data in files.items():
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, ns=(when, when))


def got(folder: Path) -> dict[bytes, tuple[bytes, int]]:
    found = {}
    root = os.fsencode(folder)
    for base, _, names in os.walk(root):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = (file.read(), os.stat(path).st_mtime_ns)
    return found
