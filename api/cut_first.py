"""Whether a server filters rows before it cuts them into a page, or only the page.

One that filters a page it has cut shows fewer rows than there are, and calls that the end: its filters prove nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .filters import both, comparison
from .load import MAX_LIMIT
from .rows import Page
from .steps import Request

_LIMITS = (MAX_LIMIT, 50, 20, 10)
"""Rows to judge by: fewer where a page takes too long."""
_TRIES = 2
"""Answers without the row, so that one empty page that means nothing is no verdict."""


def cuts_first(ask: Callable[[Request], Page | None], after: int, base: str | None) -> bool | None:
    """Whether a page of one row, asked for by a level or origin that the newest row does not have, lacks that row.

    Costs two requests where the filter works, and one where all rows have the same level and origin: there it cannot be told.

    Args:
        ask: one request; None where it takes too long.
        after: where to look, nanoseconds since 1970.
        base: an OData filter that both requests carry.

    Returns:
        None where the server does not answer in time.

    Raises:
        ApiError: as `ask`; a filter that is refused is a `BadRequestError` or an `UnprocessableError`.
    """
    page = next(filter(None, (ask(Request(after, limit, base)) for limit in _LIMITS)), None)
    if page is None:
        return None
    for name in ("level", "origin"):
        values = [str(getattr(row, name)) for row in page.rows]
        below = Counter(value for value in values if value and value.casefold() != values[0].casefold())
        if not below:
            continue
        rarest = min(below, key=lambda value: below[value])
        query = Request(after, 1, both(base, comparison(name, rarest)))
        for _ in range(_TRIES):
            found = ask(query)
            if found is None:
                return None
            if any(getattr(row, name).casefold() == rarest.casefold() for row in found.rows):
                return False
        return True
    return False
