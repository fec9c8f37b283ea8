"""Rows of some levels, whatever the server makes of filters: the same rows, in few requests."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.errors import BadRequestError, GatewayTimeoutError, ServerError
from prefect_deepset.api.levels import LevelFilter, Way, level_rows
from prefect_deepset.api.rows import Page, Row
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.steps import Request
from prefect_deepset.api.stream import Asking
from prefect_deepset.api.times import SECOND, Span, parse_instant
from prefect_deepset.testing import Behaviour, FakeDeepset
from prefect_deepset.testing import row as given

from .simulated import SimulatedServer, row

WINDOW = "2026-02-01T02:45:00Z", "2026-02-01T03:00:00Z"
START, END = map(parse_instant, WINDOW)
NOW = END / SECOND
ERRORS = ("error", "critical", "fatal")
SPELT = ("error", "ERROR", "critical", "Fatal", "Error")


def pattern(count: int, errors: int, odd: str = "") -> list[tuple[int, str]]:
    """(instant, level) of rows spread over the window, and of older ones; the newest error row is spelt `odd`."""
    every = count // errors if errors else 0
    levels = [SPELT[n // every % 5] if every and n % every == 0 else ("info", "info", "warning")[n % 3] for n in range(count)]
    if odd:
        levels[max(n for n, level in enumerate(levels) if level.lower() in ERRORS)] = odd
    step = (END - START) // max(count, 1)
    old = [(START - (3600 + n) * SECOND, "info") for n in range(200)]
    return old + [(START + n * step + 500_000, level) for n, level in enumerate(levels)]


@pytest.fixture
def platform() -> Iterator[FakeDeepset]:
    """A platform whose clock stands at the window's end."""
    with FakeDeepset(now=WINDOW[1]) as fake:
        yield fake


def read(platform: FakeDeepset, levels: tuple[str, ...] = ERRORS, pipeline: str = "p") -> list[Row]:
    with DeepsetClient(platform.api_key, platform.url, clock=platform.now, sleep=platform.advance) as client:
        return list(client.rows("w", pipeline, *WINDOW, levels=levels))


HONOURED = {
    "or": Behaviour(or_filter="honoured"),
    "or, any case": Behaviour(or_filter="honoured", level_case="any"),
    "any case": Behaviour(level_case="any"),
    "exact": Behaviour(),
}
OTHERS = {
    "or ignored": Behaviour(or_filter="ignored"),
    "ignored": Behaviour(level_filter="ignored", or_filter="honoured"),
    "refused": Behaviour(level_filter="400"),
}


@pytest.mark.parametrize(("behaviour", "requests"), [
    # 90 and 250 rows, 1500 without and with errors, 1500 that are errors, 6000
    ("or", [1, 3, 5, 5, 16, 5]),
    ("or, any case", [1, 3, 5, 5, 16, 5]),
    ("any case", [1, 3, 10, 10, 16, 10]),
    ("exact", [1, 3, 19, 19, 16, 22]),
    ("or ignored", [1, 3, 19, 19, 16, 22]),
    ("ignored", [1, 3, 18, 18, 16, 63]),
    ("refused", [1, 3, 18, 18, 16, 63]),
])
def test_a_calm_span_costs_one_request_and_a_busy_one_no_more_than_reading_it_or_a_few(
    platform: FakeDeepset, behaviour: str, requests: list[int]
) -> None:
    platform.behaviour = {**HONOURED, **OTHERS}[behaviour]
    asked: list[int] = []
    for count, errors in [(90, 5), (250, 5), (1500, 0), (1500, 30), (1500, 1500), (6000, 60)]:
        name = f"{count}-{errors}"
        platform.add_pipeline("w", name, [given(instant, level=level) for instant, level in pattern(count, errors)])
        platform.reset()
        assert len(read(platform, pipeline=name)) == errors
        asked.append(platform.counters["requests"])
    assert asked == requests


@pytest.mark.parametrize("filters", [*HONOURED, *OTHERS])
@pytest.mark.parametrize("paging", [
    {}, {"after_inclusive": True}, {"after_precision": "s"}, {"tie_order": "random"}, {"limit_cap": 30}, {"disorder": "random"},
    {"total": "all"}, {"total": "zero"}, {"has_more": "until_empty"},
])
def test_the_same_rows_come_newest_first_and_each_once_whatever_the_server_makes_of_the_filter(
    platform: FakeDeepset, filters: str, paging: dict[str, Any]
) -> None:
    chosen = {**HONOURED, **OTHERS}[filters]
    platform.behaviour = Behaviour(**{**vars(chosen), **paging})
    rows = pattern(900, 60, odd="eRRoR")
    platform.add_pipeline("w", "p", [given(instant, level=level) for instant, level in rows])
    found = read(platform)
    assert [row.logged_at for row in found] == sorted(
        (instant for instant, level in rows if level.lower() in ERRORS and instant >= START), reverse=True)


