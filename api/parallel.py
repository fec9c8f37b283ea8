"""Reading spans of time with several walks at once.

One walk starts at the top of each span; whoever is idle takes the lower half of the span with most left, so a day whose
rows fall into ten minutes is shared out as evenly as any other. How much is left is an estimate, exact where the server's
`total` counts rows below the cursor; being wrong about it costs a request, never a row. Spans are half-open and disjoint,
with borders on whole seconds. One worker is the same thing with nobody idle.

A stretch that cannot be read stops nothing: the walk enters again below it, further down each time, and then closes in
on the stretch from below, so that what is missing at the end is about as small as it can be.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple

from .budget import Budget
from .errors import (
    AuthenticationError,
    CursorError,
    DeepsetError,
    EndDisputedError,
    GatewayTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    ReadTimeoutError,
    RedirectError,
    ResponseError,
)
from .learned import Learned
from .reader import Fetch, Reader, Tally
from .rows import Row
from .times import SECOND, Span, format_instant
from .walk import Increment, Walk, ceil_to

_WORTH_SHARING = 200
"""Rows that must seem left in a span before a part of it is given away: two pages."""
_PAGE = 99
"""New rows of a full page: one is the anchor again."""
_MARGIN = 5
"""Rows that a border is put higher than whole pages would reach, since rows do not lie evenly."""
_SHARES = 3
"""A page says how much is left, not where: it may split its span into four, and their pages tell more."""
_WAITING = 4
"""Stretches that wait for the consumer, at most: with a consumer that keeps what it gets, a kill loses no more than these."""
_FIRST_STEP = 60 * SECOND
_LOCAL = (GatewayTimeoutError, ReadTimeoutError, ResponseError, CursorError, EndDisputedError)
"""Failures of one place in time: another place may well be readable."""
_GLOBAL = (AuthenticationError, PermissionDeniedError, NotFoundError, RedirectError)
"""Failures of everything: asking elsewhere is of no use."""


class Unread(NamedTuple):
    """A stretch that could not be read, and why."""

    span: Span
    error: DeepsetError


class _StoppedError(DeepsetError):
    """The read was given up by its consumer."""


class _Job:
    """One walk to do.

    `step` is set when the walk enters below a stretch that failed: how far below. `refine` is the upper border of a stretch
    whose lower part this walk tries, entering at a place that may fail too; `error` is what failed there. `guess` is how many
    rows it seems to have before its first page is there; `shares` how often it may be split before its next page.
    """

    def __init__(
        self,
        walk: Walk,
        step: int | None = None,
        refine: int | None = None,
        error: DeepsetError | None = None,
        guess: float = 0.0,
        shares: int = 0,
    ) -> None:
        self.walk = walk
        self.guess = guess
        self.shares = shares
        self.step = step
        self.refine = refine
        self.error = error
        self.lock = threading.Lock()

    @property
    def progressed(self) -> bool:
        return self.walk.proven < self.walk.end


class SpansRead:
    """Reads spans completely; iterate over it once, then look at what it says.

    Args:
        fetch: one request for one page, thread-safe.
        spans: disjoint, in the order in which they should be begun.
        budget: limits concurrent requests; also the most walks at a time.
        filter: an OData filter that every request carries.
        learned: what is known of the server already.
        now: seconds since 1970.
        sleep: pauses between tries; None for real time.
        time_limit: seconds after which nothing more is asked; what is missing is then `unread`.
    """

    def __init__(
        self,
        fetch: Fetch,
        spans: Iterable[Span],
        budget: Budget,
        *,
        filter: str | None = None,  # noqa: A002 - the API's word
        learned: Learned | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] | None = None,
        time_limit: float | None = None,
    ) -> None:
        self.learned = learned or Learned()
        self.tally = Tally()
        self.unread: list[Unread] = []
        self.strays: list[Row] = []
        """Rows that became visible, late, in a stretch already handed out. They can repeat rows that were handed out."""
        self.total_at: dict[int, int] = {}
        """The server's `total` below an instant, where a walk began or ended there."""
        self._loose: list[Row] = []
        self._bare_ends: list[Increment] = []
        """Stretches of which the server said that nothing is older, without a row to show it: believed at the end, if ever."""
        self._filter = filter
        self._budget = budget
        self._jobs: deque[_Job] = deque(_Job(self._walk(span)) for span in spans if span.start < span.end)
        self._active: set[_Job] = set()
        self._idle = 0
        self._state = threading.Condition()
        self._stop = threading.Event()
        self._fatal: BaseException | None = None
        self._out: queue.Queue[Increment | None] = queue.Queue(maxsize=_WAITING)
        self._reader = Reader(
            fetch,
            self.learned,
            budget,
            self.tally,
            now=now,
            sleep=sleep or self._real_sleep,
            deadline=None if time_limit is None else now() + time_limit,
        )

    @property
    def leftovers(self) -> list[Row]:
        """Rows of unread stretches that were seen all the same, newest first; whole they are not."""
        rows, oldest = self._loose, self.learned.oldest_row
        if oldest is not None and any(isinstance(error, EndDisputedError) for _, error in self.unread):
            rows = [*rows, oldest]  # what it denies, later reads must not believe either
        return sorted((row for row in rows if any(s.start <= row.logged_at < s.end for s, _ in self.unread)), reverse=True)

    def __iter__(self) -> Generator[Increment]:
        """The increments of all walks as they come: each newest first in itself, in no order among each other.

        Who stops before the end closes the generator: until then the walks go on.

        Raises:
            DeepsetError: only what concerns everything (a wrong key, a pipeline that is gone). Other failures are in `unread`.
        """
        workers = [threading.Thread(target=self._work, daemon=True, name=f"walk-{n}") for n in range(self._budget.ceiling)]
        working = len(workers)
        for worker in workers:
            worker.start()
        try:
            while working:
                increment = self._out.get()
                if increment is None:
                    working -= 1
                else:
                    yield increment
        finally:
            self._stop.set()
            self._wake()
            while working:  # let the workers out of a full queue
                working -= self._out.get() is None
        if self._fatal is not None:
            raise self._fatal
        for increment in self._bare_ends:
            if self._filter is None and self.learned.denies_end(increment.hi, increment.answered_at, bare=True):
                self._give_up(Span(increment.lo, increment.hi), EndDisputedError(
                    f"The server says that nothing is older than {format_instant(increment.hi)}, but has shown otherwise.",
                    "What is older was not read. Run again."))
            else:
                yield increment
        self.unread = _join(self.unread)

    def give_up(self, spans: Iterable[Span], error: DeepsetError) -> None:
        """Records spans as unread after all."""
        self.unread = _join([*self.unread, *(Unread(span, error) for span in spans)])

    # -- workers -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                self._do(job)
        except BaseException as error:  # noqa: BLE001 - handed to the consumer
            self._fatal = self._fatal or error
            self._stop.set()
            self._wake()
        finally:
            self._out.put(None)

    def _do(self, job: _Job) -> None:
        careful = job.step is not None or job.refine is not None
        if careful:
            job.walk.load.limit = 10
        try:
            for increment in self._reader.increments(job.walk, job.lock, patient=not careful):
                if job.walk.ended_bare:
                    self._bare_ends.append(increment)
                else:
                    self._out.put(increment)
                if self._stop.is_set():
                    return
                with self._state:
                    job.shares = _SHARES
                    self._note_totals(job.walk)
                    if self._idle and len(self._active) < self._budget.limit:
                        self._state.notify(self._budget.limit - len(self._active))  # there may be something to share now
        except _StoppedError:
            return
        except _GLOBAL:
            raise
        except DeepsetError as error:
            with self._state:
                self._failed(job, error)
        else:
            with self._state:
                self._succeeded(job)
        finally:
            with self._state:
                self._active.discard(job)
                self.strays.extend(job.walk.strays)
                self._note_totals(job.walk)
            self._wake()

    def _next_job(self) -> _Job | None:
        with self._state:
            while not self._stop.is_set():
                job = self._jobs.popleft() if self._jobs else self._take_half()
                if job is not None:
                    self._active.add(job)
                    return job
                if not self._active:
                    self._state.notify_all()
                    return None
                self._idle += 1
                self._state.wait()
                self._idle -= 1
        return None

    def _take_half(self) -> _Job | None:
        """Half of the span with most left, when that is worth a worker. Called under the lock."""
        if len(self._active) >= self._budget.limit:
            return None
        left = {job: self._left(job) for job in self._active if job.shares}
        for job in sorted(left, key=left.__getitem__, reverse=True):
            if left[job] < _WORTH_SHARING:
                return None
            # Whole pages for the upper part: a walk's last page is the fuller, the less of it lies below the border.
            keep = (max(1, round(left[job] / 2 / _PAGE)) * _PAGE - _MARGIN) / left[job]
            with job.lock:
                given = job.walk.give_half(keep)
            if given is not None:
                job.guess = left[job] * keep
                job.shares = (job.shares - 1) // 2
                return _Job(self._walk(given), guess=left[job] - job.guess, shares=job.shares)
        return None

    def _left(self, job: _Job) -> float:
        """Rows that seem left in a job."""
        walk = job.walk
        if walk.density == 0.0:
            return job.guess  # its first page is not there yet
        estimate = walk.density * max(0, walk.position - walk.start) / SECOND
        ahead = walk.totals.ahead
        if ahead is None or self.learned.total_counts != "after":
            return estimate
        below = self.total_at.get(walk.start)
        if below is not None:
            return ahead - below
        return min(estimate, ahead - max((total for at, total in self.total_at.items() if at < walk.start), default=0))

    def _wake(self) -> None:
        with self._state:
            self._state.notify_all()

    def _real_sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError("The read was given up.")

    def _walk(self, span: Span) -> Walk:
        return Walk(span, self.learned, self._filter)

    # -- failures ----------------------------------------------------------------------------------------------------

    def _failed(self, job: _Job, error: DeepsetError) -> None:
        """Records what was not read, and decides where to go on. Called under the lock."""
        walk = job.walk
        self._loose.extend(walk.leftovers())
        top = min(ceil_to(walk.proven, SECOND), walk.end)
        local = isinstance(error, _LOCAL)
        if job.refine is not None:
            above = Span(walk.end, job.refine)
            if local and not job.progressed:
                self._give_up(above, error)
                self._refine(Span(walk.start, walk.end), error)
                return
            self._give_up(Span(walk.start, top), error)
            if local:
                self._refine(above, error)
            else:
                self._give_up(above, error)
            return
        if job.step is not None and job.progressed:
            self._close_in(job)
        if not local:
            self._give_up(Span(walk.start, top), error)
            return
        step = _FIRST_STEP if job.step is None or job.progressed else job.step * 2
        below = max(walk.start, (top - step) // SECOND * SECOND)
        self._give_up(Span(below, top), error)
        if below > walk.start:
            self._jobs.append(_Job(self._walk(Span(walk.start, below)), step=step))

    def _succeeded(self, job: _Job) -> None:
        if job.refine is not None and job.error is not None:
            self._refine(Span(job.walk.end, job.refine), job.error)
        elif job.step is not None:
            self._close_in(job)

    def _give_up(self, span: Span, error: DeepsetError) -> None:
        if span.start < span.end:
            self.unread.append(Unread(span, error))

    def _close_in(self, job: _Job) -> None:
        """Entering at the walk's end worked: look how much of the unread stretch above can be read after all."""
        above = next((unread for unread in self.unread if unread.span.start == job.walk.end), None)
        if above is not None:
            self.unread.remove(above)
            self._refine(above.span, above.error)

    def _refine(self, stretch: Span, error: DeepsetError) -> None:
        """Tries the lower half of a stretch that failed when entered at its upper border."""
        middle = (stretch.start + stretch.end) // 2 // SECOND * SECOND
        if middle <= stretch.start:
            self._give_up(stretch, error)
            return
        self._jobs.append(_Job(self._walk(Span(stretch.start, middle)), refine=stretch.end, error=error))

    def _note_totals(self, walk: Walk) -> None:
        if walk.totals.first is not None:
            self.total_at[walk.end] = walk.totals.first
        if walk.done and walk.totals.below is not None:
            self.total_at[walk.start] = walk.totals.below


def _join(unread: list[Unread]) -> list[Unread]:
    """Sorted, with stretches that touch made one."""
    joined: list[Unread] = []
    for item in sorted(unread, key=lambda item: item.span):
        if joined and item.span.start <= joined[-1].span.end:
            last = joined.pop()
            item = Unread(Span(last.span.start, max(last.span.end, item.span.end)), last.error)  # noqa: PLW2901
        if item.span.start < item.span.end:
            joined.append(item)
    return joined
