"""Every comparison, one after another: `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = (
    "startup.py",
    "read_frames.py",
    "crop_search.py",
    "exports.py",
    "images.py",
    "find_bbox.py",
    "sync.py",
    "sync_many.py",
    "jobs.py",
)


def main() -> None:
    for script in SCRIPTS:
        subprocess.run([sys.executable, str(HERE / script), *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
