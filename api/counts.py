"""Counting rows without keeping them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .models import LogCounts
from .rows import ERROR_LEVELS, Row
from .times import SECOND, format_instant

_HOUR = 3600 * SECOND


def count_rows(rows: Iterable[Row]) -> LogCounts:
    """How many rows there are, by level, origin and UTC hour."""
    levels: Counter[str] = Counter()
    origins: Counter[str] = Counter()
    hours: Counter[int] = Counter()
    for row in rows:
        levels[row.level] += 1
        origins[row.origin] += 1
        hours[row.logged_at // _HOUR] += 1
    return LogCounts(
        rows=hours.total(),
        errors=sum(count for level, count in levels.items() if level.lower() in ERROR_LEVELS),
        by_level=dict(levels.most_common()),
        by_origin=dict(origins.most_common()),
        by_hour={format_instant(hour * _HOUR): hours[hour] for hour in sorted(hours)},
    )
