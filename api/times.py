"""Instants as integers: nanoseconds since 1970 in UTC.

`logged_at` has "one or more" digits of fraction, so strings cannot be compared, and Python's datetimes stop at
microseconds. An int holds them all, compares fast, and is exact.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from .errors import InvalidInputError

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000
DAY = 86_400 * SECOND

_DAY_ADVICE = "Give a date, such as date(2026, 1, 31), or ISO text, such as 2026-01-31."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*([Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$",
                      re.ASCII)
_YEAR_1 = -719_162 * DAY
_YEAR_2, _YEAR_9999, _YEAR_10000 = _YEAR_1 + 365 * DAY, 2_932_532 * DAY, 2_932_897 * DAY


class Span(NamedTuple):
    """A half-open stretch of time: ``start <= t < end``, both in nanoseconds since 1970."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{format_instant(self.start)} to {format_instant(self.end)}"


_SECONDS = {f"{second:02d}": second * SECOND for second in range(60)}


@lru_cache(maxsize=4096)
def _minute(text: str) -> int:
    """Nanoseconds since 1970 of ``2026-01-31T12:34``: a day has 1,440 of them, hence the cache."""
    return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH).total_seconds()) * SECOND


def parse_instant(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time; without an offset it is UTC.

    Raises:
        ValueError: when it is not a time. Digits beyond the ninth are cut.
    """
    if len(text) == 27 and text[10] == "T" and text[16] == text[13] == ":" and text[19] == "." and text[26] == "Z":
        seconds = _SECONDS.get(text[17:19])  # the form the platform sends
        if seconds is not None:
            return _minute(text[:16]) + seconds + int(text[20:26]) * MICROSECOND
    found = _INSTANT.match(text)
    if found is None:
        raise ValueError(f"not an RFC 3339 time: {text[:40]!r}")
    day, clock, fraction, offset = found.groups()
    seconds = _SECONDS.get(clock[6:])
    if seconds is None:
        raise ValueError(f"not an RFC 3339 time: {text[:40]!r}")
    instant = _minute(f"{day}T{clock[:5]}") + seconds + int(((fraction or "") + "000000000")[:9])
    if offset and offset not in "Zz":
        digits = offset[1:].replace(":", "")
        shift = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * SECOND
        instant += shift if offset[0] == "-" else -shift
        if not _YEAR_1 <= instant < _YEAR_10000:
            raise ValueError(f"not a time of the years 1 to 9999 in UTC: {text[:40]!r}")
    return instant


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC with six digits of fraction, nine where the instant needs them, none on a whole second."""
    seconds, fraction = divmod(instant, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]  # not strftime, which writes the year 1 without its zeros
    if fraction == 0:
        return f"{text}Z"
    if fraction % MICROSECOND == 0:
        return f"{text}.{fraction // MICROSECOND:06d}Z"
    return f"{text}.{fraction:09d}Z"


def to_instant(value: datetime | str, name: str) -> int:
    """Nanoseconds of a user's `start` or `end`.

    Raises:
        InvalidInputError: when it has no time zone, is not a time, or lies in the years 1 or 9999; `name` is the parameter's.
    """
    if isinstance(value, str):
        try:
            instant = parse_instant(value)
        except ValueError as error:
            advice = "Give RFC 3339, such as 2026-01-31T00:00:00Z."
            raise InvalidInputError(f"`{name}` is not a time: {value[:40]!r}.", advice) from error
        if (found := _INSTANT.match(value)) and not found[4]:
            raise InvalidInputError(f"`{name}` has no time zone: {value[:40]!r}.", "End it with Z for UTC, or with an offset.")
    elif not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError(f"`{name}` is not a datetime.", "Give a datetime with a time zone, or RFC 3339 text.")
    elif value.tzinfo is None:
        raise InvalidInputError(f"`{name}` has no time zone.", "Give one, such as datetime(2026, 1, 31, tzinfo=UTC).")
    else:
        since = value - _EPOCH
        instant = (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * MICROSECOND
    if not _YEAR_2 <= instant < _YEAR_9999:  # a year at each end: a read asks a little beyond its span
        raise InvalidInputError(f"`{name}` lies outside of the years 2 to 9998 (in UTC).", "Give a time that logs can have.")
    return instant


def to_datetime(instant: int) -> datetime:
    """The instant as an aware UTC datetime (microseconds; the rest is cut)."""
    return _EPOCH + timedelta(microseconds=instant // MICROSECOND)


def day_span(day: date) -> Span:
    """The UTC day as a span."""
    start = (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH).days * DAY
    return Span(start, start + DAY)


def day_of(instant: int) -> date:
    """The UTC day an instant falls into."""
    return to_datetime(instant).date()


def to_day(value: date | str, name: str) -> date:
    """A user's day as a date. ISO text counts, and so does a midnight in UTC, as where Prefect validates a flow's parameters.

    Raises:
        InvalidInputError: when it is anything else; `name` is the parameter's.
    """
    if isinstance(value, datetime):
        if value.time() == time() and not value.utcoffset():
            return value.date()
        raise InvalidInputError(f"`{name}` is {value.isoformat()}, which is a time and not a UTC day.", _DAY_ADVICE)
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidInputError(f"`{name}` is {value!r:.40}, which is no day.", _DAY_ADVICE) from None
