"""Reading a tie that is larger than a page.

No `after` reaches past more than a page of rows with one timestamp. Filters do: the rows of each level are fewer, and so
are those of each origin. A filter may be ignored, refused, or miss rows with a value nobody knows, so the tie counts as
resolved only when two independent splits, by level and by origin, over every value known, give the same rows, and those
include every row that the plain walk saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from .errors import BadRequestError, UnprocessableError
from .filters import both, level_filter, origin_filter
from .learned import Learned
from .rows import Row
from .times import Span
from .walk import Key, Walk

Field = Literal["level", "origin"]


class TieRead(NamedTuple):
    """The rows found in a tie, newest first, and whether they are proven to be all of it."""

    rows: list[Row]
    resolved: bool


class _Split(NamedTuple):
    rows: dict[Key, Row]
    complete: bool
    refined: bool


Run = Callable[[Walk], tuple[list[Row], bool]]
"""Drives a walk to its end; gives its rows, and False when it stalled."""


def read_tie(tie: Span, base: str | None, learned: Learned, seen: set[Key], run: Run) -> TieRead:
    """Reads the rows of `tie` by level and, separately, by origin.

    Args:
        tie: the stretch, reaching down to twice the overlap below the tie itself.
        base: the filter the walk carries anyway.
        learned: its known levels and origins are asked for one by one; values that turn up on the way are, too.
        seen: keys the plain walk saw in the stretch.
        run: drives one walk.
    """
    by_level = _split(tie, base, "level", learned, run)
    by_origin = _split(tie, base, "origin", learned, run)
    if learned.levels - by_level[1]:  # the split by origin showed levels that were not known before
        by_level = _split(tie, base, "level", learned, run)
    levels, origins = by_level[0], by_origin[0]
    resolved = (
        levels.complete
        and origins.complete
        and not (levels.refined and origins.refined)  # then both asked the same (level, origin) pairs: no second witness
        and levels.rows.keys() == origins.rows.keys()
        and seen <= levels.rows.keys()
    )
    rows = {**levels.rows, **origins.rows}
    return TieRead(sorted(rows.values(), reverse=True), resolved)


def _split(tie: Span, base: str | None, field: Field, learned: Learned, run: Run) -> tuple[_Split, set[str]]:
    values = set(learned.levels if field == "level" else learned.origins)
    rows: dict[Key, Row] = {}
    complete, refined = True, False
    for value in sorted(values - {""}):
        condition = both(base, _equals(field, value))
        found, passed = _read(tie, condition, field, value, learned, run)
        if not passed and found is not None:
            refined = True
            other: Field = "origin" if field == "level" else "level"
            passed = True
            for second in sorted((learned.origins if other == "origin" else learned.levels) - {""}):
                part, part_passed = _read(tie, both(condition, _equals(other, second)), other, second, learned, run)
                passed = passed and part_passed
                found.extend(part or ())
        complete = complete and passed
        rows.update({(row.logged_at, row.log_id): row for row in found or ()})
    return _Split(rows, complete, refined), values


def _read(tie: Span, condition: str, field: Field, value: str, learned: Learned, run: Run) -> tuple[list[Row] | None, bool]:
    """The rows of one value, and whether they are all; None where the server refuses or ignores the filter."""
    try:
        rows, passed = run(Walk(tie, learned, filter=condition, enter=tie.end))
    except (BadRequestError, UnprocessableError):
        return None, False
    matching = [row for row in rows if getattr(row, field).lower() == value.lower()]
    if len(matching) != len(rows):
        return None, False
    return matching, passed


def _equals(field: Field, value: str) -> str:
    return level_filter(value) if field == "level" else origin_filter(value)
