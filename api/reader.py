"""Drives one walk against a server: asks, waits and asks again, reads ties by splits.

Two kinds of trouble, two answers. A timeout (504, or no answer in time) says that the query was too heavy, so less is
asked for first: a smaller page, then a query bounded by time where the server honours that, and only then the same
again, slower. Any other transient answer is asked again after a pause: full jitter, or what `Retry-After` says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .again import retrying
from .budget import Budget
from .cut_first import cuts_first
from .errors import ApiError, DeepsetError, GatewayTimeoutError, NoLogsError, ReadTimeoutError, TimeBudgetError
from .learned import Learned
from .rows import Page, Row
from .splits import read_tie
from .times import SECOND, Span, format_instant
from .walk import MAX_LIMIT, Increment, Request, Walk

Fetch = Callable[[Request], Page]
"""One request for one page; raises an `ApiError`. It never retries."""


class TieFound(NamedTuple):
    """A tie that could not be proven complete."""

    span: Span
    rows: int


@dataclass
class Tally:
    """What a read has cost and met so far."""

    requests: int = 0
    retries: int = 0
    repeats: int = 0
    ties: list[TieFound] = field(default_factory=list[TieFound])


class Reader:
    """Asks for the pages of walks.

    Args:
        fetch: one request.
        learned: shared by all walks of the read.
        budget: limits the requests under way.
        tally: counts; shared as well.
        now: seconds since 1970.
        sleep: pauses between tries; raising from it ends the read.
        deadline: `now()` after which nothing more is asked; None for no cap.
    """

    def __init__(
        self,
        fetch: Fetch,
        learned: Learned,
        budget: Budget,
        tally: Tally,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        deadline: float | None = None,
    ) -> None:
        self._fetch = fetch
        self._learned = learned
        self._budget = budget
        self._tally = tally
        self._now = now
        self._sleep = sleep
        self._deadline = deadline
        self._lock = threading.Lock()

    def increments(self, walk: Walk, lock: threading.Lock, *, patient: bool = True) -> Iterator[Increment]:
        """Reads a walk to its end, handing out what is proven.

        Args:
            walk: its `start` may be raised by others under `lock` meanwhile.
            lock: held while the walk judges a page.
            patient: whether to ask again, slower, after a timeout at the smallest size.

        Raises:
            DeepsetError: what stopped it; the walk then says how far it came.
        """
        while not walk.done:
            page = self._page(walk, patient=patient)
            with lock:
                walk.take(page, self._now())
            if walk.stalled:
                self._split(walk)
            if walk.wants_top:
                self._show_top(walk)
            with lock:
                increment = walk.drain()
            patient = True
            if increment is not None:
                yield increment
        with self._lock:
            self._tally.repeats += walk.repeats

    def ask_aside(self, request: Request) -> Page | None:
        """One page that no walk asks for; None where it takes too long, since there is nothing less to ask for.

        Raises:
            DeepsetError: what stopped it.
        """
        for attempt in retrying(self._wait):
            with attempt:
                try:
                    return self._ask(request)
                except (GatewayTimeoutError, ReadTimeoutError):
                    return None
        raise AssertionError  # Retrying either returns or raises

    def _split(self, walk: Walk) -> None:
        tie = walk.tie
        seen = walk.known_in(tie)
        read = read_tie(tie, walk.filter, self._learned, seen, self._run)
        found = seen | {(row.logged_at, row.log_id) for row in read.rows if tie.start <= row.logged_at < tie.end}
        counted = self._total_agrees(walk, tie, [at for at, _ in found])
        resolved = (read.agree and counted is not False and (read.proven or counted is True)
                    and not self._may_cut_first(walk, tie))
        if not resolved:
            with self._lock:
                self._tally.ties.append(TieFound(tie, len(found)))
        walk.pass_tie(read.rows, resolved=resolved)

    def _may_cut_first(self, walk: Walk, tie: Span) -> bool:
        """Whether the splits, which agree, may both have shown no more than one page does."""
        if self._learned.cuts_first is None:
            try:
                self._learned.cuts_first = cuts_first(self.ask_aside, tie.end, walk.filter)
            except ApiError:
                return True
        return self._learned.cuts_first is not False

    def _total_agrees(self, walk: Walk, tie: Span, times: list[int]) -> bool | None:
        """Whether the server's own count of the tie, where `total` counts the rows below a cursor, is the number of rows found.

        A third witness: both splits miss a row whose level and origin nobody knows. None where `total` says nothing of it.
        """
        if walk.filter is not None or walk.totals.latest is None or self._learned.total_counts != "after":
            return None
        cursor, above = walk.totals.latest
        try:
            page = self.ask_aside(Request(tie.start, 10, None))
        except ApiError:
            return False
        below = page and (page.total if page.rows or page.total is not None else 0)  # a 404 counts nothing
        exclusive, inclusive = (sum(tie.start <= at < cursor for at in times), sum(tie.start < at <= cursor for at in times))
        return below is not None and above - below in {exclusive, inclusive}

    def _show_top(self, walk: Walk) -> None:
        """Asks for the server's newest rows."""
        try:
            top = self._ask(Request(self._newest(), MAX_LIMIT, None))
        except ApiError:
            top = Page([], None, None)
        walk.take_top(top)

    def _newest(self) -> int:
        """A cursor above every row."""
        return (int(self._now()) + 3600) * SECOND

    def _run(self, walk: Walk) -> tuple[list[Row], bool]:
        """All rows of one split; False when it stalled like the walk it comes from."""
        rows: list[Row] = []
        while not walk.done and not walk.stalled:
            walk.take(self._page(walk, patient=True), self._now())
            increment = walk.drain()
            rows.extend(increment.rows if increment else ())
        return rows + walk.leftovers(), walk.done

    def _page(self, walk: Walk, *, patient: bool) -> Page:
        try:
            return self._ask_for_less(walk)
        except DeepsetError as error:
            if not error.transient or (not patient and isinstance(error, GatewayTimeoutError | ReadTimeoutError)):
                raise
            failed = [error]
        for attempt in retrying(self._wait):
            with attempt:
                if failed:  # what has just failed counts as the first attempt
                    raise failed.pop()
                with self._lock:
                    self._tally.retries += 1
                return self._ask_for_less(walk)
        raise AssertionError  # Retrying either returns or raises

    def _ask_for_less(self, walk: Walk) -> Page:
        while True:
            try:
                return self._ask(walk.request())
            except (GatewayTimeoutError, ReadTimeoutError):
                if not walk.ease() and not (self._probe_time_filter() and walk.ease()):
                    raise
                with self._lock:
                    self._tally.retries += 1

    def _ask(self, request: Request) -> Page:
        if self._deadline is not None and self._now() > self._deadline:
            raise TimeBudgetError(f"The time allowed for this read was over at {format_instant(int(self._deadline) * SECOND)}.",
                                  "What was read is kept; run again to go on.")
        with self._budget.slot():
            with self._lock:
                self._tally.requests += 1
            try:
                return self._fetch(request)
            except NoLogsError:
                return Page([], False, None)  # 404 also means "no logs": an end like any other, to be confirmed

    def _wait(self, seconds: float) -> None:
        if self._deadline is not None and self._now() + seconds > self._deadline:
            raise TimeBudgetError(f"The time allowed for this read ends before the next try in {seconds:.0f} s.",
                                  "What was read is kept; run again to go on.")
        self._sleep(seconds)

    def _probe_time_filter(self) -> bool:
        """Whether rows show that the server honours a `logged_at` filter: asked once, on its newest rows."""
        with self._lock:
            if self._learned.time_filter_probed:
                return self._learned.time_filter
            self._learned.time_filter_probed = True
        after = self._newest()
        try:
            plain = self._ask(Request(after, 10, None)).rows
            times = sorted({row.logged_at for row in plain})
            if len(times) < 2:
                return False
            bound = times[len(times) // 2]
            text = format_instant(bound)[:-1] + ("" if bound % SECOND else ".000000") + "Z"
            page = self._ask(Request(after, 100, f"logged_at ge '{text}'"))
        except DeepsetError:
            return False
        expected = {row.log_id for row in plain if row.logged_at >= bound}
        got = {row.log_id for row in page.rows}
        honoured = page.has_more is False and expected <= got and all(row.logged_at >= bound for row in page.rows)
        self._learned.time_filter = honoured
        return honoured
