"""The days that are read: how rows lie in them, how far away the server is, and what goes wrong."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from prefect_deepset.testing import FakeDeepset, Faults, GeneratedRows, HeavyRange, RateLimit, even_day, skewed_day, tied_day

WORKSPACE, PIPELINE = "bench", "pipeline"
PAGE = 100

Shape = Literal["unique", "ties", "bursts", "skewed"]
Trouble = Literal["healthy", "504", "429"]


class Scenario(NamedTuple):
    """One day on one server."""

    rows: int = 20_000
    shape: Shape = "unique"
    latency_ms: int = 0
    trouble: Trouble = "healthy"

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.shape}, {self.latency_ms} ms, {self.trouble}"

    @property
    def pages(self) -> int:
        """Pages that hold the rows when nothing is read twice."""
        return -(-self.rows // PAGE)


def yesterday() -> date:
    """The newest UTC day that is over."""
    return datetime.now(UTC).date() - timedelta(days=1)


def midnight(day: date) -> datetime:
    """The day's start in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def make_rows(scenario: Scenario, day: date) -> GeneratedRows:
    """The day's rows: the same for the same arguments.

    `unique`: no two rows share a timestamp. `ties`: 1 % of them do, 2 to 20 at a time. `bursts`: all come in ties of 1 to 40,
    as loggers write that flush in batches. `skewed`: 90 % of the rows fall into ten minutes.
    """
    start = midnight(day)
    if scenario.shape == "skewed":
        return skewed_day(start, scenario.rows)
    if scenario.shape == "bursts":
        return tied_day(start, scenario.rows, size=20)
    even = even_day(start, scenario.rows)
    return even if scenario.shape == "unique" else _with_ties(even, 0.01)


def _with_ties(rows: GeneratedRows, share: float) -> GeneratedRows:
    rng = random.Random("ties")
    times = list(rows.times)
    tied = 0
    while tied < share * len(times):
        size = min(rng.randint(2, 20), len(times))
        first = rng.randrange(len(times) - size + 1)
        times[first : first + size] = [times[first]] * size
        tied += size
    return GeneratedRows(array("q", sorted(times)))


def make_server(scenario: Scenario, day: date, *, shift: Callable[[], float] = lambda: 0.0) -> FakeDeepset:
    """A server, not started yet, that shows this day. It runs in the benchmark's own process, which idles meanwhile.

    Args:
        scenario, day: what it shows.
        shift: gives the seconds that its clock is ahead of this machine's.
    """
    start = midnight(day)
    heavy = [HeavyRange(start + timedelta(hours=14), start + timedelta(hours=14, minutes=30), max_limit=25)]
    faults = Faults(
        latency=scenario.latency_ms / 1000,
        heavy=heavy if scenario.trouble == "504" else (),
        rate_limit=RateLimit(per_second=20, burst=10) if scenario.trouble == "429" else None,
    )
    server = FakeDeepset(now=lambda: time.time() + shift(), faults=faults)
    server.add_pipeline(WORKSPACE, PIPELINE, make_rows(scenario, day))
    return server
