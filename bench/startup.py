"""`being-remote --help` against the least that a Typer program can do: `import typer`."""

from __future__ import annotations

import sys
from pathlib import Path

from common import Row, paired, process_cost, show

RUNS = 15


def main() -> None:
    ours = [str(Path(sys.executable).with_name("being-remote")), "--help"]
    bare = [sys.executable, "-c", "import typer"]
    a, b, ratio = paired(lambda: process_cost(ours).seconds, lambda: process_cost(bare).seconds, RUNS)
    show("start-up", [Row("being-remote --help", f"{a * 1000:.0f} ms", f"{b * 1000:.0f} ms", ratio, 1.6)])


if __name__ == "__main__":
    main()
