"""Ask many hosts at once, so that a slow one delays only itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

PARALLEL = 16
WAIT_S = 1.0


def ask_all(
    whom: Sequence[T],
    ask: Callable[[T], R],
    *,
    meanwhile: Callable[[], object] = lambda: None,
    on_wait: Callable[[Sequence[T], float], object] = lambda _, __: None,
) -> list[R]:
    """Call `ask` with each, in parallel; return the answers in their order.

    Args:
        whom: at most `PARALLEL` are asked at a time.
        ask: turns a host's failure into an answer; what it raises is a bug, and raised here.
        meanwhile: called in this thread while the others wait.
        on_wait: called about once a second with those that have not answered, and the seconds so far.

    Example:
        >>> ask_all([3, 4], lambda n: n * n)
        [9, 16]
    """
    answers: dict[int, R] = {}
    bugs: list[BaseException] = []
    free = threading.BoundedSemaphore(PARALLEL)

    def one(place: int) -> None:
        try:
            with free:
                answers[place] = ask(whom[place])
        except BaseException as e:  # noqa: BLE001 - raised again by the caller's thread, below
            bugs.append(e)

    started = time.monotonic()
    # Daemons, so that Ctrl-C need not wait for a frozen host, as with the threads of a pool.
    threads = [threading.Thread(target=one, args=(place,), daemon=True) for place in range(len(whom))]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        while thread.is_alive():
            thread.join(WAIT_S)
            on_wait(
                [one for one, t in zip(whom, threads, strict=True) if t.is_alive()],
                time.monotonic() - started,
            )
    if bugs:
        raise bugs[0]
    return [answers[place] for place in range(len(whom))]
