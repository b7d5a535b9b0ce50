"""The keys and defaults of one checkout of the tracker, from the text of its `configs/config.py`.

The file is from a host: it is bounded and split into tokens, and of all its statements only
`cfg.NAME = VALUE` is read, whose value must be a short Python literal. Nothing of it is imported or run.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from being_remote.tracker.layout import CONFIGS, DEFAULTS
from being_remote.tracker.settings import (
    KEYS,
    NEEDED,
    TABLE_OF,
    UNKNOWN_KEY,
    Key,
    Keys,
    Value,
    convert,
    plain,
)

CONFIG = f"{CONFIGS}/{DEFAULTS}"  # below the checkout
MAX_BYTES = 64 << 10
MAX_KEYS = 300
MAX_NAME = 64
MAX_TOKENS = 500  # of one value; a deep one could otherwise exhaust the stack
MAX_NOTES = 8
COUNTS = ("begin_frames", "end_frames")  # frames are counted with them: whole numbers in any checkout
# What forks call the value that yacs merges into.
_NAMES = ("cfg", "_C")
_SKIPPED = (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL)


@dataclass(frozen=True)
class CheckoutDefaults:
    """The defaults of one checkout, and where they were read."""

    keys: Keys  # as `settings` takes them, in the order of the file
    read: bool  # whether they are the checkout's own; else they are the table's
    notes: tuple[str, ...] = ()  # what a person should know: what could not be read

    @property
    def values(self) -> dict[str, Value | None]:
        return {name: key.default for name, key in self.keys.items()}


def table_defaults(why: str) -> CheckoutDefaults:
    """The table's keys, for where the checkout's own are unknown."""
    return CheckoutDefaults(KEYS, False, (f"{why}: the defaults are those of {TABLE_OF}, by a table",))


def read_defaults(data: bytes | None, where: str) -> CheckoutDefaults:
    """The defaults of a checkout; the table's, with a note, where its file cannot be read.

    Args:
        data: the bytes of its `configs/config.py`; None: not there, or larger than 64 KiB.
        where: the file, for the notes.

    Example:
        >>> read_defaults(b"cfg = CN()\\ncfg.w_pho = 100\\ncfg.fork_key = (1, 2)\\n", "a").values
        {'w_pho': 100, 'fork_key': [1, 2]}
    """
    if data is None or len(data) > MAX_BYTES:
        return table_defaults(f"{where} is missing, or larger than {MAX_BYTES >> 10} KiB")
    found: dict[str, Value | None] = {}
    odd: dict[str, str] = {}
    try:
        for name, written in _assignments(data):
            if len(found) + len(odd) >= MAX_KEYS:
                raise ValueError(f"more than {MAX_KEYS} settings")
            found.pop(name, None)
            odd.pop(name, None)
            try:
                found[name] = _value(written)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                odd[name] = "it is not a plain value"
    except (tokenize.TokenError, SyntaxError, ValueError) as e:
        reason = str(e.msg if isinstance(e, SyntaxError) else e.args[0])[:80]
        return table_defaults(f"{where} cannot be read as Python ({reason})")
    if not found:
        return table_defaults(f"{where} sets no defaults (cfg.NAME = VALUE)")
    return _defaults(found, odd, where)


def from_values(values: Any) -> CheckoutDefaults | None:
    """The defaults that `CheckoutDefaults.values` gave, as a job stored them; None where it stored others."""
    if not isinstance(values, dict) or not 0 < len(values) <= MAX_KEYS:
        return None
    try:
        found = {name: plain(value) for name, value in values.items() if type(name) is str}
    except ValueError:
        return None
    return _defaults(found, {}, "the job's own record")


def _defaults(found: dict[str, Value | None], odd: dict[str, str], where: str) -> CheckoutDefaults:
    keys = {}
    for name, value in found.items():
        try:
            keys[name] = _key(name, value)
        except (ValueError, OverflowError):
            odd[name] = f"{str(value)[:40]!r} has an unknown form"
    notes = [f"{where}: the default of {name} is not read: {why}" for name, why in odd.items()]
    missing = [f"{name} {KEYS[name].default}" for name in NEEDED if name not in keys]
    if missing:
        notes.append(f"{where} has no {', '.join(missing)}: the table's values are assumed")
    if more := notes[MAX_NOTES:]:
        notes = [*notes[:MAX_NOTES], f"{where}: {len(more)} more like these"]
    return CheckoutDefaults(MappingProxyType(keys), True, tuple(notes))


def _key(name: str, value: Value | None) -> Key:
    from_table = KEYS.get(name)
    if from_table is None:
        return Key(value, UNKNOWN_KEY.split(";")[0])
    numbers = (int, float)
    alike = type(value) is type(from_table.default) or (
        type(value) in numbers and type(from_table.default) in numbers and name not in COUNTS
    )
    try:
        if not alike:
            raise ValueError
        typed = replace(from_table, default=value)
        return replace(typed, default=convert(typed, value))
    except (ValueError, OverflowError):
        if name in NEEDED:
            raise
        return Key(value, from_table.meaning)  # of a form or beyond a bound that we do not know


def _value(written: list[str]) -> Value | None:
    if len(written) > MAX_TOKENS:
        raise ValueError("it is too long")
    return plain(ast.literal_eval(" ".join(written)))


def _assignments(data: bytes) -> Iterator[tuple[str, list[str]]]:
    """Name and tokens of each `cfg.NAME = VALUE` that stands outside all blocks."""
    depth = 0
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        if token.type in _SKIPPED:
            continue
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            depth += 1 if token.type == tokenize.INDENT else -1
        elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER) or token.string == ";":
            if depth == 0:
                yield from _assignment(statement)
            statement = []
        else:
            statement.append(token)


def _assignment(statement: list[tokenize.TokenInfo]) -> Iterator[tuple[str, list[str]]]:
    words = [token.string for token in statement]
    if len(words) < 5 or words[0] not in _NAMES or words[1] != "." or words[3] != "=":
        return
    name = words[2]
    if name.isascii() and name.isidentifier() and len(name) <= MAX_NAME:
        yield name, words[4:]
