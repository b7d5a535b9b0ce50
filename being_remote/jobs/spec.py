"""What a job is: one frozen value, and the exact bytes that stand for it everywhere.

A spec is made on the laptop before any I/O and never changes. Its hash is its identity: a pod that
holds another spec under the same id refuses. The supervisor reads the same bytes as plain JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

SCHEMA = 1
MAX_SPEC_BYTES = 1 << 20
# metrical-tracker replaces these in its paths as text, so no folder of a job may hold one.
FORBIDDEN_IN_IDS = ("source", "images", "kpt", "png", "jpg")
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"

StepState = Literal["running", "transforming"]


@dataclass(frozen=True)
class WorkFolder:
    """What stands in an attempt's fresh `work/` before its first step.

    `folders` are made; `copies` are (below files/, below work/); `links` are (below work/, an
    absolute path on the host). `executables` are those of the copies, below work/, that may be run.
    """

    folders: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    executables: tuple[str, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class CommandStep:
    """One command line and the state that the job is in while it runs.

    In `argv`, `cwd` and `env`: {work} {bundle} {files} {gpus} {attempt} {previous} {pushed}; the last
    two are the work folder of the previous attempt on this host and what the laptop put here of one
    on another host, or nothing.

    `verifies`: it fails unless the files of all steps before it are whole, and may be repeated. The last
    step may say so; an attempt whose supervisor died is judged by it.
    """

    state: StepState
    argv: tuple[str, ...]
    cwd: str = "{work}"
    env: Mapping[str, str] = field(default_factory=dict)
    verifies: bool = False

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FileProgress:
    """How progress is counted: files under work/ that match `glob`, of `total`.

    Without `total`, the files that match `total_glob` (absolute) are counted when the attempt starts.
    """

    glob: str
    total: int | None = None
    total_glob: str | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class JobSpec:
    """One job. `intent` is what the user asked for, canonical: equal intents are the same job.

    `wall_s` bounds an attempt, `stall_s` the time without a new file of `progress` (without one: of
    the log); `wait_s` bounds the wait for free GPUs; `grace_s` lies between TERM and KILL; `log_bytes` bounds
    the log.
    """

    job: str
    ledger: str
    recipe: str
    actor: str | None
    host: str
    intent: Mapping[str, Any]
    steps: tuple[CommandStep, ...]
    prepare: WorkFolder = WorkFolder()
    progress: FileProgress | None = None
    gpus: int = 0
    wall_s: float | None = None
    stall_s: float | None = None
    wait_s: float | None = None
    grace_s: float = 10.0
    log_bytes: int = 64 << 20
    schema: int = SCHEMA

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not is_job_id(self.job):
            raise ValueError(f"not a job id: {self.job!r}")
        if not self.steps or any(not step.argv for step in self.steps):
            raise ValueError("a job needs at least one step, and each step a command")
        if any(step.verifies for step in self.steps[:-1]) or self.steps[0].verifies:
            raise ValueError("only a last step can verify those before it")
        if self.schema != SCHEMA or not 0 <= self.gpus <= 64 or self.log_bytes < 4096 or self.grace_s < 0:
            raise ValueError("schema, gpus, log_bytes or grace_s is out of range")

    @cached_property
    def as_bytes(self) -> bytes:
        """The canonical JSON: what is hashed, stored in the ledger and sent to the pod."""
        fields = dataclasses.asdict(self)
        if self.wait_s is None:
            del fields["wait_s"]  # specs of version 0.1.0 have no such field, and keep their bytes
        if not self.prepare.executables:
            del fields["prepare"]["executables"]  # as above
        for step in fields["steps"]:
            if not step["verifies"]:
                del step["verifies"]  # as above
        return canonical(fields) + b"\n"

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.as_bytes).hexdigest()

    @cached_property
    def intent_key(self) -> str:
        """Equal for equal intents on the same host."""
        return hashlib.sha256(canonical({"host": self.host, "intent": dict(self.intent)})).hexdigest()

    def intent_key_on(self, host: str) -> str:
        """The key of the same intent on a host that goes by another name in another inventory."""
        intent = {k: host if (k, v) == ("host", self.host) else v for k, v in self.intent.items()}
        return dataclasses.replace(self, host=host, intent=intent).intent_key

    @classmethod
    def from_bytes(cls, data: bytes) -> JobSpec:
        """Read a spec back.

        Raises:
            ValueError: it is not one, or its canonical form is another.
        """
        try:
            spec = _ADAPTER.validate_json(data)
        except ValidationError as e:
            first = e.errors(include_url=False, include_context=False, include_input=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if spec.as_bytes != data:
            raise ValueError("not in canonical form")
        return spec


_ADAPTER = TypeAdapter(JobSpec)


def canonical(value: Any) -> bytes:
    """JSON with one spelling: sorted keys, no blanks, ASCII, no NaN.

    Example:
        >>> canonical({"b": (1, 2), "a": None})
        b'{"a":null,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def is_job_id(text: str) -> bool:
    """Whether `text` may name a job: a-z, 0-9 and dashes, nothing that the tracker replaces in paths.

    Example:
        >>> is_job_id("roman-k3x7a2bq"), is_job_id("../x"), is_job_id("my-images-1")
        (True, False, False)
    """
    return bool(_ID.fullmatch(text)) and not any(word in text for word in FORBIDDEN_IN_IDS)


def new_job_id(name: str) -> str:
    """A new id: `name` in small letters, then eight random ones."""
    stem = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if not stem or any(word in stem for word in FORBIDDEN_IN_IDS):
        stem = "job"
    while True:
        made = f"{stem}-{''.join(secrets.choice(_BASE32) for _ in range(8))}"
        if is_job_id(made):
            return made
