"""The one loader of YAML: as PyYAML reads plain documents, bounded, with one kind of error."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import being_remote
from being_remote.bounded_yaml import MAX_BYTES, load

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_what_pyyaml_wrote_is_read_as_it_was(value: object) -> None:
    written = yaml.safe_dump(value)
    if "\\0" in written:
        return  # no file of settings holds a NUL
    assert load(written) == value


@settings(max_examples=300)
@given(st.text(alphabet="[]{}&*!<>|:?-,.'\"\\%~#= \nab01xu_@`", max_size=60))
def test_any_text_is_a_value_or_an_error_on_one_line(text: str) -> None:
    try:
        load(text)
    except ValueError as e:
        assert "\n" not in str(e)


_MERGES = "\n".join(
    ["a0: &a0 {k: v}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 18)]
)
_LISTS = "\n".join(["a0: &a0 [1]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 18)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_MERGES, "aliases followed"),
        (_LISTS, "aliases followed"),
        ("&a {<<: *a}", "aliases followed"),
        ("[" * 100_000, "deeper"),
        ("{a: " * 60_000, "deeper"),
        ("- " * 100_000, "deeper"),
        ("? " * 100_000, "deeper"),
        ("[" + "1," * 100_000 + "]", "values"),
        ("x" * 100_000, "characters"),
        ("|\n" + " b\n" * 50_000, "characters"),
        ("0x" + "f" * 100, "does not fit its tag"),
        ("1:" * 100 + "1", "does not fit its tag"),
        ("x" * (MAX_BYTES + 1), "KiB"),
        ("--- a\n--- b", "document"),
    ],
)
def test_what_is_out_of_bounds_is_refused_at_once(text: str, words: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=words):
        load(text)
    assert time.process_time() - started < 2


@pytest.mark.slow
def test_nothing_else_in_the_package_loads_yaml() -> None:
    root = Path(being_remote.__file__).parent
    wrong = [
        f"{path.relative_to(root)}: {node.attr}"
        for path in root.rglob("*.py")
        if path.name
        not in ("bounded_yaml.py", "stand_in_tracker.py")  # a tracker of its own, with its own YAML
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml"
        if node.attr.endswith(("load", "load_all", "Loader", "compose", "compose_all", "parse"))
    ]
    assert wrong == []
