"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from being_remote.errors import UsageError

InventoryOpt = Annotated[
    Path | None,
    typer.Option("--inventory", metavar="FILE", help="the inventory; default: found from here upwards"),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
VerboseOpt = Annotated[bool, typer.Option("--verbose", help="say each retry and decision on stderr")]
DryRunOpt = Annotated[
    bool, typer.Option("--dry-run", help="change nothing, here or there; say what would be done")
]
ActorOpt = Annotated[str | None, typer.Option("--actor", help="default: the inventory's only actor")]
HostOpt = Annotated[str | None, typer.Option("--host", help="default: the inventory's only host")]
HostsOpt = Annotated[list[str] | None, typer.Option("--host", help="repeat for several; default: all hosts")]

FollowOpt = Annotated[bool, typer.Option("--follow", help="go on until the job's end is known")]
JobArg = Annotated[str, typer.Argument(metavar="JOB", help="an id, a unique beginning of one, or `last`")]


def parse_canvas(text: str | None) -> Literal["crop"] | tuple[int, int] | None:
    """`crop`, or WIDTHxHEIGHT as two numbers.

    Raises:
        UsageError: anything else.

    Example:
        >>> parse_canvas("768x768"), parse_canvas("crop")
        ((768, 768), 'crop')
    """
    return "crop" if text == "crop" else parse_size(text, "--canvas")


def parse_size(text: str | None, option: str = "--source-size") -> tuple[int, int] | None:
    """WIDTHxHEIGHT as two numbers.

    Raises:
        UsageError: anything else.

    Example:
        >>> parse_size("1920x1080")
        (1920, 1080)
    """
    if text is None:
        return None
    width, x, height = text.lower().partition("x")
    if not (x and width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise UsageError(f"{text!r} is not a size", where=option, hint="write WIDTHxHEIGHT, e.g. 1920x1080")
    if int(width) == 0 or int(height) == 0:
        raise UsageError(f"{text!r} has no area", where=option, hint="write WIDTHxHEIGHT, e.g. 1920x1080")
    return int(width), int(height)
