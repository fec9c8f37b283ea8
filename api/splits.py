"""Reading a tie that is larger than a page.

No `after` reaches past more than a page of rows with one timestamp. Filters do: the rows of each level are fewer, and so
are those of each origin. A filter may be ignored, refused, or miss rows with a value nobody knows, so the tie counts as
resolved only when two independent splits, by level and by origin, over every value known, give the same rows, and those
include every row that the plain walk saw. Both would miss a row whose level and origin nobody knows: a query for all but the
known levels shows it, where the server understands one.

A value that is itself too large is split by the other field. That would miss what the other split misses, a row whose level
(or origin) nobody knows, so it needs a proof that its parts are the whole: the server's own counts add up, or a query for
all but the known values shows nothing new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .errors import ApiError, BadRequestError, UnprocessableError
from .filters import Field, both, comparison
from .learned import Learned
from .rows import Row
from .times import Span
from .walk import Key, Walk


class TieRead(NamedTuple):
    """What the splits found in a tie."""

    rows: list[Row]
    """Newest first."""
    agree: bool
    """Both splits gave the same rows, and those that were seen are among them."""
    proven: bool
    """Neither can have missed what the other misses, but for rows of unknown level and origin that no query showed."""


class _Split(NamedTuple):
    rows: dict[Key, Row]
    complete: bool
    proven: bool
    values: set[str]


class _Part(NamedTuple):
    rows: list[Row]
    whole: bool
    total: int | None
    """The server's `total` where the reading began."""


Run = Callable[[Walk], tuple[list[Row], bool]]
"""Drives a walk to its end; gives its rows, and False when it stalled."""


def read_tie(tie: Span, base: str | None, learned: Learned, seen: set[Key], run: Run) -> TieRead:
    """Reads the rows of `tie` by level and, separately, by origin.

    Args:
        tie: the stretch, reaching down to below a full second that is older than the tie itself.
        base: the filter the walk carries anyway.
        learned: its known levels and origins are asked for one by one; values that turn up on the way are, too.
        seen: keys the plain walk saw in the stretch.
        run: drives one walk.
    """
    by_level = _split(tie, base, "level", learned, run)
    by_origin = _split(tie, base, "origin", learned, run)
    if learned.levels - by_level.values:  # the split by origin showed levels that were not known before
        by_level = _split(tie, base, "level", learned, run)
    agree = (by_level.complete and by_origin.complete and by_level.rows.keys() == by_origin.rows.keys()
             and seen <= by_level.rows.keys())
    rows = {**by_level.rows, **by_origin.rows}
    if agree and (others := _read_others(tie, base, by_level.values, learned, run)):
        rows |= _by_key(others.rows)
        agree = others.whole
    return TieRead(sorted(rows.values(), reverse=True), agree, by_level.proven and by_origin.proven)


def _split(tie: Span, base: str | None, field: Field, learned: Learned, run: Run) -> _Split:
    values = set(learned.levels if field == "level" else learned.origins)
    rows: list[Row] = []
    complete = proven = True
    for value in sorted(values - {""}):
        condition = both(base, comparison(field, value))
        part = _read(tie, condition, field, value, learned, run)
        if part is None:
            complete = False
            continue
        rows += part.rows
        if not part.whole:
            finer = _refine(tie, condition, field, part, learned, run)
            rows += finer.rows.values()
            complete, proven = complete and finer.complete, proven and finer.proven
    return _Split(_by_key(rows), complete, proven, values)


def _read_others(tie: Span, base: str | None, values: set[str], learned: Learned, run: Run) -> _Part | None:
    """The rows of levels that nobody knows, of any origin, as far as a test for inequality shows them; None for none."""
    if learned.inequality_fails:
        return None
    try:
        part = _run(tie, _all_but(base, "level", values - {""}), learned, run)
    except ApiError:  # this proves more where it works; where it does not, both splits still agree
        learned.inequality_fails, part = True, None
    known = {value.lower() for value in values}
    rows = [row for row in part.rows if row.level.lower() not in known] if part else []
    return part._replace(rows=rows) if part and rows else None


def _refine(tie: Span, condition: str, field: Field, stalled: _Part, learned: Learned, run: Run) -> _Split:
    """Splits the rows of one value by the other field."""
    other: Field = "origin" if field == "level" else "level"
    values = set(learned.origins if other == "origin" else learned.levels)
    parts = [_read(tie, both(condition, comparison(other, value)), other, value, learned, run)
             for value in sorted(values - {""})]
    known = [part for part in parts if part is not None]
    rows = _by_key(row for part in known for row in part.rows)
    complete = len(known) == len(parts) and all(part.whole for part in known)
    proven = complete and _adds_up(stalled.total, [part.total for part in known], len(rows))
    if complete and not proven and "" not in values:  # whether a test for inequality shows rows without a value is unknown
        rest = _read_rest(tie, condition, other, values, list(rows.values()), learned, run)
        proven = rest is not None
        rows |= _by_key(rest or ())
    return _Split(rows, complete, proven, values)


def _adds_up(total: int | None, parts: list[int | None], found: int) -> bool:
    """Whether the server counts as many rows of the value as of its parts together; no fewer, at least, than were found."""
    return total is not None and total >= found and total == sum(part or 0 for part in parts)


def _read_rest(tie: Span, condition: str, field: Field, values: set[str], rows: list[Row], learned: Learned,
               run: Run) -> list[Row] | None:
    """The rows with none of the values, and those with the rarest: that these come back proves that the query works."""
    counts = Counter(getattr(row, field) for row in rows)
    if not counts:
        return None
    rarest = min(counts, key=lambda value: counts[value])
    excluded = values - {rarest}
    rest = _run(tie, _all_but(condition, field, excluded), learned, run)
    if rest is None or not rest.whole or any(getattr(row, field) in excluded for row in rest.rows):
        return None
    wanted = _by_key(row for row in rows if getattr(row, field) == rarest)
    return rest.rows if wanted.keys() <= _by_key(rest.rows).keys() else None


def _all_but(base: str | None, field: Field, values: Iterable[str]) -> str | None:
    """A filter for `base` and none of the values."""
    for value in sorted(values):
        base = both(base, comparison(field, value, "ne"))
    return base


def _read(tie: Span, condition: str, field: Field, value: str, learned: Learned, run: Run) -> _Part | None:
    """The rows of one value; None where the server refuses or ignores the filter."""
    part = _run(tie, condition, learned, run)
    ignored = part is not None and any(getattr(row, field).lower() != value.lower() for row in part.rows)
    return None if ignored else part


def _run(tie: Span, condition: str | None, learned: Learned, run: Run) -> _Part | None:
    """What a filter shows; None where the server refuses it."""
    walk = Walk(tie, learned, filter=condition, enter=tie.end)
    try:
        rows, whole = run(walk)
    except (BadRequestError, UnprocessableError):
        return None
    return _Part(rows, whole, walk.totals.first)


def _by_key(rows: Iterable[Row]) -> dict[Key, Row]:
    return {(row.logged_at, row.log_id): row for row in rows}
