"""Numbers, lengths of time and lists of names in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from being_remote.local_path import shown_path

EXAMPLES = 5


@dataclass(frozen=True)
class FileExamples:
    """How many files, and the first few of them."""

    count: int = 0
    examples: tuple[str, ...] = ()


NO_FILES = FileExamples()


def examples_of(paths: Sequence[str]) -> FileExamples:
    return FileExamples(len(paths), tuple(shown_path(path)[0] for path in paths[:EXAMPLES]))


def describe_files(paths: Sequence[str]) -> str:
    """How many, and the first few.

    Example:
        >>> describe_files(["a.frame"]), describe_files(list("abcdef"))
        ("1 file ('a.frame')", "6 files ('a', 'b', 'c', 'd', 'e', ...)")
    """
    names = [repr(shown_path(path)[0]) for path in paths[: EXAMPLES + 1]]
    return f"{count_noun(len(paths), 'file')} ({list_some(names)})"


def list_some(names: Sequence[str], most: int = EXAMPLES, *, between: str = ", ") -> str:
    """The first few names, and three dots where there are more.

    Example:
        >>> list_some(["a", "b"], 2), list_some(["a", "b", "c"], 2, between="; ")
        ('a, b', 'a; b; ...')
    """
    return between.join([*names[:most], "..."] if len(names) > most else names)


def count_noun(count: int, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> count_noun(1, "file"), count_noun(2514, "file")
        ('1 file', '2,514 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_words(size: int) -> str:
    """A number of bytes.

    Example:
        >>> size_words(1 << 40), size_words(2_500_000), size_words(10)
        ('1.1 TB', '2.5 MB', '10 B')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def duration(seconds: float) -> str:
    """A length of time.

    Example:
        >>> duration(12.3), duration(2520), duration(30_000), duration(300_000)
        ('12 s', '42 min', '8 h 20 min', '3 d 11 h')
    """
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 1:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    return f"{hours} h {minutes} min" if days < 1 else f"{days} d {hours} h"
