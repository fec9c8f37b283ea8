"""The walk: reads a span of time newest to oldest, as plain data and pure steps. It asks nothing itself.

The API has one way to move: ``order=DESC`` and ``after=<instant>`` continue to older rows. Whether `after` is inclusive,
how finely it compares and how equal timestamps are cut at a page's end is unknown, so a page is believed only when it
proves itself. It must hold the *anchor* (the oldest row of the page before) and reach below it, or end the walk: then
nothing between the two pages can be missing, however the server compares. Otherwise the same place is asked for again:

- the anchor is there or the page is full of newer rows, but nothing older came: page size back to 100, then a narrower
  overlap, then (`Walk.stalled`) the tie is read by splits, see `splits.py`;
- the anchor is missing: the server compares more coarsely than a millisecond, and the overlap is widened.

Rows leave the walk in strict descending order of (`logged_at`, `log_id`), each once, as soon as everything newer than
them is proven complete. Only the rows of the overlap and the ids of the last two pages are kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .errors import CursorError, EndDisputedError
from .learned import Learned
from .rows import Page, Row
from .times import MICROSECOND, MILLISECOND, SECOND, Span, format_instant

MAX_LIMIT = 100
OVERLAP = MILLISECOND
WIDER = (10 * MILLISECOND, 100 * MILLISECOND, SECOND, 2 * SECOND)
NARROWER = (MILLISECOND, MICROSECOND)
TOLERANCE = 2 * SECOND
"""Rows this much newer than the cursor are a coarse comparison; anything newer means that time moves the wrong way."""
_SIZES = (100, 50, 25, 10)
_MOST_TRIES = 24
_MOST_END_CLAIMS = 5

Key = tuple[int, str]


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


@dataclass
class _Place:
    """What was tried at the present cursor."""

    overlap: int
    tried: set[int] = field(default_factory=set[int])
    tries: int = 0
    full_size_tried: bool = False
    short_pages: int = 0
    end_claims: int = 0
    nudged: bool = False


def ceil_to(instant: int, unit: int) -> int:
    """The first multiple of `unit` that is not before `instant`."""
    return -(-instant // unit) * unit


class Walk:
    """One span being read.

    Args:
        span: what to read, half-open. It is entered at `enter`, a whole second unless the walk is part of a split.
        learned: what is known of this server, shared by all walks of a read.
        filter: an OData filter that every request carries.
        enter: the first `after`; default: the span's end, rounded up to a whole second.
    """

    def __init__(self, span: Span, learned: Learned, filter: str | None = None, enter: int | None = None) -> None:  # noqa: A002 - the API's word
        self.start = span.start
        self.end = span.end
        self.learned = learned
        self.filter = filter
        self.limit = MAX_LIMIT
        self.window: int | None = None  # nanoseconds below the cursor that a `logged_at` filter lets through
        self.done = span.start >= span.end
        self.stalled = False
        self.pages = 0
        self.repeats = 0
        self.strays: list[Row] = []
        """Rows that turned up in a stretch already handed out (they became visible late)."""
        self.first_total: int | None = None
        self.below_total: int | None = None
        self.ended = False
        """True when the server had nothing older than the span's start."""
        self.density = 0.0
        """Rows per second on the last page."""
        self.proven = span.end
        self.answered_at = 0.0
        self._enter = ceil_to(span.end, SECOND) if enter is None else enter
        self._anchor: Row | None = None
        self._place = _Place(learned.overlap)
        self._held: dict[Key, Row] = {}
        self._recent: deque[set[Key]] = deque(maxlen=2)
        self._handed_out = span.end
        self._last_total: tuple[int, int] | None = None

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> int:
        """The instant older rows are asked for: the next request's `after`."""
        if self._anchor is None:
            return self._enter - (MICROSECOND if self._place.nudged else 0)
        # The server may know microseconds only: a finer anchor is rounded up, which widens the overlap by less than 1 µs.
        return ceil_to(self._anchor.logged_at + self._place.overlap, MICROSECOND)

    @property
    def position(self) -> int:
        """How far down the walk has come, in nanoseconds since 1970."""
        return self._anchor.logged_at if self._anchor else min(self._enter, self.end)

    def request(self) -> Request:
        """What to ask for next."""
        return Request(self.cursor, self.limit, self._filter())

    @property
    def window_floor(self) -> int | None:
        """Down to where a request bounded by `window` reads, a whole second; None when requests are not bounded."""
        if self.window is None:
            return None
        return max(self.start // SECOND * SECOND, (self.position - self.window) // SECOND * SECOND)

    def _filter(self) -> str | None:
        floor = self.window_floor
        if floor is None:
            return self.filter
        # One second lower than what will be believed, with a fraction: right also where times are compared as strings.
        bound = f"logged_at ge '{format_instant(floor - SECOND)[:-1]}.000000Z'"
        return f"{self.filter} and {bound}" if self.filter else bound

    def ease(self) -> bool:
        """After a timeout: ask for less. False when there is nothing less to ask for."""
        smaller = next((size for size in _SIZES if size < self.limit), None)
        if smaller is not None:
            self.limit = smaller
            return True
        if not self.learned.time_filter:
            return False
        if self.window is None:
            self.window = 3600 * SECOND
        elif self.window > 10 * SECOND:
            self.window //= 6
        else:
            return False
        return True

    def _grow(self) -> None:
        """After an accepted page: ask for more again."""
        if self.window is not None:
            self.window = self.window * 2 if self.window < 12 * 3600 * SECOND else None
        elif self.limit < MAX_LIMIT:
            self.limit = next(size for size in reversed(_SIZES) if size > self.limit)

    # -- taking an answer --------------------------------------------------------------------------------------------

    def take(self, page: Page, answered_at: float) -> None:
        """Judges an answer to `request`: goes on, ends, or sets things up so that the same place is asked for again.

        Raises:
            CursorError: when time does not move as the contract says.
            EndDisputedError: when the server insists on an end that its own numbers deny.
        """
        self.pages += 1
        self.answered_at = answered_at
        rows = page.rows
        self.learned.see(rows)
        if self.first_total is None:
            self.first_total = page.total
        if not rows:
            self._take_empty(page, answered_at)
            return
        oldest = min(rows, key=_time)
        if not self._ordered(rows, oldest.logged_at):
            return
        anchor = self._anchor
        if anchor is None:
            if oldest.logged_at >= self._enter and page.has_more is not False:
                self._stuck_above(page)  # an inclusive server whose page is full of rows at or above the way in
                return
            self._accept(page, oldest, answered_at)
            return
        held = any(row.logged_at == anchor.logged_at and row.log_id == anchor.log_id for row in rows)
        below = oldest.logged_at < anchor.logged_at
        if held and (below or page.has_more is False):
            self._accept(page, oldest, answered_at)
        elif below:
            self._widen()
        else:
            self._stuck_above(page)

    def _take_empty(self, page: Page, answered_at: float) -> None:
        if page.has_more:
            self._try_again("an empty page that says there is more")
        elif self._anchor is not None:
            self._widen()  # an end counts only when it shows the anchor: a coarse comparison hides it
        else:
            self._claim_end(page, self._enter, answered_at)

    def _ordered(self, rows: list[Row], oldest: int) -> bool:
        """Whether the page is ordered newest to oldest, up to the overlap; otherwise widens the overlap or refuses."""
        cursor = self.cursor
        if oldest > cursor + TOLERANCE:
            raise CursorError(f"The server answered with rows newer than asked for: {format_instant(oldest)} after {format_instant(cursor)}.",
                              "Its `after` does not continue to older rows; nothing can be read completely this way. Please report it.")
        lowest, disorder = rows[0].logged_at, 0
        for row in rows:
            if row.logged_at < lowest:
                lowest = row.logged_at
            elif row.logged_at - lowest > disorder:
                disorder = row.logged_at - lowest
        if disorder:
            self.learned.disordered = True
            if disorder > TOLERANCE:
                raise CursorError(f"The server's rows are not ordered: one stands {disorder / SECOND:.3f} s out of place near {format_instant(oldest)}.",
                                  "Nothing can be read completely this way. Please report it.")
            if disorder > self._place.overlap:
                self.learned.overlap = self._place.overlap = TOLERANCE
                self._try_again("rows that are not ordered within a millisecond")
                return False
        return True

    def _accept(self, page: Page, oldest: Row, answered_at: float) -> None:
        """Keeps the page's rows and moves to its oldest row, or ends."""
        fresh = self._keep(page.rows)
        floor = self.window_floor
        if oldest.logged_at < self.start - self._place.overlap:
            self._learn_total(page, fresh)
            if page.total is not None:
                self.below_total = page.total - sum(row.logged_at >= self.start for row in page.rows)
            self._finish()
        elif page.has_more is False:
            self._claim_end(page, oldest.logged_at, answered_at)
        elif self._anchor is not None and floor is not None and oldest.logged_at < floor - 2 * SECOND:
            self.learned.time_filter = False  # the bound was ignored here: it proves nothing, the page does
            self._move(page, oldest, fresh)
        else:
            self._move(page, oldest, fresh)

    def _move(self, page: Page, oldest: Row, fresh: int) -> None:
        self._learn_total(page, fresh)
        newest = max(page.rows, key=_time)
        self.density = len(page.rows) * SECOND / max(newest.logged_at - oldest.logged_at, MILLISECOND)
        self.learned.overlap = max(self.learned.overlap, self._place.overlap)
        self._anchor = oldest
        self._place = _Place(self.learned.overlap)
        self._recent.append({(row.logged_at, row.log_id) for row in page.rows})
        self.proven = min(self.proven, max(oldest.logged_at + self._place.overlap, self.start))
        self._grow()

    def _keep(self, rows: list[Row]) -> int:
        """Holds the rows of the span that are new; the number of them."""
        fresh = 0
        cursor = self.cursor
        for row in rows:
            if row.logged_at < self.start or row.logged_at >= self.end:
                continue
            key = (row.logged_at, row.log_id)
            if key in self._held or any(key in ids for ids in self._recent):
                self.repeats += 1
            elif row.logged_at >= self._handed_out:
                if row.logged_at > cursor + max(self._place.overlap, TOLERANCE):
                    raise CursorError(f"The server answered with a row of {format_instant(row.logged_at)} that is newer than asked for.",
                                      "Its `after` does not continue to older rows. Please report it.")
                self.strays.append(row)
            else:
                self._held[key] = row
                fresh += 1
        return fresh

    # -- asking for the same place again -----------------------------------------------------------------------------

    def _try_again(self, what: str) -> None:
        self._place.tries += 1
        if self._place.tries > _MOST_TRIES:
            raise CursorError(f"The server answers {what} at {format_instant(self.cursor)}, again and again.", "Please report it.")

    def _widen(self) -> None:
        """The anchor is missing: the server compares coarsely, so enter higher."""
        place = self._place
        self._try_again("without the row it has just shown")
        place.tried.add(place.overlap)
        wider = next((overlap for overlap in WIDER if overlap > place.overlap and overlap not in place.tried), None)
        if wider is not None:
            place.overlap = wider
        elif any(overlap > place.overlap for overlap in place.tried):
            self.stalled = True  # wider was full of newer rows, narrower lacks the anchor: only splits can tell
        else:
            raise CursorError(f"The row at {format_instant(self.position)} that the server has just shown is no longer there.",
                              "It may have left retention in this moment; what is older was not read. Run again.")

    def _stuck_above(self, page: Page) -> None:
        """Nothing older than the anchor came, and the server says there is more."""
        place = self._place
        self._try_again("no older rows")
        place.tried.add(place.overlap)
        if self.limit < MAX_LIMIT and not place.full_size_tried:
            place.full_size_tried = True
            self.limit = MAX_LIMIT
            return
        if len(page.rows) < self.limit and place.short_pages < 2:
            place.short_pages += 1
            return
        if self._anchor is None:
            if place.nudged:
                raise CursorError(f"The server shows only rows at or above {format_instant(self._enter)}, asked for what is older.", "Please report it.")
            place.nudged = True
            return
        # A narrower overlap is sound only where rows come in exact order; after any disorder, splits must tell.
        narrower = next((overlap for overlap in NARROWER if overlap < place.overlap and overlap not in place.tried), None)
        if narrower is not None and not self.learned.disordered:
            place.overlap = narrower
        else:
            # Rows this much above the cursor show how coarsely the server compares; the tie is at least as wide.
            above = max(row.logged_at for row in page.rows) - self.cursor
            if above > place.overlap:
                place.tried.add(next(overlap for overlap in (*WIDER, above) if overlap >= above))
            self.stalled = True

    # -- the end -----------------------------------------------------------------------------------------------------

    def _claim_end(self, page: Page, oldest: int, answered_at: float) -> None:
        """The server says there is nothing older. It is asked twice, and held against what else it said."""
        place = self._place
        place.end_claims += 1
        if place.end_claims < 2:
            return
        floor = self.window_floor
        if floor is not None:
            self._pass_window(floor)
            return
        if self._end_denied(page, oldest, answered_at):
            if place.end_claims >= _MOST_END_CLAIMS:
                raise EndDisputedError(f"The server says that nothing is older than {format_instant(oldest)}, but has said otherwise before.",
                                       "What is older was not read. Run again.")
            return
        self.ended = True
        self.below_total = 0
        self._finish()

    def _end_denied(self, page: Page, oldest: int, answered_at: float) -> bool:
        if self.filter is not None:
            return False  # what was seen without the filter says nothing about rows that match it
        if self.learned.total_counts == "after" and page.total is not None and page.total > len(page.rows):
            return True
        seen = self.learned.oldest_seen
        return seen is not None and seen < oldest and self.learned.still_shown(seen, answered_at)

    def _pass_window(self, floor: int) -> None:
        """Everything down to `floor` is read (the bound has been shown to work): go on below it as if entering anew."""
        if floor <= self.start:
            self._finish()
            return
        self._anchor = None
        self._enter = floor
        self.proven = floor
        self._place = _Place(self.learned.overlap)
        self._grow()

    def _finish(self) -> None:
        self.done = True
        self.proven = self.start

    # -- splits ------------------------------------------------------------------------------------------------------

    @property
    def tie(self) -> Span:
        """When stalled: the stretch that only splits can read, down to twice the overlap below the anchor."""
        overlap = max(self._place.tried | {self.learned.overlap})
        return Span(self.position - 2 * overlap, ceil_to(self.position + overlap, MICROSECOND))

    def known_in(self, stretch: Span) -> set[Key]:
        """The rows of a stretch that were seen by the plain walk."""
        recent = set(self._held).union(*self._recent)
        return {key for key in recent if stretch.start <= key[0] < stretch.end}

    def pass_tie(self, rows: list[Row]) -> None:
        """Takes the rows that the splits found in `tie`, and goes on below it."""
        tie = self.tie
        self._keep(rows)
        overlap = max(self._place.tried | {self.learned.overlap})
        self.stalled = False
        if tie.start <= self.start:
            self._finish()
            return
        self._recent.append({(row.logged_at, row.log_id) for row in rows})
        self._enter = (tie.start + overlap) // overlap * overlap if overlap == SECOND else tie.start + overlap
        self._anchor = min((row for row in rows if tie.start <= row.logged_at < self._enter), key=_time, default=None)
        self.proven = min(self.proven, self._enter)
        self._place = _Place(self.learned.overlap)

    # -- handing out -------------------------------------------------------------------------------------------------

    def drain(self) -> Increment | None:
        """What has been proven since the last call, or None."""
        lo, hi = max(self.proven, self.start), self._handed_out
        if lo >= hi:
            return None
        rows = sorted((row for row in self._held.values() if row.logged_at >= lo), reverse=True)
        for row in rows:
            del self._held[row.logged_at, row.log_id]
        self._handed_out = lo
        return Increment(rows, lo, hi, self.answered_at)

    def leftovers(self) -> list[Row]:
        """Rows that were read but whose stretch is not proven complete, newest first."""
        return sorted(self._held.values(), reverse=True)

    def give_half(self) -> Span | None:
        """Hands the lower half of what is left to another walk; None when there is too little. Borders are whole seconds."""
        lowest, highest = ceil_to(self.start, SECOND), (self.position - TOLERANCE) // SECOND * SECOND
        middle = (lowest + highest) // 2 // SECOND * SECOND
        if self.done or self.stalled or middle <= lowest or middle >= highest:
            return None
        given = Span(self.start, middle)
        self.start = middle
        return given

    # -- learning ----------------------------------------------------------------------------------------------------

    def _learn_total(self, page: Page, fresh: int) -> None:
        """Tells by two pages in a row whether `total` counts what is below the cursor or everything."""
        if page.total is None or self.window is not None:
            self._last_total = None
            return
        if self._last_total is not None:
            total, rows_since = self._last_total
            kind: Literal["after", "all"] | None = None
            if total == page.total:
                kind = "all"
            elif total - page.total == rows_since:
                kind = "after"
            self.learned.count_total(kind)
        oldest = min(page.rows, key=_time).logged_at
        next_cursor = ceil_to(oldest + self.learned.overlap, MICROSECOND)
        self._last_total = (page.total, sum(next_cursor <= row.logged_at < self.cursor for row in page.rows))


def _time(row: Row) -> int:
    return row.logged_at
