"""What mkdocstrings reads differently: `Example:` in docstrings, and private dataclass fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe


class OurConventions(griffe.Extension):
    """Show doctests as code, and leave private fields out of the signatures of dataclasses."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            # It knows the section only as `Examples:`.
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for function in _constructors(pkg):
            shown = [p for p in function.parameters if not p.name.startswith("_")]
            function.parameters = griffe.Parameters(*shown)


def _constructors(parent: griffe.Object) -> Iterator[griffe.Function]:
    for name, member in parent.members.items():
        if isinstance(member, griffe.Function):
            if name == "__init__":
                yield member
        elif isinstance(member, griffe.Object):
            yield from _constructors(member)
