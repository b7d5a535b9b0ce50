"""Names and figures as people read them. Text from a pod may hold anything."""

from __future__ import annotations

from being_remote.foreign_text import printable as printable
from being_remote.wording import size_words


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


def first_line(text: str) -> str:
    """The first line of an error's text, without its next step.

    Example:
        >>> first_line("pod: it did not answer\\n  next: wait")
        'pod: it did not answer'
    """
    return text.partition("\n")[0]
