"""Counting a part's rows again, to hold them against what the manifests say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..api.rows import ERROR_LEVELS, Row
from ..api.times import SECOND, Span, parse_instant
from .manifest import File, Manifest

_HOUR = 3600 * SECOND


class Recount:
    """What the rows of one part (or, added up, of several) amount to."""

    def __init__(self, day: Span) -> None:
        self.day = day
        self.rows = 0
        self.errors = 0
        self.levels: Counter[str] = Counter()
        self.origins: Counter[str] = Counter()
        self.hours = [0] * 24
        self.error_hours = [0] * 24
        self.first: int | None = None
        self.last: int | None = None
        self.disorder: str | None = None
        """The first thing that breaks the order or the day, or None."""
        self._before: Row | None = None

    def add(self, row: Row) -> None:
        """Counts a row; rows come in the part's order."""
        if not self.day.start <= row.logged_at < self.day.end:
            self.disorder = self.disorder or f"row {self.rows + 1} does not belong to the day"
            return
        before = self._before
        if before is not None and (before.logged_at, before.log_id) >= (row.logged_at, row.log_id):
            self.disorder = self.disorder or f"row {self.rows + 1} is not after the one before it"
        self._before = row
        self.rows += 1
        self.levels[row.level] += 1
        self.origins[row.origin] += 1
        hour = (row.logged_at - self.day.start) // _HOUR
        self.hours[hour] += 1
        if row.level.lower() in ERROR_LEVELS:
            self.errors += 1
            self.error_hours[hour] += 1
        self.first = row.logged_at if self.first is None else min(self.first, row.logged_at)
        self.last = row.logged_at if self.last is None else max(self.last, row.logged_at)

    def differences(self, manifest: Manifest) -> list[str]:
        """What the manifest says otherwise, by field."""
        pairs: list[tuple[str, object, object]] = [
            ("rows", manifest.rows, self.rows), ("errors", manifest.errors, self.errors),
            ("rows_by_level", _without_zeros(manifest.rows_by_level), dict(self.levels)),
            ("rows_by_origin", _without_zeros(manifest.rows_by_origin), dict(self.origins)),
            ("rows_by_hour", manifest.rows_by_hour, self.hours), ("errors_by_hour", manifest.errors_by_hour, self.error_hours),
            ("first", _instant(manifest.first), self.first), ("last", _instant(manifest.last), self.last),
        ]
        found = [name for name, said, counted in pairs if said != counted]
        if (_instant(manifest.span.start), _instant(manifest.span.end)) != self.day:
            found.append("span")
        return found

    def file_differences(self, file: File) -> list[str]:
        """What a manifest's entry says otherwise, by field."""
        pairs = [("rows", file.rows, self.rows), ("first", _instant(file.first), self.first),
                 ("last", _instant(file.last), self.last)]
        return [name for name, said, counted in pairs if said != counted]


def add_recounts(day: Span, recounts: Iterable[Recount]) -> Recount:
    """The sum over several parts of a day."""
    total = Recount(day)
    for one in recounts:
        total.rows += one.rows
        total.errors += one.errors
        total.levels.update(one.levels)
        total.origins.update(one.origins)
        total.hours = [a + b for a, b in zip(total.hours, one.hours, strict=True)]
        total.error_hours = [a + b for a, b in zip(total.error_hours, one.error_hours, strict=True)]
        total.first = min((at for at in (total.first, one.first) if at is not None), default=None)
        total.last = max((at for at in (total.last, one.last) if at is not None), default=None)
    return total


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _instant(text: str | None) -> int | str | None:
    """The instant in a manifest's text; text that is none is given back, so that it differs from every instant."""
    try:
        return text if text is None else parse_instant(text)
    except ValueError:
        return text
