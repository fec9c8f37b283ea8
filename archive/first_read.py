"""When a source was first read: what had vanished by then is nobody's fault, what vanished later is."""

from __future__ import annotations

from datetime import date, timedelta

from ..api.learned import shown_since
from ..api.sources import LogSource
from ..api.times import SECOND, day_span, parse_instant
from . import chain
from .errors import ManifestError
from .objects import ObjectStore
from .plan import TIME_LIMIT


def lost_before(began: float) -> int:
    """What is older than this instant (ns) may have vanished before a first read that began then (s) could come to it."""
    return shown_since(began + TIME_LIMIT) // SECOND * SECOND


def reading_since(store: ObjectStore, source: LogSource, day: date) -> float | None:
    """When the source was first read, as far as it matters for a day that has no manifest yet.

    The days around it tell: those after it, and those before it back to one that was read in time, or that says itself why
    some of it is missing. In a running archive that is one manifest.

    Returns:
        Seconds since 1970; 0 for long before the day; None when no other day shows that the source was ever read.
    """
    archived = chain.list_days(store, source)
    after = [_first_revision(store, source, other) for other in archived if day < other <= day + timedelta(days=2)]
    began = [first[0] for first in after if first is not None]
    for other in reversed([before for before in archived if before < day]):
        if (first := _first_revision(store, source, other)) is None:
            continue
        began.append(first[0])
        if "retention" in first[1]:
            return 0.0  # it was read before some of an earlier day vanished
        if "before-first-run" in first[1] or lost_before(first[0]) < day_span(day).end:
            break
    return min(began, default=None)


def _first_revision(store: ObjectStore, source: LogSource, day: date) -> tuple[float, set[str]] | None:
    """When the day was first read, and why something was missing then; None where that cannot be told."""
    try:
        stored = chain.read_revision(store, source, day, 1)
    except ManifestError:
        return None
    if stored is None:
        return None
    return parse_instant(stored.manifest.read_at) / SECOND, {gap.reason for gap in stored.manifest.gaps}
