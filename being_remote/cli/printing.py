"""Lines, paragraphs and tables on a terminal; everything goes through `printable` first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from being_remote.cli.text import printable, wrap_words

if TYPE_CHECKING:  # rich takes megabytes, and is loaded with the first line or table
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def new_table(*columns: str, numbers: tuple[str, ...] = (), unbroken: tuple[str, ...] = ()) -> Table:
    """Return a table without lines; `numbers` align to the right, `unbroken` columns never wrap."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True, padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", justify=justify, no_wrap=column in unbroken)
    return table


def cell(name: str, style: str = "") -> Text:
    """A name for a table."""
    from rich.text import Text

    return Text(printable(name), style=style)


def prose(console: Console, text: str, style: str = "") -> None:
    """Print text wrapped between words. Paths and commands go through `line`, which never wraps."""
    for part in wrap_words(printable(text), console.width):
        line(console, part, style)


def line(console: Console, text: str, style: str = "") -> None:
    """Print one line, never wrapped, so that paths and commands can be copied."""
    from rich.text import Text

    console.print(Text(printable(text), style=style), soft_wrap=True)


def path_line(console: Console, before: str, path: str, style: str = "") -> None:
    """Print a path on this laptop on one line; a terminal that can opens it with a click."""
    from rich.text import Text

    text = Text(printable(before), style=style)
    console.print(text.append(printable(path), f"link {Path(path).absolute().as_uri()}"), soft_wrap=True)
