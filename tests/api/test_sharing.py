"""How walks share a day: every row once, and few requests more than there are pages, however the rows lie."""

from __future__ import annotations

import threading
from bisect import bisect_left
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.api.budget import Budget
from prefect_deepset.api.parallel import SpansRead
from prefect_deepset.api.rows import Page, Row
from prefect_deepset.api.times import DAY, SECOND, day_span
from prefect_deepset.api.walk import Request
from prefect_deepset.testing import even_day, skewed_day

SPAN = day_span(date(2026, 3, 2))
NOW = SPAN.end / SECOND + 3600
START = "2026-03-02T00:00:00Z"


class InStep:
    """A server that answers only when as many requests wait as can be: walks run as on a slow network, without its slowness."""

    def __init__(self, times: list[int], totals: bool = True) -> None:
        self.times = times
        self.totals = totals
        self.most_at_once = 0
        self.rounds = 0
        self._rows = [Row(time, str(n), "info", "haystack", b"{}") for n, time in enumerate(times)]
        self._state = threading.Condition()
        self._waiting = 0

    def __call__(self, request: Request) -> Page:
        with self._state:
            self._waiting += 1
            self.most_at_once = max(self.most_at_once, self._waiting)
            mine = self.rounds
            # Others may still be on their way here: the round ends when nobody has come for a moment.
            while mine == self.rounds:
                before = self._waiting
                if not self._state.wait(0.004) and before == self._waiting and mine == self.rounds:
                    self.rounds += 1
                    self._waiting = 0
                    self._state.notify_all()
        below = bisect_left(self.times, request.after)
        rows = self._rows[max(0, below - request.limit) : below][::-1]
        return Page(rows, below > request.limit, below if self.totals else None)


def read(server: InStep, workers: int) -> SpansRead:
    found = SpansRead(server, [SPAN], Budget(workers), now=lambda: NOW)
    got = [row.logged_at for increment in found for row in increment.rows]
    assert not found.unread
    assert sorted(got) == [time for time in server.times if SPAN.start <= time < SPAN.end]
    return found


@pytest.mark.parametrize("older", [0, 3_000])
@pytest.mark.parametrize("make", [even_day, skewed_day])
def test_sixteen_walks_ask_for_few_pages_more_than_there_are(make: object, older: int) -> None:
    times = list(make(START, 20_000).times)  # type: ignore[operator]
    server = InStep([SPAN.start - DAY + n * 1_000 for n in range(older)] + times)
    found = read(server, 16)
    assert found.tally.requests <= 200 + 16 + 16
    assert server.most_at_once > 8
    assert server.rounds < 60  # one walk alone needs two hundred


def test_a_small_day_is_not_torn_apart() -> None:
    server = InStep(list(even_day(START, 150).times))
    assert read(server, 16).tally.requests <= 4


def test_without_totals_a_day_is_shared_by_how_dense_it_is() -> None:
    server = InStep(list(even_day(START, 10_000).times), totals=False)
    found = read(server, 16)
    assert server.most_at_once > 8
    assert found.tally.requests <= 100 + 3 * 16


@settings(max_examples=40)
@given(
    bunches=st.lists(st.tuples(st.integers(0, 86_000), st.integers(1, 400), st.integers(1, 500)), max_size=8),
    workers=st.integers(1, 16),
    totals=st.booleans(),
)
def test_every_row_comes_once_however_rows_lie(bunches: list[tuple[int, int, int]], workers: int, totals: bool) -> None:
    times = {SPAN.start + begin * SECOND + n * width * SECOND // count for begin, count, width in bunches for n in range(count)}
    server = InStep(sorted(time // 1_000 * 1_000 for time in times if time < SPAN.end), totals)
    read(server, workers)
