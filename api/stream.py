"""One walk as a stream of rows, newest first: all rows of the span, or an error."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from .budget import Budget
from .errors import IncompleteReadError, ReadError
from .learned import RETENTION_HOURS
from .page_signs import TOLERANCE
from .reader import Fetch, Reader, Tally
from .rows import Page, Row
from .steps import Increment, Request
from .times import Span, format_instant
from .walk import Walk


class Asking(NamedTuple):
    """How pages are asked for."""

    fetch: Fetch
    """One request for one page."""
    where: str
    """The place that errors name."""
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep
    """Pauses between tries."""
    gate: Callable[[], AbstractContextManager[object]] | None = None
    """Entered around every request; None for none."""
    deadline: float | None = None
    """`now()` after which nothing more is asked; None for no cap."""


class Stream:
    """A fresh walk, read as far as its increments are asked for.

    Args:
        walk: not begun yet.
        asking: how.
    """

    def __init__(self, walk: Walk, asking: Asking) -> None:
        self.walk = walk
        self._span, self._tally = Span(walk.start, walk.end), Tally()
        self._recent: deque[Row] = deque()
        """Rows handed out in the last seconds: what comes behind the walk is a repeat only if it is one of them."""
        self._strays_checked = self._late = 0
        self._place = f"{asking.where}, {self._span}"
        self._reader = Reader(asking.fetch, walk.learned, Budget(1, asking.gate), self._tally, now=asking.now,
                              sleep=asking.sleep, deadline=asking.deadline)

    def increments(self) -> Iterator[Increment]:
        """Stretches that are proven complete, newest first; a few pages of rows in memory at a time.

        Raises:
            ApiError, ReadError: what stopped the read; the rows until then are complete.
        """
        try:
            for increment in self._reader.increments(self.walk, threading.Lock()):
                self._count_late()
                self._recent.extend(increment.rows)
                while self._recent and self._recent[0].logged_at > increment.lo + 2 * TOLERANCE:
                    self._recent.popleft()
                yield increment
        except ReadError as error:
            if error.where:
                raise
            raise type(error)(error.problem, error.advice, self._place) from error

    def _count_late(self) -> None:
        """Counts the rows that became visible behind the walk."""
        strays = self.walk.strays[self._strays_checked:]
        if strays:
            known = {(row.logged_at, row.log_id) for row in self._recent}
            self._late += sum((row.logged_at, row.log_id) not in known for row in strays)
            self._strays_checked += len(strays)

    def rows(self) -> Iterator[Row]:
        """All rows in descending order of (`logged_at`, `log_id`).

        Raises:
            ApiError, ReadError: see `increments` and `check`.
        """
        for increment in self.increments():
            yield from increment.rows
        self.check()

    def check(self) -> None:
        """Whether what was read so far was all there.

        Raises:
            IncompleteReadError: rows may be missing: a tie that cannot be passed, rows that became visible behind the walk, or
                a start that the platform no longer shows.
        """
        if self._tally.ties:
            tie = self._tally.ties[0]
            raise IncompleteReadError(f"More rows share one instant than can be passed, at {format_instant(tie.span.start)}.",
                                      "Read what is newer and what is older by itself.", self._place)
        if self._late:
            raise IncompleteReadError(f"{self._late} rows became visible while the read was past their time.", "Read again.",
                                      self._place)
        if self.walk.ended and not self.walk.learned.still_shown(self._span.start, self.walk.answered_at):
            raise IncompleteReadError(
                f"The span begins before what is still shown: logs can be read for {RETENTION_HOURS} hours.",
                "Begin later, or read the archive.", self._place)

    def ask_aside(self, request: Request) -> Page | None:
        """One page beside the walk; see `Reader.ask_aside`."""
        return self._reader.ask_aside(request)


def stream_rows(walk: Walk, fetch: Fetch, where: str, *, now: Callable[[], float] = time.time,
                sleep: Callable[[float], None] = time.sleep) -> Iterator[Row]:
    """The rows of a fresh walk in descending order of (`logged_at`, `log_id`), a few pages of them in memory at a time.

    Args:
        walk: not begun yet.
        fetch, where, now, sleep: see `Asking`.

    Raises:
        ApiError, ReadError: see `Stream`.
    """
    yield from Stream(walk, Asking(fetch, where, now, sleep)).rows()


def merged(streams: Iterable[Iterator[Row]]) -> Iterator[Row]:
    """Rows of several streams in one, newest first, each once."""
    last: Row | None = None
    for row in heapq.merge(*streams, reverse=True):
        if last is None or (row.logged_at, row.log_id) != (last.logged_at, last.log_id):
            yield row
        last = row
