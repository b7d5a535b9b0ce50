"""What a table prints."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console


def console_text(show: Callable[[Console, Any], None], report: Any, width: int = 200) -> str:
    """Run a `show_...` function of the command line on a console of `width` columns."""
    stream = io.StringIO()
    show(Console(file=stream, width=width, highlight=False), report)
    return stream.getvalue()
