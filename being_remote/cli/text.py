"""Names and texts made safe to print. What came from a pod may hold anything at all."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """`text` with everything a terminal could obey written out as an escape.

    Args:
        text: any string; bytes that were not UTF-8 may be in it as surrogates (`os.fsdecode`).
        keep: characters to leave as they are, e.g. a newline of our own.

    Example:
        >>> printable("a\\x1b[31mred\\n")
        'a\\\\x1b[31mred\\\\n'
        >>> import os
        >>> printable(os.fsdecode(b"caf\\xe9.frame"))
        'caf\\\\xe9.frame'
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that was not UTF-8, as the host spells it
    return char.encode("unicode_escape").decode("ascii")


def size_text(count: int) -> str:
    """A byte count for people.

    Example:
        >>> size_text(6_600_000), size_text(512)
        ('6.6 MB', '512 B')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def files_text(count: int) -> str:
    """A number of files for people.

    Example:
        >>> files_text(1), files_text(2)
        ('1 file', '2 files')
    """
    return f"{count} file" if count == 1 else f"{count} files"


def first_line(text: str) -> str:
    """The first line of an error's text, where its next step does not belong.

    Example:
        >>> first_line("pod: it did not answer\\n  next: wait")
        'pod: it did not answer'
    """
    return text.partition("\n")[0]
