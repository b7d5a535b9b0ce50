"""Names and figures as people read them. Text from a pod may hold anything."""

from __future__ import annotations

import textwrap
from datetime import datetime, timezone
from typing import Protocol

from being_remote.foreign_text import printable as printable
from being_remote.wording import duration, size_words


class GpuFigures(Protocol):
    """What is printed of a GPU; None: not measured."""

    @property
    def index(self) -> int: ...
    @property
    def memory_used_mib(self) -> int | None: ...
    @property
    def memory_total_mib(self) -> int | None: ...
    @property
    def utilization_percent(self) -> int | None: ...


def local_time(utc: str | None, *, year: bool = False) -> str:
    """A time of a report, to the minute, in this laptop's time zone; nothing where it is unknown."""
    if not utc:
        return ""
    try:
        # Python 3.10 reads no Z.
        at = datetime.fromisoformat(utc.replace("Z", "+00:00"))
    except ValueError:
        return utc
    at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    return at.astimezone().strftime("%Y-%m-%d %H:%M" if year else "%m-%d %H:%M")


def pace_text(frames_per_minute: float | None, seconds_left: float | None) -> str:
    """How fast a job is, and how long it will take.

    Example:
        >>> pace_text(3.14, 12_000), pace_text(3.14, None), pace_text(None, None)
        ('3.1/min, 3 h 20 min left', '3.1/min', '')
    """
    if frames_per_minute is None:
        return ""
    left = "" if seconds_left is None else f", {duration(seconds_left)} left"
    return f"{frames_per_minute:.1f}/min{left}"


def gpu_text(gpu: GpuFigures) -> str:
    """What a GPU does."""
    used, total = gpu.memory_used_mib, gpu.memory_total_mib
    busy = "" if gpu.utilization_percent is None else f" {gpu.utilization_percent} %"
    memory = "" if used is None or total is None else f" {used / 1024:.0f} of {total / 1024:.0f} GiB"
    return f"GPU {gpu.index}{busy}{',' if busy and memory else ''}{memory}"


def files_text(count: int) -> str:
    """A number of files for people.

    Example:
        >>> files_text(1), files_text(2)
        ('1 file', '2 files')
    """
    return f"{count} file" if count == 1 else f"{count} files"


def amount_text(files: int, count: int) -> str:
    """A number of files and their bytes for people.

    Example:
        >>> amount_text(2, 6_600_000)
        '2 files, 6.6 MB'
    """
    return f"{files_text(files)}, {size_words(count)}"


def wrap_words(text: str, width: int) -> list[str]:
    """Lines that end between words; a longer word, such as a path, is left to the terminal.

    Example:
        >>> wrap_words("  note: the crop is cut at the top; a quarter of it is black", 40)
        ['  note: the crop is cut at the top; a', '    quarter of it is black']
    """
    indent, width = " " * (len(text) - len(text.lstrip()) + 2), max(width, 40)
    if any(len(word) > width - 12 for word in text.split()):
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def first_line(text: str) -> str:
    """The first line of an error's text, without its next step.

    Example:
        >>> first_line("pod: it did not answer\\n  next: wait")
        'pod: it did not answer'
    """
    return text.partition("\n")[0]
