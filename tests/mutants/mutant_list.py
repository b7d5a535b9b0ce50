"""The kept lists of plausible bugs: one YAML file a room of the package, each a list of

- file: camera/crop.py                  # in being_remote/
  line: "return x + self.pad_x"         # a text that stands exactly once in that file; may span lines
  bug: "return x - self.pad_x"          # what stands there instead
  tests: [tests/camera]                 # what has to notice, without the tests marked slow or soak;
                                        # being_remote/camera/crop.py stands for the doctests of that file
  survives: "equivalent: ..."           # only where no test can notice, with the reason
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    room: str
    number: int  # from 1, in its room's list
    file: str
    line: str
    bug: str
    tests: tuple[str, ...]
    survives: str | None = None

    @property
    def name(self) -> str:
        return f"{self.room} {self.number}"

    @property
    def path(self) -> str:
        return f"being_remote/{self.file}"

    def apply(self, text: str) -> str:
        """The file's text with the bug in it.

        Raises:
            ValueError: the line does not stand exactly once in the text, or the bug is no Python.
        """
        if (times := text.count(self.line)) != 1:
            raise ValueError(f"{self.name}: the line stands {times} times in {self.path}: {self.line!r}")
        if self.bug == self.line:
            raise ValueError(f"{self.name}: the bug is the line itself")
        with_bug = text.replace(self.line, self.bug)
        try:
            ast.parse(with_bug)
        except SyntaxError as exc:
            raise ValueError(f"{self.name}: the bug does not compile in {self.path}: {exc}") from None
        return with_bug


def rooms(lists: Path = LISTS) -> list[str]:
    return sorted(path.stem for path in lists.glob("*.yaml"))


def read_room(room: str, lists: Path = LISTS) -> list[Mutant]:
    """The bugs of one room, in the order of its list."""
    entries = yaml.safe_load((lists / f"{room}.yaml").read_text(encoding="utf-8")) or []
    mutants = []
    for number, entry in enumerate(entries, 1):
        tests = tuple(entry.pop("tests"))
        mutants.append(Mutant(room=room, number=number, tests=tests, **entry))
    return mutants
