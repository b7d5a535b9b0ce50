"""Options that several commands share, spelled once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from being_remote.errors import UsageError

InventoryOpt = Annotated[
    Path | None,
    typer.Option("--inventory", metavar="FILE", help="the inventory; default: found from here upwards"),
]
TrustInventoryOpt = Annotated[
    bool, typer.Option("--trust-inventory", help="let the inventory that is found run programs, this once")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
VerboseOpt = Annotated[bool, typer.Option("--verbose", help="say each retry and decision on stderr")]
DryRunOpt = Annotated[
    bool, typer.Option("--dry-run", help="change nothing, here or there; say what would be done")
]
ActorOpt = Annotated[str | None, typer.Option("--actor", help="default: the inventory's only actor")]
HostOpt = Annotated[str | None, typer.Option("--host", help="default: the inventory's only host")]
HostsOpt = Annotated[list[str] | None, typer.Option("--host", help="repeat for several; default: all hosts")]

FollowOpt = Annotated[
    bool, typer.Option("--follow", help="go on until the job's end is known; its checkpoints come home")
]
JobArg = Annotated[str, typer.Argument(metavar="JOB", help="an id, a unique beginning of one, or `last`")]


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str, option: str) -> float:
    """A number and its unit as seconds.

    Raises:
        UsageError: anything else.

    Example:
        >>> [parse_duration(text, "--after") for text in ("90s", "20m", "1.5h")]
        [90.0, 1200.0, 5400.0]
    """
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * _UNITS_S[unit] if number[:1].isdigit() else 0.0
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"{text!r} is no duration", where=option, hint="90s, 20m or 1h")
    return seconds


def parse_canvas(text: str | None) -> Literal["crop"] | tuple[int, int] | None:
    """`crop`, or WIDTHxHEIGHT as two numbers.

    Raises:
        UsageError: anything else.

    Example:
        >>> parse_canvas("768x768"), parse_canvas("crop")
        ((768, 768), 'crop')
    """
    return "crop" if text == "crop" else parse_size(text, "--canvas")


def one_alone(asked: dict[str, bool], others: dict[str, bool]) -> bool:
    """Whether one of the options that work on the history is given.

    Raises:
        UsageError: several are, or one of `others` beside it.

    Example:
        >>> one_alone({"--list": True, "--restore": False}, {"--host": False})
        True
    """
    given = [name for name, is_given in asked.items() if is_given]
    beside = [name for name, is_given in others.items() if is_given]
    if given and (given[1:] or beside):
        first, second = (given + beside)[:2]
        raise UsageError(
            f"{first} and {second} do not go together",
            where="sync",
            hint="--list, --restore N and --prune keep=N work on what is here: one at a time, and no host",
        )
    return bool(given)


def parse_keep(text: str) -> int:
    """`keep=N` as a number.

    Raises:
        UsageError: anything else.

    Example:
        >>> parse_keep("keep=5")
        5
    """
    word, _, number = text.partition("=")
    if word != "keep" or not (number.isascii() and number.isdigit()):
        raise UsageError(
            f"{text!r} does not say how many snapshots to keep",
            where="--prune",
            hint="write keep=N, e.g. --prune keep=5",
        )
    return int(number)


def parse_box_text(text: str | None, option: str = "--box") -> tuple[int, int, int, int] | None:
    """X_MIN,X_MAX,Y_MIN,Y_MAX as four numbers.

    Raises:
        UsageError: not such a box.

    Example:
        >>> parse_box_text("510,1410,90,990")
        (510, 1410, 90, 990)
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(-?\d{1,6})" + r"\s*,\s*(-?\d{1,6})" * 3 + r"\s*", text, re.ASCII)
    if found is None:
        raise UsageError(
            f"{text!r} is not a box", where=option, hint="write X_MIN,X_MAX,Y_MIN,Y_MAX, e.g. 510,1410,90,990"
        )
    x_min, x_max, y_min, y_max = map(int, found.groups())
    if x_max <= x_min or y_max <= y_min:
        raise UsageError(
            f"{text!r} has no area", where=option, hint="the order is X_MIN,X_MAX,Y_MIN,Y_MAX, source pixels"
        )
    return x_min, x_max, y_min, y_max


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
