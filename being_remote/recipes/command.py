"""Any command line, with the same supervision as a tracking: one GPU lease, limits, a log, an end.

It runs in an empty folder of its own, `{work}`, and succeeds when it exits with 0: of its files
nothing is known, so nothing else is judged. `pull --all` brings what it left there. Its words may use
`{work}` and the other placeholders; every other brace is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from being_remote.errors import UsageError
from being_remote.inventory import Actor, LocalHost, SshHost
from being_remote.jobs.spec import JobSpec
from being_remote.recipes import CommandStep, JobPlan, Request, RunVerdict
from being_remote.session import Session


@dataclass(frozen=True)
class Command:
    """The recipe `command`."""

    name: str = "command"
    results: tuple[str, ...] = ()
    more_results: tuple[str, ...] = ("**",)
    checkpoints: tuple[str, ...] = ()  # nobody knows when a file of its is whole

    def look(self, session: Session, request: Request) -> None:
        """Nothing needs to be known of the host."""

    def plan(self, request: Request, facts: None = None) -> JobPlan:
        """One step: the words as they were typed; no shell sees them.

        Raises:
            UsageError: there are no words, or settings that no command could use.
        """
        if not request.words or not request.words[0]:
            raise UsageError(
                "a command needs its words", hint="retrack --recipe command --command 'nvidia-smi -L'"
            )
        if request.preset or request.overrides:
            raise UsageError("presets and settings are the tracker's; a command has none of them")
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
                "words": list(request.words),
                "gpus": gpus,
            },
            steps=(CommandStep("running", request.words, "{work}"),),
            gpus=gpus,
            wall_s=request.wall_s,
            stall_s=request.stall_s,
        )

    def again(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> Request:
        """The same words."""
        words = spec.steps[0].argv
        return Request(host, actor, words=words, gpus=spec.gpus, wall_s=spec.wall_s, stall_s=spec.stall_s)

    def takes_input(self, facts: None) -> None:
        """Whatever it needs is its own affair."""

    def carried(self, files: Mapping[str, bytes], homes: Sequence[Path]) -> None:
        """Nobody knows which of its files it could go on from: it starts anew."""

    def judge(self, folder: Path) -> RunVerdict:
        """Its exit code was all there is to judge."""
        return RunVerdict(True)
