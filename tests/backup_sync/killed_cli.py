"""killed_cli.py ROOT N WAY WORD...: `being-remote WORD...`, killed at its N-th change of the disk below ROOT.

WAY is "stream" where small files are to come by it however few they are. Exits with 99 and the number of
changes on stderr's last line if it came to its end before.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "backup"))

from folder_sync import counted

from being_remote.cli import main
from being_remote.transport import stream_download

if __name__ == "__main__":
    root, kill_at, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sys.argv[1:] = sys.argv[4:]
    if way == "stream":
        stream_download.MANY = 1
    with counted(root, kill_at) as seen:
        try:
            main()
        finally:
            print(seen[0], file=sys.stderr, flush=True)
            os._exit(99)
