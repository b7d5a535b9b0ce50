"""One walk over a host's disk: where frames and boxes lie, what else is there, and what time it is.

The answer of `pod/survey.py` is parsed as what a stranger wrote: strictly, every size bounded.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from being_remote.errors import HostError
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.programs import ask_alone, odd_form
from being_remote.pod import records
from being_remote.session import Session
from being_remote.tracker import layout
from being_remote.workflows.boxes.answer import SKIP_NAMES, SKIP_PATHS

# What makes a folder look like a run, and what else tells when something was last at work.
RUN_FILES = ("*.frame", layout.BBOX)
_DATED = (records.END,)
_LIMITS = {"entries": 5_000_000, "folders": 5_000, "depth": 32, "seconds": 90}
_MAX_ANSWER_BYTES = 16 << 20

_Count = Annotated[int, Field(ge=0, le=1 << 62)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Held(_Strict):
    """One folder, and how many files of the kind asked for lie in it (not below it)."""

    path: Base64Bytes
    files: _Count
    bytes: _Count

    @property
    def folder(self) -> PurePosixPath:
        """Where it is."""
        return PurePosixPath(os.fsdecode(self.path))


class Survey(_Strict):
    """What a host's disk showed.

    Attributes:
        now_ns, newest_ns: its clock, and the newest change of a frame, a box or a job's end record.
        there: which of the folders that it was to walk are there.
        folders: those that hold `RUN_FILES`, and how many.
        counted: all files of the folders of the inventory's actors, folder by folder.
        recipes: of the jobs that were asked about; None where it cannot be read.
        unreadable: how many folders it could not look into.
        truncated: the bounds that cut the walk.
    """

    now_ns: _Count
    newest_ns: _Count | None
    there: list[bool]
    folders: Annotated[list[Held], Field(max_length=5_000)]
    counted: Annotated[list[Held], Field(max_length=5_000)]
    recipes: list[Annotated[str, Field(max_length=80)] | None]
    unreadable: _Count
    truncated: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10)]


def survey(
    session: Session,
    host: SshHost | LocalHost,
    *,
    count_below: Sequence[PurePosixPath],
    jobs: Sequence[str],
) -> Survey:
    """Walk the workdir and the tracker's folders, in one round trip that changes nothing.

    Args:
        session: an open way to the host.
        host: whose folders.
        count_below: folders of which all files are counted.
        jobs: ids of jobs whose recipe is wanted.

    Raises:
        HostError: no answer, or one that cannot be believed.
    """
    workdir = str(host.workdir)
    roots = [*_roots(host), *count_below]
    specs = [f"{records.job_folder(workdir, job)}/{records.SPEC}" for job in jobs]
    request = {
        "roots": [_b64(str(root)) for root in roots],
        "names": [_b64(name) for name in RUN_FILES],
        "dated": [_b64(name) for name in _DATED],
        "count_below": [_b64(str(path)) for path in count_below],
        "specs": [_b64(path) for path in specs],
        "skip_names": [*SKIP_NAMES, "lost+found"],  # a disk's own, which only root may read
        "skip_paths": SKIP_PATHS,
        "limits": _LIMITS,
    }
    said = ask_alone(
        session,
        "survey",
        {},
        payload=json.dumps(request).encode("ascii"),
        python=host.python,
        what="its disk could not be looked through",
        timeout_s=_LIMITS["seconds"] + host.answer_timeout_s,
        limit=_MAX_ANSWER_BYTES,
    )
    try:
        answer = Survey.model_validate_json(said)
    except ValidationError as e:
        raise odd_form(session.host, "its answer about its disk", e) from e
    if len(answer.recipes) != len(specs) or len(answer.there) != len(roots):
        raise HostError("its answer tells of other jobs and folders than asked", host=session.host)
    return answer


def missing(host: SshHost | LocalHost, shown: Survey) -> PurePosixPath | None:
    """The folder that all the rest hangs on, if it is not there: the tracker's, else the workdir."""
    main = host.tracker.root if host.tracker is not None else host.workdir
    return None if shown.there[_roots(host).index(main)] else main


def _roots(host: SshHost | LocalHost) -> list[PurePosixPath]:
    """The tracker's folders first, so that what lies there is called by the inventory's names.

    Its input and output may be links to another disk, and links below a root are not followed.
    """
    tracker = host.tracker
    own = [tracker.root / layout.OUTPUT, tracker.root / layout.INPUT, tracker.root] if tracker else []
    return [*own, host.workdir]


def _b64(text: str) -> str:
    return base64.b64encode(os.fsencode(text)).decode("ascii")
