"""What can go wrong on the way, and when.

A `Fault` is one thing that happens to one answer; `Faults` says which requests it happens to.
"""

# ruff: noqa: S311 - random numbers are repeatable here, on purpose
from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .instants import Instant, to_ns

Route = Literal["workspaces", "pipelines", "pipeline", "logs", "other"]

HTML_BODY = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


@dataclass(frozen=True)
class Request:
    """One request as the server took it."""

    number: int
    """Counted from 1 over all requests since the start (or the last `reset`)."""
    logs_number: int
    """Counted from 1 over the requests for logs; 0 for any other."""
    time: float
    """Seconds since 1970 on the server's own clock."""
    method: str
    path: str
    """As it came, percent-encoded."""
    query: str
    """As it came."""
    params: Mapping[str, str]
    """The query, decoded."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    route: Route = "other"
    workspace: str = ""
    name: str = ""
    """The pipeline's or index's name, decoded."""
    kind: Literal["pipeline", "index"] = "pipeline"


@dataclass(frozen=True)
class Fault:
    """One thing that happens to one answer. The class methods make the common ones."""

    status: int | None = None
    """Answered instead of the page."""
    body: bytes | None = None
    """With it; otherwise an error in JSON."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    """Real seconds before the answer."""
    hang: bool = False
    """No answer at all until the client gives up or the server stops."""
    reset: bool = False
    """The connection is closed before the first byte."""
    truncate: float | None = None
    """This part (0 to 1) of the body comes, as a complete answer with the right Content-Length."""
    cut: float | None = None
    """This part of the body comes, then the connection breaks."""
    rows: int | None = None
    """The page holds at most so many rows; `has_more` stays true to the data unless it is set too."""
    has_more: bool | None = None
    total: int | None = None

    @classmethod
    def gateway_timeout(cls) -> Fault:
        """504 as the contract words it."""
        return cls(504, b'{"errors":["Fetching logs timed out. Try again later."]}')

    @classmethod
    def bad_gateway(cls) -> Fault:
        """502 from a proxy, with an HTML body."""
        return cls(502, HTML_BODY, "text/html; charset=utf-8")

    @classmethod
    def rate_limited(cls, retry_after: str | None = "1") -> Fault:
        """429; `retry_after` is the header: seconds, an HTTP date, or None."""
        return cls(429, b'{"detail":"Too Many Requests"}', headers={} if retry_after is None else {"Retry-After": retry_after})

    @classmethod
    def html(cls, status: int = 200) -> Fault:
        """A page of HTML where JSON belongs."""
        return cls(status, HTML_BODY, "text/html; charset=utf-8")

    @classmethod
    def empty_page(cls, total: int | None = None) -> Fault:
        """Status 200, no rows, and a lie: `has_more` false. `total` stays as it is unless given."""
        return cls(rows=0, has_more=False, total=total)

    @classmethod
    def short_page(cls, rows: int) -> Fault:
        """Fewer rows than asked for, though there are more."""
        return cls(rows=rows)


class HeavyRange(NamedTuple):
    """A range of time whose rows are so many that reading them times out."""

    start: Instant
    end: Instant
    max_limit: int = 10
    """Pages that touch the range answer 504 when `limit` is above this; 0: always."""
    unless_bounded: bool = False
    """A filter that bounds `logged_at` from below makes the query cheap enough."""


class RateLimit(NamedTuple):
    """A token bucket on the server's own clock."""

    per_second: float
    burst: int = 1
    retry_after: str | None = "1"


@dataclass(frozen=True)
class Faults:
    """Which requests a fault happens to. The first that applies is taken: `at`, `when`, `rate_limit`, chance, `heavy`."""

    at: Mapping[int, Fault] = field(default_factory=dict[int, Fault])
    """By the number of the logs request, from 1."""
    when: Callable[[Request], Fault | None] | None = None
    """Asked for each logs request, in the server's thread."""
    probability: float = 0.0
    """The chance of one of `kinds`, drawn by `seed`."""
    kinds: Sequence[Fault] = (Fault.gateway_timeout(),)
    seed: int = 0
    heavy: Sequence[HeavyRange] = ()
    rate_limit: RateLimit | None = None
    latency: float | Callable[[Request], float] = 0.0
    """Real seconds before every logs answer."""
    everywhere: bool = False
    """All of this happens to every route; `at` then counts all requests."""


class FaultSchedule:
    """`Faults` with what it remembers: the random numbers drawn and the tokens left."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)
        self._tokens = float(faults.rate_limit.burst) if faults.rate_limit else 0.0
        self._filled_at: float | None = None
        self._heavy = [(to_ns(h.start), to_ns(h.end), h.max_limit, h.unless_bounded) for h in faults.heavy]

    def choose(self, request: Request) -> Fault | None:
        """The fault for this request, heavy ranges aside, which need to know the page."""
        faults = self.faults
        if request.route != "logs" and not faults.everywhere:
            return None
        found = faults.at.get(request.number if faults.everywhere else request.logs_number)
        if found is None and faults.when is not None:
            found = faults.when(request)
        if found is None and faults.rate_limit is not None and not self._token(faults.rate_limit, request.time):
            found = Fault.rate_limited(faults.rate_limit.retry_after)
        if found is None and faults.probability and self._random.random() < faults.probability:
            found = self._random.choice(faults.kinds)
        return found

    def latency(self, request: Request) -> float:
        """Real seconds to wait before this answer."""
        if request.route != "logs" and not self.faults.everywhere:
            return 0.0
        return self.faults.latency(request) if callable(self.faults.latency) else self.faults.latency

    def is_heavy(self, oldest: int, newest: int, limit: int, bounded: bool) -> bool:
        """Whether a page from `oldest` to `newest` (nanoseconds) times out."""
        return any(
            limit > max_limit and not (unless_bounded and bounded) and oldest < end and newest >= start
            for start, end, max_limit, unless_bounded in self._heavy
        )

    def _token(self, limit: RateLimit, now: float) -> bool:
        if self._filled_at is not None:
            self._tokens = min(float(limit.burst), self._tokens + max(0.0, now - self._filled_at) * limit.per_second)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
