"""How much a walk asks for at once: less after a timeout, more again after an answer."""

from __future__ import annotations

from .times import SECOND

MAX_LIMIT = 100
"""The contract's largest page."""
_SIZES = (MAX_LIMIT, 50, 25, 10)
_HOUR = 3600 * SECOND
_PATIENCE = 4
_MOST_PATIENCE = 64


class Load:
    """The page size, and how far below the cursor a `logged_at` filter lets a query look (None: as far as it likes)."""

    def __init__(self) -> None:
        self.limit = MAX_LIMIT
        self.window: int | None = None
        self._answers = 0
        self._patience = _PATIENCE
        """Answers to wait for before asking for more: a timeout costs the server minutes, a small page milliseconds."""
        self._grown = False

    def ease(self, *, time_filter: bool) -> bool:
        """After a timeout: ask for less. False when there is nothing less to ask for.

        Args:
            time_filter: whether the server was shown to honour a `logged_at` filter.
        """
        if self._grown:  # asking for more was what timed out: wait longer with it
            self._patience = min(self._patience * 2, _MOST_PATIENCE)
        self._answers, self._grown = 0, False
        smaller = next((size for size in _SIZES if size < self.limit), None)
        if smaller is not None:
            self.limit = smaller
        elif not time_filter:
            return False
        elif self.window is None:
            self.window = _HOUR
        elif self.window > 10 * SECOND:
            self.window //= 6
        else:
            return False
        return True

    def grow(self) -> None:
        """After an answer that was believed: ask for more again, once there were some."""
        if self.window is None and self.limit == MAX_LIMIT:
            return
        self._answers += 1
        if self._answers < self._patience:
            return
        self._answers, self._grown = 0, True
        if self.window is not None:
            self.window = self.window * 2 if self.window < 12 * _HOUR else None
        else:
            self.limit = next(size for size in reversed(_SIZES) if size > self.limit)

    def floor(self, start: int, position: int) -> int | None:
        """Down to where a bounded query reads, a whole second; None when queries are not bounded."""
        if self.window is None:
            return None
        return max(start // SECOND * SECOND, (position - self.window) // SECOND * SECOND)