def test_what_is_learned_of_the_server_serves_all_reads_that_share_it(platform: FakeDeepset) -> None:
    platform.behaviour = HONOURED["or"]
    levels, asked = LevelFilter(ERRORS), list[int]()
    with DeepsetClient(platform.api_key, platform.url) as client:
        for name in ("first", "second"):
            platform.add_pipeline("w", name, [given(instant, level=level) for instant, level in pattern(1500, 30)])
            platform.reset()
            asking = Asking(client_fetch(client, name), name, platform.now, platform.advance)
            assert len(list(level_rows(Span(START, END), levels, asking))) == 30
            asked.append(platform.counters["requests"])
    assert asked == [5, 3]


def client_fetch(client: DeepsetClient, name: str) -> Callable[[Request], Page]:
    return lambda r: client.logs_page(LogSource("w", name), after=r.after, limit=r.limit, filter=r.filter)


class OddServer(SimulatedServer):
    """A server that makes something of its own of the levels asked for."""

    made_of: Callable[[list[str], Row], bool]

    def _filtered(self, rows: list[Row], text: str) -> list[Row]:
        levels = re.findall(r"level eq '([^']*)'", text)
        return [row for row in rows if self.made_of(levels, row)]


def refuse(_levels: list[str], _row: Row) -> bool:
    raise BadRequestError("no", status=400)


def fail(_levels: list[str], _row: Row) -> bool:
    raise ServerError("no", status=500)


def give_up(_levels: list[str], _row: Row) -> bool:
    raise GatewayTimeoutError("no", status=504)


def odd_server(made_of: Callable[[list[str], Row], bool]) -> OddServer:
    server = OddServer([row(instant, f"r{n}", level) for n, (instant, level) in enumerate(pattern(3000, 300))])
    server.made_of = made_of
    return server


def read_odd(server: OddServer, levels: LevelFilter | None = None) -> list[Row]:
    asking = Asking(server.fetch, "an odd server", lambda: NOW, lambda _: None)
    return list(level_rows(Span(START, END), levels or LevelFilter(ERRORS), asking))


@pytest.mark.parametrize(("made_of", "way"), [
    (lambda levels, row: row.level in levels, Way.JOINED),
    (lambda levels, row: row.level == levels[0], Way.EXACT),
    (lambda levels, row: row.level == levels[-1], Way.EXACT),
    (lambda levels, row: row.level.lower() == levels[0].lower(), Way.ANY_CASE),
    (lambda levels, row: len(levels) == 1 and row.level in levels, Way.EXACT),
    (lambda _levels, _row: False, Way.NONE),
    (lambda levels, row: row.level not in levels, Way.NONE),
    (lambda levels, row: row.level in levels and hash(row.log_id) % 2 == 0, Way.NONE),
    (refuse, Way.NONE), (fail, Way.NONE), (give_up, Way.NONE),
])
def test_a_filter_is_believed_only_when_it_shows_the_rows_that_are_known(made_of: Callable[[list[str], Row], bool],
                                                                         way: Way) -> None:
    server, levels = odd_server(made_of), LevelFilter(ERRORS)
    found = read_odd(server, levels)
    assert len({row.log_id for row in found}) == len(found) == 300
    assert levels.way is way


@pytest.mark.parametrize("later", [lambda _levels, _row: True, refuse])
@pytest.mark.parametrize("joined", [True, False])
def test_a_filter_that_is_given_up_by_the_server_on_the_way_is_read_around(
    later: Callable[[list[str], Row], bool], joined: bool
) -> None:
    """The pages that were believed are not read again."""
    def made_of(levels: list[str], row: Row) -> bool:
        if server.requests > 12:
            return later(levels, row)
        return row.level in levels if joined or len(levels) == 1 else refuse(levels, row)

    server, levels = odd_server(made_of), LevelFilter(ERRORS)
    server.rows += [row(START - 7200 * SECOND - n, f"old{n}", "error") for n in range(3000)]  # so that one query has many pages
    server.rows += [row(START + 450 * SECOND - n * 5_000_000, f"burst{n}", "error") for n in range(1500)]
    server.rows.sort(reverse=True)
    found = read_odd(server, levels)
    assert len({row.log_id for row in found}) == len(found) == 1800
    assert found == sorted(found, reverse=True)
    assert levels.way is Way.NONE
    assert server.requests < 12 + 46 + 5


def test_random_levels_and_servers_give_the_same_rows() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        levels = ["info", "debug", *rng.sample(["error", "ERROR", "critical", "Critical", "warning", "notice", ""], 4)]
        weights = [rng.choice([0.2, 1, 30]) for _ in levels]
        times = sorted(rng.randrange(START - 100 * SECOND, END, 1000) for _ in range(rng.choice([50, 400, 2500])))
        rows = [row(at, f"r{n}", rng.choices(levels, weights)[0]) for n, at in enumerate(times)]
        server = SimulatedServer(rows, filters=rng.choice(["honoured", "ignored", "refused"]), fault_rate=rng.choice([0, 0.05]),
                                 tie_order="random", seed=seed)
        asking = Asking(server.fetch, "a server", lambda: NOW, lambda _: None)
        found = list(level_rows(Span(START, END), LevelFilter(["error", "critical"]), asking))
        assert [r.log_id for r in found] == [r.log_id for r in sorted(rows, reverse=True)
                                             if r.level.lower() in ERRORS and r.logged_at >= START], seed
