"""Retries with exponential backoff and jitter, of the errors that the caller names."""

from __future__ import annotations

import logging
from collections.abc import Callable

import tenacity

log = logging.getLogger("being_remote")

_ATTEMPTS = 3


def retrying(
    host: str, *, again: Callable[[BaseException], bool], total_s: float, first_wait_s: float = 0.2
) -> tenacity.Retrying:
    """Call a function through the result, up to three times: `retrying(...)(function, argument)`.

    Args:
        again: says whether an error is worth another attempt; all others pass at once.
        total_s: no new attempt once so much time has passed.
        first_wait_s: the first wait; it doubles each time, with jitter.
    """

    def log_failure(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        what, wait_s = getattr(error, "what", error), state.upcoming_sleep
        log.info("%s: attempt %d failed: %s; retrying in %.1f s", host, state.attempt_number, what, wait_s)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(again),
        stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(total_s),
        wait=tenacity.wait_exponential(multiplier=first_wait_s, max=5.0)
        + tenacity.wait_random(0, first_wait_s),
        before_sleep=log_failure,
        reraise=True,
    )
