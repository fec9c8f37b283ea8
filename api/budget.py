"""How many requests may be under way at once: one budget for everything a run reads.

A ceiling is a permission, not a plan. A run starts at four, doubles after a stretch without trouble, halves when the
server says 429, 503 or 504, and steps back when answers become much slower than they were.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median

from .errors import GatewayTimeoutError, InvalidInputError, RateLimitedError, ReadTimeoutError, ServerError

_START = 4
_SLOWER = 3.0
"""Answers this many times slower than the best stretch make the budget step back."""
_SLOWER_BY = 0.25
"""... but only when they are slower by this many seconds as well: fast answers vary a lot."""


class Budget:
    """A ceiling on concurrent requests that adapts to the server.

    Args:
        ceiling: the most requests under way at once, at least 1.
        gate: entered around every request, such as a rate limit that others share; None for none.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        ceiling: int = 16,
        gate: Callable[[], AbstractContextManager[object]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ceiling < 1:
            raise InvalidInputError(f"`max_concurrency` is {ceiling}.", "Give at least 1.")
        self.ceiling = ceiling
        self.limit = min(_START, ceiling)
        self.in_use = 0
        self.most_in_use = 0
        self._gate = gate or nullcontext
        self._clock = clock
        self._free = threading.Condition()
        self._clean = 0
        self._latencies: deque[float] = deque(maxlen=64)
        self._best: float | None = None
        self._reduced_at: float | None = None

    @contextmanager
    def slot(self) -> Generator[None]:
        """Waits for a place, holds it during one request, and learns from how the request ends."""
        with self._free:
            while self.in_use >= self.limit:
                self._free.wait()
            self.in_use += 1
            self.most_in_use = max(self.most_in_use, self.in_use)
        started = self._clock()
        trouble = False
        try:
            with self._gate():
                started = self._clock()
                yield
        except (RateLimitedError, GatewayTimeoutError, ReadTimeoutError):
            trouble = True
            raise
        except ServerError as error:
            trouble = error.status == 503
            raise
        finally:
            self._finished(started, trouble)

    def _finished(self, started: float, trouble: bool) -> None:
        now = self._clock()
        with self._free:
            self.in_use -= 1
            if trouble:
                self._reduce(started, now, self.limit // 2)
            else:
                self._answered(started, now)
            self._free.notify_all()

    def _reduce(self, started: float, now: float, limit: int) -> None:
        self._clean = 0
        if self._reduced_at is not None and started < self._reduced_at:
            return  # asked before the last step back: one burst of refusals is one piece of news
        self.limit = max(1, limit)
        self._reduced_at = now
        self._latencies.clear()

    def _answered(self, started: float, now: float) -> None:
        self._clean += 1
        self._latencies.append(now - started)
        if self._clean < self.limit:
            return
        self._clean = 0
        typical = median(list(self._latencies)[-self.limit :])
        if self._best is None or typical < self._best:
            self._best = typical
        if typical > _SLOWER * self._best and typical > self._best + _SLOWER_BY:
            self._reduce(started, now, self.limit * 3 // 4)
        else:
            self.limit = min(self.limit * 2, self.ceiling)
