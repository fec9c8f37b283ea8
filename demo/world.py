"""The platform the demo reads from: three pipelines, a day of logs, and the troubles that make archivers lose rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType
from typing import NamedTuple, Self

from ..testing import FakeDeepset, Faults, GeneratedRows, HeavyRange, even_day, skewed_day, ties
from ..testing.data import KINDS

WORKSPACE = "production"
THRESHOLD = 100
TIE = 250
HEAVY_LIMIT = 25
CALM = [("info", "haystack")] * 97 + [("warning", "querypipeline")] * 3
ERRING = [("info", "haystack")] * 90 + [("warning", "querypipeline")] * 8 + [("error", "haystack"), ("error", "querypipeline")]

SETTLE = timedelta(minutes=30)
RETENTION_MARGIN = timedelta(minutes=10)


class Requests(NamedTuple):
    """What the API was asked for logs."""

    pages: int
    timeouts: int
    """Requests answered 504."""


class World:
    """A `FakeDeepset` with the demo's data. A context manager.

    Args:
        day: the UTC day the rows are of.
        rows: how many, about.
    """

    def __init__(self, day: date, rows: int) -> None:
        self.day = day
        start = f"{day}T00:00:00Z"
        heavy = HeavyRange(f"{day}T09:00:00Z", f"{day}T09:10:00Z", max_limit=HEAVY_LIMIT)
        self._server = FakeDeepset(faults=Faults(heavy=[heavy]))
        self._add("support-chat", even_day(start, rows * 55 // 100, seed=1, kinds=ERRING))
        self._server.add_rows(WORKSPACE, "support-chat", ties(f"{day}T14:05:00.250Z", TIE, seed=2, kinds=KINDS))
        self._add("document-search", skewed_day(start, rows * 35 // 100, seed=3, share=0.5, kinds=CALM))
        self._add("invoice-reader", even_day(start, rows * 10 // 100, seed=4, kinds=CALM))
        self.pipelines = {
            "support-chat": f"errors, and {TIE} rows of one instant: more than a page holds",
            "document-search": f"half of them in ten minutes, where pages of more than {HEAVY_LIMIT} rows answer 504",
            "invoice-reader": "a quiet one",
        }
        self._began = datetime.now(UTC)

    def __enter__(self) -> Self:
        """Starts the server."""
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends it."""
        self._server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Where the API is."""
        return self._server.url

    @property
    def api_key(self) -> str:
        """The key it accepts."""
        return self._server.api_key

    def truth(self, pipeline: str) -> list[tuple[str, str]]:
        """(`log_id`, `logged_at`) of every row the pipeline wrote that day."""
        rows = self._server.truth(WORKSPACE, pipeline, f"{self.day}T00:00:00Z", f"{self.day + timedelta(days=1)}T00:00:00Z")
        return [(row.log_id, row.logged_at) for row in rows]

    def take_requests(self) -> Requests:
        """What was asked since the last call."""
        counted = self._server.counters
        self._server.reset()
        return Requests(counted["pages"], counted["504"])

    @property
    def settling_note(self) -> str:
        """Why the day cannot be sealed at this hour; empty when it can."""
        midnight = datetime.combine(self._began.date(), time(), UTC)
        if self._began - midnight < SETTLE + timedelta(minutes=1):
            return "It is less than half an hour past midnight (UTC): late rows may still come, so the day stays open."
        if midnight + timedelta(days=1) - self._began < RETENTION_MARGIN + timedelta(minutes=5):
            return "It is just before midnight (UTC): yesterday's first minutes are about to vanish, so the day has a gap."
        return ""

    def _add(self, pipeline: str, rows: GeneratedRows) -> None:
        self._server.add_pipeline(WORKSPACE, pipeline, rows)
