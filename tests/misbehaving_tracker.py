"""The stand-in tracker with faults, for a checkout of a test; `tracker_checkout.install` puts it there.

The environment, or `stand_in.json` in the checkout (which wins), says which:
    STAND_IN_FRAME_S      seconds for a frame
    STAND_IN_DIE_AT       frame before which it kills itself with SIGKILL
    STAND_IN_TEAR_AT      frame in the middle of whose file it kills itself
    STAND_IN_EXIT_AT      N:CODE: frame before which it exits with CODE
    STAND_IN_HANG_AT      frame before which it sleeps for ever
    STAND_IN_SECOND_K_AT  frame from which on it stores another focal length
    STAND_IN_IGNORE_TERM  "1": TERM does nothing
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    import stand_in_tracker
else:
    from being_remote.demo import stand_in_tracker


def _at(name: str) -> float:
    """A frame number from the environment; infinite where it is not set."""
    return float(os.environ.get(name) or "inf")


class MisbehavingTracker(stand_in_tracker.StandIn):
    def save(self, frame: int, index: int) -> None:
        if self.step:  # not the early poses of the key frames
            self._misbehave(frame)
        focal = self.focal
        if frame >= _at("STAND_IN_SECOND_K_AT"):
            self.focal *= 1.001
        super().save(frame, index)
        self.focal = focal

    def write(self, frame: int, path: Path, data: bytes) -> None:
        if frame == _at("STAND_IN_TEAR_AT"):
            path.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(frame, path, data)

    def _misbehave(self, frame: int) -> None:
        time.sleep(float(os.environ.get("STAND_IN_FRAME_S", "0")))
        if frame == _at("STAND_IN_DIE_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        exit_at, _, code = os.environ.get("STAND_IN_EXIT_AT", "").partition(":")
        if exit_at and frame == int(exit_at):
            sys.exit(int(code))
        if frame == _at("STAND_IN_HANG_AT"):
            self.say("hanging")
            while True:
                time.sleep(60)


if __name__ == "__main__":
    faults = Path("stand_in.json")
    if faults.exists():
        os.environ.update(json.loads(faults.read_text()))
    if os.environ.get("STAND_IN_IGNORE_TERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stand_in_tracker.main(kind=MisbehavingTracker)
