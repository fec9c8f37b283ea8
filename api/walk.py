"""The walk: reads a span of time newest to oldest, as plain data and pure steps. It asks nothing itself.

The API has one way to move: ``order=DESC`` and ``after=<instant>`` continue to older rows. Whether `after` is inclusive,
how finely it compares and how equal timestamps are cut at a page's end is unknown, so a page is believed only when it
proves itself. It must hold the *anchor* (the oldest row of the page before) and reach below it, or end the walk: then
nothing between the two pages can be missing, however the server compares. Otherwise the same place is asked for again:

- the anchor is there or the page is full of newer rows, but nothing older came: page size back to 100, then a narrower
  overlap (as long as no row has come out of order), then (`Walk.stalled`) the tie is read by splits, see `splits.py`;
- the anchor is missing: the server compares more coarsely than a millisecond, and the overlap is widened.

Rows leave the walk in strict descending order of (`logged_at`, `log_id`), each once, as soon as everything newer is proven
complete. Only the rows of the overlap and the ids of the last two pages are kept.
"""

from __future__ import annotations

from .errors import CursorError, EndDisputedError
from .filters import both, not_before
from .held import Held, Key
from .learned import Learned
from .load import MAX_LIMIT, Load
from .page_signs import TOLERANCE, disorder_of, is_full, may_be_last, refuse_newer, top_is_wanted
from .place import Next, Place
from .rows import Page, Row
from .steps import Increment, Request, ceil_to
from .times import MICROSECOND, MILLISECOND, SECOND, Span, format_instant
from .totals import Totals

__all__ = ["MAX_LIMIT", "TOLERANCE", "Increment", "Key", "Request", "Walk", "ceil_to"]

