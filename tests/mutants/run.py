"""Run the kept bugs: does a test fail for each?

    .venv/bin/python tests/mutants/run.py                    # all rooms (`make mutants`)
    .venv/bin/python tests/mutants/run.py camera tracker     # these rooms
    .venv/bin/python tests/mutants/run.py camera --only 3    # the third bug of camera; may be repeated

First the tests are run without any bug: a test that fails then proves nothing. Then each bug is put alone
into a temporary copy of the package, and its tests are run until one fails. A run that takes ten times as
long as without a bug counts as killed too. Prints a line for each bug and a table of the rooms.

Exits 1 if the tests fail without a bug, if a bug survives that is not marked `survives`, if one so marked is
killed, or if a line does not stand exactly once in its file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from mutant_list import LISTS, ROOT, Mutant, read_room, rooms

FOLDERS = ["being_remote", "tests", "docs"]
FILES = ["pyproject.toml", "README.md", "inventory.yaml", "tasks.py", "Makefile"]
COMPILE = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "being_remote"]
PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "60"]
QUICK = ["-m", "not slow and not soak"]
SHORTEST_LIMIT_S = 120.0
NOTHING_TESTED = (3, 4, 5)  # exit codes of pytest


@dataclass(frozen=True)
class PytestRun:
    exit_code: int | None  # None: it ran out of time
    seconds: float
    output: str

    @property
    def first_failure(self) -> str:
        if self.exit_code is None:
            return "ran out of time"
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", self.output, re.M)
        return found.group(1) if found else f"exit code {self.exit_code}"


@dataclass(frozen=True)
class Verdict:
    mutant: Mutant
    killed: bool
    wrong: bool  # not what the list says
    words: str


@dataclass
class Copy:
    """The package and its tests in a folder of its own, for one worker."""

    root: Path
    temporary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = self.root / "tmp"

    def fill(self, source: Path) -> None:
        self.root.mkdir(parents=True)
        for name in FOLDERS:
            if (source / name).is_dir():
                shutil.copytree(source / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            if (source / name).is_file():
                shutil.copy2(source / name, self.root / name)
        # Compiled by content: by size and second, Python would take an edited file for the one before.
        subprocess.run([sys.executable, *COMPILE], cwd=self.root, check=True)

    def run_tests(self, tests: Iterable[str], limit_s: float | None) -> PytestRun:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        command = [sys.executable, *PYTEST, *QUICK, "--basetemp", str(self.temporary / "t"), *tests]
        env = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        started = time.monotonic()
        code: int | None = None
        with (self.root / "output").open("w+", encoding="utf-8", errors="replace") as output:
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = subprocess.run(
                    command, cwd=self.root, env=env, timeout=limit_s, stdout=output, stderr=output
                )
                code = done.returncode
            output.seek(0)
            return PytestRun(code, time.monotonic() - started, output.read())

    def run_mutant(self, mutant: Mutant, limit_s: float) -> PytestRun:
        path = self.root / mutant.path
        text = path.read_text(encoding="utf-8")
        path.write_text(mutant.apply(text), encoding="utf-8")
        try:
            return self.run_tests(mutant.tests, limit_s)
        finally:
            path.write_text(text, encoding="utf-8")


def judge(mutant: Mutant, run: PytestRun) -> Verdict:
    if run.exit_code in NOTHING_TESTED:
        return Verdict(mutant, False, True, f"pytest could not run its tests: {run.output.strip()[-300:]}")
    if run.exit_code == 0:
        return Verdict(mutant, False, mutant.survives is None, mutant.survives or "no test fails")
    wrong = mutant.survives is not None
    return Verdict(mutant, True, wrong, f"{'marked as survivor: ' * wrong}{run.first_failure}")


def run_all(mutants: Sequence[Mutant], source: Path, workers: int) -> list[Verdict]:
    """Try each bug; print a line for each as it ends.

    Raises:
        ValueError: a line does not stand exactly once, or the tests fail without a bug.
    """
    for mutant in mutants:
        mutant.apply((source / mutant.path).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="bugs") as folder, ThreadPoolExecutor(workers) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for n in range(workers):
            copies.put(copy := Copy(Path(folder) / str(n)))
            copy.fill(source)

        def find_limit(room: str) -> float:
            tests = sorted({t for m in mutants if m.room == room for t in m.tests})
            copy = copies.get()
            run = copy.run_tests(tests, None)
            copies.put(copy)
            if run.exit_code != 0:
                end = run.output[-2000:]
                raise ValueError(f"{room}: fails without a bug: {run.first_failure}\n{end}")
            print(f"{room}: its tests pass without a bug ({run.seconds:.0f} s)")
            return max(SHORTEST_LIMIT_S, 10 * run.seconds)

        def attempt(mutant: Mutant) -> Verdict:
            copy = copies.get()
            run = copy.run_mutant(mutant, limits_s[mutant.room])
            copies.put(copy)
            verdict = judge(mutant, run)
            word = "killed  " if verdict.killed else "SURVIVES" if verdict.wrong else "survives"
            print(f"{word} {mutant.name:<16} {run.seconds:4.0f} s  {mutant.file}: {verdict.words}")
            return verdict

        try:
            names = sorted({m.room for m in mutants})
            limits_s = dict(zip(names, pool.map(find_limit, names), strict=True))
            return list(pool.map(attempt, mutants))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def table(verdicts: Sequence[Verdict]) -> str:
    rows = [f"{'room':<16} killed  all  per cent"]
    names = sorted({v.mutant.room for v in verdicts})
    for name in [*names, "all"]:
        of_room = [v for v in verdicts if name in ("all", v.mutant.room)]
        killed = sum(v.killed for v in of_room)
        rows.append(f"{name:<16} {killed:>6} {len(of_room):>4} {100 * killed / len(of_room):>9.0f}")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the kept bugs: does a test fail for each?")
    parser.add_argument("room", nargs="*", help=f"of {', '.join(rooms())}; default: all")
    parser.add_argument("--only", type=int, action="append", metavar="N", help="only this bug of each room")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="bugs tried at once; default: 2")
    args = parser.parse_args()
    if unknown := set(args.room) - set(rooms()):
        parser.error(f"no list {LISTS}/{min(unknown)}.yaml")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a stream of text
    mutants = [m for room in args.room or rooms() for m in read_room(room)]
    mutants = [m for m in mutants if not args.only or m.number in args.only]
    if not mutants:
        parser.error("no bug has that number")
    try:
        verdicts = run_all(mutants, ROOT, args.workers)
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"\n{table(verdicts)}")
    return int(any(v.wrong for v in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
