"""The Typer app: its own options, and every command of `command_list`.

A command parses its options, calls one workflow and shows the report. Add one: a function with
`@command` in the file of its group, an entry in `command_list`, and what Ctrl-C leaves of it in
`interruption_notes`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from being_remote.cli.command_list import COMMANDS
from being_remote.cli.help_pages import CONTEXT, CommandWithExamples, GroupedCommands
from being_remote.cli.interruption_notes import begin


class _Commands(Mapping[str, Any]):
    """Every command by its name, made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module = importlib.import_module(f"being_remote.cli.{COMMANDS[name].module}")
            alone = typer.Typer(**_PLAIN, add_completion=False)
            alone.command(name, cls=CommandWithExamples)(getattr(module, name.replace("-", "_")))
            made: Any = typer.main.get_command(alone)
            # What follows the first word of a command line belongs to that command line.
            made.allow_interspersed_args = all(parameter.nargs != -1 for parameter in made.params)
            self._made[name] = made
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Program(GroupedCommands):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Commands()


# Plain help: drawing it with rich would cost more than the rest of the start-up.
_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}
app = typer.Typer(
    name="being-remote",
    help="Find the face crop, download checkpoints, recover the camera of the original video.",
    epilog="being-remote COMMAND --help shows a command's options and examples.",
    cls=_Program,
    context_settings=CONTEXT,
    no_args_is_help=True,
    **_PLAIN,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from being_remote import __version__

        print(f"being-remote {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    begin(context.invoked_subcommand)
