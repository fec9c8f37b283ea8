"""HTTP/1.1 over asyncio, no more of it than a client of the API needs: one process answers thousands of pages a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from .faults import Fault
from .render import Answer


class Head(NamedTuple):
    """A request's first line and headers."""

    method: str
    path: str
    """Still percent-encoded."""
    query: str
    headers: dict[str, str]
    """Names in lower case."""


class Reply(NamedTuple):
    """What becomes of a request."""

    answer: Answer
    fault: Fault
    delay: float
    date: float
    """Seconds since 1970, for the `Date` header."""
    finished: Callable[[], None] | None
    """Called when the answer is sent, or the client is gone."""


Respond = Callable[[Head], Reply]


class Wire:
    """One listening socket and its connections, inside a running event loop."""

    def __init__(self, respond: Respond, failed: Callable[[Exception], None]) -> None:
        self._respond = respond
        self._failed = failed
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which is a free one when `port` is 0."""
        self._server = await asyncio.start_server(self._accept, host, port, backlog=512)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the socket and break every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, or speaks something else
        except asyncio.CancelledError:
            writer.transport.abort()  # a client that does not read must not hold up the stop
        except Exception as problem:  # noqa: BLE001 - it must reach the test, not die in this thread
            self._failed(problem)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays open."""
        data = await reader.readuntil(b"\r\n\r\n")
        try:
            head = read_head(data)
            length = int(head.headers.get("content-length", "0"))
        except ValueError:  # not HTTP
            return False
        if length:
            await reader.readexactly(length)
        reply = self._respond(head)
        fault = reply.fault
        try:
            if reply.delay > 0:
                await asyncio.sleep(reply.delay)
            if fault.hang:
                await reader.read(1)  # ends when the client gives up or the server stops
                return False
            if fault.reset:
                return False
            return await self._send(reply, writer, head.headers.get("connection", "").lower() != "close")
        finally:
            if reply.finished is not None:
                reply.finished()

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter, keep: bool) -> bool:
        answer, fault = reply.answer, reply.fault
        body = answer.body
        if not isinstance(body, bytes):
            if fault.truncate is None and fault.cut is None:
                writer.write(_head(answer, reply.date, None, keep))
                await _send_chunks(body, writer)
                return keep
            body = b"".join(body)
        if fault.truncate is not None:
            body = body[: int(len(body) * fault.truncate)]
        head = _head(answer, reply.date, len(body), keep)
        if fault.cut is not None:
            writer.write(head + body[: int(len(body) * fault.cut)])
            await writer.drain()
            return False
        writer.write(head + body)
        await writer.drain()
        return keep


async def _send_chunks(chunks: Iterator[bytes], writer: asyncio.StreamWriter) -> None:
    for chunk in chunks:
        if chunk:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            await asyncio.sleep(0)  # others get their turn, however fast this client reads
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _head(answer: Answer, date: float, length: int | None, keep: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_reason(answer.status)}",
        f"Date: {_date_text(int(date))}",
        f"Content-Type: {answer.content_type}",
        "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    if not keep:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@lru_cache(maxsize=128)
def _date_text(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=128)
def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def read_head(data: bytes) -> Head:
    """The first line and the headers of a request."""
    first, *lines = data.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    return Head(method, path, query, headers)
