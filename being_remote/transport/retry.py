"""When a failed attempt is tried again: only by what the caller names, with growing, uneven waits.

What makes a repetition safe is the caller's knowledge; this module knows waits, and logs each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import tenacity

log = logging.getLogger("being_remote")


def retrying(
    host: str,
    *,
    again: Callable[[BaseException], bool],
    attempts: int = 3,
    total_s: float,
    first_wait_s: float = 0.2,
) -> tenacity.Retrying:
    """Call a function through the result: `retrying(...)(function, argument)`.

    Args:
        host: named in the log.
        again: says whether an error is worth another attempt; all others pass at once.
        attempts: at most so many in all.
        total_s: no new attempt once so much time has passed.
        first_wait_s: the first wait; it doubles each time, with jitter.
    """

    def say(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.info(
            "%s: attempt %d failed: %s; trying again in %.1f s",
            host,
            state.attempt_number,
            getattr(error, "what", error),
            state.upcoming_sleep,
        )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(again),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_before_delay(total_s),
        wait=tenacity.wait_exponential(multiplier=first_wait_s, max=5.0)
        + tenacity.wait_random(0, first_wait_s),
        before_sleep=say,
        reraise=True,
    )
