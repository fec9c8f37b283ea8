"""One place of a walk: what has been tried at the present cursor, and what to try next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from .errors import CursorError
from .times import MICROSECOND, MILLISECOND, SECOND, format_instant

WIDER = (10 * MILLISECOND, 100 * MILLISECOND, SECOND, 2 * SECOND)
_PEEKS = (0, -MICROSECOND)
_MOST_TRIES = 24
_SHORT_PAGES = 2


class Next(Enum):
    """What to do at a place where a page was not believed."""

    AGAIN = auto()
    FULL_SIZE = auto()
    SPLITS = auto()
    LOST = auto()


@dataclass
class Place:
    """The overlap in use and what was tried. `peek` is set while looking below the anchor instead of at it."""

    overlap: int
    tried: set[int] = field(default_factory=set[int])
    end_claims: int = 0
    nudged: bool = False
    peek: int | None = None
    _peeked: bool = False
    _tries: int = 0
    _full_size_tried: bool = False
    _short_pages: list[frozenset[str]] = field(default_factory=list[frozenset[str]])

    def try_again(self, what: str, cursor: int) -> None:
        """Counts one more try.

        Raises:
            CursorError: after two dozen.
        """
        self._tries += 1
        if self._tries > _MOST_TRIES:
            raise CursorError(f"The server answers {what} at {format_instant(cursor)}, again and again.", "Please report it.")

    def widen(self) -> Next:
        """The anchor is missing: the server compares coarsely, so enter higher."""
        self.tried.add(self.overlap)
        wider = next((overlap for overlap in WIDER if overlap > self.overlap and overlap not in self.tried), None)
        if wider is not None:
            self.overlap = wider
            return Next.AGAIN
        # When a wider overlap was full of newer rows and a narrower one lacks the anchor, only splits can tell.
        return Next.SPLITS if any(overlap > self.overlap for overlap in self.tried) else Next.LOST

    def stop_peeking(self) -> None:
        """Ask with the overlap again."""
        self.peek = None
        self._peeked = True

    def pass_newer(self, ids: frozenset[str], *, limit: int, full: int, above: int, narrower: int | None,
                   peekable: bool) -> Next:
        """Nothing older than the anchor came, and the server says there is more.

        Args:
            ids: of the rows that came.
            limit: how many were asked for.
            full: the largest page.
            above: how far the newest of them lies above the cursor.
            narrower: the overlap that shows about half a page again; None after any disorder: then it would prove nothing.
            peekable: whether the page may well be the last: nothing in it is older than the anchor, and it holds the anchor
                alone, or longer and heavier pages came.
        """
        self.tried.add(self.overlap)
        if limit < full and not self._full_size_tried:
            self._full_size_tried = True
            return Next.FULL_SIZE
        short = len(ids) < limit
        if short and len(self._short_pages) < _SHORT_PAGES:
            self._short_pages.append(ids)
            return Next.AGAIN
        if short and peekable and not self._peeked and all(page == ids for page in self._short_pages):
            # `has_more` may stay true until an empty page, and the anchor keeps pages from being empty: look below it. Only
            # where the page is short by itself, not cut (it came the same three times, and larger ones came before): what was
            # cut off would lie at the anchor, and looking below would pass it over.
            self.peek = _PEEKS[0] if self.peek is None else _PEEKS[1]
            self._peeked = self.peek == _PEEKS[1]
            return Next.AGAIN
        self.stop_peeking()
        if narrower is not None:
            steps = sorted({MILLISECOND, narrower, MICROSECOND}, reverse=True)
            step = next((overlap for overlap in steps if overlap < self.overlap and overlap not in self.tried), None)
            if step is not None:
                self.overlap = step
                self._short_pages, self._peeked = [], False
                return Next.AGAIN
        if above > self.overlap:  # how coarsely the server compares; the tie is at least as wide
            self.tried.add(next(overlap for overlap in (*WIDER, above) if overlap >= above))
        return Next.SPLITS

    def pass_way_in(self, enter: int, newest: int) -> Next:
        """Only rows at or above the way in came, up to `newest`. That is a border of the span: one step down is safe where
        the server includes `after`. Where it compares more coarsely than that, splits read what it does not tell apart, and the
        walk enters anew at a full second.

        Raises:
            CursorError: it is a full second already, or the server compares more coarsely than any overlap reaches.
        """
        if not self.nudged:
            self.nudged = True
            return Next.AGAIN
        if enter % SECOND == 0 or newest - enter > WIDER[-1]:
            raise CursorError(
                f"The server shows only rows at or above {format_instant(enter)}, asked for what is older.", "Please report it."
            )
        self.tried.add(next(overlap for overlap in WIDER if overlap >= max(newest - enter, SECOND)))
        return Next.SPLITS
