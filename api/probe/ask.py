"""Asking for single pages, politely: a bounded number of requests, and refusals are answers too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from ..client import DeepsetClient, Order
from ..errors import ApiError, BadRequestError, NoLogsError, ReadError, StatusError, UnprocessableError
from ..rows import Page, Row
from ..sources import LogSource

_Answer = TypeVar("_Answer")

MAX_REQUESTS = 60
"""The most that a probe asks, whatever the answers are."""
_RESERVE = 6
"""One question costs up to three requests (a 404 is told apart by two more), twice that where each is redirected."""
TIME_LIMIT = 600.0
"""Seconds after which nothing more is asked: a platform that times out takes three minutes for each answer."""
_TRIES = 3
_LONGEST_PAUSE = 10.0



class UnansweredError(ReadError):
    """This question gets no answer; the problem says why. The probe goes on with the next one."""


class Reply:
    """One answer of the logs endpoint: a page, or a refusal that is an answer too."""

    def __init__(self, page: Page | None, status: int = 200) -> None:
        self.refused = page is None and status != 404
        self.not_found = page is None and status == 404
        self.status = status
        self.rows: list[Row] = page.rows if page else []
        self.has_more = bool(page and page.has_more)
        self.total = page.total if page else None
        self.ids = [row.log_id for row in self.rows]

    @property
    def kind(self) -> str:
        """What came, when it is no rows: ``an empty page``, ``404`` or ``refused``; "" for rows."""
        if self.rows:
            return ""
        return f"refused ({self.status})" if self.refused else "404" if self.not_found else "an empty page"


class Asker:
    """Asks for pages of one source, within the number of requests, and remembers every row seen."""

    def __init__(self, client: DeepsetClient, source: LogSource, now: Callable[[], float], sleep: Callable[[float], None],
                 max_requests: int, time_limit: float) -> None:
        self.client = client
        self.source = source
        self.now = now
        self.trouble: Counter[str] = Counter()
        self.seen: dict[str, Row] = {}
        self._sleep = sleep
        self._last_request = client.requests_sent + max_requests - _RESERVE
        self._deadline = now() + time_limit

    def page(self, after: int | None = None, limit: int = 100, filter: str | None = None, order: Order = "DESC") -> Reply:  # noqa: A002
        """One page. 400, 404 and 422 are answers; what is worth asking again is asked at most three times.

        Raises:
            UnansweredError: it kept failing, or too few requests are left.
            ApiError: what stops the whole probe: the key, the names.
        """
        def ask() -> Reply:
            try:
                return Reply(self.client.logs_page(self.source, after=after, limit=limit, filter=filter, order=order))
            except (BadRequestError, UnprocessableError, NoLogsError) as refusal:
                return Reply(None, refusal.status)

        reply = self.patiently(ask)
        self.seen.update((row.log_id, row) for row in reply.rows)
        return reply

    def patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """What `ask` gives, asked again after transient failures."""
        for attempt in range(1, _TRIES + 1):
            if self.client.requests_sent > self._last_request:
                raise UnansweredError("The probe's requests were used up.")
            if self.now() >= self._deadline:
                raise UnansweredError("The probe's time was used up.")
            try:
                return ask()
            except ApiError as error:
                if not error.transient:
                    raise
                kind = str(error.status) if isinstance(error, StatusError) else type(error).__name__
                self.trouble[kind] += 1
                if attempt == _TRIES:
                    raise UnansweredError(f"It failed {attempt} times, at last with {kind}.") from error
                asked = error.retry_after if isinstance(error, StatusError) else None
                self._sleep(min(_LONGEST_PAUSE, asked if asked is not None else 2.0 * attempt))
        raise AssertionError
