"""A pod as a value: all that a lying one can answer to our questions, drawn by hypothesis.

`ModelSession` is a `Session` without a network: it answers listings and hashes as the `Pod` says, and
"fetches" files as the transports do, which take only names that were asked for. Whatever it says, the
engines above may change nothing but what they asked for: `changes` tells what did change.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st

from being_remote.session import (
    Hashed,
    OnHashed,
    OnProgress,
    Pull,
    Result,
    TransferResult,
    no_progress,
    not_noted,
)
from being_remote.transport.local_session import LocalSession

# What names are made of: files of the tracker, ours, those of tools, and what no path may hold.
PARTS = (
    "00000.frame",
    "00001.frame",
    "bbox.pt",
    "identity.npy",
    "a.npy",
    "a.png",
    "A.png",
    "a.ply",
    "train.log",
    "demo.yml",
    "config.yml",
    "events",
    "checkpoint",
    "run",
    "runs",
    "old-job",
    "cameras.json",
    "pulled.json",
    "inventory.yaml",
    "tasks.py",
    "Makefile",
    ".git",
    ".envrc",
    ".history",
    "manifests",
    "objects",
    "7.json",
    "0" * 64,
    "..",
    ".",
    "",
    "a\nb",
    "a\0b",
    "\xfc",
    "\u20ac",
    "\ud800",
    "x" * 300,
)
TIMES = (0, 1_700_000_000_000_000_000, -1, 1 << 62, 1 << 63, 1.5, None)
CTIME_NS = 1_600_000_000_000_000_001
SIZES = (0, 1, 7, 100, -1, 1 << 40, 1 << 60, True, "9")


@dataclass(frozen=True)
class Row:
    """One file that the pod claims to have; `good` rows have a real frame's bytes where one is asked for."""

    folder: int
    name: str
    size: Any
    mtime_ns: Any
    inode: Any
    good: bool


@dataclass(frozen=True)
class Pod:
    """What it says. `hashes`: of what it is asked to hash; `rewrites`: what was fetched is written again."""

    rows: tuple[Row, ...]
    hashes: Literal["true", "false", "none", "of others", "twice"]
    says_unchanged: bool
    rewrites: bool
    frame: bytes = field(repr=False)

    def content(self, row: Row) -> bytes:
        """The file's bytes, if anybody fetches it."""
        if row.good and row.name.endswith(".frame"):
            return self.frame
        size = row.size if isinstance(row.size, int) and 0 <= row.size <= 1000 else 3
        return hashlib.sha256(repr(row.name).encode()).digest()[:1] * size

    def size(self, row: Row) -> Any:
        """What it says of its size."""
        return len(self.frame) if row.good and row.name.endswith(".frame") else row.size


def pods(folders: int, frame: bytes, likely: Sequence[tuple[int, str]]) -> st.SearchStrategy[Pod]:
    """Pods that were asked for so many folders; `likely` are names that fit their request."""
    parts = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("/".join)
    # Half of them lie about nothing but values: one name that was not asked for refuses all the others.
    asked = st.sampled_from(likely)
    wild = st.tuples(st.integers(0, folders), parts)
    placed = st.one_of(st.lists(asked, max_size=8), st.lists(asked | asked | wild, max_size=8))

    @st.composite
    def rows(draw: st.DrawFn) -> tuple[Row, ...]:
        sane = st.tuples(st.sampled_from((7, 100)), st.just(TIMES[1]), st.just(1), st.booleans())
        odd = st.tuples(
            st.sampled_from(SIZES), st.sampled_from(TIMES), st.sampled_from((1, -1, 1 << 64)), st.booleans()
        )
        values = st.one_of(sane, sane, odd)
        return tuple(Row(folder, name, *draw(values)) for folder, name in draw(placed))

    return st.builds(
        Pod,
        rows=rows(),
        hashes=st.sampled_from(("true", "true", "true", "false", "none", "of others", "twice")),
        says_unchanged=st.booleans(),
        rewrites=st.booleans(),
        frame=st.just(frame),
    )


