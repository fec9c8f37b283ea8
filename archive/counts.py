"""What a day's rows amount to: the numbers of a manifest, added up slice by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from ..api.rows import ERROR_LEVELS, Row
from ..api.times import SECOND, format_instant
from .manifest import MOST_KINDS, ExceptionCount, Manifest, PlainErrors

_HOUR = 3600 * SECOND


class Counts(msgspec.Struct):
    """Counts over rows of one day. Adds up; small however many rows there are."""

    rows: int = 0
    levels: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    origins: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    error_hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    exceptions: dict[str, tuple[int, str]] = msgspec.field(default_factory=dict[str, tuple[int, str]])
    """``type\\x00frame`` → how often, and the `log_id` of one row."""
    other_exceptions: int = 0
    """Of kinds that an earlier revision's manifest had no room for."""
    plain_errors: dict[str, tuple[int, str]] = msgspec.field(default_factory=dict[str, tuple[int, str]])
    """Level in lower case → how many error rows without an exception, and the `log_id` of one."""
    first: int | None = None
    last: int | None = None

    @classmethod
    def of(cls, rows: Sequence[Row], day_start: int) -> Counts:
        """The counts of rows that are in order of time."""
        counts = cls()
        if not rows:
            return counts
        counts.rows = len(rows)
        counts.levels = dict(Counter([row.level for row in rows]))
        counts.origins = dict(Counter([row.origin for row in rows]))
        for hour, number in Counter([(row.logged_at - day_start) // _HOUR for row in rows]).items():
            counts.hours[hour] = number
        if any(level.lower() in ERROR_LEVELS for level in counts.levels):
            for row in rows:
                if (level := row.level.lower()) in ERROR_LEVELS:
                    counts.error_hours[(row.logged_at - day_start) // _HOUR] += 1
                    if not row.exceptions:
                        number, sample = counts.plain_errors.get(level, (0, row.log_id))
                        counts.plain_errors[level] = (number + 1, sample)
        for row in rows:
            for kind, frame in row.exceptions:
                key = f"{kind}\x00{frame}"
                number, sample = counts.exceptions.get(key, (0, row.log_id))
                counts.exceptions[key] = (number + 1, sample)
        ends = rows[0].logged_at, rows[-1].logged_at
        counts.first, counts.last = min(ends), max(ends)
        return counts

    @classmethod
    def of_manifest(cls, manifest: Manifest, first: int | None, last: int | None) -> Counts:
        """What an earlier revision counted; `first` and `last` are its instants in nanoseconds."""
        kinds = {f"{kind.type}\x00{kind.frame}": (kind.count, kind.log_id) for kind in manifest.exceptions}
        return cls(
            manifest.rows,
            dict(manifest.rows_by_level),
            dict(manifest.rows_by_origin),
            list(manifest.rows_by_hour),
            list(manifest.errors_by_hour),
            kinds,
            first=first,
            last=last,
            other_exceptions=manifest.other_exceptions,
            plain_errors={plain.level: (plain.count, plain.log_id) for plain in manifest.plain_errors},
        )

    def add(self, other: Counts) -> None:
        """Adds another's numbers to these."""
        self.rows += other.rows
        for mine, theirs in ((self.levels, other.levels), (self.origins, other.origins)):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number
        self.hours = [a + b for a, b in zip(self.hours, other.hours, strict=True)]
        self.error_hours = [a + b for a, b in zip(self.error_hours, other.error_hours, strict=True)]
        self.other_exceptions += other.other_exceptions
        for samples, others in ((self.exceptions, other.exceptions), (self.plain_errors, other.plain_errors)):
            for key, (number, sample) in others.items():
                known, first_sample = samples.get(key, (0, sample))
                samples[key] = (known + number, first_sample)
        self.first = min((at for at in (self.first, other.first) if at is not None), default=None)
        self.last = max((at for at in (self.last, other.last) if at is not None), default=None)

    @property
    def errors(self) -> int:
        """Rows whose level counts as an error."""
        return sum(number for level, number in self.levels.items() if level.lower() in ERROR_LEVELS)

    def fields(self) -> dict[str, object]:
        """The manifest's fields that say the same."""
        kinds = _commonest_first(self.exceptions)
        exceptions = [
            ExceptionCount(type=key.split("\x00")[0], frame=key.split("\x00")[1], count=number, log_id=sample)
            for key, number, sample in kinds[:MOST_KINDS]
        ]
        return {
            "rows": self.rows,
            "errors": self.errors,
            "rows_by_level": dict(sorted(self.levels.items())),
            "rows_by_origin": dict(sorted(self.origins.items())),
            "rows_by_hour": self.hours,
            "errors_by_hour": self.error_hours,
            "first": None if self.first is None else format_instant(self.first),
            "last": None if self.last is None else format_instant(self.last),
            "exceptions": exceptions,
            "other_exceptions": self.other_exceptions + sum(number for _, number, _ in kinds[MOST_KINDS:]),
            "plain_errors": [PlainErrors(level=level, count=number, log_id=sample)
                             for level, number, sample in _commonest_first(self.plain_errors)],
        }


def _commonest_first(samples: dict[str, tuple[int, str]]) -> list[tuple[str, int, str]]:
    return sorted(((key, number, sample) for key, (number, sample) in samples.items()), key=lambda one: (-one[1], one[0]))


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    summed = Counts()
    for one in counts:
        summed.add(one)
    return summed
