"""What a read has learned of the server it talks to: the answers to the API's unknowns, as far as rows have shown them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .rows import Row
from .times import MICROSECOND, MILLISECOND, SECOND

RETENTION_HOURS = 48
"""Users can read logs for two days (vendor documentation)."""
RETENTION_MARGIN = 600.0
"""Seconds before the end of retention from which a stretch is no longer taken for whole."""

LEVELS = ("debug", "info", "warning", "error", "critical")
"""Level values that the vendor's documentation and client show."""
ORIGINS = ("querypipeline", "indexingpipeline", "haystack", "unknown")
"""The contract's enumeration."""


@dataclass
class Learned:
    """Shared by all walks of one read; each answer is only ever added to, so threads need no lock."""

    overlap: int = MILLISECOND
    """Nanoseconds re-read at each page's border."""
    disordered: bool = False
    """Rows were seen out of order within the overlap."""
    time_filter: bool = False
    """A `logged_at` filter was shown to be honoured."""
    time_filter_probed: bool = False
    cuts_first: bool | None = None
    """Whether a filter is applied to a page that was cut before; None until it mattered."""
    inequality_fails: bool = False
    """A query for all but the known levels got no answer: it is not asked again."""
    total_counts: Literal["after", "all", "unclear"] | None = None
    """What `total` counts: rows below the cursor, all rows, or neither."""
    largest_page: int = 0
    """Rows of the longest page so far: a server may cap pages lower than asked."""
    heaviest_page: int = 0
    """Bytes of the rows of the heaviest page so far: it may cap those as well."""
    top_seen: bool = False
    """The server's newest page was asked for, to learn what `total` counts."""
    oldest_seen: int | None = None
    oldest_row: Row | None = None
    """The row of that instant, if this read has met it."""
    ends_disputed: bool = False
    """The server has hidden rows that it had shown and must still show: an empty answer is no proof any more."""
    finest: int = MICROSECOND
    """The unit of the finest `logged_at` seen, in nanoseconds: microseconds unless one is finer."""
    levels: set[str] = field(default_factory=lambda: set(LEVELS))
    origins: set[str] = field(default_factory=lambda: set(ORIGINS))

    def see(self, rows: Sequence[Row]) -> None:
        """Takes note of the values in a page."""
        if not rows:
            return
        self.largest_page = max(self.largest_page, len(rows))
        self.heaviest_page = max(self.heaviest_page, sum([len(row.raw) for row in rows]))
        self.levels.update({row.level for row in rows})
        self.origins.update({row.origin for row in rows})
        times = [row.logged_at for row in rows]
        if any(at % MICROSECOND for at in times):
            self.finest = 1
        oldest = min(times)
        if self.oldest_seen is None or oldest < self.oldest_seen:
            self.oldest_seen, self.oldest_row = oldest, rows[times.index(oldest)]

    def count_total(self, kind: Literal["after", "all"] | None) -> None:
        """Takes one observation of what `total` counts; observations that contradict each other make it unclear."""
        if kind is None or self.total_counts not in {None, kind}:
            self.total_counts = "unclear"
        else:
            self.total_counts = kind

    def denies_end(self, at: int, answered_at: float, *, bare: bool) -> bool:
        """Whether rows that were seen deny an answer, of then, that nothing is older than `at`; `bare`: no row came with it."""
        if bare and self.ends_disputed:
            return True  # the server has hidden rows that it had shown: that it shows none here proves nothing
        return self.oldest_seen is not None and self.oldest_seen < at and self.still_shown(self.oldest_seen, answered_at)

    def still_shown(self, instant: int, now: float) -> bool:
        """Whether the platform must still show a row of `instant` at `now` (seconds since 1970)."""
        return instant > shown_since(now)


def shown_since(now: float) -> int:
    """The oldest instant (ns) that counts as surely shown at `now` (s): 48 hours ago, less ten minutes."""
    return int(now * SECOND) - RETENTION_HOURS * 3600 * SECOND + int(RETENTION_MARGIN * SECOND)
