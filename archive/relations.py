"""What a manifest says, held against itself and against the revision before: no run writes what contradicts itself."""

from __future__ import annotations

from datetime import date

from ..api.times import SECOND, Span, day_span, parse_instant
from .manifest import Manifest, TimeSpan
from .plan import SETTLE_LAG

_WHOLE = frozenset({"sealed", "settled"})


def contradictions(manifest: Manifest, before: Manifest | None) -> list[str]:
    """What cannot be as the manifest says, one clause each.

    Args:
        manifest: one that says where it belongs.
        before: the revision it was built on; None where that is not known, or it is the first.
    """
    day = day_span(date.fromisoformat(manifest.dt))
    found = [f"its {name} is negative" for name in ("late_rows", "repeats_dropped", "requests", "retries")
             if getattr(manifest, name) < 0]
    if manifest.status == "gap" and not manifest.gaps:
        found.append("its status is gap, and it names none")
    if manifest.status in _WHOLE and manifest.gaps:
        found.append(f"its status is {manifest.status}, and it names gaps")
    if not all(_within(gap, day) for gap in manifest.gaps):
        found.append("it names a gap that is no stretch of its day")
    read_at = parse_instant(manifest.read_at)
    if read_at < day.start:
        found.append("it was read before its day began")
    elif manifest.status in _WHOLE and read_at < day.end + int(SETTLE_LAG) * SECOND:
        found.append(f"its status is {manifest.status}, and it was read before the last rows of its day could surely be seen")
    return found + (_first(manifest) if manifest.revision == 1 else _next(manifest, before) if before else [])


def _first(manifest: Manifest) -> list[str]:
    found = ["it is settled without a sealed revision before it"] if manifest.status == "settled" else []
    return found + (["its late_rows are not 0, and it is the first revision"] if manifest.late_rows else [])


def _next(manifest: Manifest, before: Manifest) -> list[str]:
    found: list[str] = []
    if manifest.status == "settled" and before.status not in _WHOLE:
        found.append(f"it is settled, and the revision before it is {before.status}")
    if parse_instant(manifest.read_at) < parse_instant(before.read_at):
        found.append("it was read before the revision before it")
    known = {file.key for file in before.files}
    added = sum(file.rows for file in manifest.files if file.format == "jsonl" and file.key not in known)
    if manifest.late_rows != (added if before.status in _WHOLE else 0):
        found.append("its late_rows are not the rows that it adds to a day read whole")
    return found


def _within(gap: TimeSpan, day: Span) -> bool:
    return day.start <= parse_instant(gap.start) < parse_instant(gap.end) <= day.end
