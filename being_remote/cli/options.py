"""Options that several commands share, and how their values are read; a wrong value is a UsageError."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from being_remote.cli.completion import Complete, complete_actor, complete_host, complete_job
from being_remote.errors import UsageError


def option(metavar: str, help_text: str, *names: str, complete: Complete | None = None, **limits: Any) -> Any:
    """Return an option with a value; without `names` it is called like the parameter."""
    return typer.Option(*names, metavar=metavar, help=help_text, autocompletion=complete, **limits)


def flag(name: str, help_text: str) -> Any:
    """Return an option without a value. It needs its name, or Typer would add a `--no-` form."""
    return typer.Option(name, help=help_text)


InventoryOpt = Annotated[
    Path | None, option("FILE", "default: inventory.yaml in this folder or one above", "--inventory")
]
TrustInventoryOpt = Annotated[
    bool, flag("--trust-inventory", "let the inventory that was found run programs, this once")
]
JsonOpt = Annotated[bool, flag("--json", "print one JSON document on stdout")]
VerboseOpt = Annotated[bool, flag("--verbose", "print each retry and decision on stderr")]
DryRunOpt = Annotated[bool, flag("--dry-run", "change nothing, local or remote; print what would be done")]
ActorOpt = Annotated[
    str | None, option("ACTOR", "default: the inventory's only actor", complete=complete_actor)
]
ActorsOpt = Annotated[
    list[str] | None,
    option("ACTOR", "repeatable; default: the only one of the inventory", complete=complete_actor),
]
HostOpt = Annotated[str | None, option("HOST", "default: the inventory's only host", complete=complete_host)]
HostsOpt = Annotated[
    list[str] | None, option("HOST", "repeatable; default: all hosts", complete=complete_host)
]
FollowOpt = Annotated[
    bool, flag("--follow", "follow the job to its end and download its checkpoints meanwhile")
]
SourceSizeOpt = Annotated[str | None, option("WxH", "width x height of the original video")]
TakeOverOpt = Annotated[bool, flag("--take-over", "take a job that is in another laptop's ledger")]
PodIsGoneOpt = Annotated[bool, flag("--pod-is-gone", "confirm that the pod is gone and abandon its attempt")]
_JOB = typer.Argument(
    metavar="JOB", help="a job's id, a unique prefix of one, or `last`", autocompletion=complete_job
)
JobArg = Annotated[str, _JOB]
OptionalJobArg = Annotated[str | None, _JOB]


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str, option: str, *, least_s: float = 0.0) -> float:
    """Return the seconds of a number with its unit.

    Args:
        least_s: the shortest that is taken.

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
        alone = text.isdecimal() and int(text) > 0
        hint = f"90s, 20m or 8h; {text}s is {text} seconds" if alone else "90s, 20m or 8h"
        raise UsageError(f"{text!r} is not a duration", where=option, hint=hint)
    if seconds < least_s:
        raise UsageError(f"{text} is too short", where=option, hint=f"{least_s:g}s or more")
    return seconds


def parse_limit(text: str) -> float:
    """Return the seconds of a job's time limit.

    Example:
        >>> parse_limit("8h")
        28800.0
    """
    return parse_duration(text, "--wall", least_s=1.0)


def parse_seconds(text: str, option: str) -> float:
    """Return the seconds of a duration of at least 1s; a number alone is seconds, as in earlier versions.

    Example:
        >>> parse_seconds("5", "--every"), parse_seconds("2m", "--every")
        (5.0, 120.0)
    """
    alone = text.replace(".", "", 1).isdecimal()
    return parse_duration(f"{text}s" if alone else text, option, least_s=1.0)


def parse_canvas(text: str | None) -> Literal["crop"] | tuple[int, int] | None:
    """Return `crop`, or the width and height of WIDTHxHEIGHT.

    Example:
        >>> parse_canvas("768x768"), parse_canvas("crop")
        ((768, 768), 'crop')
    """
    return "crop" if text == "crop" else parse_size(text, "--canvas")


def parse_keep(text: str) -> int:
    """Return N of `keep=N`.

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


def parse_box_text(text: str | None) -> tuple[int, int, int, int] | None:
    """Return the four numbers of X_MIN,X_MAX,Y_MIN,Y_MAX.

    Example:
        >>> parse_box_text("510,1410,90,990")
        (510, 1410, 90, 990)
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(-?\d{1,6})" + r"\s*,\s*(-?\d{1,6})" * 3 + r"\s*", text, re.ASCII)
    if found is None:
        raise UsageError(
            f"{text!r} is not a box",
            where="--box",
            hint="write X_MIN,X_MAX,Y_MIN,Y_MAX, e.g. 510,1410,90,990",
        )
    x_min, x_max, y_min, y_max = map(int, found.groups())
    if x_max <= x_min or y_max <= y_min:
        raise UsageError(
            f"{text!r} has no area", where="--box", hint="the order is X_MIN,X_MAX,Y_MIN,Y_MAX, source pixels"
        )
    return x_min, x_max, y_min, y_max


def parse_size(text: str | None, option: str = "--source-size") -> tuple[int, int] | None:
    """Return the two numbers of WIDTHxHEIGHT.

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
