"""Runs on the pod: prints one attempt's log from a byte on, while it grows. Writes nothing.

The request is {"folder": the attempt's, "offset", "follow", "beat_s"}. It prints

    OFFSET LENGTH\n<LENGTH bytes of the log from OFFSET on>     LENGTH 0: a heartbeat
    end OFFSET WHY\n        WHY: ended (the attempt has an exit record, and all of its log was sent),
                            all (asked once), superseded, gone (no such job), shrunk

and ends at its next print after its reader has gone.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import BinaryIO, Optional

CHUNK_BYTES = 64 << 10
LOOK_S = 0.1


def say(text: str, data: bytes = b"") -> None:
    """Print one header and its bytes, whole."""
    rest = memoryview(text.encode("ascii") + b"\n" + data)
    while rest:
        rest = rest[os.write(1, rest) :]


def open_log(folder: str) -> Optional[int]:
    """The log's descriptor; None while there is none that is regular."""
    try:
        log = os.open(os.path.join(folder, "log"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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


def send(folder: str, offset: int, follow: bool, beat_s: float) -> None:
    """Send the log as far as it goes and, with `follow`, as it grows."""
    log = None
    said_at = time.monotonic()
    while True:
        over = why_over(folder)  # before reading: all that was written before the end is there then
        log = open_log(folder) if log is None else log
        if log is not None and os.fstat(log).st_size < offset:
            over = "shrunk"
        data = os.pread(log, CHUNK_BYTES, offset) if log is not None else b""
        if data:
            say(f"{offset} {len(data)}", data)
            offset += len(data)
            said_at = time.monotonic()
        elif over is not None or not follow:
            say(f"end {offset} {over or 'all'}")
            return
        else:
            if time.monotonic() - said_at >= beat_s:
                say(f"{offset} 0")
                said_at = time.monotonic()
            time.sleep(LOOK_S)


def main(request: str, _: BinaryIO) -> None:
    """Answer one request."""
    asked = json.loads(request)
    try:
        send(asked["folder"], asked["offset"], asked["follow"], asked["beat_s"])
    except BrokenPipeError:
        pass  # the reader has gone
    finally:
        os._exit(0)  # nothing is left to flush, and flushing to a closed pipe would complain
