"""How much of a pipeline's logs the archive is known to hold: what is at fault, what is whole, what is overdue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from ..api.times import SECOND, day_span, format_instant, parse_instant
from ..archive.manifest import Gap, Manifest

FAULTLESS = frozenset({"before-first-run", "not-over"})
"""Reasons of gaps that nobody need be told of: the platform had let go before the first run, or the day was not over."""

_LOOK_BACK = timedelta(days=3)
"""Before the newest archived day. What is older than that, the platform no longer shows: it is a gap, and no longer overdue."""

OVERDUE = 36 * 3600 * SECOND
"""The platform shows two days; a stretch unarchived for this long has twelve hours left. Nanoseconds."""


def faults(manifest: Manifest) -> list[Gap]:
    """The day's gaps that are a fault, ties that could not be proven complete among them."""
    gaps = [gap for gap in manifest.gaps if gap.reason not in FAULTLESS]
    known = {(gap.start, gap.end) for gap in gaps}
    ties = [Gap(start=tie.start, end=tie.end, reason="unresolved-tie") for tie in manifest.unresolved_ties]
    return gaps + [tie for tie in ties if (tie.start, tie.end) not in known]


def is_whole(manifest: Manifest) -> bool:
    """Whether the whole day was read, so that a count below a threshold proves something."""
    return manifest.status in {"sealed", "settled"} and not manifest.gaps and not manifest.unresolved_ties


def describe_faults(manifest: Manifest) -> str:
    """One sentence on what is missing, or "" when nothing is."""
    found = faults(manifest)
    if not found:
        return ""
    first = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    verb = "Not proven complete" if first.reason == "unresolved-tie" else "Not archived"
    hope = " The next run tries again." if manifest.status == "open" else ""
    return f"{verb}: {_stretch(first.start, first.end)} ({first.reason}){more}.{hope}"


def oldest_unarchived(manifests: Sequence[Manifest]) -> int | None:
    """The first instant not archived yet and not given up as lost, in nanoseconds; None when there is none to wait for.

    Args:
        manifests: the newest manifest of each archived day of one source, any order. Days may be left out where they are
            more than three days older than the newest archived one; a newer day left out counts as not archived.
    """
    found = _first_unarchived(manifests)
    return found[1] if found else None


def _first_unarchived(manifests: Sequence[Manifest]) -> tuple[date, int] | None:
    """The day that is not archived whole yet, and the instant from which on. The instant may be the day's end."""
    newest = max((date.fromisoformat(manifest.dt) for manifest in manifests), default=None)
    if newest is None:
        return None  # never archived: when it began to be wanted is not known
    recent = {date.fromisoformat(manifest.dt): manifest for manifest in manifests}
    days = {day: manifest for day, manifest in recent.items() if day >= newest - _LOOK_BACK}
    day, last = min(days), newest
    while day <= last:
        manifest = days.get(day)
        if manifest is None:
            return day, day_span(day).start
        if manifest.status == "open":
            starts = [parse_instant(gap.start) for gap in manifest.gaps if gap.reason != "before-first-run"]
            # Without a gap it was read to its end, only too soon for rows that become visible late.
            return day, min(starts, default=day_span(day).end)
        day = _next_expected(day, days) if manifest.closes else day + timedelta(days=1)
    return None if days[last].closes else (last + timedelta(days=1), day_span(last).end)


def describe_overdue(manifests: Sequence[Manifest], now: int) -> tuple[str, str] | None:
    """(UTC day, one sentence) when the oldest unarchived second is older than 36 hours, else None. `now` in nanoseconds."""
    found = _first_unarchived(manifests)
    if found is None or now - found[1] <= OVERDUE:
        return None
    day, oldest = found
    hours = (now - oldest) // (3600 * SECOND)
    since = _clock(format_instant(oldest))
    return day.isoformat(), f"Not archived since {since}, {hours} hours ago. The platform shows logs for 48 hours."


def _next_expected(ended: date, days: dict[date, Manifest]) -> date:
    """After a pipeline ended, nothing is expected until it was archived again."""
    return min((day for day in days if day > ended), default=ended + timedelta(days=1))


def _stretch(start: str, end: str) -> str:
    begin, close = _clock(start).removesuffix(" UTC"), _clock(end)
    return f"{begin} to {close[11:] if close[:10] == begin[:10] else close}"


def _clock(instant: str) -> str:
    return instant.replace("T", " ").removesuffix("Z").removesuffix(":00") + " UTC"
