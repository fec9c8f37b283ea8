"""Which rows stand on a page, under every behaviour of the cursor."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

from .behaviour import Behaviour
from .filters import Condition
from .instants import HOUR, MICROSECOND, MILLISECOND, SECOND
from .rows import RowTable, View

_PRECISION = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}


class Selection(NamedTuple):
    """A page, and what is said beside it."""

    positions: list[int]
    """Places in the table, in the order of the answer."""
    more: bool
    """Whether rows remain beyond the page."""
    beyond: int
    """Rows matching the query from the cursor on, this page among them."""
    matching: int
    """Rows matching the filter, wherever the cursor is."""
    oldest: int
    newest: int
    """Nanoseconds of the page's outermost rows; 0 when it is empty."""


class Query(NamedTuple):
    """What was asked for, checked."""

    condition: Condition
    after: int | None
    limit: int | None
    """None: everything (CSV where `limit` is not honoured)."""
    newest_first: bool


def shown_window(view: View, behaviour: Behaviour, now: int, condition: Condition) -> tuple[int, int]:
    """The part of the view that is neither older than retention nor in the future nor outside the filter's bounds."""
    low, high = 0, bisect_left(view.times, now + 1)
    if behaviour.retention_answer != "shown":
        low = bisect_left(view.times, now - round(behaviour.retention_hours * HOUR))
    if condition.start is not None:
        low = max(low, bisect_left(view.times, condition.start))
    if condition.end is not None:
        high = min(high, bisect_left(view.times, condition.end))
    return low, max(low, high)


def shown_places(table: RowTable, behaviour: Behaviour, now: int) -> list[int]:
    """The places of all rows shown at the time `now` (nanoseconds)."""
    view = table.view(Condition(), now)
    low, high = shown_window(view, behaviour, now, Condition())
    return [view.positions[place] for place in range(low, high)]


def select(table: RowTable, query: Query, behaviour: Behaviour, now: int, rng: random.Random) -> Selection:
    """The page that answers the query at the time `now` (nanoseconds)."""
    view = table.view(query.condition, now)
    times = view.times
    start, end = shown_window(view, behaviour, now, query.condition)
    low, high = start, end
    if query.after is not None and behaviour.after_honoured:
        cut = query.after - query.after % _PRECISION[behaviour.after_precision]
        past = cut + _PRECISION[behaviour.after_precision]
        if query.newest_first or behaviour.asc_after == "older":
            high = max(low, min(high, bisect_left(times, past if behaviour.after_inclusive else cut)))
        else:
            low = min(high, max(low, bisect_left(times, cut if behaviour.after_inclusive else past)))
    count = high - low if query.limit is None else min(query.limit, high - low)
    places = _page(view, low, high, count, query.newest_first, _arrangement(table, view, behaviour, rng))
    ends = (times[places[0]], times[places[-1]]) if places else (0, 0)
    positions = [view.positions[place] for place in places]
    return Selection(positions, count < high - low, high - low, end - start, min(ends), max(ends))


class _Arrangement(NamedTuple):
    """How rows that are close together are put in order."""

    width: int
    """Rows whose times, divided by this, are equal are close together; nanoseconds."""
    arrange: Callable[[list[int]], object]
    """Puts one group in order, in place."""


def _arrangement(table: RowTable, view: View, behaviour: Behaviour, rng: random.Random) -> _Arrangement | None:
    if behaviour.disorder == "random":
        return _Arrangement(MILLISECOND, rng.shuffle)
    if behaviour.disorder == "stable":
        return _Arrangement(MILLISECOND, lambda group: group.sort(key=lambda place: view.positions[place] * 2654435761 % 2**32))
    if behaviour.tie_order == "random":
        return _Arrangement(1, rng.shuffle)
    if behaviour.tie_order == "by_id":
        return _Arrangement(1, lambda group: group.sort(key=lambda place: table.log_id(view.positions[place])))
    return None


def _page(view: View, low: int, high: int, count: int, newest_first: bool, arrangement: _Arrangement | None) -> list[int]:
    """`count` places of the view between `low` and `high`, from the end the order begins at."""
    if count <= 0:
        return []
    edge = high - count if newest_first else low + count  # the page's far border
    if arrangement is not None:  # the group that the border cuts is put in order whole, and then cut
        width = arrangement.width
        if newest_first:
            edge = bisect_left(view.times, view.times[edge] // width * width, low, edge)
        else:
            edge = bisect_left(view.times, (view.times[edge - 1] // width + 1) * width, edge, high)
    places = list(range(high - 1, edge - 1, -1)) if newest_first else list(range(low, edge))
    if arrangement is None:
        return places
    arranged: list[int] = []
    for _, group in groupby(places, key=lambda place: view.times[place] // arrangement.width):
        near = list(group)
        if len(near) > 1:
            arrangement.arrange(near)
        arranged += near
    return arranged[:count]
