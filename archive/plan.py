"""What is due: the status table as a function of manifests and the clock. There is no other state."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from ..api.errors import InvalidInputError
from ..api.learned import shown_since
from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_of, day_span, format_instant, parse_instant
from . import chain
from .manifest import Manifest
from .objects import ObjectStore
from .spans import join_spans

SETTLE_LAG = 1800.0
"""Seconds after its time until which a row may still become visible."""
SECOND_READ_AFTER = 5 * 3600.0
"""Seconds between the starts of the first and the second whole read."""
SHORT_OF_TIME = 3 * 3600.0
"""What leaves retention within these seconds is read hour by hour, oldest first: as long as the read of a day may take."""
_REMEMBERED_DAYS = 3
_HOUR = 3600 * SECOND


class Decision(NamedTuple):
    """What a run must read of a day."""

    kind: Literal["nothing", "whole", "mend"]
    spans: list[Span]
    """Disjoint, oldest first, borders on whole seconds; empty when there is nothing to do."""
    due_since: float | None = None
    """Seconds since 1970: rows that were read before this do not count."""


def decide(latest: Manifest | None, day: date, now: float, *, reread: bool = False) -> Decision:
    """What is due of a day.

    Args:
        latest: its newest manifest.
        day: the UTC day.
        now: seconds since 1970.
        reread: read the whole day now, whatever its status.

    Raises:
        InvalidInputError: the day is in the future.
    """
    span = day_span(day)
    if span.start >= int(now) * SECOND:
        raise InvalidInputError(f"`day` is {day}, which has not begun.", "Give a UTC day of the past.")
    whole = Decision("whole", [Span(span.start, min(span.end, int(now) * SECOND))])
    if latest is None or reread:
        return whole
    if latest.status == "sealed" and latest.ended:
        return Decision("nothing", [])  # a second read would find nothing of what is gone
    if latest.status == "open":
        return Decision(
            "mend", [Span(s.start, min(s.end, int(now) * SECOND)) for s in to_mend(latest, span) if s.start < int(now) * SECOND]
        )
    second_due = instant_of(latest.read_at) / SECOND + SECOND_READ_AFTER
    if latest.status == "sealed" and now >= second_due and shown_since(now) <= span.start:
        return whole._replace(due_since=second_due)
    return Decision("nothing", [])


def to_mend(latest: Manifest, day: Span) -> list[Span]:
    """What an open day lacks: its gaps, and what was read before rows of it had surely become visible."""
    holes = [gap_span(gap.start, gap.end) for gap in latest.gaps if gap.reason != "before-first-run"]
    settled_until = (instant_of(latest.read_at) - int(SETTLE_LAG) * SECOND) // SECOND * SECOND
    early = Span(max(day.start, settled_until), day.end)
    return join_spans([*holes, early])


def by_urgency(spans: list[Span], now: float) -> list[Span]:
    """The same spans, cut so that what leaves retention soon is read first.

    What left it already is one piece, which most likely brings nothing; what leaves it within `SHORT_OF_TIME` is cut at full
    hours, oldest first; the rest is one piece again.
    """
    shown, urgent = shown_since(now) // _HOUR * _HOUR, shown_since(now + SHORT_OF_TIME)
    borders = range(shown, urgent + _HOUR, _HOUR)
    pieces: list[Span] = []
    for span in spans:
        edges = [span.start, *(border for border in borders if span.start < border < span.end), span.end]
        pieces += [Span(start, end) for start, end in pairwise(edges)]
    return pieces


def gap_span(start: str, end: str) -> Span:
    """A manifest's span as instants."""
    return Span(parse_instant(start), parse_instant(end))


def instant_of(text: str) -> int:
    """A manifest's time in nanoseconds."""
    return parse_instant(text)


def is_first_day(store: ObjectStore, source: LogSource, day: date) -> bool:
    """Whether nothing of the source was archived before this day."""
    return not any(archived < day for archived in chain.list_days(store, source))


def days_due(store: ObjectStore, source: LogSource, now: float) -> list[date]:
    """The closed UTC days to consider, oldest first: those still shown and not settled, and those that an outage skipped.

    Args:
        now: seconds since 1970.
    """
    today = day_of(int(now) * SECOND)
    days = chain.list_days(store, source)
    shown = {today - timedelta(days=back) for back in (1, 2)}
    wanted = shown | _skipped(store, source, days, today)
    wanted |= {archived for archived in days[-_REMEMBERED_DAYS:] if archived < today}
    return sorted(day for day in wanted if not _final(store, source, day, day in shown, days))


def _skipped(store: ObjectStore, source: LogSource, days: list[date], today: date) -> set[date]:
    """The days after an archived one that have no manifest: what still comes of them is kept, the rest becomes a gap."""
    skipped: set[date] = set()
    for archived, following in pairwise([*days, today]):
        day = archived + timedelta(days=1)
        if day < following and (latest := chain.latest(store, source, archived)) is not None and not latest.manifest.ended:
            while day < following:
                skipped.add(day)
                day += timedelta(days=1)
    return skipped


def _final(store: ObjectStore, source: LogSource, day: date, shown: bool, days: list[date]) -> bool:
    if day not in days:
        return False
    latest = chain.latest(store, source, day)
    return latest is not None and (latest.manifest.final or (latest.manifest.status == "sealed" and not shown))


def archived_sources(store: ObjectStore, workspace: str, since: date) -> list[LogSource]:
    """Every source that was archived for `since` or a later day and has not ended."""
    recent: list[LogSource] = []
    for source in chain.archived_sources(store, workspace):
        days = chain.list_days(store, source)
        if days and days[-1] >= since:
            latest = chain.latest(store, source, days[-1])
            if latest is not None and not latest.manifest.ended:
                recent.append(source)
    return recent


def time_text(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 with whole milliseconds."""
    return format_instant(round(seconds * 1000) * (SECOND // 1000))
