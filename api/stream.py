"""One walk as a stream of rows, newest first: all rows of the span, or an error."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from .budget import Budget
from .errors import IncompleteReadError, ReadError
from .learned import RETENTION_HOURS
from .page_signs import TOLERANCE
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
        IncompleteReadError: at the end, when rows may be missing: a tie that cannot be passed, rows that became visible behind
            the walk, or a start that the platform no longer shows.
        ApiError, ReadError: what stopped the read; the rows until then are complete.
    """
    span, tally = Span(walk.start, walk.end), Tally()
    handed_out: deque[Row] = deque()  # of the last seconds: what comes behind the walk is a repeat only if it is one of them
    late = checked = 0
    place = f"{where}, {span}"
    reader = Reader(fetch, walk.learned, Budget(1), tally, now=now, sleep=sleep)
    try:
        for increment in reader.increments(walk, threading.Lock()):
            if len(walk.strays) > checked:
                known = {(row.logged_at, row.log_id) for row in handed_out}
                late += sum((row.logged_at, row.log_id) not in known for row in walk.strays[checked:])
                checked = len(walk.strays)
            handed_out.extend(increment.rows)
            while handed_out and handed_out[0].logged_at > increment.lo + 2 * TOLERANCE:
                handed_out.popleft()
            yield from increment.rows
    except ReadError as error:
        if error.where:
            raise
        raise type(error)(error.problem, error.advice, place) from error
    if tally.ties:
        tie = tally.ties[0]
        raise IncompleteReadError(f"More rows share one instant than can be passed, at {format_instant(tie.span.start)}.",
                                  "Read what is newer and what is older by itself.", place)
    if late:
        raise IncompleteReadError(f"{late} rows became visible while the read was past their time.", "Read again.", place)
    if walk.ended and not walk.learned.still_shown(span.start, walk.answered_at):
        raise IncompleteReadError(f"The span begins before what is still shown: logs can be read for {RETENTION_HOURS} hours.",
                                  "Begin later, or read the archive.", place)
