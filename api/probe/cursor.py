"""Questions about the cursor: where `after` leads, how finely it is compared, and what becomes of rows of one instant."""

from __future__ import annotations

from typing import NamedTuple

from ..rows import Row
from ..times import MICROSECOND, MILLISECOND, SECOND
from .ask import Asker, Reply, UnansweredError
from .report import Answer, graded

_SAMPLE_PAGES = 3
OLDER, NEWER, NOWHERE = "to older rows", "to newer rows", "nowhere: it is ignored"

_UNITS = {"microseconds": MICROSECOND, "milliseconds": MILLISECOND, "seconds": SECOND}
_OFFSETS = [0, MICROSECOND, -MICROSECOND, MILLISECOND, -MILLISECOND, SECOND, -SECOND]
_MOST_AIMED = 4


class Sample(NamedTuple):
    """The first pages, read as the vendor's own client pages: `after` is the last row's time."""

    pages: list[Reply]
    rows: list[Row]
    """Each once, in the order they came."""
    ended: bool
    """Whether an answer without rows followed the last page."""

    @property
    def falls(self) -> bool:
        """Whether the first page goes from newer to older rows."""
        return self.pages[0].rows[0].logged_at > self.pages[0].rows[-1].logged_at


def take_sample(ask: Asker) -> Sample:
    """Up to three pages.

    Raises:
        UnansweredError: the source shows no rows; says what was answered instead.
    """
    pages: list[Reply] = []
    known: dict[str, Row] = {}
    cursor: int | None = None
    ended = False
    while len(pages) < _SAMPLE_PAGES:
        reply = ask.page(cursor)
        if not pages and not reply.rows:
            raise UnansweredError(f"The source shows no rows: the answer is {reply.kind}.")
        fresh = [row for row in reply.rows if row.log_id not in known]
        if not fresh:
            ended = not reply.rows
            break
        pages.append(reply)
        known |= {row.log_id: row for row in fresh}
        cursor = reply.rows[-1].logged_at
    return Sample(pages, list(known.values()), ended)


def _second(instant: int) -> int:
    return instant // SECOND


