"""What a notebook may pass: checked by its annotations, and turned into what the workflows take."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import InstanceOf, Strict, ValidationError, validate_call
from pydantic_core import ErrorDetails

from being_remote.errors import InventoryError, InventoryUntrusted, UsageError
from being_remote.inventory import Inventory, find_inventory, given_inventory
from being_remote.inventory import load_inventory as load_named_inventory
from being_remote.inventory_trust import require_trust

Function = TypeVar("Function", bound=Callable[..., Any])
PathLike = str | Path
# Strict: an inventory can be iterated, so it would pass for a list of names.
Names = str | Annotated[list[str], Strict()] | Annotated[tuple[str, ...], Strict()] | None
InventoryLike = InstanceOf[Inventory] | str | Path | None

_WANTED = {
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    **dict.fromkeys(("tuple_type", "missing", "too_long"), "a tuple"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "True or False"),
    "dict_type": "a dict",
    "callable_type": "a function",
}


def checked(function: Function) -> Function:
    """Refuse arguments that do not fit the annotations, with one sentence.

    Raises (when called):
        UsageError: which argument, what it should be, and what was given.

    Example:
        >>> @checked
        ... def wait(timeout_s: float) -> float:
        ...     return timeout_s
        >>> wait("soon")
        Traceback (most recent call last):
        being_remote.errors.UsageError: wait(): timeout_s should be a number, not 'soon' (str)...
    """
    validated, signature = validate_call(function), inspect.signature(function)
    where = f"{function.__qualname__}()"
    hint = f"its arguments: {', '.join(name for name in signature.parameters if name != 'self')}"
    keywords = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as e:
            raise UsageError(str(e), where=where, hint=hint) from None
        named = dict(bound.arguments)
        named.update(named.pop(keywords, {}))
        instance = [named.pop("self")] if "self" in named else []
        try:
            return validated(*instance, **named)  # by their names, so that an error names them, too
        except ValidationError as e:
            if e.title.rpartition(".")[2] != function.__name__:
                raise  # not of these arguments
            raise UsageError(_sentence(e), where=where, hint=hint) from None

    return cast(Function, call)


def read_names(names: Names) -> tuple[str, ...]:
    """One name or several, as several; none where nothing was named.

    Example:
        >>> read_names("a100"), read_names(["a100", "b200"]), read_names(None)
        (('a100',), ('a100', 'b200'), ())
    """
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def read_path(path: PathLike | None) -> Path | None:
    """A path with `~` expanded."""
    return None if path is None else Path(path).expanduser()


@checked
def load_inventory(path: PathLike | None = None) -> Inventory:
    """Read an inventory.

    Args:
        path: the file; default: as on the command line, `inventory.yaml` in this folder or one above it, or
            the file that `BEING_REMOTE_INVENTORY` names.

    Raises:
        InventoryError: missing, or wrong fields; all of them are named.
        InventoryUntrusted: one that was found, not named, can run programs on this laptop.

    Example:
        >>> inventory = load_inventory("inventory.yaml")
        >>> list(inventory.hosts), list(inventory.actors)
        (['a100'], ['roman'])
    """
    named = given_inventory(path)
    if named is not None:
        return load_named_inventory(named)
    found = load_named_inventory(find_inventory(Path.cwd()))
    try:
        require_trust(found)
    except InventoryUntrusted as e:
        e.hint = f'read it; then name it: load_inventory("{found.path}")'
        raise
    return found


def read_inventory(inventory: InventoryLike) -> Inventory:
    """The inventory itself, or the one in that file; None: this folder's. Raises as `load_inventory`."""
    return inventory if isinstance(inventory, Inventory) else load_inventory(inventory)


def inventory_for(runs: Sequence[PathLike], inventory: InventoryLike) -> Inventory | None:
    """As `read_inventory`; None for folders and files where none was named.

    A name that is neither may be an actor's or a job's, unless no inventory is found, or it is wrong.
    """
    if inventory is None and all(Path(run).expanduser().exists() for run in runs):
        with contextlib.suppress(InventoryError, InventoryUntrusted):
            return read_inventory(None)
        return None
    try:
        return read_inventory(inventory)
    except InventoryError:
        if inventory is not None:
            raise
        return None


def _sentence(error: ValidationError) -> str:
    """What is wrong with the first argument that does not fit."""
    problems = error.errors(include_url=False)
    if problems[0]["type"] == "extra_forbidden":
        return f"got an unexpected keyword argument {problems[0]['loc'][0]!r}"
    name = problems[0]["loc"][0]
    of_name = [problem for problem in problems if problem["loc"][0] == name]
    # Of a list that holds one wrong entry, that entry.
    inside = [problem for problem in of_name if isinstance(problem["loc"][-1], int)]
    wrong = (inside or of_name)[0]
    place = f"{name}[{wrong['loc'][-1]}]" if inside else name
    wanted = " or ".join(dict.fromkeys(map(_wanted, inside[:1] or of_name)))
    given = wrong["input"]
    return f"{place} should be {wanted}, not {str(given)[:80]!r} ({type(given).__name__})"


def _wanted(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "is_instance_of":
        return f"an {context['class']}"
    said = context.get("expected") or problem["msg"].removeprefix("Input should be ")
    return _WANTED.get(kind, str(said))
