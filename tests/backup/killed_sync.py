"""killed_sync.py HOST ROOT_PATTERN N...: for each N, a sync that is killed at its N-th change of the disk.

Prints for each N how many changes were seen: fewer than N means that it came to its end.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from folder_sync import FolderHost, counted


def main(host: str, pattern: str, numbers: list[int]) -> None:
    for n in numbers:
        root = Path(pattern.replace("{n}", str(n)))
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with counted(root, n) as seen:
                FolderHost(Path(host), root).sync()
            os.write(writer, str(seen[0]).encode())
            os._exit(0)
        os.close(writer)
        said = os.read(reader, 64).decode() or "killed"
        os.close(reader)
        os.waitpid(child, 0)
        print(n, said, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(n) for n in sys.argv[3:]])
