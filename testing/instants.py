"""Times as integers, nanoseconds since 1970 in UTC, for the fake server.

The fake stands alone: it shares no code with the software it tests, so that one mistake cannot hide in both.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

Instant = datetime | str | float
"""What callers may give: a datetime (naive is UTC), RFC 3339 text, seconds since 1970, or (ints from 10^14 on) nanoseconds."""

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)


@lru_cache(maxsize=65536)
def _whole_seconds(text: str) -> int:
    return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) / timedelta(seconds=1))


def parse(text: str) -> int:
    """Nanoseconds of an RFC 3339 text; without an offset it is UTC. Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"not an RFC 3339 time: {text[:40]!r}")
    day, clock, fraction, offset = found.groups()
    instant = _whole_seconds(f"{day}T{clock}") * SECOND + int((fraction or "0").ljust(9, "0")[:9])
    if offset and offset not in "Zz":
        minutes = int(offset[1:3]) * 60 + int(offset[-2:])
        instant -= minutes * 60 * SECOND * (-1 if offset[0] == "-" else 1)
    return instant


def to_ns(value: Instant) -> int:
    """Nanoseconds of whatever a caller gave. Raises ValueError."""
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
        return (since.days * 86400 + since.seconds) * SECOND + since.microseconds * MICROSECOND
    if isinstance(value, int):
        return value if abs(value) >= 10**14 else value * SECOND
    return round(value * 1_000_000) * MICROSECOND


@lru_cache(maxsize=65536)
def second_text(second: int) -> str:
    """``2026-01-31T12:34:56``: rows of a page share most of them, hence the cache."""
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=65536)
def second_bytes(second: int) -> bytes:
    """The same in ASCII."""
    return second_text(second).encode()


def text(instant: int) -> str:
    """The form the platform sends: six digits of fraction (nine where the instant needs them) and ``Z``."""
    second, fraction = divmod(instant, SECOND)
    if fraction % MICROSECOND:
        return f"{second_text(second)}.{fraction:09d}Z"
    return f"{second_text(second)}.{fraction // MICROSECOND:06d}Z"
