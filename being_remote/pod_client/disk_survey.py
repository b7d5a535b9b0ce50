"""One walk over a host's disk: where results lie, what else is there, and what time it is.

The answer of `pod/disk_survey.py` is parsed as what a stranger wrote: strictly, every size bounded.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Base64Bytes, Field

from being_remote.errors import HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.pod import exit_record
from being_remote.pod import job_records as records
from being_remote.pod_client.runner import ask
from being_remote.session import Session
from being_remote.strict_model import StrictModel
from being_remote.tracker import layout

# What is a result wherever it lies, and what is one in a folder of a run.
RUN_FILES = ("*.frame", layout.BBOX)
RUN_FOLDERS = {layout.CROPS: ("*.png", "*.jpg"), layout.MESH: ("*.ply",)}
# A frame or a box by another spelling: 1.FRAME, .1.frame.Xa12fg, 1.frame~, "bbox (1).pt", bbox.pt.old.
_ODD = (
    rb"(?i).*\.frame$|.*[0-9]\.frame[-~._ (].*"
    rb"|\.?bbox([^a-z]|copy|old|bak|backup|new|orig)*\.pt([-~._ (].*)?$"
)
# What may hold results that are not seen.
_OTHERS = (
    *("*.tar", "*.tar.*", "*.tgz", "*.zip", "*.7z", "*.rar", "*.gz", "*.bz2", "*.xz", "*.zst", "*.lz4"),
    *("*.tmp", "*.part", "*.partial", "*.bak", "*.old"),
)
# What else tells when something was last at work.
_DATED = (exit_record.NAME,)
# Walked after all others: much is in them, and seldom a result.
_LAST = (".git", ".cache", ".Trash", ".history", "__pycache__", "node_modules", "site-packages", "pkgs")
_LIMITS = {"entries": 5_000_000, "folders": 5_000, "odd": 1_000, "depth": 32, "seconds": 90}

_Count = Annotated[int, Field(ge=0, le=1 << 62)]
# Some file systems know times far beyond what 64 bits of nanoseconds hold.
_Time = Annotated[int, Field(gt=-(1 << 92), lt=1 << 92)]


class SurveyedFolder(StrictModel):
    """One folder, and how many files of the kind asked for lie in it (not below it)."""

    path: Base64Bytes
    files: _Count
    bytes: _Count

    @property
    def folder(self) -> PurePosixPath:
        """Where it is."""
        return PurePosixPath(os.fsdecode(self.path))


class OddFile(StrictModel):
    """A file whose name is nearly a result's."""

    path: Base64Bytes
    bytes: _Count
    mtime_ns: _Time

    @property
    def file(self) -> PurePosixPath:
        """Where it is."""
        return PurePosixPath(os.fsdecode(self.path))


class PathExamples(StrictModel):
    """How many there are, and the first few."""

    count: _Count
    examples: Annotated[list[Base64Bytes], Field(max_length=20)]

    def named(self) -> str:
        """The first few, for people."""
        more = ", ..." if self.count > len(self.examples) else ""
        return ", ".join(repr(os.fsdecode(path)) for path in self.examples) + more


class DiskSurvey(StrictModel):
    """What a host's disk showed.

    Attributes:
        now_ns, newest_ns: its clock, and the newest change of a result or a job's end record.
        main_walked: where the walk of `main_folder` began; above it where that is not there.
        up_s: how long it runs, by a clock that nobody sets; None where it does not say.
        folders: those that hold results, and how many.
        counted: all files of the folders of the inventory's actors, folder by folder.
        others: archives and temporary files, folder by folder; the first of very many.
        odd: files whose names are nearly a result's.
        recipes: of the jobs that were asked about; None where it cannot be read.
        unreadable: folders that it could not list.
        outside: folders elsewhere that links led to; they were walked, too.
        away: links and mounts that lead into the kernel's own files; not walked.
        truncated: the bounds that cut the walk.
    """

    now_ns: _Count
    newest_ns: _Time | None
    main_walked: Base64Bytes
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


def survey(
    session: Session,
    host: SshHost | LocalHost,
    *,
    count_below: Sequence[PurePosixPath],
    jobs: Sequence[str],
    apart: Iterable[Path] = (),
) -> DiskSurvey:
    """Walk the workdir and the tracker's folders, in one round trip that changes nothing.

    Where the folder that all the rest hangs on (the tracker's, else the workdir) is not there, what is there
    above it is walked: it may have another name.

    Args:
        session: an open way to the host.
        host: whose folders.
        count_below: folders of which all files are counted.
        jobs: ids of jobs whose recipe is wanted.
        apart: folders that are not to be walked: this laptop's own, where it is the host.

    Raises:
        HostError: no answer, or one that cannot be believed.
    """
    workdir = str(host.workdir)
    roots = [*_roots(host), *count_below]
    specs = [f"{records.job_folder(workdir, job)}/{records.SPEC}" for job in jobs]
    request = {
        "roots": [_b64(str(root)) for root in roots],
        "main": _b64(str(main_folder(host))),
        "apart": [_b64(str(path)) for path in apart],
        "results": [
            (None, [_b64(name) for name in RUN_FILES]),
            *((_b64(folder), [_b64(n) for n in names]) for folder, names in RUN_FOLDERS.items()),
        ],
        "odd": base64.b64encode(_ODD).decode("ascii"),
        "others": [_b64(name) for name in _OTHERS],
        "dated": [_b64(name) for name in _DATED],
        "count_below": [_b64(str(path)) for path in count_below],
        "specs": [_b64(path) for path in specs],
        "last_names": _LAST,
        "limits": _LIMITS,
    }
    answer = ask(
        session,
        "disk_survey",
        {},
        DiskSurvey,
        payload=json.dumps(request).encode("ascii"),
        python=host.python,
        timeout_s=_LIMITS["seconds"] + host.answer_timeout_s,
    )
    if len(answer.recipes) != len(specs):
        raise HostError("its answer tells of other jobs than asked", host=session.host)
    return answer


def main_folder(host: SshHost | LocalHost) -> PurePosixPath:
    """The folder that all the rest hangs on: the tracker's, else the workdir."""
    return host.tracker.root if host.tracker is not None else host.workdir


def _roots(host: SshHost | LocalHost) -> list[PurePosixPath]:
    """The tracker's folders first, so that what lies there is called by the inventory's names.

    Its input and output may be links to another disk, and links below a root are not followed.
    """
    tracker = host.tracker
    own = [tracker.root / layout.OUTPUT, tracker.root / layout.INPUT, tracker.root] if tracker else []
    return [*own, host.workdir]


def _b64(text: str) -> str:
    return base64.b64encode(os.fsencode(text)).decode("ascii")
