"""Asking again: how often, and after which pause. What is worth it, the error says: `transient`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from .budget import Budget
from .errors import DeepsetError, StatusError

ATTEMPTS = 6
_LONGEST_PAUSE = 300.0
_jittered = tenacity.wait_random_exponential(multiplier=0.5, max=30)
_Answer = TypeVar("_Answer")


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: exponential with full jitter, and no less than the server asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, StatusError) else None
    return max(min(asked or 0.0, _LONGEST_PAUSE), _jittered(state))


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, DeepsetError) and error.transient


def retrying(sleep: Callable[[float], None]) -> tenacity.Retrying:
    """Tries up to six times while the error is transient; the last error is raised as it is."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        wait=_pause,
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        sleep=sleep,
        reraise=True,
    )


def ask_again(ask: Callable[[], _Answer], sleep: Callable[[float], None] = time.sleep) -> _Answer:
    """What `ask` returns, asked again while its error is transient.

    Args:
        ask: one request.
        sleep: pauses between tries, seconds.
    """
    return retrying(sleep)(ask)


def ask_within(budget: Budget, ask: Callable[[], _Answer], sleep: Callable[[float], None] | None = None) -> _Answer:
    """The same, each try in a slot of its own.

    Args:
        budget: limits the requests under way.
        ask: one request.
        sleep: pauses between tries, seconds; None for real time.
    """
    def once() -> _Answer:
        with budget.slot():
            return ask()

    return ask_again(once, sleep or time.sleep)
