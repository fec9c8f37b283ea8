"""The rows a walk holds back until what is newer than them is proven complete; repeats are dropped here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .errors import CursorError
from .rows import Row
from .times import Span, format_instant

Key = tuple[int, str]
"""(`logged_at`, `log_id`): two rows with the same key are the same row."""


class Held:
    """Rows not handed out yet, and the keys of the last two pages.

    Args:
        top: rows at or above this instant count as handed out.
    """

    def __init__(self, top: int) -> None:
        self.repeats = 0
        self.strays: list[Row] = []
        """Rows that turned up in a stretch already handed out (they became visible late)."""
        self.handed_out = top
        self._rows: dict[Key, Row] = {}
        self._recent: deque[set[Key]] = deque(maxlen=2)

    def keep(self, rows: Iterable[Row], span: Span, newest: int) -> None:
        """Keeps the rows of `span` that are new.

        Raises:
            CursorError: for a new row above `newest` in a stretch that was handed out: time moves the wrong way.
        """
        rows_held, recent = self._rows, set[Key]().union(*self._recent)
        for row in rows:
            if row.logged_at < span.start or row.logged_at >= span.end:
                continue
            key = (row.logged_at, row.log_id)
            if key in rows_held or key in recent:
                self.repeats += 1
            elif row.logged_at < self.handed_out:
                rows_held[key] = row
            elif row.logged_at <= newest:
                self.strays.append(row)
            else:
                raise CursorError(
                    f"The server answered with a row of {format_instant(row.logged_at)} that is newer than asked for.",
                    "Its `after` does not continue to older rows. Please report it.",
                )

    def knows(self, row: Row) -> bool:
        """Whether the row is held, or stood on one of the last two pages."""
        key = (row.logged_at, row.log_id)
        return key in self._rows or any(key in page for page in self._recent)

    def turn_page(self, rows: Iterable[Row]) -> None:
        """Remembers the keys of a page that was believed."""
        self._recent.append({(row.logged_at, row.log_id) for row in rows})

    def known_in(self, stretch: Span) -> set[Key]:
        """The keys of a stretch that were seen."""
        keys = set(self._rows).union(*self._recent)
        return {key for key in keys if stretch.start <= key[0] < stretch.end}

    def hand_out(self, down_to: int) -> list[Row]:
        """The rows at or above `down_to`, newest first; they are no longer held."""
        rows = sorted((row for row in self._rows.values() if row.logged_at >= down_to), reverse=True)
        for row in rows:
            del self._rows[row.logged_at, row.log_id]
        self.handed_out = down_to
        return rows

    def leftovers(self) -> list[Row]:
        """What is still held, newest first."""
        return sorted(self._rows.values(), reverse=True)
