"""What every benchmark here shares: fresh processes, paired runs, medians, and one table."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Cost:
    """One run of one process: on the clock, of the processors, and its peak memory."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Row:
    """One comparison: ours against what a person would use otherwise."""

    what: str
    ours: str
    other: str
    ratio: float
    target: float | None = None


# A process starts with its parent's peak memory on its account, so its parent must be a small one.
_LAUNCHER = """
import json, os, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
said = [code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]
os.write(int(sys.argv[1]), json.dumps(said).encode())
"""


def process_cost(argv: Sequence[str]) -> Cost:
    """What one fresh process costs."""
    reader, writer = os.pipe()
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(writer), *argv]
    subprocess.run(launcher, pass_fds=(writer,), check=True)
    os.close(writer)
    with open(reader, "rb") as said:
        code, seconds, cpu_seconds, peak = json.load(said)
    if code:
        raise SystemExit(f"{argv} ended with {code}")
    # Linux counts kilobytes here, macOS bytes.
    return Cost(seconds, cpu_seconds, peak / (1024 if sys.platform == "linux" else 1 << 20))


def paired(ours: Callable[[], float], other: Callable[[], float], runs: int) -> tuple[float, float, float]:
    """Medians of both, and the median ratio, taken A B A B so that a machine's drift cancels."""
    pairs = [(ours(), other()) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def machine() -> str:
    """Processor, system, and the versions that the figures depend on."""
    names = ("torch", "numpy", "paramiko", "fabric")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB,"
        f" Python {platform.python_version()}, {versions}"
    )


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table; a target that is missed is said so."""
    table = Table(title=title, caption=machine(), title_justify="left", caption_justify="left")
    for column in ("", "ours", "otherwise", "ratio", "target"):
        table.add_column(column, justify="left" if not column else "right")
    for row in rows:
        met = "" if row.target is None else f"{'<=' if row.ratio <= row.target else 'MISSED'} {row.target:g}x"
        table.add_row(row.what, row.ours, row.other, f"{row.ratio:.3g}x", met)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def own_peak_mib() -> float:
    """This process's peak memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else 1 << 20)
