"""killed_sync.py HOST ROOT_PATTERN N...: for each N, a sync that is killed at its N-th change of the disk.

Prints for each N how many changes were seen: fewer than N means that it came to its end. N may be
several numbers, as 5,17: then the next sync is killed as well, and the last one's end is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from folder_sync import FolderHost, counted


def main(host: str, pattern: str, words: list[str]) -> None:
    for word in words:
        root = Path(pattern.replace("{n}", word))
        for n in map(int, word.split(",")):
            said = killed_at(n, root, lambda at: FolderHost(Path(host), at).sync())
        print(word, said, flush=True)


def killed_at(n: int, root: Path, work: Callable[[Path], object]) -> str:
    """How many changes below `root` the work saw that had to end at the n-th, or "killed"."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with counted(root, n) as seen:
            work(root)
        os.write(writer, str(seen[0]).encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 64).decode() or "killed"
    os.close(reader)
    os.waitpid(child, 0)
    return said


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
