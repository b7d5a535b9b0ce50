"""stdout and stderr that may be full, closed or a terminal: how lines for people and documents get there."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from being_remote.cli.text import printable, wrap_words

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 160


class OutputFailed(Exception):
    """stdout cannot be written, mostly because a disk is full. No workflow catches it."""


@contextmanager
def writing() -> Iterator[None]:
    """Turn what fails while stdout is written into `OutputFailed`."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader closed the pipe, which is not an error
    except OSError as e:
        raise OutputFailed(e.strerror or str(e)) from e


def fit_terminal(text: str) -> list[str]:
    """One line of text for stderr: on a terminal cut between words."""
    if not sys.stderr.isatty():
        return [text]
    return wrap_words(text, os.get_terminal_size(sys.stderr.fileno()).columns)


def say(text: str) -> None:
    """Print text for people on stderr; its line breaks are ours."""
    with saying():
        print(printable(text, keep="\n"), file=sys.stderr, flush=True)


@contextmanager
def saying() -> Iterator[None]:
    """Continue without stderr where it cannot be written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Drop what is still unwritten, or Python would complain when it ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


def stdout() -> Console:
    """A console on stdout: as wide as the terminal; wide enough for paths when piped."""
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(width=width, highlight=False)
