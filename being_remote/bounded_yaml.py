"""Read YAML of unknown origin: bounded, plain values only, one kind of error.

PyYAML alone is not enough: a few hundred bytes of nested merge keys take it minutes, and a value that does
not fit its tag raises whatever the tag's own code raises. A leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

MAX_BYTES = 256 << 10
MAX_DEPTH = 24
MAX_NODES = 20_000  # composed, and again built: an alias counts each time it is used
MAX_TEXT = 4096  # characters of one scalar; the longest that is meant is a pinned RSA key
MAX_NUMBER = 64  # characters of any other scalar

_CORE = "tag:yaml.org,2002:"
_TEXT = _CORE + "str"
_OTHERS = frozenset(_CORE + name for name in ("null", "bool", "int", "float", "timestamp"))


def load(text: str | bytes) -> Any:
    """Return the one document in `text` as dictionaries, lists and plain values.

    Raises:
        ValueError: not YAML, over a limit, or a value that does not fit its tag; on one line.

    Example:
        >>> load("{base: &b {port: 22}, pod: {<<: *b, user: root}}")
        {'base': {'port': 22}, 'pod': {'port': 22, 'user': 'root'}}
    """
    node = compose(text)
    return None if node is None else value_of(node)


def compose(text: str | bytes) -> yaml.Node | None:
    """Return the one document in `text` as nodes; None if it is empty. Nothing is built from its tags.

    Raises:
        ValueError: not YAML, or over a limit.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES >> 10} KiB")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as e:
        said = ", ".join(part for part in (e.context, e.problem) if part)
        raise ValueError(f"{_place(e.problem_mark)}{said}") from e
    except yaml.reader.ReaderError as e:
        raise ValueError(f"holds a character or byte that YAML does not allow, at {e.position}") from e
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from e
    except (OverflowError, RecursionError) as e:  # `%YAML 1.<many digits>` and the like
        raise ValueError(str(e)) from e


def locate(node: yaml.Node, path: Sequence[str | int]) -> tuple[int, int]:
    """Return how many parts of `path` the document has, and the line of the last one of them, from 1.

    Call it for a document that `value_of` took: that bounds its aliases.

    Example:
        >>> node = compose("hosts:\\n  pod:\\n    port: 22")
        >>> locate(node, ["hosts", "pod", "port"]), locate(node, ["hosts", "pod", "user"])
        ((3, 3), (2, 2))
    """
    line = node.start_mark.line
    for depth, part in enumerate(path):
        found = _find_child(node, part)
        if found is None:
            return depth, line + 1
        line, node = found
    return len(path), line + 1


def _find_child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line and the node of one part: a list's place, a key, or a key of what is merged in."""
    if isinstance(node, yaml.SequenceNode):
        inside = isinstance(part, int) and part < len(node.value)
        return (node.value[part].start_mark.line, node.value[part]) if inside else None
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: list[yaml.Node] = []
    for key, value in reversed(node.value):
        if key.tag == _CORE + "merge":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        elif key.value == str(part):
            return key.start_mark.line, value
    found = (_find_child(other, part) for other in merged)
    return next((child for child in found if child is not None), None)


def value_of(node: yaml.Node, *, max_nodes: int = MAX_NODES) -> Any:
    """Return a node's value, built from at most `max_nodes` nodes, aliases followed.

    Raises:
        ValueError: too large, refers to itself, or holds what its tag does not allow.
    """
    return _Builder(max_nodes).value(node, 0)


class _Loader(yaml.SafeLoader):
    """Compose nodes and count them."""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self._left, self._depth = MAX_NODES, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # its stubs lack it
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"has more than {MAX_NODES} values")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_TEXT:
            raise ValueError(f"{_place(event.start_mark)}a value of more than {MAX_TEXT} characters")
        if self._depth == MAX_DEPTH:
            raise ValueError(f"{_place(event.start_mark)}nested deeper than {MAX_DEPTH}")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Builder:
    def __init__(self, max_nodes: int) -> None:
        self._left = max_nodes
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ValueError(f"{_place(node.start_mark)}larger than any setting, its aliases followed")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _CORE + "seq":
            return [self.value(part, depth + 1) for part in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == _CORE + "map":
            return self._mapping(node, depth)
        raise ValueError(f"{_place(node.start_mark)}{node.tag[:80]!r} is not the tag of a plain value")

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        for key, value in node.value:
            if key.tag != _CORE + "merge":
                if not isinstance(key, yaml.ScalarNode):
                    raise ValueError(f"{_place(key.start_mark)}a key must be one word")
                own[self.value(key, depth + 1)] = self.value(value, depth + 1)
                continue
            for part in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                built = self.value(part, depth + 1)
                if not isinstance(built, dict):
                    raise ValueError(f"{_place(part.start_mark)}<< takes a mapping, or a list of them")
                merged.update(built)
        return {**merged, **own}

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.tag == _TEXT:
            # Escapes can write what no file name and no terminal takes.
            if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
                raise ValueError(f"{_place(node.start_mark)}{text[:40]!r} holds an invalid character")
            return text
        if node.tag not in _OTHERS:
            raise ValueError(f"{_place(node.start_mark)}{node.tag[:80]!r} is not the tag of a plain value")
        try:
            if len(text) > MAX_NUMBER:
                raise ValueError("too long")
            return self._scalars.construct_object(node)
        # What PyYAML's own code raises for `!!bool x`, `!!int ''`, `!!timestamp x`, 2001-99-99.
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, yaml.YAMLError) as e:
            raise ValueError(f"{_place(node.start_mark)}{text[:40]!r} does not fit its tag") from e


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
