"""What a walk asks for, and what it gives."""

from __future__ import annotations

from typing import NamedTuple

from .rows import Row


class Request(NamedTuple):
    """What to ask the server for next."""

    after: int
    limit: int
    filter: str | None


class Increment(NamedTuple):
    """A stretch ``lo <= t < hi`` that is now proven complete, with its rows, newest first."""

    rows: list[Row]
    lo: int
    hi: int
    answered_at: float
    """Seconds since 1970 when the page that proved it was answered."""


def ceil_to(instant: int, unit: int) -> int:
    """The first multiple of `unit` that is not before `instant`."""
    return -(-instant // unit) * unit
