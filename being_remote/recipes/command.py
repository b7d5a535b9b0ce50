"""The recipe `command`: any command line, with the supervision of a tracking.

It runs in an empty folder of its own, `{work}`, or beside the local files that it was given; it succeeds
when it exits with 0. Its files are unknown, so nothing else is verified. `pull --all` downloads what it left
there. Its words may use `{actor}`, `{work}` and the other placeholders; every other brace is its own.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from being_remote.errors import NotFoundError, UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions
from being_remote.jobs.spec import CommandStep, JobSpec, WorkFolder
from being_remote.session import Session

WORK = "{work}"
MAX_INPUT_BYTES = 4 << 20  # the ledger keeps them, and each submit sends them
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CommandOptions(BaseModel):
    """The words of the command line, which no shell sees, and what is around it.

    Attributes:
        inputs: what lies in `{work}` before it starts, and `executables` those of them that may be run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: tuple[str, ...]
    folder: str = WORK
    env: Mapping[str, str] = {}
    inputs: Mapping[str, bytes] = {}
    executables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """The recipe `command`."""

    name: str = "command"
    unit: str = "files"
    results: tuple[str, ...] = ()
    more_results: tuple[str, ...] = ("**",)
    checkpoints: tuple[str, ...] = ()  # whether one of its files is whole is unknown

    def parse_options(self, typed: TypedOptions) -> CommandOptions:
        if not typed.words or not typed.words[0]:
            raise UsageError("the job needs a command line", hint="run --host HOST -- nvidia-smi -L")
        if typed.preset or typed.sets:
            raise UsageError("a command takes no preset and no settings", hint="leave out --preset and --set")
        inputs = _read_inputs(typed.inputs)
        return CommandOptions(
            words=typed.words,
            folder=typed.folder or WORK,
            env=dict(map(_parse_variable, typed.env)),
            inputs={name: data for name, (data, _) in inputs.items()},
            executables=tuple(name for name, (_, executable) in sorted(inputs.items()) if executable),
        )

    def look(self, session: Session, request: JobRequest, inventory: Inventory) -> None:
        """Nothing needs to be known."""

    def plan(self, request: JobRequest, facts: None = None) -> JobPlan:
        actor = request.actor.name if request.actor else None
        options = _fill_actor(request.options, actor)
        gpus = 1 if request.gpus is None else request.gpus
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in options.inputs.items()}
        around = {
            "folder": options.folder if options.folder != WORK else None,
            "env": dict(options.env),
            "inputs": hashes,
            "executables": list(options.executables),
        }
        return JobPlan(
            recipe=self.name,
            actor=actor,
            host=request.host.name,
            intent={
                "recipe": self.name,
                "host": request.host.name,
                "actor": actor,
                "words": list(options.words),
                "gpus": gpus,
                # Only what was given: a job of an earlier version, which had none of it, stays the same.
                **{key: value for key, value in around.items() if value},
            },
            steps=(CommandStep("running", options.words, options.folder, options.env),),
            prepare=WorkFolder(
                folders=tuple(sorted({str(p) for name in hashes for p in Path(name).parents} - {"."})),
                copies=tuple((f"inputs/{name}", name) for name in sorted(hashes)),
                executables=options.executables,
            ),
            files={f"inputs/{name}": data for name, data in options.inputs.items()},
            gpus=gpus,
            wall_s=request.wall_s,
            stall_s=request.stall_s,
        )

    def repeat(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> JobRequest:
        step = spec.steps[0]
        if any(source not in files for source, _ in spec.prepare.copies):
            raise UsageError(
                f"its input files lie only on {spec.host} and on the laptop that sent them",
                where=spec.job,
                hint="give the command again from there, or here with --input",
            )
        inputs = {name: files[source] for source, name in spec.prepare.copies}
        options = CommandOptions(
            words=step.argv,
            folder=step.cwd,
            env=step.env,
            inputs=inputs,
            executables=spec.prepare.executables,
        )
        return JobRequest(host, options, actor, spec.gpus, spec.wall_s, spec.stall_s)

    def tools(self, spec: JobSpec) -> tuple[str, ...]:
        return ()

    def needs_input(self, facts: None) -> None:
        """It uses none of the actor's input."""

    def find_resumable(self, files: Mapping[str, bytes], folders: Sequence[Path]) -> None:
        """It starts from the beginning: which of its files it could continue from is unknown."""

    def verify_results(self, folder: Path) -> None:
        """Its exit code is all there is to verify."""


def _fill_actor(options: CommandOptions, actor: str | None) -> CommandOptions:
    """Put the actor's name for `{actor}`, wherever it stands."""
    if actor is None:
        return options
    return options.model_copy(
        update={
            "words": tuple(word.replace("{actor}", actor) for word in options.words),
            "folder": options.folder.replace("{actor}", actor),
            "env": {name: value.replace("{actor}", actor) for name, value in options.env.items()},
        }
    )


def _parse_variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not _ENV_NAME.fullmatch(name) or "\0" in value:
        raise UsageError(f"{text!r} sets no variable", where="--env", hint="write NAME=VALUE")
    if name == "CUDA_VISIBLE_DEVICES":
        raise UsageError("the job's lease sets CUDA_VISIBLE_DEVICES", where="--env", hint="--gpus N")
    return name, value


def _read_inputs(paths: Iterable[Path]) -> dict[str, tuple[bytes, bool]]:
    """Read local files, and whether their owner may run them; a folder keeps its name and what is in it.

    Raises:
        NotFoundError: one is missing.
        UsageError: two have one name, one cannot be read, or they are too much to travel with a job.
    """
    found: dict[str, tuple[bytes, bool]] = {}
    for given in paths:
        path = Path(os.path.normpath(given.expanduser().absolute()))
        if not path.exists():
            raise NotFoundError("no such file or folder", where=str(path), hint="--input FILE or DIR")
        for file in _files_of(path):
            name = file.relative_to(path.parent).as_posix()
            if not name.isprintable():
                raise UsageError(f"cannot travel under its name: {name!a}", where="--input", hint="rename it")
            if name in found:
                raise UsageError(f"two inputs are called {name!r}", where="--input", hint="rename one")
            room = MAX_INPUT_BYTES - sum(len(data) for data, _ in found.values())
            try:
                with file.open("rb") as opened:
                    data, executable = opened.read(room + 1), os.fstat(opened.fileno()).st_mode & 0o100
            except OSError as e:
                raise UsageError(f"cannot be read: {e.strerror}", where=str(file)) from e
            found[name] = data, bool(executable)
            if len(data) > room:
                raise UsageError(
                    f"the inputs are more than {MAX_INPUT_BYTES >> 20} MiB",
                    where="--input",
                    hint="put large files on the host first, and name their folder with --cwd",
                )
    return found


def _files_of(path: Path) -> Iterator[Path]:
    """The files below a path.

    Raises:
        UsageError: something there would be left out: a link that is broken or to a folder, an empty folder.
    """
    if not path.is_dir():
        yield path
        return
    for found in (path, *sorted(path.rglob("*"))):
        if found.is_file():
            yield found
        elif (found is not path and found.is_symlink()) or not found.is_dir() or not any(found.iterdir()):
            what = "an empty folder" if found.is_dir() and not found.is_symlink() else "not a file"
            raise UsageError(f"{found} is {what}, and would be left out", where="--input", hint="remove it")