def _anchor(rows: list[Row]) -> Row:
    """A row of a page with others of later and of earlier seconds beside it on the page, near its middle."""
    seconds = [_second(row.logged_at) for row in rows]
    inner = [row for row, second in zip(rows, seconds, strict=True) if min(seconds) < second < max(seconds)]
    if not inner:
        raise UnansweredError("The rows of the first page are too few, or too close together.")
    return inner[len(inner) // 2]


def _leads(reply: Reply, instant: int) -> str:
    older = any(_second(row.logged_at) < _second(instant) for row in reply.rows)
    newer = any(_second(row.logged_at) > _second(instant) for row in reply.rows)
    if older and newer:
        return NOWHERE
    if older or newer:
        return OLDER if older else NEWER
    raise UnansweredError("The answer holds no row of another second." if reply.rows else f"The answer is {reply.kind}.")


def ask_direction(ask: Asker, sample: Sample) -> Answer:
    """Where `after` leads under DESC."""
    try:
        row = _anchor(sample.pages[0].rows)
    except UnansweredError:
        return _sampled_direction(sample)
    reply = ask.page(row.logged_at)
    return graded("direction", _leads(reply, row.logged_at), f"{len(reply.rows)} rows after one of the first page's middle")


def _sampled_direction(sample: Sample) -> Answer:
    """The same where the first page's rows are too close together: the pages after it tell, if there are any."""
    first, *others = ([row.logged_at for row in page.rows] for page in sample.pages)
    older = any(min(times) < min(first) for times in others)
    newer = any(max(times) > max(first) for times in others)
    if older == newer:
        raise UnansweredError("The rows seen are too few, or too close together.")
    return graded("direction", OLDER if older else NEWER, f"{len(sample.pages)} pages, the first within a second or two")


def ask_order(ask: Asker, sample: Sample) -> tuple[Answer, Reply]:
    """Whether `order` is honoured, and the page that was read under ASC."""
    reply = ask.page(order="ASC")
    times = [row.logged_at for row in reply.rows]
    if not times or times[0] == times[-1] or len(sample.pages[0].rows) < 2:
        raise UnansweredError("There are too few rows, or all are of one instant.")
    rises = times[0] < times[-1]
    if sample.falls:
        said = "honoured" if rises else "ignored (always newest first)"
    else:
        said = "always oldest first" if rises else "reversed"
    shown = f"DESC {'falls' if sample.falls else 'rises'}, ASC {'rises' if rises else 'falls'}"
    oldest = min(times)
    return graded("order", said, f"{shown}; the oldest row under ASC is {_hours(ask, oldest)} old"), reply


def ask_ascending(ask: Asker, ascending: Reply) -> Answer:
    """Where `after` leads under ASC."""
    row = _anchor(ascending.rows[:20] if len(ascending.rows) > 20 else ascending.rows)
    reply = ask.page(row.logged_at, order="ASC")
    return graded("asc-after", _leads(reply, row.logged_at), f"{len(reply.rows)} rows after one of that order's first page")


def _hours(ask: Asker, instant: int) -> str:
    return f"{(ask.now() - instant / SECOND) / 3600:.1f} h"


class Comparison(NamedTuple):
    """One way in which a server may compare rows to `after`, under DESC."""

    unit: str
    inclusive: bool

    def shows(self, instant: int, after: int) -> bool:
        """Whether a row of `instant` is shown."""
        row, cut = instant // _UNITS[self.unit], after // _UNITS[self.unit]
        return row < cut or (self.inclusive and row == cut)


def ask_comparison(ask: Asker, sample: Sample) -> tuple[list[Answer], list[Comparison]]:
    """How `after` is compared: of six ways, those that explain whether one lonely row is shown from cursors around it."""
    row = _lonely(sample.rows)
    left = [Comparison(unit, inclusive) for unit in _UNITS for inclusive in (False, True)]
    asked = 0
    for offset in _OFFSETS:
        after = row.logged_at + offset
        if asked == _MOST_AIMED or len({way.shows(row.logged_at, after) for way in left}) < 2:
            continue
        reply = ask.page(after)
        asked += 1
        shown = row.log_id in reply.ids
        if not shown and len(reply.rows) >= 100 and min(found.logged_at for found in reply.rows) > row.logged_at:
            continue  # newer rows fill the page
        left = [way for way in left if way.shows(row.logged_at, after) == shown]
    seen = f"{asked} cursors around one row"
    if not left:
        raise UnansweredError("No simple rule explains what is shown around a row.")
    inclusive = {way.inclusive for way in left}
    units = [unit for unit in _UNITS if any(way.unit == unit for way in left)]
    equal = "could not be told" if len(inclusive) > 1 else "yes (inclusive)" if inclusive.pop() else "no (exclusive)"
    fineness = units[0] if len(units) == 1 else f"{units[-1]} or finer"
    return [graded("after-equal", equal, seen), graded("after-precision", fineness, seen)], left


def _lonely(rows: list[Row]) -> Row:
    """A row far from the newer one before it, whose fraction of a second lets small cursors differ."""
    def fitness(place: int) -> tuple[int, bool, bool, int]:
        instant, newer = rows[place].logged_at, rows[place - 1].logged_at
        inside_second = MILLISECOND <= instant % SECOND < SECOND - MILLISECOND
        inside_millisecond = MICROSECOND <= instant % MILLISECOND < MILLISECOND - MICROSECOND
        return min(newer - instant, 2 * SECOND), inside_second, inside_millisecond, -place

    places = [place for place in range(1, len(rows)) if rows[place - 1].logged_at > rows[place].logged_at]
    if not places:
        raise UnansweredError("No row stands apart from its neighbours.")
    return rows[max(places, key=fitness)]


def ask_row_order(sample: Sample) -> Answer:
    """Whether rows come in order; the pages are there already."""
    worst = 0
    for page in sample.pages:
        reached: int | None = None
        for row in page.rows if sample.falls else reversed(page.rows):
            reached = row.logged_at if reached is None else min(reached, row.logged_at)
            worst = max(worst, row.logged_at - reached)
    seen = f"{len(sample.pages)} pages"
    if not worst:
        return graded("row-order", "in order", seen)
    return graded("row-order", f"out of order by up to {worst / MILLISECOND:.3f} ms", seen)


def ask_ties(ask: Asker, sample: Sample, ways: list[Comparison]) -> Answer:
    """Cuts a page among rows of one instant, several times, and goes on from there."""
    sizes: dict[int, int] = {}
    for row in sample.rows:
        sizes[row.logged_at] = sizes.get(row.logged_at, 0) + 1
    instant, size = max(sizes.items(), key=lambda item: item[1])
    if size < 2:
        raise UnansweredError(f"No two of the {len(sample.rows)} rows seen share an instant.")
    above = instant + max(_UNITS[way.unit] for way in ways)
    whole = ask.page(above)
    tied = [row.log_id for row in whole.rows if row.logged_at == instant]
    if len(tied) < 2 or len(whole.rows) == len(tied) == 100:
        raise UnansweredError("The rows of one instant that were seen do not stand on one page.")
    limit = max(place for place, row in enumerate(whole.rows) if row.logged_at == instant)  # without the last of them
    repeats = 2 if size >= 4 else 4
    cut = [ask.page(above, limit) for _ in range(repeats)]
    orders = [tied[:-1], *([row.log_id for row in reply.rows if row.logged_at == instant] for reply in cut)]
    following = set(ask.page(instant).ids)
    lost = len(set(tied) - set(orders[-1]) - following)
    same = all(order == orders[0] for order in orders)
    return graded("ties", "same order" if same else "another order each time",
                  f"{len(tied)} rows of one instant, a page that ends among them asked {repeats} times; "
                  f"going on from its last row's time misses {lost} of them")
