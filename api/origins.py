"""Rows of some origins, from a server of which it is unknown what it makes of a filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from .cut_first import cuts_first
from .errors import BadRequestError, IncompleteReadError, UnprocessableError
from .filters import origin_and, spellings
from .learned import ORIGINS, Learned
from .levels import LevelFilter, level_rows
from .rows import Row
from .steps import ceil_to
from .stream import Asking, Stream, merged
from .times import SECOND, Span
from .walk import Walk


def origin_rows(span: Span, origins: Sequence[str], levels: LevelFilter | None, asking: Asking,
                raw: str | None) -> Iterator[Row]:
    """The span's rows of some origins and levels, newest first. The server's filter by origin saves requests where it proves
    itself; one that ignores it, or compares without case, cannot add others' rows.

    Args:
        span: what to read.
        origins: in any case; none for all. One query each for those of the contract, which says how they are written, and for
            others one for each way in which levels are seen to be written.
        levels: which; None for all.
        asking: how.
        raw: an OData expression that the rows must pass besides.

    Raises:
        InvalidInputError: at once, for an origin or expression that cannot be sent.
        ApiError, ReadError: what stopped the read, or what may be missing; see `Stream`.
    """
    plain, queries = origin_and(None, raw), [origin_and(origin, raw) for origin in _as_written(origins)]
    return _rows(span, {origin.lower() for origin in origins}, plain, queries, levels, asking)


def _as_written(origins: Sequence[str]) -> list[str]:
    written = [[origin.lower()] if origin.lower() in ORIGINS else spellings([origin]) for origin in origins]
    return list(dict.fromkeys(form for forms in written for form in forms))


def _rows(span: Span, wanted: set[str], plain: str | None, queries: list[str | None], levels: LevelFilter | None,
          asking: Asking) -> Iterator[Row]:
    def read(queries: list[str | None]) -> Iterator[Row]:
        return merged([level_rows(span, levels, asking, query) if levels
                       else Stream(Walk(span, Learned(), query), asking).rows() for query in queries])

    rows = read(queries if queries and _filters_first(span, asking, plain) else [plain])
    try:
        first = next(rows, None)  # each query was asked for its first row
    except (BadRequestError, UnprocessableError):
        if not queries:
            raise
        rows = read([plain])  # if it is not the origins that are refused, this is too
        first = next(rows, None)
    for row in chain([first] if first else [], rows):
        if not wanted or row.origin.lower() in wanted:
            yield row
    if plain is not None and not _filters_first(span, asking, None):
        raise IncompleteReadError("This server was not seen to apply filters before it cuts pages: `filter` may hide rows.",
                                  "Leave `filter` out, and choose among the rows that come.", asking.where)


def _filters_first(span: Span, asking: Asking, raw: str | None) -> bool:
    """Whether the server was not caught filtering a page that it has cut; False also where it does not answer in time."""
    ask = Stream(Walk(span, Learned(), raw), asking).ask_aside
    try:
        return cuts_first(ask, ceil_to(span.end, SECOND), raw) is False
    except (BadRequestError, UnprocessableError):
        return True  # whatever is wrong there, the read itself will meet it
