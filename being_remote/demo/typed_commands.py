"""The commands of a demo, each run in a process of its own, as a user types it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from being_remote.errors import BeingRemoteError

if TYPE_CHECKING:
    from being_remote.demo.guide_comparison import GuideComparison


@dataclass(frozen=True)
class ShownCommand:
    """One command of a demo; `answer` is its JSON document, if it ran with --json."""

    command: tuple[str, ...]
    exit_code: int
    seconds: float
    answer: Any = None


@dataclass(frozen=True)
class CommandResult:
    """How a command ended."""

    exit_code: int
    answer: Any = None


@dataclass(frozen=True)
class DemoPlan:
    """What a demo would do.

    Attributes:
        makes: what it makes besides the folder, in words; "" for nothing.
    """

    folder: Path
    makes: str
    commands: tuple[tuple[str, ...], ...]
    exit_code: int = 0


class DemoView(Protocol):
    """How a demo is shown, and how it runs its commands: on a terminal, or for one JSON document."""

    def note(self, text: str) -> None:
        """Say what the demo does."""

    def show_comparison(self, comparison: GuideComparison) -> None:
        """Show the first screen."""

    def show_line(self, line: str) -> None:
        """Show a line of the shell that runs another program."""

    def run(self, words: Sequence[str], folder: Path) -> CommandResult:
        """Run `being-remote WORDS...` in the folder."""


def run_commands(
    commands: Sequence[tuple[str, ...]],
    folder: Path,
    view: DemoView,
    *,
    hint: str,
    expected: Mapping[str, int] | None = None,
) -> tuple[ShownCommand, ...]:
    """Run the commands one after the other.

    Args:
        hint: what to do if one fails.
        expected: exit codes other than 0, by the command's name.

    Raises:
        BeingRemoteError: one ended with another exit code; its own message was shown before.
    """
    steps = []
    for words in commands:
        begun = time.monotonic()
        ran = view.run(words, folder)
        steps.append(ShownCommand(words, ran.exit_code, time.monotonic() - begun, ran.answer))
        if ran.exit_code != (expected or {}).get(words[0], 0):
            raise BeingRemoteError(
                f"`being-remote {' '.join(words)}` ended with {ran.exit_code}", where=str(folder), hint=hint
            )
    return tuple(steps)
