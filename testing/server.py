"""The fake server: what exists on it, what time it is there, and what it was asked."""

# ruff: noqa: S311 - random numbers are repeatable here, on purpose
from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self, cast
from urllib.parse import parse_qsl

from .behaviour import Behaviour
from .catalog import Catalog, Kind, LoggedThing
from .faults import Fault, Faults, FaultSchedule, Request, Route
from .instants import MICROSECOND, Instant, to_ns
from .paging import shown_places
from .render import Answer, error, json_answer
from .routes import Setting, answer, find_route
from .rows import GivenRow, GivenRows, RowSource, RowTable, TruthRow
from .wire import Head, Reply, Wire

Rows = RowSource | Iterable[GivenRow]
"""What a generator gives, or rows one by one: objects, or JSON texts that are kept byte for byte."""

_NO_FAULT = Fault()


class LoggedRequest(NamedTuple):
    """One request that was answered."""

    number: int
    time: float
    """Seconds since 1970 on the server's clock."""
    path: str
    """As it came, percent-encoded."""
    params: Mapping[str, str]
    route: Route
    workspace: str
    pipeline: str
    """The pipeline's or index's name."""
    kind: Kind
    status: int
    rows: int
    fault: Fault | None


class FakeDeepset:
    """A deepset platform on the loopback interface, for tests.

    ::

        from prefect_deepset.testing import FakeDeepset, Fault, Faults, even_day

        with FakeDeepset(now="2026-02-01T03:00:00Z") as server:
            server.add_pipeline("support", "chat", even_day("2026-01-31T00:00:00Z", 1_000))
            server.faults = Faults(at={3: Fault.gateway_timeout()})
            found = read_logs(server.url, server.api_key, "support", "chat")  # whatever is to be tested
            assert sorted(found) == sorted(row.log_id for row in server.truth("support", "chat"))
            assert server.counters["504"] == 1

    All methods may be called from any thread while the server runs.

    Args:
        now: the server's clock: a function giving seconds since 1970, or one instant at which it stands still (until
            `advance`). It decides what retention hides and which rows have appeared. The computer's clock when left out.
        behaviour: answers to what is unknown about the API.
        faults: what goes wrong, and when.
        api_key: the one key that is accepted.
        on_request: called with each request before it is answered, in the server's thread; a fault it gives happens.
        host, port: where to listen; port 0 is a free one.
        seed: for what is random per request.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] | Instant | None = None,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        api_key: str = "api_fake-key",
        on_request: Callable[[Request], Fault | None] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.api_key = api_key
        self.behaviour = behaviour or Behaviour()
        self.on_request = on_request
        self._requests: deque[LoggedRequest] = deque(maxlen=200_000)
        self.in_flight_max = 0
        """The most requests that were being answered at once."""
        self.problems: list[Exception] = []
        """What failed inside the server, or in `on_request`; the end of the ``with`` block raises the first."""
        self._faults = FaultSchedule(faults or Faults())
        self._clock: Callable[[], float] = time.time
        self._offset = 0.0
        if now is not None:
            self.now = now
        self._catalog = Catalog()
        self._rng = random.Random(f"server {seed}")
        self._lock = threading.RLock()
        self._host, self._port = host, port
        self._started: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._in_flight = 0
        self._number = self._logs_number = 0
        self._totals: Counter[str] = Counter()

    # --- start and stop

    def start(self) -> Self:
        """Listen, in a thread of its own. After `stop` it listens on the same port again."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="fake-deepset", daemon=True)
        thread.start()
        self._wire = Wire(self._respond, self.problems.append)
        self._started = (loop, thread)
        try:
            self._port = asyncio.run_coroutine_threadsafe(self._wire.start(self._host, self._port), loop).result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Break every connection and free the port. (Not from `on_request`: it would wait for itself.)"""
        if self._started is None:
            return
        loop, thread = self._started
        self._started = None
        asyncio.run_coroutine_threadsafe(self._wire.stop(), loop).result()
        # In its own thread: the one that called may run a loop, as asynchronous tests do.
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self.problems and error is None:
            raise self.problems[0]

    def __repr__(self) -> str:
        return f"<FakeDeepset {self.url}>"

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://{self._host}:{self._port}"

    # --- time

    @property
    def now(self) -> Callable[[], float]:
        """The server's clock, seconds since 1970. Set it to a function, or to one instant at which it stands."""
        return self._now

    @now.setter
    def now(self, clock: Callable[[], float] | Instant) -> None:
        self._offset = 0.0
        if callable(clock):
            self._clock = clock
        else:
            standing = to_ns(clock) / 1e9
            self._clock = lambda: standing

    def _now(self) -> float:
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the server's clock; it can stand for a test's `sleep`."""
        self._offset += seconds

    # --- what exists

    def add_workspace(self, name: str, workspace_id: str | None = None) -> str:
        """Add a workspace, or give one that exists another id; its id."""
        with self._lock:
            return self._catalog.add_workspace(name, workspace_id).workspace_id

    def add_pipeline(
        self, workspace: str, name: str, rows: Rows = (), *, deployed: bool = True, visible_at: Instant | None = None
    ) -> str:
        """Add a pipeline with rows; its id. One of that name is deleted first, and the new one has another id."""
        return self._add(workspace, name, "pipeline", rows, deployed, visible_at)

    def add_index(self, workspace: str, name: str, rows: Rows = (), *, visible_at: Instant | None = None) -> str:
        """Add an index with rows; its id."""
        return self._add(workspace, name, "index", rows, True, visible_at)

    def add_rows(
        self, workspace: str, name: str, rows: Rows, *, visible_at: Instant | None = None, kind: Kind = "pipeline"
    ) -> None:
        """More rows for a pipeline or index, visible from their `logged_at` on, or (late rows) only from `visible_at`."""
        source = _source(rows)
        with self._lock:
            self._thing(workspace, name, kind).table.add(source, visible_at)

    def remove_pipeline(self, workspace: str, name: str) -> None:
        """Delete a pipeline. `truth` still knows its rows."""
        with self._lock:
            self._thing(workspace, name, "pipeline").deleted = True

    def rename_pipeline(self, workspace: str, name: str, new_name: str) -> None:
        """Give a pipeline another name; its id and rows stay."""
        with self._lock:
            self._thing(workspace, name, "pipeline").name = new_name

    def _add(
        self, workspace: str, name: str, kind: Kind, rows: Rows, deployed: bool, visible_at: Instant | None
    ) -> str:
        source = _source(rows)
        with self._lock:
            thing = self._catalog.add(workspace, name, kind, deployed)
            thing.table.add(source, visible_at)
            return thing.thing_id

    def _thing(self, workspace: str, name: str, kind: Kind) -> LoggedThing:
        found = self._catalog.find(workspace, name, kind)
        if found is None:
            raise KeyError(f"no {kind} {name!r} in workspace {workspace!r}")
        return found

    # --- what is true

    def truth(
        self,
        workspace: str,
        name: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        shown_only: bool = False,
        kind: Kind = "pipeline",
    ) -> list[TruthRow]:
        """All rows with ``start <= logged_at < end``, oldest first, late and vanished ones too.

        Args:
            workspace, name, start, end, kind: which rows.
            shown_only: only those that the server shows now.
        """
        with self._lock:
            table, places = self._places(workspace, name, start, end, shown_only, kind)
            return [TruthRow(*table.identity(place), table.raw(place)) for place in places]

    def truth_ids(
        self,
        workspace: str,
        name: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        shown_only: bool = False,
        kind: Kind = "pipeline",
    ) -> set[tuple[str, str]]:
        """(`log_id`, `logged_at` as the row has it) of the same rows, without rendering them."""
        with self._lock:
            table, places = self._places(workspace, name, start, end, shown_only, kind)
            return set(map(table.identity, places))

    def _places(
        self, workspace: str, name: str, start: Instant | None, end: Instant | None, shown_only: bool, kind: Kind
    ) -> tuple[RowTable, Sequence[int]]:
        table = self._thing(workspace, name, kind).table
        places = table.window(None if start is None else to_ns(start), None if end is None else to_ns(end))
        if not shown_only:
            return table, places
        shown = shown_places(table, self.behaviour, self._setting().now)
        return table, [place for place in shown if place in places]

    # --- faults and the record

    @property
    def faults(self) -> Faults:
        """What goes wrong. Setting it starts it anew."""
        return self._faults.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = FaultSchedule(faults)

    @property
    def requests(self) -> list[LoggedRequest]:
        """The latest 200,000 requests, oldest first; a copy, so that it holds still."""
        with self._lock:
            return list(self._requests)

    @property
    def counters(self) -> Counter[str]:
        """How often since the last `reset`: `requests`, `pages` (logs answered 200), `rows` sent, and each status as text."""
        with self._lock:
            return Counter(self._totals)

    def reset(self) -> None:
        """Forget the requests; numbers begin at 1 again. Rows, behaviour and clock stay; faults start anew."""
        with self._lock:
            self._requests.clear()
            self._totals.clear()
            self._number = self._logs_number = 0
            self.in_flight_max = self._in_flight
            self._faults = FaultSchedule(self._faults.faults)

    # --- answering, in the server's thread

    def _respond(self, head: Head) -> Reply:
        try:
            return self._reply(head)
        except Exception as problem:  # noqa: BLE001 - it must reach the test, not die in this thread
            self.problems.append(problem)
            return Reply(error(500, f"The fake server failed: {problem!r}"), _NO_FAULT, 0.0, 0.0, None)

    def _reply(self, head: Head) -> Reply:
        now = self._now()
        if head.path == "/_fake/counters":  # for whoever started the server in a process of its own
            return Reply(json_answer({**self.counters, "in_flight_max": self.in_flight_max}), _NO_FAULT, 0.0, now, None)
        request = self._request(head, now)
        asked = self.on_request(request) if self.on_request is not None else None
        with self._lock:
            fault = asked or self._faults.choose(request)
            delay = self._faults.latency(request) + (fault.delay if fault else 0.0)
            reply = answer(request, self._setting(now), fault)
            self._note(request, reply, fault)
            self._in_flight += 1
            self.in_flight_max = max(self.in_flight_max, self._in_flight)
        return Reply(reply, fault or _NO_FAULT, delay, now, self._finished)

    def _finished(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _setting(self, now: float | None = None) -> Setting:
        instant = round((self._now() if now is None else now) * 1_000_000) * MICROSECOND
        return Setting(self._catalog, self.behaviour, self._faults, self.api_key, self._rng, instant)

    def _request(self, head: Head, now: float) -> Request:
        route, workspace, name, kind = find_route(head.path)
        with self._lock:
            self._number += 1
            self._logs_number += route == "logs"
            logs_number = self._logs_number if route == "logs" else 0
            number = self._number
        params = dict(parse_qsl(head.query, keep_blank_values=True))
        return Request(
            number, logs_number, now, head.method, head.path, head.query, params, head.headers, route, workspace, name, kind
        )

    def _note(self, request: Request, reply: Answer, fault: Fault | None) -> None:
        self._totals["requests"] += 1
        self._totals[str(reply.status)] += 1
        self._totals["rows"] += reply.rows
        if request.route == "logs" and reply.status == 200:
            self._totals["pages"] += 1
        self._requests.append(
            LoggedRequest(
                request.number,
                request.time,
                request.path,
                request.params,
                request.route,
                request.workspace,
                request.name,
                request.kind,
                reply.status,
                reply.rows,
                fault,
            )
        )


def _source(rows: Rows) -> RowSource:
    """Rows as a source; what has times and can render rows already is one."""
    return cast("RowSource", rows) if hasattr(rows, "kind_names") else GivenRows(cast("Iterable[GivenRow]", rows))
