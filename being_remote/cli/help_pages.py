"""The pages of `--help`: commands in groups, a command's own options first, examples last.

Typer's own page would name types (`<str>`) and ranges (`[x>=0]`), and cut a summary that is too long.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

from being_remote.cli.command_list import COMMANDS, GROUPS
from being_remote.cli.single_options import SingleOptionsCommand

MAX_WIDTH = 100
CONTEXT = {"help_option_names": ["--help", "-h"], "max_content_width": MAX_WIDTH}
_OF_EVERY_COMMAND = {"inventory", "trust_inventory", "as_json", "verbose", "help"}
_TYPERS_OWN = {
    "help": "show this page",
    "install_completion": "complete commands, hosts, actors and jobs in your shell from now on",
    "show_completion": "print the script that does so",
}


class CommandWithExamples(SingleOptionsCommand):
    """A command whose help ends with command lines to copy."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [_argument_name(p) for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return ["[OPTIONS]", *arguments]

    def parameter_sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Each parameter and what it does, below the titles of its help page."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "In every command": []}
        for parameter in self.get_params(ctx):
            if getattr(parameter, "hidden", False):
                continue
            title = "In every command" if parameter.name in _OF_EVERY_COMMAND else "Options"
            title = "Arguments" if parameter.param_type_name == "argument" else title
            sections[title].append(_row(parameter))
        return sections

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_sections(formatter, self.parameter_sections(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        lines = COMMANDS[self.name or ""].examples
        with formatter.section("Examples"):
            formatter.write("".join(f"  {ctx.find_root().info_name} {line}\n" for line in lines))


class GroupedCommands(TyperGroup):
    """The program, with its commands in groups."""

    def get_params(self, ctx: Any) -> list[Any]:
        found: list[Any] = super().get_params(ctx)
        for flag in found:
            if flag.default is None:
                flag.default = False  # for None, Typer would load pydantic at every start
        return found

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections = {
            title: [(name, entry.summary) for name, entry in entries.items()]
            for title, entries in GROUPS.items()
        }
        _write_sections(formatter, {**sections, "Options": [_row(p) for p in self.get_params(ctx)]})


def _write_sections(formatter: Any, sections: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write them with one first column, and break no word at its hyphen."""
    rows = [row for section in sections.values() for row in section]
    column = max(len(name) for name, _ in rows) + 4
    for title, section in sections.items():
        if not section:
            continue
        with formatter.section(title):
            for name, text in section:
                wrapped = textwrap.wrap(text, formatter.width - column, break_on_hyphens=False)
                below = "".join(f"{'':{column}}{part}\n" for part in wrapped[1:])
                formatter.write(f"  {name:<{column - 2}}{wrapped[0]}\n{below}")


def _row(parameter: Any) -> tuple[str, str]:
    """A parameter and what it does."""
    if parameter.param_type_name == "argument":
        return _argument_name(parameter).strip("[]"), parameter.help or ""
    name = "--help, -h" if parameter.name == "help" else ", ".join(parameter.opts)
    text = _TYPERS_OWN.get(parameter.name) or parameter.help
    if parameter.is_flag:
        return name, text
    return f"{name} {parameter.metavar}", f"{text}; required" if parameter.required else text


def _argument_name(parameter: Any) -> str:
    name = f"{parameter.metavar}{'...' if parameter.nargs == -1 else ''}"
    return name if parameter.required else f"[{name}]"
