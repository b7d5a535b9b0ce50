"""The base of every model that reads JSON from a host or from our own files. A leaf."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class StrictModel(BaseModel):
    """A frozen model: unknown fields are refused and no value is coerced. Subclasses bound every size."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def first_problem(error: ValidationError) -> str:
    """Return where the first refused value stands and why it is refused; nothing of it is quoted.

    Example:
        >>> class Size(StrictModel):
        ...     width: int
        >>> try:
        ...     Size.model_validate_json('{"width": "9"}')
        ... except ValidationError as e:
        ...     first_problem(e)
        "'width': Input should be a valid integer"
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place, message = ".".join(map(str, first["loc"]))[:80], first["msg"][:120]
    return f"{place!r}: {message}" if place else message
