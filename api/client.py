"""The deepset API's endpoints, typed. Sync, thread-safe, no retries: who reads a span decides what to ask again."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import httpx

from .connection import READ_TIMEOUT, Connection
from .credentials import Secret
from .errors import (
    ApiError,
    InvalidInputError,
    NoLogsError,
    NotFoundError,
    PipelineNotFoundError,
    ResponseError,
    WorkspaceNotFoundError,
)
from .filters import each
from .levels import LevelFilter
from .models import Pipeline, PipelineLog, Workspace, parse_pipeline, parse_pipelines, parse_workspaces
from .origins import origin_rows
from .parameters import check_text, check_texts
from .rows import Page, Row, decode_page
from .sources import LogSource
from .statuses import shown_instead
from .stream import Asking
from .times import SECOND, Span, format_instant, to_instant
from .urls import DEFAULT_BASE_URL, check_name
from .walk import MAX_LIMIT, Request

__all__ = ["DEFAULT_BASE_URL", "MAX_LIMIT", "DeepsetClient", "Order"]

Order = Literal["DESC", "ASC"]

_NAMES_ADVICE = "Check the names of workspace and pipeline, and that the key belongs to this workspace's organization."


class DeepsetClient:
    """Reads from one deepset platform with one key.

    A context manager; `close` ends its connections. It holds sockets and does not pickle: make one where it is needed.

    Example::

        with DeepsetClient(api_key) as client:
            names = [pipeline.name for pipeline in client.pipelines("production")]

    Args:
        api_key: ``api_...``, plain or as pydantic's ``SecretStr``; blanks around it are dropped.
        base_url: the platform's address: bare host, ``/api`` or ``/api/v1``, with or without a trailing slash. Plain http is
            for this machine only.
        transport: what carries the requests instead of the network.
        max_connections: how many requests can be under way at once; a further one waits.
        clock: seconds since 1970 by this machine.
        sleep: pauses between the tries of `logs` and `rows`.
        gate: entered around every request, such as a rate limit that others share. Not together with a `Budget` that has one.
        read_timeout: seconds without a byte after which a request is given up; a whole JSON answer may take four times as long.
            The platform itself gives up at about 180.

    Raises:
        InvalidInputError: a key or URL that cannot be used. Nothing was asked.
    """

    def __init__(self, api_key: str | Secret, base_url: str = DEFAULT_BASE_URL, *, transport: httpx.BaseTransport | None = None,
                 max_connections: int = 32, clock: Callable[[], float] = time.time,
                 sleep: Callable[[float], None] = time.sleep, read_timeout: float = READ_TIMEOUT,
                 gate: Callable[[], AbstractContextManager[object]] | None = None) -> None:
        self._clock = clock
        self._sleep = sleep
        self._connection = Connection(api_key, base_url, transport=transport, max_connections=max_connections, clock=clock,
                                      read_timeout=read_timeout, gate=gate)

    def __repr__(self) -> str:
        return f"DeepsetClient({self.host!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; the client cannot be used any more."""
        self._connection.close()

    @property
    def host(self) -> str:
        """The platform's host, with the port where it is not the scheme's own."""
        return self._connection.url.host

    @property
    def key_hash(self) -> str:
        """A short hash of the key, which tells keys apart and gives nothing away."""
        return self._connection.key_hash

    def redact(self, text: str) -> str:
        """The text without the key, or any piece of it."""
        return self._connection.redact(text)

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, redirects included; exact while one thread asks."""
        return self._connection.sent

    @property
    def clock_skew(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the API's latest `Date`, good to a second.

        None before the first answer.
        """
        return self._connection.clock_skew

    def workspaces(self) -> list[Workspace]:
        """The workspaces that the key sees.

        Raises:
            ApiError: no answer, or another one.
        """
        with self._placed(lambda: "the list of workspaces"):
            return parse_workspaces(self._connection.get("/workspaces", lambda: "the list of workspaces"))

    def pipelines(self, workspace: str) -> list[Pipeline]:
        """All pipelines of a workspace, in the order the platform lists them, deleted ones left out.

        Raises:
            WorkspaceNotFoundError: no such workspace, or the key does not see it.
            InvalidInputError: no name that a workspace can have.
            ResponseError: the list brings fewer than it says there are: what is not listed would not be read.
            ApiError: no answer, or another one.
        """
        name = quote(_check_name(workspace, "workspace", self.redact), safe="")
        target = f"/workspaces/{name}/pipelines?limit={MAX_LIMIT}&page_number="
        found: dict[str, Pipeline] = {}
        number, has_more, total = 1, True, 0
        while has_more or len(found) < total:
            where = f"workspace {workspace!r}, page {number} of its pipelines"
            with self._placed(lambda where=where: where):
                try:
                    body = self._connection.get(f"{target}{number}", lambda where=where: where)
                except NotFoundError as error:
                    raise self._workspace_missing(workspace, error) from error
                page, has_more, total = parse_pipelines(body)
                known = len(found)
                for pipeline in page:
                    found.setdefault(pipeline.pipeline_id or pipeline.name, pipeline)
                if (has_more or len(found) < total) and len(found) == known:
                    of = f" after {known} of {total}" if total else ""
                    raise ResponseError(f"The list of pipelines says there is more{of} and brings nothing new.")
            number += 1
        return [pipeline for pipeline in found.values() if not pipeline.deleted]

    def pipeline(self, workspace: str, name: str) -> Pipeline:
        """One pipeline.

        Raises:
            WorkspaceNotFoundError: no such workspace, or the key does not see it.
            PipelineNotFoundError: no such pipeline, or it was deleted.
            InvalidInputError: no names that can be asked for.
            ApiError: no answer, or another one.
        """
        source = LogSource(workspace, name)
        _check(source, self.redact)
        return self._described(source)

    def logs_page(self, source: LogSource, *, after: int | None = None, limit: int = MAX_LIMIT, filter: str | None = None,  # noqa: A002
                  order: Order = "DESC") -> Page:
        """One page of logs in one request (one more on a 404, to tell what is missing).

        Args:
            source: the pipeline or index.
            after: the cursor, nanoseconds since 1970; under ``DESC`` the page goes on to older rows. None begins at the newest.
            limit: rows at most, 1 to 100.
            filter: an OData expression, such as ``level eq 'error'``.
            order: ``DESC`` newest first, ``ASC`` oldest first. What `after` means under ``ASC`` is unknown.

        Raises:
            NoLogsError: the pipeline exists and has no logs.
            PipelineNotFoundError, WorkspaceNotFoundError: what the names name does not exist, or the key does not see it.
            ResponseError: status 200 and no page (transient: never taken for the end).
            InvalidInputError: `limit`, `order`, names or filter that cannot be asked for.
            ApiError: no answer, or another one.
        """
        _check(source, self.redact)
        target = _logs_target(source, after, limit, filter, order)

        def where() -> str:
            return _page_place(source, after, limit, filter)

        try:
            body = self._connection.get(target, where)
        except NotFoundError as error:
            raise self._what_is_missing(source, error) from error
        try:
            return decode_page(body)
        except ResponseError as error:
            said = shown_instead(body, self._connection.redact)
            raise ResponseError(f"{error.problem} {said}".rstrip(), "It is worth asking again.", where()) from error

    @contextmanager
    def logs_csv(self, source: LogSource, *, after: int | None = None, limit: int = MAX_LIMIT, filter: str | None = None,  # noqa: A002
                 order: Order = "DESC") -> Generator[Iterator[str]]:
        """The same as CSV: a context manager that gives the text line by line, line ends included, as it comes.

        Whether the platform honours `limit` here is unknown: the answer can be all there is. Leaving the context early ends it.
        Bytes that are no UTF-8 become lone surrogates (``surrogateescape``).

        Raises:
            ResponseError: the answer is no CSV by its content type.
            DeepsetError: as `logs_page`, also while the lines are read.
        """
        _check(source, self.redact)
        target = _logs_target(source, after, limit, filter, order)
        with ExitStack() as stack:
            try:
                opened = self._connection.stream_csv(target, lambda: _page_place(source, after, limit, filter))
                pieces = stack.enter_context(opened)
            except NotFoundError as error:
                raise self._what_is_missing(source, error) from error
            yield _lines(pieces)

    def logs(self, workspace: str, pipeline: str, start: datetime | str, end: datetime | str,
             levels: Iterable[str] | None = None, origins: Iterable[str] | None = None,
             filter: str | None = None) -> Iterator[PipelineLog]:  # noqa: A002 - the API's word
        """All logs of a span of time, newest first, read as they are asked for.

        Args:
            workspace, pipeline: names.
            start, end: the span, half-open (`end` is not included): datetimes with a time zone, or RFC 3339 text.
            levels: only rows with one of these levels, in lower, upper or title case, or as the newest rows write them; None
                or empty for all.
            origins: the same for origins.
            filter: an OData expression besides.

        Raises:
            IncompleteReadError: rows may be missing: the span begins before what the platform still shows, so many rows share
                one instant that they cannot be passed, or the server does not apply `filter` before it cuts pages.
            InvalidInputError: at once, for names, times or filters that cannot be asked for.
            ApiError, ReadError: what stopped the read; the rows until then are complete.
        """
        return map(PipelineLog.from_row, self.rows(workspace, pipeline, start, end, levels, origins, filter))

    def rows(self, workspace: str, pipeline: str, start: datetime | str, end: datetime | str,
             levels: Iterable[str] | None = None, origins: Iterable[str] | None = None,
             filter: str | None = None) -> Iterator[Row]:  # noqa: A002 - the API's word
        """The same as `logs`, as the bytes that came and the few fields that are read first."""
        source = LogSource(workspace, pipeline)
        _check(source, self.redact)
        span = Span(to_instant(start, "start"), to_instant(end, "end"))
        self.check_span(source, span)
        check_text(filter, "filter")
        chosen, named_origins = each(check_texts(levels, "levels")), each(check_texts(origins, "origins"))
        wanted = LevelFilter(chosen) if chosen else None

        def fetch(request: Request) -> Page:
            return self.logs_page(source, after=request.after, limit=request.limit, filter=request.filter)

        return origin_rows(span, named_origins, wanted, Asking(fetch, str(source), self._server_time, self._sleep), filter)

    def check_span(self, source: LogSource, span: Span) -> None:
        """Refuses a span that can hold no rows. Where it begins after now by this machine's clock, the API's is asked for.

        Raises:
            InvalidInputError: `end` is not after `start`, or `start` lies in the future.
        """
        if span.start >= span.end:
            raise InvalidInputError(f"`end` is not after `start`: {span}.", "Correct them.", str(source))
        if span.start < self._clock() * SECOND:
            return
        if self.clock_skew is None:
            with suppress(NoLogsError):
                self.logs_page(source, limit=1)
        now = int(self._server_time() + 1) * SECOND  # the skew is good to a second
        if span.start > now:
            raise InvalidInputError(f"`start` lies in the future: {span}, and it is {format_instant(now)} now.",
                                    "Give a time that has come.", str(source))

    def _server_time(self) -> float:
        """Seconds since 1970 by the API's clock, as far as it told: what is still shown is judged by that one."""
        return self._clock() - (self.clock_skew or 0.0)

    def _described(self, source: LogSource) -> Pipeline:
        with self._placed(lambda: str(source)):
            try:
                pipeline = parse_pipeline(self._connection.get(source.path, lambda: str(source)))
            except NotFoundError as error:
                raise self._source_missing(source, error) from error
        if pipeline.deleted:
            raise PipelineNotFoundError(f"The {source.kind} was deleted.", "Leave it out; what was archived stays.",
                                        str(source), 404)
        return pipeline

    def _what_is_missing(self, source: LogSource, error: NotFoundError) -> ApiError:
        """The error that a 404 on logs is: the contract has one status for "no such pipeline" and for "no logs"."""
        try:
            self._described(source)
        except NotFoundError as missing:
            return missing
        except ApiError as trouble:
            if trouble.transient:
                return trouble  # so that the whole question is asked again
            return NotFoundError("There is no such pipeline, or it has no logs; which of the two could not be told.",
                                 _NAMES_ADVICE, str(source), 404)
        if error.web_page:  # an ingress that lost its backend, say: taken for "no logs", it would hide them all
            return ResponseError(f"{error.problem.rstrip('.')}. That came from something between here and the API: the "
                                 f"{source.kind} exists.", "It is worth asking again.", error.where)
        return NoLogsError(f"The {source.kind} exists and has no logs.",
                           "Nothing is wrong if it was never deployed or never used.", error.where, 404)

    def _source_missing(self, source: LogSource, error: NotFoundError) -> ApiError:
        missing = self._workspace_missing(source.workspace, error)
        if isinstance(missing, WorkspaceNotFoundError) or missing.transient:
            return missing
        if error.web_page:
            return NotFoundError(error.problem, "A web page is no answer of the API: check the base URL and the proxy.",
                                 str(source), 404)
        return PipelineNotFoundError(f"There is no {source.kind} of this name.", _NAMES_ADVICE, str(source), 404)

    def _workspace_missing(self, workspace: str, error: NotFoundError) -> ApiError:
        """`WorkspaceNotFoundError` when the list of workspaces does not hold this one, otherwise what happened."""
        try:
            names = [found.name for found in self.workspaces()]
        except ApiError as trouble:
            return trouble if trouble.transient else error
        if workspace in names:
            return error
        seen = ", ".join(repr(name) for name in sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
        return WorkspaceNotFoundError("There is no such workspace, or the key does not see it.",
                                      f"The key sees {seen or 'none'}.", f"workspace {workspace!r}", 404)

    @contextmanager
    def _placed(self, where: Callable[[], str]) -> Generator[None]:
        """Give a parser's error its place and advice."""
        try:
            yield
        except ResponseError as error:
            if error.where:
                raise
            raise ResponseError(error.problem, "It is worth asking again.", where()) from error


def _check(source: LogSource, redact: Callable[[str], str]) -> None:
    for name, kind in ((source.workspace, "workspace"), (source.name, source.kind)):
        _check_name(name, kind, redact)


def _check_name(name: str, kind: str, redact: Callable[[str], str]) -> str:
    """The name, if it can be one, and may stand in errors."""
    if redact(check_name(name, kind)) != name:
        raise InvalidInputError(f"`{kind}` holds the API key, or a piece of it.", f"Give the {kind}'s name.")
    return name


def _logs_target(source: LogSource, after: int | None, limit: int, filter_: str | None, order: str) -> str:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"`limit` is {limit!r}, not a number from 1 to {MAX_LIMIT}.", "Correct it.", str(source))
    if order not in {"DESC", "ASC"}:
        raise InvalidInputError(f"`order` is {order!r}, not 'DESC' or 'ASC'.", "Correct it.", str(source))
    target = f"{source.path}/logs?limit={limit}&order={order}"
    if after is not None:
        target += f"&after={format_instant(after)}"
    if filter_ is not None:
        try:
            target += f"&filter={quote(filter_, safe='')}"
        except UnicodeEncodeError as error:
            raise InvalidInputError("The filter holds half of a character (a lone surrogate).", "Correct it.",
                                    str(source)) from error
    return target


def _page_place(source: LogSource, after: int | None, limit: int, filter_: str | None) -> str:
    cursor = "the newest rows" if after is None else f"rows after the cursor {format_instant(after)}"
    return f"{source}, {cursor}, limit {limit}" + (f", filter {filter_[:100]!r}" if filter_ else "")


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
        for line in lines:
            yield (line + b"\n").decode("utf-8", "surrogateescape")
    if rest:
        yield rest.decode("utf-8", "surrogateescape")
