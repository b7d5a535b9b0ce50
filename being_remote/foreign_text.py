"""Text that another machine wrote, made safe to show: one line, quoted, cut. A leaf.

Unquoted, a line break is enough for a pod to print a line that looks like ours. The error or the row
around the text names the host.
"""

from __future__ import annotations

MOST_LETTERS = 300


def quote(said: bytes | str, *, most: int = MOST_LETTERS) -> str:
    """Text of another machine in quotes, on one line; bytes that are not UTF-8 are escaped.

    Of a text longer than `most` letters the end is kept, which tells why a program ended.

    Example:
        >>> quote(b"cannot open x\\n  next: being-remote trust --yes\\n")
        "'cannot open x\\\\n  next: being-remote trust --yes'"
        >>> quote("a" * 500, most=5), quote(b"")
        ("'...aaaaa'", "''")
    """
    text = said.decode("utf-8", "backslashreplace") if isinstance(said, bytes) else said
    text = text.strip()
    return repr(text if len(text) <= most else f"...{text[-most:]}")


def one_line(text: str, *, most: int = MOST_LETTERS) -> str:
    """The same without quotes, for a field whose name and host stand beside it.

    Example:
        >>> one_line("exit code 1\\n  next: rm -rf /")
        'exit code 1\\\\n  next: rm -rf /'
    """
    return printable(text if len(text) <= most else f"{text[:most]}...")


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
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that was not UTF-8, as the host spells it
    return char.encode("unicode_escape").decode("ascii")
