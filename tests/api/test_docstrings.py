"""Every public name has an example in its docstring, and what it shows is what happens."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import pytest

import being_remote

NAMES = sorted(name for name in being_remote.__all__ if name != "__version__")
SECONDS = {"doctor", "submit"}
EACH = [pytest.param(name, marks=pytest.mark.slow if name in SECONDS else ()) for name in NAMES]


@pytest.mark.parametrize("name", EACH)
def test_the_example_of_a_public_name_shows_what_happens(name: str, notebook: Path) -> None:
    value = getattr(being_remote, name)
    known = vars(sys.modules[value.__module__]) | {each: getattr(being_remote, each) for each in NAMES}
    tests = [t for t in doctest.DocTestFinder(recurse=False).find(value, name, globs=known) if t.examples]
    assert tests, f"{name} has no example"
    printed: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for test in tests:
        doctest.DocTestRunner(optionflags=flags).run(test, out=printed.append)
    assert not printed, "".join(printed)
