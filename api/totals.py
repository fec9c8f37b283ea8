"""What the server's `total` counts is unknown: told by two pages in a row, used as a hint and a cross-check only."""

from __future__ import annotations

from typing import Literal

from .learned import Learned
from .rows import Page


class Totals:
    """The totals that one walk has met."""

    def __init__(self, learned: Learned) -> None:
        self.first: int | None = None
        """On the walk's first page."""
        self.below: int | None = None
        """Below the span's start, once the walk is there."""
        self.latest: tuple[int, int] | None = None
        """The cursor and the total of the latest page; None where it did not say."""
        self._learned = learned
        self._before: tuple[int, int] | None = None

    @property
    def ahead(self) -> int | None:
        """Rows below the walk's cursor, where `total` counts those; None when the last page did not say."""
        return None if self._before is None else self._before[0] - self._before[1]

    def see(self, page: Page, cursor: int) -> None:
        """Takes note of an answer, believed or not."""
        if self.first is None:
            self.first = page.total
        self.latest = None if page.total is None else (cursor, page.total)

    def compare_with_top(self, top: Page) -> None:
        """Compares the latest page's total with that of the server's newest page: less by the rows between, or the same?"""
        if self.latest is None or top.total is None:
            return
        cursor, total = self.latest
        newer = sum(row.logged_at >= cursor for row in top.rows)
        if newer and total == top.total:
            self._learned.count_total("all")
        elif newer and top.total - total >= newer:
            self._learned.count_total("after")

    def compare(self, page: Page, cursor: int, next_cursor: int) -> None:
        """Compares a believed page's total with that of the page before: less by the rows between, or the same?

        Args:
            cursor: where the page was asked for.
            next_cursor: where the next one will be.
        """
        if page.total is None:
            self.forget()
            return
        if self._before is not None:
            total, rows_since = self._before
            kind: Literal["after", "all"] | None = None
            if total == page.total:
                kind = "all"
            elif total - page.total == rows_since:
                kind = "after"
            self._learned.count_total(kind)
        self._before = (page.total, sum(next_cursor <= row.logged_at < cursor for row in page.rows))

    def forget(self) -> None:
        """The next page cannot be compared with this one."""
        self._before = None

    def reach(self, page: Page, start: int) -> None:
        """The page reaches below the span's start."""
        if page.total is not None:
            self.below = page.total - sum(row.logged_at >= start for row in page.rows)
