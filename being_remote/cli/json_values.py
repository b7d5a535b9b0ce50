"""Reports as plain JSON values: the one place that decides how each kind of value is written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any


def to_json(value: Any) -> Any:
    """`value` as what `json.dumps(..., allow_nan=False)` takes.

    Dataclasses and pydantic models become objects, field by field; a field whose metadata has "json" is
    written under that name, or left out if that is None; a `path_b64` is there only when it is set.
    Paths become text, enums their value, arrays lists; a number that is not finite becomes null.

    Raises:
        TypeError: a kind of value that no report may hold.

    Example:
        >>> to_json({"K": float("nan"), "at": PurePath("a/b"), "gpus": (1, 2.5)})
        {'K': None, 'at': 'a/b', 'gpus': [1, 2.5]}
    """
    if isinstance(value, Enum):  # before str and int: an enum may be one of them
        return to_json(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(to_json(k)): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    fields = _fields(value)
    if fields is not None:
        return {k: to_json(v) for k, v in fields.items() if not (k.endswith("_b64") and v is None)}
    if hasattr(value, "tolist"):  # numpy arrays and numbers; numpy itself is not imported for this
        return to_json(value.tolist())
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass or of a pydantic model; None for anything else."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        named = {f.metadata.get("json", f.name): f.name for f in dataclasses.fields(value)}
        return {name: getattr(value, field) for name, field in named.items() if name is not None}
    models = getattr(type(value), "model_fields", None)
    return None if models is None else {name: getattr(value, name) for name in models}
