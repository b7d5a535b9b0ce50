"""Where everything of a job lies on its host: the one spelling, for the programs on a pod and the laptop.

    <workdir>/jobs/.volume  .in/  .programs/<sha256>  .cancelled/<job>  .forgotten/
                            .pushed/<upload>/pushed.json
    <workdir>/jobs/.waiting/<boot>/<number>-<job>-<attempt>  waiter.log
    <workdir>/jobs/<job>/   spec.json  bundle  bundle.sha256  files/  cancel  supervisor.log
                            attempts/<n>.asked
                            attempts/<n>/{who.json,progress.json,end.json,end.json.reserved,log,work/}

Paths are plain text, joined without os.path: a look at a thousand jobs spells several of each.
"""

from __future__ import annotations

import os
import re
from typing import Union

JOB_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")
JOBS, SPEC, ATTEMPTS, WORK, END = "jobs", "spec.json", "attempts", "work", "end.json"
PUSHED, PUSHED_NOTE = ".pushed", "pushed.json"


def jobs_folder(workdir: Union[str, os.PathLike[str]]) -> str:
    """The folder of all jobs of a host."""
    return f"{workdir}/{JOBS}"


def volume_marker(jobs: str) -> str:
    """The file that names the volume."""
    return f"{jobs}/.volume"


def incoming_folder(jobs: str) -> str:
    """Where claims write jobs before they are renamed into place."""
    return f"{jobs}/.in"


def forgotten_folder(jobs: str) -> str:
    """Where the folders of forgotten jobs lie while they are removed."""
    return f"{jobs}/.forgotten"


def uploads_folder(jobs: str) -> str:
    """Where the laptop uploads the files of earlier attempts, from other hosts, to resume from."""
    return f"{jobs}/{PUSHED}"


def waiting_folder(workdir: Union[str, os.PathLike[str]]) -> str:
    """Where the attempts that wait for GPUs are recorded."""
    return f"{jobs_folder(workdir)}/.waiting"


def programs_archive(jobs: str, sha256: str) -> str:
    """Where our programs are stored."""
    return f"{jobs}/.programs/{os.path.basename(sha256)}"


class AttemptPaths:
    """The folder of one attempt."""

    __slots__ = ("end", "end_reserved", "folder", "log", "progress", "who", "work")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.who = f"{folder}/who.json"
        self.progress = f"{folder}/progress.json"
        self.end = f"{folder}/{END}"
        self.end_reserved = f"{self.end}.reserved"
        self.log = f"{folder}/log"
        self.work = f"{folder}/{WORK}"


class JobPaths:
    """The folder of one job.

    Example:
        >>> JobPaths.of("/w", "roman-k3x7a2bq").attempt(2).log
        '/w/jobs/roman-k3x7a2bq/attempts/2/log'
    """

    __slots__ = ("attempts", "folder", "jobs", "spec")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.jobs = os.path.dirname(folder)
        self.spec = f"{folder}/{SPEC}"
        self.attempts = f"{folder}/{ATTEMPTS}"

    @classmethod
    def of(cls, workdir: Union[str, os.PathLike[str]], job: str) -> JobPaths:
        """The job's paths below a host's workdir. Raises ValueError for what cannot be an id."""
        if not JOB_ID.fullmatch(job):
            raise ValueError(f"not a job id: {job!r}")
        return cls(f"{jobs_folder(workdir)}/{job}")

    @property
    def bundle(self) -> str:
        """Our programs: an archive that Python imports; of a job from before, a folder."""
        return f"{self.folder}/bundle"

    @property
    def bundle_sha256(self) -> str:
        """The hash of the archive."""
        return f"{self.folder}/bundle.sha256"

    @property
    def files(self) -> str:
        """The recipe's files."""
        return f"{self.folder}/files"

    @property
    def supervisor_log(self) -> str:
        return f"{self.folder}/supervisor.log"

    @property
    def cancel_mark(self) -> str:
        """Where a cancel is written once the job has arrived."""
        return f"{self.folder}/cancel"

    @property
    def early_cancel_mark(self) -> str:
        """Where a cancel is written while the job may be on its way."""
        return f"{self.jobs}/.cancelled/{os.path.basename(self.folder)}"

    def attempt(self, number: int) -> AttemptPaths:
        return AttemptPaths(f"{self.attempts}/{number}")

    def asked(self, number: int) -> str:
        """The record that an attempt was asked for."""
        return f"{self.attempts}/{number}.asked"

    def pushed(self, name: str) -> str:
        """Where the laptop uploads the files of an earlier attempt, from another host, to resume from."""
        return f"{uploads_folder(self.jobs)}/{os.path.basename(name)}"
