"""What the platform shows now of a source, asked for aside from the read of a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..api.again import ask_within
from ..api.budget import Budget
from ..api.errors import NotFoundError
from ..api.load import MAX_LIMIT
from ..api.parallel import SpansRead
from ..api.rows import Page, Row
from ..api.times import SECOND, Span
from ..api.walk import Request


class Shown:
    """Questions about rows; each raises the `DeepsetError` that kept it from an answer.

    Args:
        fetch: one request for a page.
        budget: limits the requests under way.
        now: seconds since 1970.
        sleep: pauses between tries; None for real time.
        time_limit: seconds for one question, None for no limit.
    """

    def __init__(self, fetch: Callable[[Request], Page], budget: Budget, now: Callable[[], float],
                 sleep: Callable[[float], None] | None, time_limit: float | None) -> None:
        self._fetch = fetch
        self._budget = budget
        self._now = now
        self._sleep = sleep
        self._time_limit = time_limit

    def rows(self, spans: list[Span]) -> Iterator[Row]:
        """The rows of some stretches."""
        read = SpansRead(self._fetch, spans, self._budget, now=self._now, sleep=self._sleep, time_limit=self._time_limit)
        for increment in read:
            yield from increment.rows
        if read.unread:
            raise read.unread[0].error
        yield from read.strays

    def has(self, instant: int) -> bool:
        """Whether there is a row of exactly this instant."""
        second = instant // SECOND * SECOND
        try:
            return any(row.logged_at == instant for row in self.rows([Span(second, second + SECOND)]))
        except NotFoundError:
            return False

    def newest_below(self, instant: int) -> int | None:
        """When the newest row before this instant was written; None where there is none."""
        try:
            rows = ask_within(self._budget, lambda: self._fetch(Request(instant, MAX_LIMIT, None)), self._sleep).rows
        except NotFoundError:
            return None
        return max((row.logged_at for row in rows if row.logged_at < instant), default=None)
