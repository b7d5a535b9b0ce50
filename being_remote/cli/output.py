"""The output of a command: a report as JSON or tables, errors as text, and the exit code.

stdout carries the answer and nothing else. Progress, notes and errors go to stderr; progress only
when that is a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from being_remote.cli.interruption_notes import interrupted, note_end_shown
from being_remote.cli.json_values import to_json
from being_remote.cli.streams import fit_terminal, say, saying, stdout, writing
from being_remote.cli.text import printable
from being_remote.errors import BeingRemoteError, Interrupted, InventoryError

if TYPE_CHECKING:
    from rich.console import Console

    from being_remote.inventory import Inventory
    from being_remote.session import OnProgress


class Report(Protocol):
    """What every workflow returns: a frozen dataclass with its exit code."""

    @property
    def exit_code(self) -> int: ...


R = TypeVar("R", bound=Report)


class Out:
    """The output of one command; use it as a context manager around all of the command's work.

    Attributes:
        follows: the command follows something, so with `--json` it prints JSON Lines.
        followed_job: the job that is followed, while it runs; Ctrl-C does not end it.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        verbose: bool = False,
        follows: bool = False,
        inventory: Path | None = None,
        trust_inventory: bool = False,
    ) -> None:
        self.as_json, self._verbose, self.follows = as_json, verbose, follows
        self._inventory, self._trust_inventory = inventory, trust_inventory
        self.followed_job: str | None = None
        self._status = ""
        self._above_bars: Callable[[str], None] | None = None

    def __enter__(self) -> Out:
        if self._verbose:
            from being_remote.cli.log_lines import print_log

            print_log()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.show_status("")
        if isinstance(error, KeyboardInterrupt):
            error = interrupted(self.followed_job)
        if isinstance(error, BeingRemoteError):
            note_end_shown()
            show_error(error, as_json=self.as_json, one_line=self.follows)
            raise typer.Exit(error.exit_code) from error

    @property
    def ask(self) -> Callable[[str], bool] | None:
        """Asks a question at the terminal; None with --json or without a terminal."""
        terminal = sys.stdin.isatty() and sys.stderr.isatty()
        return _ask if terminal and not self.as_json else None

    def inventory(self) -> Inventory:
        """Read the inventory named on the command line, else the one found from this folder upwards.

        One that is found must be trusted before it may run programs; one that is named is trusted.
        """
        from being_remote.inventory import find_inventory, load_inventory

        named = self._named_inventory()
        if named is not None:
            return load_inventory(named)
        found = load_inventory(find_inventory(Path.cwd()))
        self.require_trust(found)
        return found

    def inventory_path(self) -> Path:
        """The inventory that is named, else the one of this folder, whether it is there or not."""
        from being_remote.inventory import FILE_NAME

        return (self._named_inventory() or Path(FILE_NAME)).absolute()

    def require_trust(self, inventory: Inventory) -> None:
        """Ask before an inventory that was found, not named, may run programs. Raises InventoryUntrusted."""
        if self._named_inventory() is None:
            from being_remote.inventory_trust import require_trust

            require_trust(inventory, trusted=self._trust_inventory, confirm=self.ask)

    def _named_inventory(self) -> Path | None:
        from being_remote.inventory import given_inventory

        return given_inventory(self._inventory)

    def optional_inventory(self) -> Inventory | None:
        """Read the inventory; None where it is missing or wrong and was not named on the command line."""
        try:
            return self.inventory()
        except InventoryError:
            if self._inventory is not None:
                raise
            return None

    def line(self, value: Any) -> None:
        """Print one line of JSON Lines, at once."""
        self.text(json.dumps(to_json(value), allow_nan=False))

    def text(self, line: str) -> None:
        """Print one line of text on stdout, at once."""
        with self._without_status(), writing():
            print(line, flush=True)

    def finish(self, report: R, show: Callable[[Console, R], None]) -> None:
        """Print the report, as one JSON document or by `show`, and leave with its exit code."""
        self.end(report, lambda value: show(stdout(), value))

    def end(self, report: R, tell: Callable[[R], None]) -> None:
        """The same for output that needs no console.

        Where the command follows something, the document is the last of its lines.
        """
        self.show_status("")
        if self.as_json and self.follows:
            self.line(report)
        else:
            with writing():
                if self.as_json:
                    print(json.dumps(to_json(report), indent=2, allow_nan=False))
                else:
                    tell(report)
        self.leave(report.exit_code)

    def leave(self, exit_code: int) -> None:
        """End the command with this code, after its report was printed; do nothing for 0."""
        note_end_shown()
        if exit_code:
            raise typer.Exit(exit_code)

    def note(self, text: str) -> None:
        """Print one line for people on stderr."""
        with self._without_status():
            for line in fit_terminal(printable(text)):
                (self._above_bars or say)(line)

    @property
    def has_status(self) -> bool:
        """Whether `show_status` shows anything: stderr is a terminal of this command alone."""
        return not self.as_json and not self._verbose and sys.stderr.isatty()

    def show_status(self, text: str) -> None:
        """Keep a line at the end of what is printed, until the next one; only on a terminal."""
        if self.has_status and (self._status or text):
            self._status = printable(text)[: os.get_terminal_size(sys.stderr.fileno()).columns - 1]
            with saying():
                print(f"\r\x1b[K{self._status}", end="", file=sys.stderr, flush=True)

    @contextmanager
    def _without_status(self) -> Iterator[None]:
        """Take the last line away while something is printed."""
        status = self._status
        self.show_status("")
        yield
        self.show_status(status)

    @contextmanager
    def progress(self) -> Iterator[OnProgress]:
        """Show progress bars on stderr if it is a terminal; else do nothing."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda _: None
            return
        from being_remote.cli.progress import bars

        with bars() as (on_progress, self._above_bars):
            try:
                yield on_progress
            finally:
                self._above_bars = None


def _ask(question: str) -> bool:
    try:
        return typer.confirm(printable(question, keep="\n"), err=True)
    except typer.Abort as e:  # Ctrl-C and Ctrl-D
        raise Interrupted("stopped at the question: nothing was trusted") from e


def show_error(error: BeingRemoteError, *, as_json: bool, one_line: bool) -> None:
    """Print an error as text on stderr and, with `as_json`, as a document on stdout."""
    what, next_step, hint = str(error).partition("\n  next: ")
    for line in what.splitlines():
        for part in fit_terminal(printable(line if line.startswith("  | ") else f"error: {line}")):
            say(part)
    if next_step:
        say(f"  next: {hint}")  # it may hold a command to copy
    if as_json:
        print_error(error, one_line=one_line)


def print_error(error: BeingRemoteError, *, one_line: bool) -> None:
    """Print the error document of docs/errors.md on stdout."""
    document = {
        "error": {
            "class": type(error).__name__,
            "what": error.what,
            "where": error.where,
            "next": error.hint,
        },
        "exit_code": error.exit_code,
    }
    with writing():
        print(json.dumps(document, indent=None if one_line else 2), flush=True)
