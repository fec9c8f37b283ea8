"""What is due: the status table as a function of manifests and the clock. There is no other state."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from ..api.errors import InvalidInputError
from ..api.learned import shown_since
from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_of, day_span, format_instant, parse_instant
from . import chain
from .errors import ManifestError
from .holes import REPLACED
from .leftovers import days_with_parts, has_leftover
from .manifest import Manifest
from .objects import ObjectStore
from .spans import join_spans

SETTLE_LAG = 1800.0
"""Seconds after its time until which a row may still become visible."""
SECOND_READ_AFTER = 5 * 3600.0
"""Seconds between the starts of the first and the second whole read."""
TIME_LIMIT = 3 * 3600.0
"""Seconds after which a read of one day asks nothing more."""
SHORT_OF_TIME = TIME_LIMIT
"""What leaves retention within these seconds is read hour by hour, oldest first: as long as the read of a day may take."""
_REMEMBERED_DAYS = 3
"""Archived days that are looked at on every run, however long ago they were."""
_HOUR = 3600 * SECOND
_PARALLEL = 8


class Decision(NamedTuple):
    """What a run must read of a day."""

    kind: Literal["nothing", "whole", "mend", "adopt"]
    """``adopt``: nothing is read; a part that a run left without a manifest is taken into one."""
    spans: list[Span]
    """Disjoint, oldest first, borders on whole seconds; empty when there is nothing to do."""
    due_since: float | None = None
    """Seconds since 1970: rows that were read before this do not count."""
    if_back: bool = False
    """Only if the pipeline, which was gone when the day was read last, is there again."""


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
    if reread:
        # A task's retry still goes on from what was read; a read that died earlier answers for another time than now.
        return whole._replace(due_since=now - TIME_LIMIT - SETTLE_LAG)
    if latest is None:
        return whole
    if latest.status == "open":
        return Decision(
            "mend", [Span(s.start, min(s.end, int(now) * SECOND)) for s in to_mend(latest, span) if s.start < int(now) * SECOND]
        )
    if latest.status == "gap" and (shown := _gone_but_shown(latest, now)):
        return Decision("mend", shown, if_back=True)
    second_due = parse_instant(latest.read_at) / SECOND + SECOND_READ_AFTER
    if latest.status == "sealed" and now >= second_due and shown_since(now) <= span.start:
        return whole._replace(due_since=second_due, if_back=latest.ended)
    return Decision("nothing", [])


def _gone_but_shown(latest: Manifest, now: float) -> list[Span]:
    """What could not be read because the pipeline was gone, and would still be shown if it were not."""
    gaps = [gap_span(gap.start, gap.end) for gap in latest.gaps if gap.reason == "pipeline-gone"]
    return [gap for gap in gaps if gap.end > shown_since(now)]


def to_mend(latest: Manifest, day: Span) -> list[Span]:
    """What an open day lacks: its gaps, and what was read before rows of it had surely become visible."""
    holes = [gap_span(gap.start, gap.end) for gap in latest.gaps if gap.reason not in {"before-first-run", REPLACED}]
    settled_until = (parse_instant(latest.read_at) - int(SETTLE_LAG) * SECOND) // SECOND * SECOND
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


def days_due(store: ObjectStore, source: LogSource, now: float) -> list[date]:
    """The closed UTC days to consider, oldest first: those still shown and not settled, those that an outage skipped, and
    those where a run left a part without a manifest. Of a day whose manifest cannot be read, archiving it says what is wrong.

    Args:
        now: seconds since 1970.
    """
    today = day_of(int(now) * SECOND)
    days = chain.list_days(store, source)
    shown = {today - timedelta(days=back) for back in (1, 2)}
    wanted = shown | _skipped(store, source, days, today) | days_with_parts(store, source).difference(days)
    wanted |= set(days[-_REMEMBERED_DAYS:])
    return sorted(day for day in wanted if day < today and (day not in days or _is_due(store, source, day, day in shown, now)))


def _skipped(store: ObjectStore, source: LogSource, days: list[date], today: date) -> set[date]:
    """The days after an archived one that have no manifest: what still comes of them is kept, the rest becomes a gap."""
    skipped: set[date] = set()
    for archived, following in pairwise([*days, today]):
        day = archived + timedelta(days=1)
        if day < following:
            last = _ends_on(store, source, archived) or following
            while day < following and day <= last:
                skipped.add(day)
                day += timedelta(days=1)
    return skipped


def _ends_on(store: ObjectStore, source: LogSource, archived: date) -> date | None:
    try:
        latest = chain.latest(store, source, archived)
    except ManifestError:
        return None
    return latest.manifest.ends_on if latest else archived


def _is_due(store: ObjectStore, source: LogSource, day: date, shown: bool, now: float) -> bool:
    try:
        latest = chain.latest(store, source, day)
    except ManifestError as error:
        if error.transient:
            raise
        return True
    if latest is None or latest.manifest.status == "open" or (latest.manifest.status == "sealed" and shown):
        return True
    return decide(latest.manifest, day, now).kind != "nothing" or has_leftover(store, source, day, latest.manifest)


def archived_sources(store: ObjectStore, workspace: str, listed: Collection[str] = ()) -> list[LogSource]:
    """Every source that was ever archived and is not closed: what its last days held is still to be read, or to be told.

    Args:
        store: where.
        workspace: its name.
        listed: names of pipelines that are considered anyway: they are left out, and cost nothing here.
    """
    def is_open(source: LogSource) -> bool:
        days = chain.list_days(store, source)
        try:
            latest = chain.latest(store, source, days[-1]) if days else None
        except ManifestError as error:
            if error.transient:
                raise
            return True  # whether it is closed cannot be told; its days say what is wrong
        return latest is not None and not latest.manifest.closes

    known = {LogSource(workspace, name) for name in listed}
    asked = [source for source in chain.archived_sources(store, workspace) if source not in known]
    with ThreadPoolExecutor(_PARALLEL, "archived") as pool:
        return [source for source, open_still in zip(asked, pool.map(is_open, asked), strict=True) if open_still]


def time_text(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 with whole milliseconds."""
    return format_instant(round(seconds * 1000) * (SECOND // 1000))
