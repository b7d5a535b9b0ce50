"""Many files in few words: how many, and the first of them by name."""

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
        >>> describe_files(["a.frame"])
        "1 file ('a.frame')"
    """
    names = ", ".join(map(repr, examples_of(paths).examples)) + (", ..." if len(paths) > EXAMPLES else "")
    return f"{count_noun(len(paths), 'file')} ({names})"


def count_noun(count: int, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> count_noun(1, "file"), count_noun(2514, "file")
        ('1 file', '2,514 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
