"""One walk over a host's disk: which folders hold files of given names, and the host's clock.

The request names what counts as a result; the answer of `pod/disk_survey.py` is parsed strictly, every
size bounded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from being_remote.errors import HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod.job_paths import END, JobPaths
from being_remote.pod_client.encoded_names import EncodedBytes, encode
from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.strict_model import StrictModel

# Files that may hold results, which the walk does not open.
_ARCHIVES = (
    *("*.tar", "*.tar.*", "*.tgz", "*.zip", "*.7z", "*.rar", "*.gz", "*.bz2", "*.xz", "*.zst", "*.lz4"),
    *("*.tmp", "*.part", "*.partial", "*.bak", "*.old"),
)
# Walked after all others: large, and rarely with a result in them.
WALKED_LAST = (
    ".git",
    ".cache",
    ".Trash",
    ".history",
    "__pycache__",
    "node_modules",
    "site-packages",
    "pkgs",
)
_LIMITS = {"entries": 5_000_000, "folders": 5_000, "odd": 1_000, "depth": 32, "seconds": 90}

_Count = Annotated[int, Field(ge=0, le=1 << 62)]
# Some file systems hold times beyond what 64 bits of nanoseconds can express.
_Time = Annotated[int, Field(gt=-(1 << 92), lt=1 << 92)]


class SurveyedFolder(StrictModel):
    """One folder, and how many files of the kind asked for lie directly in it."""

    path: EncodedBytes
    files: _Count
    bytes: _Count

    @property
    def folder(self) -> PurePosixPath:
        return PurePosixPath(os.fsdecode(self.path))


class OddFile(StrictModel):
    """A file whose name resembles a result's."""

    path: EncodedBytes
    bytes: _Count
    mtime_ns: _Time

    @property
    def file(self) -> PurePosixPath:
        return PurePosixPath(os.fsdecode(self.path))


class PathExamples(StrictModel):
    """How many paths, and the first few."""

    count: _Count
    examples: Annotated[list[EncodedBytes], Field(max_length=20)]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return ", ".join(repr(os.fsdecode(path)) for path in self.examples) + more


class DiskSurvey(StrictModel):
    """What a host's disk holds.

    Attributes:
        now_ns, newest_ns: the host's clock, and the newest change of a result or a job's end record.
        main_walked: where the walk of the main folder began; a folder above it where it is missing.
        up_s: seconds since the pod started, by a clock that nothing sets; None: not known.
        folders: folders with results.
        counted: folders below `count_below`, with all their files.
        others: folders with archives or temporary files; the first of very many.
        odd: files whose names resemble a result's.
        recipes: of the jobs asked about; None where the spec cannot be read.
        unreadable: folders that could not be listed.
        outside: folders outside the roots that links lead to; they were walked.
        away: links and mounts into the kernel's own file systems; not walked.
        truncated: the limits that ended the walk early.
    """

    now_ns: _Count
    newest_ns: _Time | None
    main_walked: EncodedBytes
    up_s: Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)] | None
    folders: Annotated[list[SurveyedFolder], Field(max_length=5_000)]
    counted: Annotated[list[SurveyedFolder], Field(max_length=5_000)]
    others: Annotated[list[SurveyedFolder], Field(max_length=5_000)]
    odd: Annotated[list[OddFile], Field(max_length=1_000)]
    recipes: list[Annotated[str, Field(max_length=80)] | None]
    unreadable: PathExamples
    outside: PathExamples
    away: PathExamples
    truncated: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10)]


@dataclass(frozen=True)
class SurveyRequest:
    """What to look for on a host's disk.

    Attributes:
        main: the folder that everything else hangs on; where it is missing, the folder above is walked.
        roots: the folders to walk, `main` among them.
        results: (folder name or None for any, globs): files of these names in such folders are results.
        odd: a regular expression over the names that resemble a result's.
        count_below: folders whose files are all counted.
        jobs: ids of the jobs whose recipe is wanted.
        skip: folders not to walk.
    """

    main: PurePosixPath
    roots: Sequence[PurePosixPath]
    results: Sequence[tuple[str | None, Sequence[str]]]
    odd: bytes
    count_below: Sequence[PurePosixPath] = ()
    jobs: Sequence[str] = ()
    skip: Sequence[Path] = ()

    def as_json(self, workdir: PurePosixPath) -> bytes:
        document = {
            "roots": list(map(encode, self.roots)),
            "main": encode(self.main),
            "apart": list(map(encode, self.skip)),
            "results": [
                (None if folder is None else encode(folder), list(map(encode, names)))
                for folder, names in self.results
            ],
            "odd": encode(self.odd),
            "others": list(map(encode, _ARCHIVES)),
            "dated": [encode(END)],
            "count_below": list(map(encode, self.count_below)),
            "specs": [encode(JobPaths.of(workdir, job).spec) for job in self.jobs],
            "last_names": WALKED_LAST,
            "limits": _LIMITS,
        }
        return json.dumps(document).encode("ascii")


def survey_disk(session: Session, host: SshHost | LocalHost, request: SurveyRequest) -> DiskSurvey:
    """Walk the host's disk in one round trip that changes nothing.

    Raises:
        HostError: no answer, or an invalid one.
    """
    answer = ask(
        session,
        "disk_survey",
        {},
        DiskSurvey,
        payload=request.as_json(host.workdir),
        python=host.python,
        timeout_s=_LIMITS["seconds"] + host.answer_timeout_s,
    )
    if len(answer.recipes) != len(request.jobs):
        raise HostError("its answer is about other jobs than requested", host=session.host)
    return answer
