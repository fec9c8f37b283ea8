"""One walk as a stream of rows, newest first: all rows of the span, or an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from .budget import Budget
from .errors import IncompleteReadError, ReadError
from .learned import RETENTION_HOURS
from .reader import Fetch, Reader, Tally
from .rows import Row
from .times import Span, format_instant
from .walk import Walk


def stream_rows(walk: Walk, fetch: Fetch, where: str, *, now: Callable[[], float] = time.time,
                sleep: Callable[[float], None] = time.sleep) -> Iterator[Row]:
    """The rows of a fresh walk in descending order of (`logged_at`, `log_id`), a few pages of them in memory at a time.

    Args:
        walk: not begun yet.
        fetch: one request for one page.
        where: the place that errors name.
        now: seconds since 1970.
        sleep: pauses between tries.

    Raises:
        IncompleteReadError: at the end, when rows may be missing: a tie that cannot be passed, or a start that the platform no
            longer shows.
        ApiError, ReadError: what stopped the read; the rows until then are complete.
    """
    span, tally, began = Span(walk.start, walk.end), Tally(), now()
    place = f"{where}, {span}"
    reader = Reader(fetch, walk.learned, Budget(1), tally, now=now, sleep=sleep)
    try:
        for increment in reader.increments(walk, threading.Lock()):
            yield from increment.rows
    except ReadError as error:
        if error.where:
            raise
        raise type(error)(error.problem, error.advice, place) from error
    if tally.ties:
        tie = tally.ties[0]
        raise IncompleteReadError(f"More rows share one instant than can be passed, at {format_instant(tie.span.start)}.",
                                  "Read what is newer and what is older by itself.", place)
    if walk.ended and not walk.learned.still_shown(span.start, began):
        raise IncompleteReadError(f"The span begins before what is still shown: logs can be read for {RETENTION_HOURS} hours.",
                                  "Begin later, or read the archive.", place)
