"""One connection per request under way, without asking all the others first.

httpx's pool looks at every idle connection before each request, with a system call each: at sixteen requests at once that is a
sixth of the CPU of a page. Here a request takes the lane that was used last, or opens another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import httpx


class Lanes(httpx.BaseTransport):
    """A transport made of others, each of which carries one request at a time. Thread-safe.

    Args:
        make: makes a lane: a transport that need not hold more than one connection.
    """

    def __init__(self, make: Callable[[], httpx.BaseTransport]) -> None:
        self._make = make
        first = make()  # now, so that what cannot be made at all is told at once
        self._all: deque[httpx.BaseTransport] = deque([first])
        self._idle: deque[httpx.BaseTransport] = deque([first])

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; its lane is taken until it is closed."""
        try:
            lane = self._idle.pop()
        except IndexError:
            lane = self._make()
            self._all.append(lane)
        try:
            response = lane.handle_request(request)
        except BaseException:
            self._idle.append(lane)
            raise
        body = cast("httpx.SyncByteStream", response.stream)
        response.stream = _Stream(body, lambda: self._idle.append(lane))
        return response

    def close(self) -> None:
        """Close every lane."""
        for lane in self._all:
            lane.close()


class _Stream(httpx.SyncByteStream):
    """A body that tells once when it is closed."""

    def __init__(self, body: httpx.SyncByteStream, closed: Callable[[], None]) -> None:
        self._body = body
        self._closed: Callable[[], None] | None = closed

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        closed, self._closed = self._closed, None
        try:
            self._body.close()
        finally:
            if closed is not None:
                closed()
