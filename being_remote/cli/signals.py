"""Ctrl-C, SIGTERM and a closed terminal end a command at once, and its clean-up still runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_NUDGE = signal.SIGURG  # ignored by default, and unused here
_NUDGED_AFTER_S = (0.05, 0.1, 0.2, 0.4)


@contextmanager
def obeyed() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the block as Ctrl-C does, with `SystemExit(128 + number)`.

    Outside the main thread, or where a signal is ignored (nohup), nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process
        raise SystemExit(128 + number)

    ours = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        with _wake_main_thread():
            yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _wake_main_thread() -> Iterator[None]:
    """Wake the main thread again after a signal.

    Python only notes a signal, and acts on it between two of its instructions. One that arrives
    after the last of them and before the system call in which it then waits (or in another thread) would
    be seen when that wait ends: for a silent host, minutes later. The note also goes to this pipe, whose
    reader interrupts whatever the main thread waits in (`signal.set_wakeup_fd` in Python's documentation).
    """
    main = threading.get_ident()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def nudge() -> None:
        with open(reader, "rb", buffering=0) as noted:
            while number := noted.read(1):
                for wait_s in _NUDGED_AFTER_S if number[0] != _NUDGE else ():
                    time.sleep(wait_s)
                    signal.pthread_kill(main, _NUDGE)

    before = signal.signal(_NUDGE, lambda *_: None)
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=nudge, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        os.close(writer)
        signal.signal(_NUDGE, before)
