"""Rows of one origin, from a server of which it is unknown what it makes of a filter."""

from __future__ import annotations

from collections.abc import Iterator

from .cut_first import cuts_first
from .errors import BadRequestError, UnprocessableError
from .filters import origin_and
from .learned import Learned
from .levels import LevelFilter, level_rows
from .rows import Row
from .steps import Request, ceil_to
from .stream import Asking, Stream
from .times import SECOND, Span
from .walk import MAX_LIMIT, Walk


def origin_rows(span: Span, origin: str | None, levels: LevelFilter | None, asking: Asking, raw: str | None) -> Iterator[Row]:
    """The span's rows of an origin and of some levels, newest first. The server's filter by origin saves requests where it
    proves itself; one that ignores it, or compares without case, cannot add others' rows.

    Args:
        span: what to read.
        origin: as the platform writes it; None for all.
        levels: which; None for all.
        asking: how.
        raw: an OData expression that the rows must pass besides.

    Raises:
        ApiError, ReadError: what stopped the read, or what may be missing; see `Stream`.
    """
    query = raw if origin is None or _cuts_first(span, asking, raw) else origin_and(origin, raw)
    found = level_rows(span, levels, asking, query) if levels else Stream(Walk(span, Learned(), query), asking).rows()
    for row in found:
        if origin is None or row.origin.lower() == origin.lower():
            yield row


def _cuts_first(span: Span, asking: Asking, raw: str | None) -> bool:
    ask = Stream(Walk(span, Learned(), raw), asking).ask_aside
    request = Request(ceil_to(span.end, SECOND), MAX_LIMIT, raw)
    try:
        page = ask(request)
        return page is not None and cuts_first(ask, request, page)
    except (BadRequestError, UnprocessableError):
        return False  # whatever is wrong there, the read itself will meet it
