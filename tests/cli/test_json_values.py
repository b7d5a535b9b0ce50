"""Every report of every command has a form in JSON, whatever a host can make of its fields."""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
import pytest
import yaml

from being_remote import cli, workflows
from being_remote.cli.json_values import to_json

BEING_REMOTE = str(Path(sys.executable).parent / "being-remote")
# Values of each plain type that a report may hold, the awkward ones first.
PLAIN: dict[Any, tuple[Any, ...]] = {
    str: ("caf\udce9\n\x1b[31m", ""),
    int: (1 << 62, -1),
    float: (float("nan"), float("inf"), 0.5, np.float64("-inf")),
    bool: (True, False),
    type(None): (None,),
    Path: (Path("/a/caf\udce9"),),
    PurePosixPath: (PurePosixPath("/w"),),
    Any: (None, {"K": np.full((2, 2), np.nan), "path": PurePosixPath("/w")}, [1.5], "x"),
}


class Grade(enum.Enum):
    EXACT = "exact"


def names_in(module: str) -> dict[str, Any]:
    """All names that a module's type hints may use: also those imported for typing alone."""
    loaded = sys.modules[module]
    names: dict[str, Any] = {}
    for node in ast.walk(ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
            there = importlib.import_module(node.module)
            names |= {
                a.asname or a.name: getattr(there, a.name) for a in node.names if hasattr(there, a.name)
            }
    return names | vars(loaded)


def classes_of_the_package() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for room in (workflows, cli):
        for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            found |= {
                k: v for k, v in vars(importlib.import_module(module.name)).items() if isinstance(v, type)
            }
    return found


REPORTS = sorted(
    {
        c
        for c in classes_of_the_package().values()
        if dataclasses.is_dataclass(c) and "exit_code" in vars(c) and c.__module__.startswith("being_remote.")
    },
    key=lambda c: (c.__module__, c.__name__),
)


def samples(hint: Any) -> Iterator[Any]:
    """Values of a type, each of its alternatives at least once; KeyError for a type unknown to JSON."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        yield from PLAIN[hint]
    elif origin is typing.Annotated:
        yield from samples(arguments[0])
    elif origin is typing.Literal:
        yield from arguments
    elif origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from samples(argument)
    elif origin in (tuple, list, Sequence, set, frozenset):
        yield ()
        inner = [list(samples(a)) for a in arguments if a is not Ellipsis]
        for n in range(max(map(len, inner))):
            yield tuple(s[n % len(s)] for s in inner)
    elif origin in (dict, Mapping):
        for value in samples(arguments[1]):
            yield {key: value for key in samples(arguments[0])}
    elif dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, names_in(hint.__module__))
        yield from made(hint, {f.name: hints[f.name] for f in dataclasses.fields(hint)})
    elif hasattr(hint, "model_fields"):
        yield from made(hint.model_construct, {n: f.annotation for n, f in hint.model_fields.items()})
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from hint
    else:
        raise KeyError(hint)


def made(make: Any, hints: Mapping[str, Any]) -> Iterator[Any]:
    values = {name: list(samples(hint)) for name, hint in hints.items()}
    for n in range(max(map(len, values.values()), default=1)):
        yield make(**{name: some[n % len(some)] for name, some in values.items()})


def refused(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("report", REPORTS, ids=lambda c: c.__name__)
def test_every_report_has_a_form_in_json_whatever_its_fields_hold(report: type) -> None:
    count = 0
    for value in samples(report):
        document = json.loads(json.dumps(to_json(value), allow_nan=False), parse_constant=refused)
        names = {f.metadata.get("json", f.name) for f in dataclasses.fields(value)} - {None}
        assert {name for name in names if not name.endswith("_b64")} <= set(document)
        count += 1
    assert count


def test_the_commands_reports_are_among_those_that_were_tried() -> None:
    names = {c.__name__ for c in REPORTS}
    assert {"JobsReport", "RetrackReport", "SafeReport", "HostsReport", "RecoverReport"} <= names
    assert len(names) >= 20


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (Grade.EXACT, "exact"),
        (np.array([[1.0, np.inf]]), [[1.0, None]]),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ({Grade.EXACT: PurePath("a")}, {"exact": "a"}),
        (-float("inf"), None),
    ],
)
def test_each_kind_of_value_is_written_in_one_way(value: Any, spelt: Any) -> None:
    assert to_json(value) == spelt


def test_a_value_of_no_known_kind_is_a_bug_and_never_text_by_chance() -> None:
    with pytest.raises(TypeError, match="object"):
        to_json({"a": object()})


@pytest.mark.parametrize(
    "words",
    [
        ["jobs"],
        ["retrack", "--recipe", "command", "--command", "true", "--dry-run"],
        ["safe-to-stop"],
        ["doctor"],
        ["hosts"],
        ["find-bbox"],
    ],
    ids=lambda words: words[0],
)
def test_json_is_whole_where_a_host_has_gpus_also_ones_without_figures(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho '0, GPU-aaaa-1, NVIDIA Test, 81920, 40000, 97'\n"
        "echo '1, GPU-aaaa-2, NVIDIA Test, 81920, [N/A], [Not Supported]'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BEING_REMOTE_LOCKS", str(tmp_path / "own/locks"))
    (tmp_path / "work").mkdir()
    inventory = {
        "hosts": {"here": {"kind": "local", "workdir": str(tmp_path / "work"), "python": sys.executable}},
        "actors": {"demo": {"source_size": [1920, 1080]}},
        "backups": "backups",
        "search_roots": [],
    }
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(inventory))
    chosen = ["--inventory", str(tmp_path / "inventory.yaml"), "--json"]
    host = ["--host", "here"]
    done = subprocess.run(
        [BEING_REMOTE, *words, *host, *chosen], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout, parse_constant=refused)
    if words[0] in ("retrack", "safe-to-stop"):
        assert [gpu["uuid"] for gpu in document["gpus"]] == ["GPU-aaaa-1", "GPU-aaaa-2"]
