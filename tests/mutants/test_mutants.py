"""The kept lists of bugs fit the code, and their runner tells a killed bug from one that survives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import run
from mutant_list import ROOT, Mutant, read_room, rooms

ADDER = "def add(a: int, b: int) -> int:\n    return a + b\n"
NARROW_TEST = "from being_remote.adder import add\n\ndef test_sum():\n    assert add({0}, 2) == {0} + 2\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "being_remote").mkdir()
    (tmp_path / "being_remote/__init__.py").touch()
    (tmp_path / "being_remote/adder.py").write_text(ADDER, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_blind.py").write_text(NARROW_TEST.format(2), encoding="utf-8")
    (tmp_path / "tests/test_sharp.py").write_text(NARROW_TEST.format(5), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nmarkers = ["slow", "soak"]\n', encoding="utf-8"
    )
    return tmp_path


def _times(test: str, number: int = 1, **fields: str) -> Mutant:
    """The bug that multiplies, which 2 and 2 do not show."""
    return Mutant(
        room="adder",
        number=number,
        file="adder.py",
        line=fields.pop("line", "a + b"),
        bug=fields.pop("bug", "a * b"),
        tests=(f"tests/{test}.py",),
        **fields,
    )


@pytest.mark.parametrize("room", rooms())
def test_every_bug_of_a_room_fits_its_file_and_compiles(room: str) -> None:
    for mutant in read_room(room):
        mutant.apply((ROOT / mutant.path).read_text(encoding="utf-8"))
        assert all(_stands(test) for test in mutant.tests), mutant


def _stands(test: str) -> bool:
    """Whether a file or a function of tests, as pytest names it, is still there."""
    path, _, function = test.partition("::")
    file = ROOT / path
    return file.exists() and (not function or f"def {function}(" in file.read_text(encoding="utf-8"))


def test_there_are_enough_bugs_to_tell_and_a_survivor_has_a_reason() -> None:
    mutants = [mutant for room in rooms() for mutant in read_room(room)]
    survivors = [mutant for mutant in mutants if mutant.survives is not None]
    assert len(mutants) >= 150 and len(survivors) <= len(mutants) / 10
    assert all(len(mutant.survives or "") > 20 for mutant in survivors)


@pytest.mark.slow
def test_a_bug_that_the_tests_notice_is_killed_and_one_that_they_do_not_survives(package: Path) -> None:
    mutants = [
        _times("test_sharp"),
        _times("test_blind", 2),
        _times("test_blind", 3, survives="2 + 2 = 2 * 2"),
    ]
    verdicts = run.run_all(mutants, package, workers=2)
    assert [(v.killed, v.wrong) for v in verdicts] == [(True, False), (False, True), (False, False)]
    assert verdicts[0].words == "tests/test_sharp.py::test_sum"
    assert "adder                 1    3        33" in run.table(verdicts)


@pytest.mark.slow
def test_a_survivor_that_is_killed_after_all_is_wrong(package: Path) -> None:
    (verdict,) = run.run_all([_times("test_sharp", survives="nobody knows")], package, workers=1)
    assert verdict.killed and verdict.wrong


@pytest.mark.slow
def test_tests_that_fail_without_a_bug_prove_nothing(package: Path) -> None:
    (package / "tests/test_sharp.py").write_text(NARROW_TEST.format(5).replace("==", "!="), encoding="utf-8")
    with pytest.raises(ValueError, match=r"adder: fails without a bug: tests/test_sharp\.py"):
        run.run_all([_times("test_sharp")], package, workers=1)


def test_a_bug_whose_tests_cannot_be_run_is_not_killed() -> None:
    for code in (3, 4, 5):
        verdict = run.judge(_times("test_sharp"), run.PytestRun(code, 1.0, "no tests ran"))
        assert verdict.wrong and not verdict.killed


def test_tests_that_no_longer_end_notice_a_bug() -> None:
    verdict = run.judge(_times("test_sharp"), run.PytestRun(None, 600.0, ""))
    assert verdict.killed and verdict.words == "ran out of time"


@pytest.mark.parametrize(
    ("line", "bug", "words"),
    [
        ("a - b", "a * b", "stands 0 times"),
        ("int", "float", "stands 3 times"),
        ("a + b", "a +* b", "does not compile"),
        ("a + b", "a + b", "is the line itself"),
    ],
)
def test_a_bug_that_does_not_fit_its_file_is_refused(line: str, bug: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _times("test_sharp", line=line, bug=bug).apply(ADDER)


def test_the_runner_names_the_rooms_that_it_knows() -> None:
    program = [sys.executable, str(ROOT / "tests/mutants/run.py"), "no-such-room"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "no-such-room.yaml" in done.stderr
