"""What `--verbose` prints: each retry and decision, as a line on stderr."""

from __future__ import annotations

import logging
import sys

from being_remote.cli.text import printable


def print_log() -> None:
    """Print from now on what the package logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable("%(message)s"))
    logger = logging.getLogger("being_remote")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


class _Printable(logging.Formatter):
    """Escapes log lines, which carry names from pods too."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
