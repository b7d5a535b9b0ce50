"""Runs on the pod: prints one attempt's log from a byte on, while it grows. Writes nothing.

The request is {"folder": the attempt's, "offset", "follow", "beat_s"}, and "tail": the last lines only, or
"since_s": only what was written so lately. It prints

    OFFSET LENGTH\n<LENGTH bytes of the log from OFFSET on>     LENGTH 0: a heartbeat
    skip OFFSET TO\n                                            what comes next begins at TO
    end OFFSET WHY\n        WHY: ended (the attempt has an exit record, and all of its log was sent),
                            all (asked once), superseded, gone (no such job), shrunk,
                            untimed (it has no times, so what was written lately is unknown)

and ends at its next print after its reader has gone.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import Any, BinaryIO, Dict, Optional

from being_remote.pod import newest_log

CHUNK_BYTES = 64 << 10
LOOK_S = 0.1


def say(text: str, data: bytes = b"") -> None:
    """Print one header and its bytes, whole."""
    rest = memoryview(text.encode("ascii") + b"\n" + data)
    while rest:
        rest = rest[os.write(1, rest) :]


def open_part(path: str) -> Optional[int]:
    """The descriptor of a part of the log; None while there is none that is regular."""
    try:
        log = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(log).st_mode):
        return log
    os.close(log)
    return None


def why_over(folder: str) -> Optional[str]:
    """Why this attempt's log will not grow any more; None while it may."""
    if os.path.lexists(os.path.join(folder, "end.json")):
        return "ended"
    attempts, number = os.path.split(folder)
    if os.path.isdir(os.path.join(attempts, str(int(number) + 1))):
        return "superseded"
    return None if os.path.isdir(os.path.dirname(attempts)) else "gone"


class LogReader:
    """Reads the parts of a log in order, whichever are there."""

    def __init__(self, log: str, offset: int) -> None:
        self._log, self.offset = log, offset
        self._start = -1
        self._fd: Optional[int] = None

    def read(self) -> bytes:
        """What comes at `offset`; nothing at the end."""
        if self._fd is None:
            return b""
        return os.pread(self._fd, CHUNK_BYTES, self.offset - self._start)

    def move(self) -> Optional[str]:
        """Go on to the part that has, or will have, the byte at `offset`, or to the first one after it.

        Returns:
            "skipped" where that is a later byte; "shrunk" where the log is shorter than that.
        """
        parts = newest_log.find_parts(self._log)
        place = max(n for n, (start, _) in enumerate(parts) if start <= self.offset)
        start, path = parts[place]
        if start != self._start or self._fd is None:
            if self._fd is not None:
                os.close(self._fd)
            self._start, self._fd = start, open_part(path)
        behind = 0 if self._fd is None else self.offset - start - os.fstat(self._fd).st_size
        if behind < 0:
            return None
        if place + 1 < len(parts):  # that part is complete
            self.offset = parts[place + 1][0]
            return "skipped"
        return "shrunk" if behind > 0 and self._fd is not None else None


def send(asked: Dict[str, Any]) -> None:
    """Send the log as far as it goes and, if it is followed, as it grows."""
    folder, log = asked["folder"], f"{asked['folder']}/log"
    first = find_first(log, asked)
    if first is None:
        say(f"end {asked['offset']} untimed")
        return
    if first != asked["offset"]:
        say(f"skip {asked['offset']} {first}")
    reader, said_at = LogReader(log, first), time.monotonic()
    while True:
        over = why_over(folder)  # before reading: all that was written before the end is there then
        data, offset = reader.read(), reader.offset
        moved = reader.move() if not data else None
        if moved == "skipped":
            say(f"skip {offset} {reader.offset}")
            continue
        data = data or reader.read()
        if data:
            say(f"{offset} {len(data)}", data)
            reader.offset += len(data)
            said_at = time.monotonic()
        elif over is not None or moved is not None or not asked["follow"]:
            say(f"end {offset} {moved or over or 'all'}")
            return
        else:
            if time.monotonic() - said_at >= asked["beat_s"]:
                say(f"{offset} 0")
                said_at = time.monotonic()
            time.sleep(LOOK_S)


def find_first(log: str, asked: Dict[str, Any]) -> Optional[int]:
    """The byte to begin with; None where it is asked for by time, and the log has no times."""
    first = int(asked["offset"])
    if asked.get("since_s") is not None and os.path.lexists(log):
        since = newest_log.offset_since(log, asked["since_s"])
        if since is None:
            return None
        first = max(first, since)
    if asked.get("tail") is not None:
        first = max(first, newest_log.offset_of_last_lines(log, asked["tail"]))
    return first


def main(request: str, _: BinaryIO) -> None:
    """Answer one request."""
    asked = json.loads(request)
    try:
        send(asked)
    except BrokenPipeError:
        pass  # the reader has gone
    finally:
        os._exit(0)  # nothing is left to flush, and flushing to a closed pipe would complain