_MOST_END_CLAIMS = 5
_MOST_UNRESOLVED = 100


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
        self.load = Load()
        self.done = span.start >= span.end
        self.stalled = False
        self.wants_top = False
        """Whether the server's newest page is to be asked for, for `take_top`."""
        self.totals = Totals(learned)
        self.ended = False
        """True when the server had nothing older than the span's start."""
        self.density = 0.0
        """Rows per second on the last page."""
        self.proven = span.end
        self.answered_at = 0.0
        self._enter = ceil_to(span.end, SECOND) if enter is None else enter
        self._anchor: Row | None = None
        self._place = Place(learned.overlap)
        self._unresolved = 0
        self._held = Held(span.end)

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> int:
        """The instant older rows are asked for: the next request's `after`."""
        if self._anchor is None:
            return self._enter - (self.learned.finest if self._place.nudged else 0)
        if self._place.peek is not None:
            return ceil_to(self._anchor.logged_at, MICROSECOND) + self._place.peek
        # The server may know microseconds only: a finer anchor is rounded up, which widens the overlap by less than 1 µs.
        return ceil_to(self._anchor.logged_at + self._place.overlap, MICROSECOND)

    @property
    def ended_bare(self) -> bool:
        """Whether it ended without a row that shows it."""
        return self.ended and self._anchor is None

    @property
    def repeats(self) -> int:
        """Rows that came again, as they must where pages overlap."""
        return self._held.repeats

    @property
    def strays(self) -> list[Row]:
        """Rows that turned up in a stretch already handed out (they became visible late)."""
        return self._held.strays

    @property
    def position(self) -> int:
        """How far down the walk has come, in nanoseconds since 1970."""
        return self._anchor.logged_at if self._anchor else min(self._enter, self.end)

    def request(self) -> Request:
        """What to ask for next."""
        return Request(self.cursor, self.load.limit, self._filter())

    @property
    def window_floor(self) -> int | None:
        """Down to where a request bounded in time reads; None when requests are not bounded."""
        return self.load.floor(self.start, self.position)

    def _filter(self) -> str | None:
        floor = self.window_floor
        return self.filter if floor is None else both(self.filter, not_before(floor))

    def ease(self) -> bool:
        """After a timeout: ask for less. False when there is nothing less to ask for."""
        return self.load.ease(time_filter=self.learned.time_filter)

    # -- taking an answer --------------------------------------------------------------------------------------------

    def take(self, page: Page, answered_at: float) -> None:
        """Judges an answer to `request`: goes on, ends, or sets things up so that the same place is asked for again.

        Raises:
            CursorError: when time does not move as the contract says.
            EndDisputedError: when the server insists on an end that its own numbers deny.
        """
        self.answered_at = answered_at
        rows = page.rows
        self.learned.see(rows)
        self.totals.see(page, self.cursor)
        if not rows:
            self._take_empty(page, answered_at)
            return
        oldest = min(rows, key=_time)
        if not self._ordered(rows, oldest.logged_at):
            return
        anchor = self._anchor
        last = page.has_more is False and not is_full(page, self.load.limit, self.learned)
        if anchor is None:
            if oldest.logged_at < self._enter:
                self._accept(page, oldest, answered_at)
            elif last:
                self._keep(rows)
                self._claim_end(page, self._enter, answered_at)
            else:
                self._stuck_above(page, held=False)  # an inclusive server whose page is full of rows at or above the way in
            return
        self._notice_unseen(rows, anchor)
        held = any(row.logged_at == anchor.logged_at and row.log_id == anchor.log_id for row in rows)
        below = oldest.logged_at < anchor.logged_at
        if held and (below or last):
            self._accept(page, oldest, answered_at)
        elif not below:
            self._stuck_above(page, held=held)
        elif self._place.peek is not None:
            self._place.try_again("short pages", self.cursor)
            self._place.stop_peeking()  # there is more: it must come in a page that shows the anchor
        else:
            self._widen()

    def _take_empty(self, page: Page, answered_at: float) -> None:
        if page.has_more:
            self._place.try_again("an empty page that says there is more", self.cursor)
        elif self._anchor is None:
            self._claim_end(page, self._enter, answered_at)
        elif self._place.peek is not None:
            self._claim_end(page, self._anchor.logged_at, answered_at)  # the page before showed the anchor, and little else
        else:
            self._widen()  # an end counts only when it shows the anchor: a coarse comparison hides it

    def _ordered(self, rows: list[Row], oldest: int) -> bool:
        """Whether the page is ordered newest to oldest, up to the overlap; otherwise widens the overlap or refuses."""
        refuse_newer(oldest, self.cursor)
        disorder = disorder_of(rows)
        if disorder:
            self.learned.disordered = True
            if disorder > self._place.overlap:
                self.learned.overlap = self._place.overlap = TOLERANCE
                self._place.try_again("rows that are not ordered within a millisecond", self.cursor)
                return False
        return True

    def _notice_unseen(self, rows: list[Row], anchor: Row) -> None:
        """A row newer than the anchor that was not on the anchor's own page: the server chooses rows in a coarser order than it
        shows them in, and an overlap finer than that order would prove nothing."""
        if not self.learned.disordered and any(
                anchor.logged_at < row.logged_at < self._held.handed_out and not self._held.knows(row) for row in rows):
            self.learned.disordered = True

    def _accept(self, page: Page, oldest: Row, answered_at: float) -> None:
        """Keeps the page's rows and moves to its oldest row, or ends."""
        self._keep(page.rows)
        floor = self.window_floor
        if oldest.logged_at < self.start - self._place.overlap:
            self._compare_totals(page, oldest)
            self.totals.reach(page, self.start)
            self._finish()
        elif page.has_more is False and self._anchor is not None and oldest.logged_at >= self._anchor.logged_at:
            self._claim_end(page, oldest.logged_at, answered_at)
        else:
            if self._anchor is not None and floor is not None and oldest.logged_at < floor - 2 * SECOND:
                self.learned.time_filter = False  # the bound was ignored here: it proves nothing, the page does
            self._move(page, oldest)
            # Whether this is the end shows at the new place, where rows below it would come with the anchor.
            self._place.end_claims = int(page.has_more is False)

    def _move(self, page: Page, oldest: Row) -> None:
        self._compare_totals(page, oldest)
        newest = max(page.rows, key=_time)
        self.density = len(page.rows) * SECOND / max(newest.logged_at - oldest.logged_at, MILLISECOND)
        self.learned.overlap = max(self.learned.overlap, self._place.overlap)
        self._anchor = oldest
        self._unresolved = 0
        self._place = Place(self.learned.overlap)
        self._held.turn_page(page.rows)
        self.proven = min(self.proven, max(oldest.logged_at + self._place.overlap, self.start))
        self.load.grow()

    def _keep(self, rows: list[Row]) -> None:
        self._held.keep(rows, Span(self.start, self.end), self.cursor + max(self._place.overlap, TOLERANCE))

    # -- asking for the same place again -----------------------------------------------------------------------------

    def _widen(self) -> None:
        """The anchor is missing from the page."""
        self._place.try_again("without the row it has just shown", self.cursor)
        self._follow(self._place.widen())

    def _stuck_above(self, page: Page, *, held: bool) -> None:
        """Nothing older than the anchor came, which the page may hold, and the server says there is more."""
        self._place.try_again("no older rows", self.cursor)
        self._keep(page.rows)  # real rows, whatever they prove
        times = [row.logged_at for row in page.rows]
        if self._anchor is None and self.load.limit == MAX_LIMIT:
            self._follow(self._place.pass_way_in(self._enter, max(times)))
            return
        following = self._place.pass_newer(
            frozenset(row.log_id for row in page.rows),
            limit=self.load.limit,
            full=MAX_LIMIT,
            above=max(times) - self.cursor,
            narrower=None if self.learned.disordered else self._narrower(),
            peekable=held and min(times) == self.position and may_be_last(page, self.learned),
        )
        if following is Next.SPLITS:  # should they fail, what this page shows of the tie is kept all the same
            self._keep([row for row in page.rows if row.logged_at < self._held.handed_out])
        self._follow(following)

    def _narrower(self) -> int:
        """The overlap that shows the older half of a page's rows above the anchor again: rows among them that were not seen
        before tell that the server's order is coarser than its times."""
        above = sorted(at for at, _ in self.known_in(Span(self.position + 1, self.position + self._place.overlap)))
        return above[min(len(above), MAX_LIMIT) // 2] - self.position if above else MICROSECOND

    def _follow(self, following: Next) -> None:
        if following is Next.FULL_SIZE:
            self.load.limit = MAX_LIMIT
        elif following is Next.SPLITS:
            self.stalled = True
        elif following is Next.LOST:
            self._distrust_ends(self.position)
            raise CursorError(
                f"The row at {format_instant(self.position)} that the server has just shown is no longer there.",
                "It may have left retention in this moment; what is older was not read. Run again.",
            )

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
        if self.filter is None and top_is_wanted(page, self.learned, first=self._anchor is None):
            self.wants_top = True
            return
        if self._end_denied(page, oldest, answered_at):
            if place.end_claims >= _MOST_END_CLAIMS:
                self._distrust_ends(oldest)
                raise EndDisputedError(
                    f"The server says that nothing is older than {format_instant(oldest)}, but has said otherwise before.",
                    "What is older was not read. Run again.",
                )
            return
        self.ended = True
        self.totals.below = 0
        self._finish()

    def _end_denied(self, page: Page, oldest: int, answered_at: float) -> bool:
        if self.filter is not None:
            return False  # what was seen without the filter says nothing about rows that match it
        if self.learned.total_counts == "after" and page.total is not None and page.total > len(page.rows):
            return True
        return self.learned.denies_end(oldest, answered_at, bare=self._anchor is None)

    def take_top(self, top: Page) -> None:
        """Takes the server's newest page, asked for since `wants_top`, and goes on."""
        self.wants_top, self.learned.top_seen = False, True
        self.learned.see(top.rows)
        self.totals.compare_with_top(top)

    def _distrust_ends(self, instant: int) -> None:
        if self.learned.still_shown(instant, self.answered_at):
            self.learned.ends_disputed = True

    def _pass_window(self, floor: int) -> None:
        """Everything down to `floor` is read (the bound has been shown to work): go on below it as if entering anew."""
        if floor <= self.start:
            self._finish()
            return
        self._anchor, self._enter, self.proven = None, floor, floor
        self._place = Place(self.learned.overlap)
        self.load.grow()

    def _finish(self) -> None:
        self.done = True
        self.proven = self.start

    # -- splits ------------------------------------------------------------------------------------------------------

    @property
    def tie(self) -> Span:
        """When stalled: the stretch that only splits can read, down to an overlap below a full second under the anchor."""
        overlap = max(self._place.tried | {self.learned.overlap})
        return Span((self.position - overlap) // SECOND * SECOND - overlap, ceil_to(self.position + overlap, MICROSECOND))

    def known_in(self, stretch: Span) -> set[Key]:
        """The rows of a stretch that were seen by the plain walk."""
        return self._held.known_in(stretch)

    def pass_tie(self, rows: list[Row], *, resolved: bool) -> None:
        """Takes the rows that the splits found in `tie`, and goes on below it.

        Raises:
            CursorError: after a hundred ties in a row that could not be resolved: this stretch cannot be read.
        """
        tie, overlap = self.tie, max(self._place.tried | {self.learned.overlap})
        self._unresolved = 0 if resolved else self._unresolved + 1
        if self._unresolved > _MOST_UNRESOLVED:
            raise CursorError(
                f"More rows than a page follow one another too closely, down to {format_instant(tie.start)}.",
                "The server's filters cannot tell them apart. Please report it.",
            )
        self._keep(rows)
        self.stalled = False
        if tie.start <= self.start:
            self._finish()
            return
        self._held.turn_page(rows)
        # A server that compares by the second is entered at full seconds.
        self._enter = tie.start + overlap
        self._anchor = min((row for row in rows if tie.start <= row.logged_at < self._enter), key=_time, default=None)
        self.proven = min(self.proven, self._enter)
        self._place = Place(self.learned.overlap)
        self.totals.forget()

    # -- handing out -------------------------------------------------------------------------------------------------

    def drain(self) -> Increment | None:
        """What has been proven since the last call, or None."""
        lo, hi = max(self.proven, self.start), self._held.handed_out
        return Increment(self._held.hand_out(lo), lo, hi, self.answered_at) if lo < hi else None

    def leftovers(self) -> list[Row]:
        """Rows that were read but whose stretch is not proven complete, newest first."""
        return self._held.leftovers()

    def give_half(self, keep: float = 0.5) -> Span | None:
        """Hands the lower part of what is left to another walk; None when there is too little. Borders are whole seconds.

        Args:
            keep: the share of the time left that this walk keeps.
        """
        lowest, highest = ceil_to(self.start, SECOND), (self.position - TOLERANCE) // SECOND * SECOND
        middle = min(highest, ceil_to(self.position - int((self.position - lowest) * keep), SECOND))
        if self.done or self.stalled or middle <= lowest or middle > highest:
            return None
        given = Span(self.start, middle)
        self.start = middle
        return given

    # -- learning ----------------------------------------------------------------------------------------------------

    def _compare_totals(self, page: Page, oldest: Row) -> None:
        if self.load.window is None:
            self.totals.compare(page, self.cursor, ceil_to(oldest.logged_at + self.learned.overlap, MICROSECOND))
        else:
            self.totals.forget()


def _time(row: Row) -> int:
    return row.logged_at
