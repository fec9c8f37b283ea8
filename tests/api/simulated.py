"""A server without HTTP: the unknowns of the logs endpoint as switches, for properties that need thousands of requests."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from prefect_deepset.api.errors import BadRequestError, GatewayTimeoutError, ResponseError, ServerError
from prefect_deepset.api.rows import Page, Row
from prefect_deepset.api.times import MILLISECOND, SECOND, format_instant, parse_instant
from prefect_deepset.api.walk import Request

UNITS = {"us": 1000, "ms": MILLISECOND, "s": SECOND}


def row(instant: int, log_id: str, level: str = "info", origin: str = "haystack") -> Row:
    text = f'{{"log_id":"{log_id}","logged_at":"{format_instant(instant)}","level":"{level}","origin":"{origin}","message":""}}'
    return Row(instant, log_id, level, origin, text.encode())


@dataclass
class SimulatedServer:
    rows: list[Row]
    inclusive: bool = False
    precision: str = "us"
    tie_order: str = "stable"  # stable | random
    shuffle_within: int = 0  # ns: rows of one such bucket come in any order, the same one each time
    total: str = "after"  # after | all | capped | zero
    filters: str = "honoured"  # honoured | ignored | refused
    inequality: str = "refused"  # `ne`: refused | ignored | honoured | equality, which it is taken for | nothing, what it shows
    time_filter: str = "honoured"
    has_more: str = "exact"  # exact | until_empty | never
    page_bytes: int = 0  # a page is cut before it has more bytes than this, but never to nothing
    resorted: bool = False  # a page's rows are put in order of time after they were chosen
    hidden_below: int = 0  # rows older than this are not shown, as when a part of the store is down
    heavy: tuple[int, int] | None = None  # a stretch that answers 504 ...
    heavy_limit: int = 0  # ... unless the limit is at most this
    fault_rate: float = 0.0
    short_rate: float = 0.0
    false_end_rate: float = 0.0
    seed: int = 0
    requests: int = 0
    served: int = 0
    log: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        salt = {row.log_id: self.random.random() for row in self.rows}

        def order(row: Row) -> tuple:
            bucket = row.logged_at // self.shuffle_within if self.shuffle_within else row.logged_at
            return (bucket, salt[row.log_id])

        self.rows = sorted(self.rows, key=order, reverse=True)

    def fetch(self, request: Request) -> Page:
        self.requests += 1
        self.log.append(request)
        if self.fault_rate and self.random.random() < self.fault_rate:
            errors = [ServerError("oops", status=500), GatewayTimeoutError("slow", status=504), ResponseError("cut")]
            raise self.random.choice(errors)
        unit = UNITS[self.precision]
        after = request.after // unit
        rows = [r for r in self.rows if r.logged_at // unit < after or (self.inclusive and r.logged_at // unit == after)]
        bounded = request.filter is not None and "logged_at ge" in request.filter
        rows = [r for r in rows if r.logged_at >= self.hidden_below]
        if request.filter:
            rows = self._filtered(rows, request.filter)
        if self.tie_order == "random":
            rows = sorted(rows, key=lambda r: (r.logged_at, self.random.random()), reverse=True)
        page = rows[: request.limit]
        while self.page_bytes and len(page) > 1 and sum(len(r.raw) for r in page) > self.page_bytes:
            page.pop()
        if self.resorted:
            page.sort(key=lambda r: r.logged_at, reverse=True)
        if self.heavy and request.limit > self.heavy_limit and not (bounded and self.time_filter == "honoured"):
            reach = page[-1].logged_at if len(page) == request.limit else 0
            if reach < self.heavy[1] and request.after > self.heavy[0]:
                raise GatewayTimeoutError("Fetching logs timed out. Try again later.", status=504)
        if self.short_rate and len(page) > 1 and self.random.random() < self.short_rate:
            page = page[: self.random.randrange(1, len(page))]
        if self.false_end_rate and self.random.random() < self.false_end_rate:
            return Page([], False, self._total(rows))
        self.served += len(page)
        more = {"exact": len(rows) > len(page), "until_empty": bool(page), "never": False}[self.has_more]
        return Page(page, more, self._total(rows))

    def _total(self, rows: list[Row]) -> int | None:
        return {"after": len(rows), "all": len(self.rows), "capped": min(len(self.rows), 10_000), "zero": 0}[self.total]

    def _filtered(self, rows: list[Row], text: str) -> list[Row]:
        for term in text.split(" and "):
            name, operator, value = term.strip("() ").split(" ", 2)
            value = value.strip("'")
            if operator == "ge":
                if self.time_filter == "honoured":
                    bound = parse_instant(value)
                    rows = [r for r in rows if r.logged_at >= bound]
                elif self.time_filter == "refused":
                    raise BadRequestError("no such filter", status=400)
            elif self.filters == "refused":
                raise BadRequestError("no such filter", status=400)
            elif self.filters == "honoured" and operator == "ne":
                rows = self._unequal(rows, name, value)
            elif self.filters == "honoured":
                rows = [r for r in rows if getattr(r, name) == value]
        return rows

    def _unequal(self, rows: list[Row], name: str, value: str) -> list[Row]:
        if self.inequality == "refused":
            raise BadRequestError("eq and and are all there is", status=400)
        kept = {"honoured": lambda r: getattr(r, name) != value, "ignored": lambda _: True, "nothing": lambda _: False,
                "equality": lambda r: getattr(r, name) == value}[self.inequality]
        return list(filter(kept, rows))