class ModelSession(LocalSession):
    """A session to such a pod."""

    def __init__(self, host: Any, pod: Pod) -> None:
        super().__init__(host)
        self._pod = pod
        self._files: dict[tuple[bytes, bytes], Row] = {}
        self._listings = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", **_: Any) -> Result:
        """Answer as `pod/listing.py` does."""
        size, _, rest = stdin.partition(b"\n")
        request = json.loads(zlib.decompress(rest[int(size) :]))
        lines = self._hashed(request) if "names" in request["folders"][0] else self._listed(request)
        folders = [{"exists": True, "error": None, "skipped": [], "cut": False} for _ in request["folders"]]
        digest = hashlib.sha256(b"" if self._pod.says_unchanged else bytes([self._listings])).hexdigest()
        incarnation = {"boot_id": "b", "pid_namespace": 1}
        clock_ns = 1_800_000_000_000_000_000
        end = {"incarnation": incarnation, "clock_ns": clock_ns, "folders": folders, "digest": digest}
        said = b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, end])
        return Result(self.host, tuple(argv), 0, zlib.compress(said), b"", 0.0)

    def _listed(self, request: Any) -> list[Any]:
        self._listings += 1
        lines = []
        for row in self._pod.rows:
            if row.folder < len(request["folders"]):
                path = request["folders"][row.folder]["path"].encode("latin-1")
                self._files.setdefault((path, raw(row.name)), row)
            figures = [self._pod.size(row), row.mtime_ns, CTIME_NS, row.inode, None]
            lines.append({"folder": row.folder, "files": [[row.name, *figures]]})
        return lines

    def _hashed(self, request: Any) -> list[Any]:
        lines = []
        for number, folder in enumerate(request["folders"]):
            path = folder["path"].encode("latin-1")
            for letters, limit in folder["names"]:
                row = self._row(path, letters.encode("latin-1"))
                if row is None or self._pod.hashes == "none":
                    continue
                sha256 = hashlib.sha256(self._pod.content(row)[:limit]).hexdigest()
                if self._pod.hashes == "false":
                    sha256 = "f" * 64
                file = [
                    letters,
                    self._pod.size(row),
                    row.mtime_ns,
                    CTIME_NS,
                    row.inode,
                    sha256,
                ]
                again = 2 if self._pod.hashes == "twice" else 1
                lines += [{"folder": number, "files": [file]}] * again
            if self._pod.hashes == "of others":
                lines.append({"folder": number, "files": [["others", 1, 1, 1, 1, "e" * 64]]})
        return lines

    def _row(self, folder: bytes, name: bytes) -> Row | None:
        """The file of this name, asked for below its folder or one above it."""
        for (below, known), row in self._files.items():
            if os.path.join(below, known) == os.path.join(folder, name):
                return row
        return None

    def pull(
        self, request: Pull, on_progress: OnProgress = no_progress, on_hashed: OnHashed = not_noted
    ) -> TransferResult:
        """Fetch as a stream does: what was asked for, hashed as it comes."""
        for name in request.names:
            row = self._row(os.fsencode(request.source), name)
            if row is None:
                continue
            file, data = request.into / os.fsdecode(name), self._pod.content(row)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            mtime_ns = row.mtime_ns if isinstance(row.mtime_ns, int) and abs(row.mtime_ns) < 1 << 62 else 1
            os.utime(file, ns=(mtime_ns, mtime_ns))
            digest = hashlib.sha256(data).digest()
            figures = (len(data), mtime_ns, CTIME_NS, row.inode)
            on_hashed(name, Hashed(*figures, digest))
            if self._pod.rewrites and data:
                file.write_bytes(b"!" * len(data))
                os.utime(file, ns=(mtime_ns, mtime_ns))
        return TransferResult(len(request.names), 0, "stream")


def raw(name: str) -> bytes:
    """The name that these letters spell, one for each byte."""
    try:
        return name.encode("latin-1")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


State = dict[str, bytes]


def state_of(folder: Path) -> State:
    """Every file below a folder, and every link."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = os.fsencode(os.readlink(path))
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def changes(before: State, after: State) -> set[str]:
    """The paths that were made, changed or removed."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
