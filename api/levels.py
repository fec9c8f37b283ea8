"""Rows of some levels, from a server of which it is unknown what it makes of a filter.

All rows are read, and those wanted kept, until a page shows that a filter would save requests: a calm or short span ends before
that. Only then is the server tried, once for all reads that share a `LevelFilter`, on rows that have just been seen: those of
a level must come back when it is asked for. An empty answer proves nothing.

::

    JOINED     `or` works: one query for all levels in all their spellings
    ANY_CASE   it does not, and levels are compared without case: one query for each level
    EXACT      with case: one query for each spelling
    NONE       filters are refused, ignored or not to be trusted: read everything

A filter that turns out to be ignored or refused later on is given up too, and the rest is read without. Rows are chosen by
level, without case, whatever the server did: what comes is the same under each. A level written as nobody is known to write
it (``eRRoR``) is asked for once it was seen; among rows that an exact filter never shows it cannot be.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum, auto

from .errors import BadRequestError, DeepsetError, UnprocessableError
from .filters import any_level, both, spellings
from .learned import Learned
from .rows import Page, Row
from .steps import Request
from .stream import Asking, Stream, merged
from .times import SECOND, Span
from .walk import Walk


class Way(Enum):
    """How levels are asked for."""

    JOINED = auto()
    ANY_CASE = auto()
    EXACT = auto()
    NONE = auto()


class LevelFilter:
    """The levels wanted, and what the server was seen to make of a filter by them. For one server; thread-safe.

    Args:
        levels: in any case; at least one.

    Raises:
        InvalidInputError: an empty level, or text that cannot be sent.
    """

    def __init__(self, levels: Iterable[str]) -> None:
        self._known = spellings(levels)
        any_level(self._known)  # what cannot be sent is refused at once
        self._wanted = frozenset(level.casefold() for level in self._known)
        self._probing = threading.Lock()
        self.way: Way | None = None
        """None until it was tried."""

    def wants(self, row: Row) -> bool:
        """Whether the row has one of the levels."""
        return row.level.casefold() in self._wanted

    def queries(self, seen: Iterable[str] = ()) -> list[list[str]]:
        """The levels to ask for, query by query: in every known spelling, and those of `seen` that are among the levels."""
        written = list(dict.fromkeys([*self._known, *sorted(level for level in seen if level.casefold() in self._wanted)]))
        if self.way is Way.ANY_CASE:
            return [[level] for level in sorted(self._wanted)]
        return [[level] for level in written] if self.way is Way.EXACT else [written]

    def saves(self, walk: Walk, rows: list[Row]) -> bool:
        """Whether asking for the levels alone is likely to need fewer requests than reading on; `rows` came last."""
        if self.way is Way.NONE or not rows:
            return False
        # Without an older row that has the level, each query asks twice for its end.
        cost = 2 * len(self.queries()) + (0 if self.way else 2)
        pages_left = walk.density * (walk.proven - walk.start) / SECOND / len(rows)
        return pages_left * sum(not self.wants(row) for row in rows) / len(rows) > cost

    def try_out(self, stream: Stream, request: Request, page: Page) -> None:
        """Finds the way by asking for rows of `page`, the answer to `request`. Does nothing while another thread does it.

        Raises:
            ApiError, ReadError: as the stream's own requests.
        """
        if not self._probing.acquire(blocking=False):
            return
        try:
            if self.way is None:
                self.way = self._find_way(_Probe(stream, request, page), page)
        finally:
            self._probing.release()

    def _find_way(self, probe: _Probe, page: Page) -> Way:
        others = Counter(row.level for row in page.rows if row.level and not self.wants(row))
        if not others:
            return Way.NONE
        [(other, _)] = others.most_common(1)
        # Both ways round: a server that heeds only the first or the last part of an `or` must not pass.
        if probe.shows([other, *self._known]) and probe.shows([*self._known, other]):
            return Way.JOINED
        if not probe.shows([other]):
            return Way.NONE
        swapped = other.upper() if other != other.upper() else other.lower()
        return Way.ANY_CASE if probe.shows([swapped], any_case=True) else Way.EXACT


class _Probe:
    """Asks by level for what a page without such a filter has just shown."""

    def __init__(self, stream: Stream, request: Request, page: Page) -> None:
        self._stream, self._request = stream, request
        # At the page's end the next answer may be cut in another place.
        border = min(row.logged_at for row in page.rows) + stream.walk.learned.overlap
        self._rows = [row for row in page.rows if row.logged_at > border]

    def shows(self, levels: list[str], *, any_case: bool = False) -> bool:
        """Whether the page's rows of the levels, and no others, come back.

        Raises:
            ApiError, ReadError: what has nothing to do with the filter.
        """
        query = both(self._request.filter, any_level(levels))
        folded = {level.casefold() for level in levels}
        # As many as must come, and no more: a server that filters a page after cutting it shows fewer.
        limit = sum(row.level.casefold() in folded for row in self._rows)
        if not limit:
            return False
        try:
            page = self._stream.ask_aside(Request(self._request.after, limit, query))
        except (BadRequestError, UnprocessableError):
            return False
        except DeepsetError as error:
            if error.transient:  # it was asked again often enough; what reads everything may fare better
                return False
            raise
        if page is None or any(row.level.casefold() not in folded for row in page.rows):
            return False
        expected = {row.log_id for row in self._rows if (row.level.casefold() in folded if any_case else row.level in levels)}
        return bool(expected) and expected <= {row.log_id for row in page.rows}


def level_rows(span: Span, levels: LevelFilter, asking: Asking, base: str | None = None) -> Iterator[Row]:
    """The span's rows that have one of the levels, newest first.

    Args:
        span: what to read.
        levels: which, and what is known of the server; shared by reads that ask the same one.
        asking: how.
        base: a filter that the rows must pass besides.

    Raises:
        ApiError, ReadError: what stopped the read, or what may be missing; see `Stream`.
    """
    answers: list[tuple[Request, Page]] = []

    def fetch(request: Request) -> Page:
        answers[:] = [(request, asking.fetch(request))]
        return answers[0][1]

    plain = Stream(Walk(span, Learned(), base), asking._replace(fetch=fetch))
    walk = plain.walk
    for increment in plain.increments():
        yield from filter(levels.wants, increment.rows)
        if walk.done or not answers:  # a 404, "no logs", is no answer here
            continue
        request, page = answers[0]
        if request.filter != base or not levels.saves(walk, page.rows):
            continue
        if levels.way is None:
            levels.try_out(plain, request, page)
        if levels.way is not None and levels.saves(walk, page.rows):
            yield from _by_level(Span(span.start, increment.lo), levels, walk.learned.levels, asking, base)
            break
    plain.check()


class _NotHonouredError(Exception):
    """The server showed rows of levels that were not asked for."""


def _by_level(span: Span, levels: LevelFilter, seen: Iterable[str], asking: Asking, base: str | None) -> Iterator[Row]:
    last: Row | None = None
    try:
        for row in merged([_one_query(span, query, asking, base) for query in levels.queries(seen)]):
            yield row
            last = row
    except (_NotHonouredError, BadRequestError, UnprocessableError):
        levels.way = Way.NONE
        rest = Span(span.start, last.logged_at + 1) if last else span
        for row in Stream(Walk(rest, Learned(), base), asking).rows():
            if levels.wants(row) and (last is None or (row.logged_at, row.log_id) < (last.logged_at, last.log_id)):
                yield row


def _one_query(span: Span, query: list[str], asking: Asking, base: str | None) -> Iterator[Row]:
    condition, folded = both(base, any_level(query)), {level.casefold() for level in query}

    def fetch(request: Request) -> Page:
        page = asking.fetch(request)
        if request.filter and condition in request.filter and any(row.level.casefold() not in folded for row in page.rows):
            raise _NotHonouredError
        return page

    return Stream(Walk(span, Learned(), condition), asking._replace(fetch=fetch)).rows()
