"""Whether a server filters rows before it cuts them into a page, or only the page.

One that filters a page it has cut shows fewer rows than there are, and calls that the end: its filters prove nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .filters import both, level_filter, origin_filter
from .rows import Page
from .steps import Request

_TRIES = 2
"""Answers without the row, so that one empty page that means nothing is no verdict."""


def cuts_first(ask: Callable[[Request], Page | None], request: Request, page: Page) -> bool:
    """Whether a page of one row, asked for by a level or origin that the newest row does not have, lacks that row.

    Costs one request where the filter works, and none where all rows have the same level and origin: there it cannot be told.

    Args:
        ask: one request; None for no answer.
        request: whose answer `page` is.
        page: rows to judge by.

    Raises:
        ApiError: as `ask`; a filter that is refused is a `BadRequestError` or an `UnprocessableError`.
    """
    for name, condition in (("level", level_filter), ("origin", origin_filter)):
        values = [str(getattr(row, name)) for row in page.rows]
        below = Counter(value for value in values if value and value.casefold() != values[0].casefold())
        if not below:
            continue
        rarest = min(below, key=lambda value: below[value])
        query = Request(request.after, 1, both(request.filter, condition(rarest)))
        for _ in range(_TRIES):
            found = ask(query)
            if found is None or any(getattr(row, name).casefold() == rarest.casefold() for row in found.rows):
                return False
        return True
    return False
