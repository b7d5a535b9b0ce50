"""The recipe `command`: any command line, with the supervision of a tracking.

It runs in an empty folder of its own, `{work}`, and succeeds when it exits with 0; its files are
unknown, so nothing else is verified. `pull --all` downloads what it left there. Its words may use
`{work}` and the other placeholders; every other brace is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions
from being_remote.jobs.spec import CommandStep, JobSpec
from being_remote.session import Session


class CommandOptions(BaseModel):
    """The words of the command line; no shell sees them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: tuple[str, ...]


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
            raise UsageError(
                "the recipe needs a command line", hint="retrack --recipe command --command 'nvidia-smi -L'"
            )
        if typed.preset or typed.sets:
            raise UsageError("a command takes no preset and no settings", hint="leave out --preset and --set")
        return CommandOptions(words=typed.words)

    def look(self, session: Session, request: JobRequest, inventory: Inventory) -> None:
        """Nothing needs to be known."""

    def plan(self, request: JobRequest, facts: None = None) -> JobPlan:
        words = request.options.words
        gpus = 1 if request.gpus is None else request.gpus
        actor = request.actor.name if request.actor else None
        return JobPlan(
            recipe=self.name,
            actor=actor,
            host=request.host.name,
            intent={
                "recipe": self.name,
                "host": request.host.name,
                "actor": actor,
                "words": list(words),
                "gpus": gpus,
            },
            steps=(CommandStep("running", words, "{work}"),),
            gpus=gpus,
            wall_s=request.wall_s,
            stall_s=request.stall_s,
        )

    def repeat(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> JobRequest:
        options = CommandOptions(words=spec.steps[0].argv)
        return JobRequest(host, options, actor, spec.gpus, spec.wall_s, spec.stall_s)

    def tools(self, spec: JobSpec) -> tuple[str, ...]:
        return ()

    def needs_input(self, facts: None) -> None:
        """It uses none of the actor's input."""

    def find_resumable(self, files: Mapping[str, bytes], folders: Sequence[Path]) -> None:
        """It starts from the beginning: which of its files it could continue from is unknown."""

    def verify_results(self, folder: Path) -> None:
        """Its exit code is all there is to verify."""
