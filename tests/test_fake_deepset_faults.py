"""The fake server fails as it is told to, keeps its record, and its pages are what a plain reading of the rules gives."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.testing import (
    Behaviour,
    FakeDeepset,
    Fault,
    Faults,
    GivenRows,
    HeavyRange,
    RateLimit,
    Request,
    bursts,
    dense,
    even_day,
    row,
    skewed_day,
    tied_day,
    ties,
)
from prefect_deepset.testing.filters import Condition, read_filter
from prefect_deepset.testing.instants import text
from prefect_deepset.testing.paging import Query, select
from prefect_deepset.testing.rows import RowTable

DAY = "2026-01-31T00:00:00Z"
NOON = "2026-01-31T12:00:00Z"
LOGS = "/api/v1/workspaces/w/pipelines/p/logs"


@pytest.fixture
def server() -> Iterator[FakeDeepset]:
    with FakeDeepset(now="2026-02-01T03:00:00Z") as fake:
        fake.add_pipeline("w", "p", even_day(DAY, 1440))
        yield fake


@pytest.fixture
def client(server: FakeDeepset) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.api_key}"}) as made:
        yield made


def statuses(client: httpx.Client, count: int, **params: Any) -> list[int]:
    return [client.get(LOGS, params=params).status_code for _ in range(count)]


# --- faults


def test_a_fault_happens_to_the_request_whose_number_it_has(server, client):
    server.faults = Faults(at={2: Fault.gateway_timeout(), 3: Fault.bad_gateway(), 4: Fault(503), 5: Fault.html()})
    client.get("/api/v1/workspaces")  # not counted
    answers = [client.get(LOGS) for _ in range(6)]
    assert [a.status_code for a in answers] == [200, 504, 502, 503, 200, 200]
    assert "timed out" in answers[1].text
    assert answers[2].headers["content-type"].startswith("text/html")
    assert answers[4].text.startswith("<!DOCTYPE html>")
    assert [r.fault is not None for r in server.requests][1:] == [False, True, True, True, True, False]


def test_chance_is_repeatable_by_its_seed_and_reset_starts_it_anew(server, client):
    server.faults = Faults(probability=0.5, seed=3, kinds=(Fault(503), Fault(500)))
    first = statuses(client, 40)
    server.reset()
    assert statuses(client, 40) == first
    assert set(first) == {200, 500, 503}
    assert server.requests[0].number == 1


def test_a_function_may_choose_the_fault_or_change_the_server_at_the_nth_request(server, client):
    def at_second(request: Request) -> Fault | None:
        if request.logs_number == 2:
            server.add_rows("w", "p", [row(NOON, "added")])
        return Fault(403) if request.params.get("order") == "ASC" else None

    server.on_request = at_second
    assert statuses(client, 1, order="ASC") == [403]
    assert client.get(LOGS).json()["total"] == 1441
    server.on_request = None
    server.faults = Faults(when=lambda request: Fault(408) if request.params.get("limit") == "7" else None)
    assert statuses(client, 1, limit=7) == [408]


def test_a_failure_inside_the_hook_answers_500_and_fails_the_with_block():
    def broken(request: Request) -> Fault | None:
        raise AssertionError("seen")

    with pytest.raises(AssertionError, match="seen"), FakeDeepset(on_request=broken) as fake:
        assert httpx.get(fake.url).status_code == 500


def test_a_heavy_range_times_out_above_its_limit(server, client):
    heavy = HeavyRange("2026-01-31T12:00:00Z", "2026-01-31T12:10:00Z", max_limit=10)
    server.faults = Faults(heavy=[heavy])
    assert statuses(client, 1, limit=100) == [200]
    near = {"after": "2026-01-31T12:30:00Z"}
    assert [statuses(client, 1, limit=n, **near)[0] for n in (10, 19, 21, 100)] == [200, 200, 504, 504]
    server.faults = Faults(heavy=[heavy._replace(max_limit=0)])
    assert statuses(client, 1, limit=1, after="2026-01-31T12:05:00Z") == [504]
    server.faults = Faults(heavy=[heavy._replace(max_limit=0, unless_bounded=True)])
    assert statuses(client, 1, after="2026-01-31T12:05:00Z") == [504]
    assert statuses(client, 1, after="2026-01-31T12:05:00Z", filter="logged_at ge '2026-01-31T12:00:00Z'") == [200]


def test_the_rate_limit_is_a_token_bucket_on_the_servers_clock(server, client):
    server.faults = Faults(rate_limit=RateLimit(2.0, burst=3, retry_after="Sun, 01 Feb 2026 03:00:01 GMT"))
    assert statuses(client, 5) == [200, 200, 200, 429, 429]
    assert client.get(LOGS).headers["retry-after"] == "Sun, 01 Feb 2026 03:00:01 GMT"
    server.advance(1.0)
    assert statuses(client, 3) == [200, 200, 429]


def test_bodies_may_be_truncated_cut_or_never_come(server, client):
    server.faults = Faults(at={1: Fault(truncate=0.5), 2: Fault(cut=0.5), 3: Fault(reset=True), 4: Fault(hang=True)})
    half = client.get(LOGS)
    assert half.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        half.json()
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(LOGS)
    with pytest.raises(httpx.ReadTimeout):
        client.get(LOGS, timeout=0.05)
    assert statuses(client, 1) == [200]


def test_the_server_stops_while_an_answer_hangs_and_comes_back_on_its_port(server, client):
    server.faults = Faults(at={1: Fault(hang=True)})
    arrived = threading.Event()
    server.on_request = lambda request: arrived.set()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, LOGS)
        assert arrived.wait(5)
        url = server.url
        server.stop()
        with pytest.raises(httpx.TransportError):
            waiting.result(5)
    with pytest.raises(httpx.ConnectError):
        client.get(LOGS)
    server.start()
    assert server.url == url
    assert statuses(client, 1) == [200]


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_running(server):
    other = FakeDeepset(port=int(server.url.rsplit(":", 1)[1]))
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"):
        other.start()
    assert threading.active_count() == before


def test_pages_may_be_short_or_lie_that_they_are_the_last(server, client):
    kinds = [Fault.short_page(3), Fault.empty_page(), Fault.empty_page(total=0), Fault.short_page(0)]
    server.faults = Faults(at=dict(enumerate(kinds, 1)))
    pages = [client.get(LOGS).json() for _ in kinds]
    found = [(len(p["data"]), p["has_more"], p["total"]) for p in pages]
    assert found == [(3, True, 1440), (0, False, 1440), (0, False, 0), (0, True, 1440)]


def test_faults_may_happen_everywhere(server, client):
    server.faults = Faults(at={1: Fault(401)}, everywhere=True)
    assert client.get("/api/v1/workspaces").status_code == 401


def test_a_redirect_leads_to_another_host_with_path_and_query(server, client):
    server.behaviour = Behaviour(redirect_to="http://elsewhere.example")
    answer = client.get(LOGS, params={"filter": "level eq 'x'"})
    assert answer.status_code == 307
    assert answer.headers["location"] == f"http://elsewhere.example{LOGS}?filter=level+eq+%27x%27"


# --- the record, the clock, the process


def test_every_request_is_recorded_and_counted_without_its_key(server, client):
    client.get(LOGS, params={"limit": 5})
    client.get("/api/v1/workspaces/w/pipelines/x%2Fy/logs")
    found, missing = server.requests
    assert (found.number, found.status, found.rows, found.params, found.pipeline) == (1, 200, 5, {"limit": "5"}, "p")
    assert (missing.number, missing.status, missing.pipeline, missing.path[-10:]) == (2, 404, "x/y", "x%2Fy/logs")
    assert server.counters == {"requests": 2, "200": 1, "404": 1, "pages": 1, "rows": 5}
    assert server.api_key not in repr(server.requests) + repr(server)


def test_requests_in_flight_are_counted_while_answers_are_slow(server, client):
    server.faults = Faults(latency=0.2)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: client.get(LOGS).status_code, range(8))) == {200}
    assert 2 <= server.in_flight_max <= 8


def test_the_date_header_is_the_servers_own_time(server, client):
    server.advance(61)
    assert client.get(LOGS).headers["date"] == "Sun, 01 Feb 2026 03:01:01 GMT"
    server.now = lambda: 0.0
    assert client.get("/").headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_nonsense_on_the_wire_closes_that_connection_only(server, client):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(100) == b""
    assert statuses(client, 1) == [200]


def test_the_example_in_the_documentation_runs():
    example = textwrap.dedent((FakeDeepset.__doc__ or "").split("::\n")[1].split("All methods")[0])

    def read_logs(url: str, key: str, workspace: str, pipeline: str) -> list[str]:
        found: list[str] = []
        params = {"limit": "100"}
        while True:
            path = f"{url}/api/v1/workspaces/{workspace}/pipelines/{pipeline}/logs"
            answer = httpx.get(path, params=params, headers={"Authorization": f"Bearer {key}"})
            if answer.status_code == 504:
                continue
            page = answer.json()
            found += [r["log_id"] for r in page["data"]]
            if not page["has_more"]:
                return found
            params["after"] = page["data"][-1]["logged_at"]

    exec(example, {"read_logs": read_logs})


def test_the_command_serves_until_it_is_told_to_stop():
    command = [sys.executable, "-m", "prefect_deepset.testing", "--rows", "50", "--pipelines", "2", "--days", "2", "--show-all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        given = json.loads(process.stdout.readline())
        url = f"{given['url']}/api/v1/workspaces/{given['workspace']}/pipelines/pipeline-2/logs"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {given['api_key']}"})
        assert answer.json()["total"] == 100
        assert httpx.get(f"{given['url']}/_fake/counters").json()["pages"] == 1
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


# --- rows


def test_generated_rows_are_the_same_for_the_same_seed_and_no_two_share_an_id():
    made = [even_day(DAY, 500), skewed_day(DAY, 500), tied_day(DAY, 500), ties(NOON, 500), dense(NOON, 4), bursts(DAY, 500)]
    made += [even_day(DAY, 500, seed=1), ties(NOON, 500, kinds=[("info", "haystack")])]
    assert [r.raw(7) for r in made[:2]] == [even_day(DAY, 500).raw(7), skewed_day(DAY, 500).raw(7)]
    all_ids = [source.log_id(n) for source in made for n in range(len(source))]
    assert len(set(all_ids)) == len(all_ids)
    for source in made:
        parsed = [json.loads(source.raw(n)) for n in range(len(source))]
        assert [r["log_id"] for r in parsed] == [source.log_id(n) for n in range(len(source))]
        assert all(500 < len(source.raw(n)) < 1200 for n in range(20))
    skewed = [json.loads(made[1].raw(n))["logged_at"][11:15] for n in range(500)]
    assert 450 <= sum(t == "09:0" for t in skewed) <= 455


def test_two_million_rows_are_made_and_served_without_being_kept_as_bytes():
    table = RowTable()
    table.add(even_day(DAY, 2_000_000))
    query = Query(Condition(), None, 100, newest_first=True)
    found = select(table, query, Behaviour(), 1_769_990_400 * 10**9, random.Random(0))
    assert len(found.positions) == 100
    assert found.beyond == 2_000_000


INSTANTS = st.integers(0, 6).map(lambda n: 1_769_860_800 * 10**9 + n * 400_000)


@settings(max_examples=300)
@given(
    st.lists(INSTANTS, max_size=30),
    st.none() | INSTANTS,
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["us", "ms", "s"]),
    st.sampled_from(["stable", "random", "by_id"]),
    st.sampled_from(["none", "stable", "random"]),
)
def test_a_page_is_the_nearest_rows_beyond_the_cursor_in_order(
    instants, after, limit, newest_first, inclusive, precision, tie_order, disorder
):
    behaviour = Behaviour(after_inclusive=inclusive, after_precision=precision, tie_order=tie_order, disorder=disorder)
    table = RowTable()
    for half in (instants[::2], instants[1::2]):
        table.add(GivenRows(row(t, f"{n}", f"{len(half)} {n}") for n, t in enumerate(half)))
    found = select(table, Query(Condition(), after, limit, newest_first), behaviour, 1_769_990_400 * 10**9, random.Random(1))

    unit = {"us": 10**3, "ms": 10**6, "s": 10**9}[precision]

    def beyond(t: int) -> bool:
        if after is None:
            return True
        here, there = t // unit, after // unit
        return here == there if inclusive and here == there else (here < there if newest_first else here > there)

    candidates = sorted((t for t in instants if beyond(t)), reverse=newest_first)
    width = 1 if disorder == "none" else 10**6
    shown = [table.times[position] for position in found.positions]
    assert found.beyond == len(candidates)
    assert found.more is (len(candidates) > limit)
    assert len(set(found.positions)) == len(found.positions)
    assert [t // width for t in shown] == [t // width for t in candidates[:limit]]
    if disorder == "none" and tie_order == "by_id":
        named = [(-t if newest_first else t, table.log_id(p)) for t, p in zip(shown, found.positions, strict=True)]
        assert all(a <= b for a, b in pairwise(named))


NAMES = st.sampled_from(["a", "b", "it''s"])
TERMS = st.one_of(
    st.builds("{} {} '{}'".format, st.sampled_from(["level", "origin"]), st.sampled_from(["eq", "ne"]), NAMES),
    st.builds("logged_at {} '{}'".format, st.sampled_from(["ge", "gt", "lt", "le", "eq", "ne"]), INSTANTS.map(text)),
)
WORDS = st.sampled_from(["and", "or"])
FILTERS = st.recursive(TERMS, lambda part: st.builds("({} {} {})".format, part, WORDS, part), max_leaves=4)
LEVELS, ORIGINS = st.sampled_from(["a", "b", "it's"]), st.sampled_from(["a", "b"])
ROWS = st.lists(st.tuples(INSTANTS, LEVELS, ORIGINS, st.booleans()), max_size=20)


@settings(max_examples=200)
@given(ROWS, FILTERS, st.booleans())
def test_a_filter_selects_what_the_same_words_select_in_python(rows, filter_text, all_appeared):
    table = RowTable()
    now = 1_769_990_400 * 10**9
    for late in (False, True):
        made = [row(t, level=level, origin=origin) for t, level, origin, is_late in rows if is_late is late]
        table.add(GivenRows(made), now + 10**9 if late else None)
    words = filter_text.replace("''", "\\'")
    for symbol, name in {"==": "eq", "!=": "ne", ">=": "ge", ">": "gt", "<=": "le", "<": "lt"}.items():
        words = words.replace(f" {name} ", f" {symbol} ")
    expected = sorted(
        t
        for t, level, origin, is_late in rows
        if (all_appeared or not is_late)
        and eval(words, {"level": level, "origin": origin, "logged_at": text(t)})
    )
    condition = read_filter(filter_text, Behaviour(or_filter="honoured"))
    asked = Query(condition, None, 100, newest_first=False)
    found = select(table, asked, Behaviour(), now + all_appeared * 10**9, random.Random(1))
    assert [table.times[position] for position in found.positions] == expected
    assert found.matching == len(expected)
