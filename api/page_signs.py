"""What one page tells of the server and of what lies beyond: pure questions, asked by the walk."""

from __future__ import annotations

from .errors import CursorError
from .learned import Learned
from .rows import Page, Row
from .times import SECOND, format_instant

TOLERANCE = 2 * SECOND
"""Rows this much newer than the cursor are a coarse comparison; anything newer means that time moves the wrong way."""
_SHORTEST_CAP = 10
"""Rows: the contract's default page, the shortest that a server may be thought to hold to whatever it is asked for."""


def refuse_newer(oldest: int, cursor: int) -> None:
    """Refuses a page all of whose rows are newer than asked for.

    Raises:
        CursorError: it is one.
    """
    if oldest > cursor + TOLERANCE:
        raise CursorError(
            f"The server answered with rows newer than asked for: {format_instant(oldest)} after {format_instant(cursor)}.",
            "Its `after` does not continue to older rows; nothing can be read completely this way. Please report it.",
        )


def disorder_of(rows: list[Row]) -> int:
    """How far a row stands out of its place, newest to oldest, at most; nanoseconds.

    Raises:
        CursorError: further than any overlap reaches.
    """
    lowest, disorder = rows[0].logged_at, 0
    for row in rows:
        if row.logged_at < lowest:
            lowest = row.logged_at
        elif row.logged_at - lowest > disorder:
            disorder = row.logged_at - lowest
    if disorder > TOLERANCE:
        raise CursorError(
            f"The server's rows are not ordered: one stands {disorder / SECOND:.3f} s out of place "
            f"near {format_instant(lowest)}.",
            "Nothing can be read completely this way. Please report it.",
        )
    return disorder


def is_full(page: Page, limit: int, learned: Learned) -> bool:
    """Whether rows may have been left out for want of room, also where the server keeps pages shorter than asked for."""
    return len(page.rows) >= limit or _SHORTEST_CAP <= len(page.rows) == learned.largest_page


def may_be_last(page: Page, learned: Learned) -> bool:
    """Whether a page that says there is more may be the last all the same: it is one row, or there was room for others."""
    sizes = [len(row.raw) for row in page.rows]
    room = len(sizes) < learned.largest_page and sum(sizes) + max(sizes) <= learned.heaviest_page
    denied = learned.total_counts == "after" and page.total is not None and page.total > len(sizes)
    return (room or len(sizes) == 1) and not denied


def top_is_wanted(page: Page, learned: Learned, *, first: bool) -> bool:
    """Whether the server's newest page is worth a request before an end is believed: once, when no row came at all, or when the
    total says that there are more and nobody knows yet what it counts."""
    more = page.total is not None and page.total > len(page.rows)
    return not learned.top_seen and ((first and not page.rows) or (more and learned.total_counts is None))
