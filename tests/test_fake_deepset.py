"""The fake server does what each of its switches says, seen by a real HTTP client."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prefect_deepset.testing import Behaviour, FakeDeepset, dense, even_day, nasty, row, tied_day, ties

DAY = "2026-01-31T00:00:00Z"
NOON = "2026-01-31T12:00:00Z"
LOGS = "/api/v1/workspaces/w/pipelines/p/logs"


@pytest.fixture
def server() -> Iterator[FakeDeepset]:
    with FakeDeepset(now="2026-02-01T03:00:00Z") as fake:
        yield fake


@pytest.fixture
def client(server: FakeDeepset) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.api_key}"}) as made:
        yield made


def times(client: httpx.Client, **params: Any) -> list[str]:
    return [r["logged_at"] for r in client.get(LOGS, params=params).raise_for_status().json()["data"]]


def ids(client: httpx.Client, **params: Any) -> list[str]:
    return [r["log_id"] for r in client.get(LOGS, params=params).raise_for_status().json()["data"]]


def walk(client: httpx.Client, **params: Any) -> list[str]:
    """What a naive client gets: `after` is the last row of the page before."""
    found: list[str] = []
    while True:
        page = client.get(LOGS, params=params).raise_for_status().json()
        found += [r["log_id"] for r in page["data"]]
        if not page["has_more"] or not page["data"]:
            return found
        params["after"] = page["data"][-1]["logged_at"]


# --- routes


def test_workspaces_and_pipelines_are_listed_in_pages(server, client):
    for n in range(12):
        server.add_pipeline("a / b", f"p{n}")
    server.remove_pipeline("a / b", "p3")
    assert [w["name"] for w in client.get("/api/v1/workspaces").json()] == ["a / b"]
    pages = [client.get("/api/v1/workspaces/a%20%2F%20b/pipelines", params={"page_number": n}).json() for n in (1, 2)]
    assert [len(p["data"]) for p in pages] == [10, 2]
    assert [p["has_more"] for p in pages] == [True, False]
    assert [p["name"] for p in pages[0]["data"] if p["deleted"]] == ["p3"]
    server.behaviour = Behaviour(list_deleted=False)
    assert client.get("/api/v1/workspaces/a%20%2F%20b/pipelines").json()["total"] == 11


def test_a_pipeline_made_anew_has_another_id_and_a_renamed_one_keeps_its_own(server, client):
    first = server.add_pipeline("w", "p", [row(NOON)])
    second = server.add_pipeline("w", "p")
    assert first != second
    assert client.get("/api/v1/workspaces/w/pipelines/p").json()["pipeline_id"] == second
    server.rename_pipeline("w", "p", "q%25/é")
    assert client.get("/api/v1/workspaces/w/pipelines/q%2525%2F%C3%A9").json()["pipeline_id"] == second
    assert client.get("/api/v1/workspaces/w/pipelines/p").status_code == 404


def test_a_wrong_key_and_unknown_names_are_refused_in_json(server, client):
    server.add_pipeline("w", "p")
    assert client.get(LOGS, headers={"Authorization": "Bearer other"}).status_code == 401
    for path in ("/api/v1/workspaces/x/pipelines", LOGS.replace("/p/", "/x/"), LOGS.replace("/w/", "/x/"), "/elsewhere"):
        answer = client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["errors"])
    assert client.post(LOGS).status_code == 405


@pytest.mark.parametrize(
    ("params", "status", "name"),
    [
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "101"}, 422, "limit"),
        ({"limit": "x"}, 422, "limit"),
        ({"order": "desc"}, 422, "order"),
        ({"after": "yesterday"}, 422, "after"),
    ],
)
def test_bad_parameters_answer_422_as_fastapi_does(server, client, params, status, name):
    server.add_pipeline("w", "p", [row(NOON)])
    answer = client.get(LOGS, params=params)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (status, ["query", name])


@pytest.mark.parametrize(
    "text", ["level", "level eq", "level eq error", "level is 'x'", "user eq 'x'", "(level eq 'x'", "level eq 'x' and", "'"]
)
def test_a_filter_that_is_none_answers_400(server, client, text):
    server.add_pipeline("w", "p", [row(NOON)])
    assert client.get(LOGS, params={"filter": text}).status_code == 400


def test_an_index_has_logs_of_its_own(server, client):
    server.add_index("w", "p", [row(NOON, "in-the-index")])
    assert client.get(LOGS).status_code == 404
    assert client.get("/api/v1/workspaces/w/indexes/p/logs").json()["data"][0]["log_id"] == "in-the-index"
    assert client.get("/api/v1/workspaces/w/indexes/p").status_code == 200


# --- the cursor


def test_a_naive_walk_reads_a_day_without_ties_whole_both_ways(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 1234))
    truth = [r.log_id for r in server.truth("w", "p")]
    assert walk(client, limit=100) == truth[::-1]
    assert walk(client, limit=100, order="ASC") == truth
    assert server.counters["pages"] == 26


def test_a_naive_walk_loses_rows_where_a_page_cuts_a_tie(server, client):
    server.add_pipeline("w", "p", tied_day(DAY, 2000))
    assert 1500 < len(walk(client, limit=100)) < 2000


def test_after_is_exclusive_or_inclusive(server, client):
    server.add_pipeline("w", "p", [row(f"2026-01-31T12:00:0{n}.000000Z") for n in range(3)])
    asked = {"after": "2026-01-31T12:00:01Z"}
    assert [t[17:19] for t in times(client, **asked)] == ["00"]
    assert [t[17:19] for t in times(client, order="ASC", **asked)] == ["02"]
    server.behaviour = Behaviour(after_inclusive=True)
    assert [t[17:19] for t in times(client, **asked)] == ["01", "00"]
    assert [t[17:19] for t in times(client, order="ASC", **asked)] == ["01", "02"]


def test_after_may_be_compared_in_milliseconds_or_seconds(server, client):
    server.add_pipeline("w", "p", [row(f"2026-01-31T12:00:00.{n:06d}Z") for n in (0, 1000, 1001, 1999, 2000)])
    asked = {"after": "2026-01-31T12:00:00.001500Z"}
    expected = {"us": ["001001", "001000", "000000"], "ms": ["000000"], "s": []}
    for precision, shown in expected.items():
        server.behaviour = Behaviour(after_precision=precision)
        assert [t[20:26] for t in times(client, **asked)] == shown
    server.behaviour = Behaviour(after_precision="ms", after_inclusive=True)
    assert [t[20:26] for t in times(client, **asked)] == ["001999", "001001", "001000", "000000"]


def test_under_asc_the_cursor_may_always_lead_to_older_rows(server, client):
    server.add_pipeline("w", "p", [row(f"2026-01-31T12:00:0{n}.000000Z") for n in range(5)])
    server.behaviour = Behaviour(asc_after="older")
    assert [t[18] for t in times(client, order="ASC", limit=2, after="2026-01-31T12:00:04Z")] == ["0", "1"]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Behaviour(after_honoured=False), "43"),
        (Behaviour(order="reversed"), "34"),
        (Behaviour(limit_cap=1), "1"),
    ],
)
def test_broken_cursors_orders_and_limits(server, client, behaviour, expected):
    server.add_pipeline("w", "p", [row(f"2026-01-31T12:00:0{n}.000000Z") for n in range(5)])
    server.behaviour = behaviour
    assert "".join(t[18] for t in times(client, limit=2, after="2026-01-31T12:00:02Z")) == expected


def test_an_ignored_order_is_desc(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 10))
    server.behaviour = Behaviour(order="ignored")
    assert ids(client, order="ASC") == ids(client)


def test_ties_are_stable_or_shuffled_per_request_or_by_id(server, client):
    server.add_pipeline("w", "p", ties(NOON, 300))
    truth = [r.log_id for r in server.truth("w", "p")]
    assert ids(client, limit=100) == truth[:-101:-1]
    server.behaviour = Behaviour(tie_order="by_id")
    assert ids(client, limit=100) == sorted(truth)[:100]
    server.behaviour = Behaviour(tie_order="random")
    assert len(set(ids(client, limit=100)) | set(ids(client, limit=100))) > 100


def test_rows_of_one_millisecond_may_be_out_of_order_the_same_way_or_anew(server, client):
    server.add_pipeline("w", "p", dense(NOON, 3, 150))
    for disorder in ("stable", "random"):
        server.behaviour = Behaviour(disorder=disorder)
        shown = times(client, limit=100)
        assert shown != sorted(shown, reverse=True)
        assert (shown == times(client, limit=100)) is (disorder == "stable")
        assert {t[:23] for t in shown} == {"2026-01-31T12:00:00.002"}


# --- what stands beside the rows


@pytest.mark.parametrize(
    ("style", "ends"),
    [("exact", [True, False]), ("full_page", [True, True]), ("until_empty", [True, True]), ("false", [False])],
)
def test_has_more_comes_in_four_styles(server, client, style, ends):
    server.add_pipeline("w", "p", even_day(DAY, 20))
    server.behaviour = Behaviour(has_more=style)
    page: dict[str, Any] = {"data": [{"logged_at": "2026-02-01T00:00:00Z"}]}
    for more in ends:
        page = client.get(LOGS, params={"after": page["data"][-1]["logged_at"]}).json()
        assert (len(page["data"]), page["has_more"]) == (10, more)


def test_total_counts_what_it_is_told_to(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 10_100))
    totals = {}
    for kind in ("after", "all", "capped", "zero", "null"):
        server.behaviour = Behaviour(total=kind)
        totals[kind] = client.get(LOGS, params={"after": NOON}).json()["total"]
    assert totals == {"after": 5050, "all": 10_100, "capped": 10_000, "zero": 0, "null": None}


def test_pretty_json_breaks_lines_between_tokens_only(server, client):
    server.add_pipeline("w", "p", nasty(NOON))
    plain = client.get(LOGS, params={"limit": 100})
    server.behaviour = Behaviour(pretty_json=True)
    pretty = client.get(LOGS, params={"limit": 100})
    assert pretty.json() == plain.json()
    assert pretty.content.count(b"\r\n") > len(plain.json()["data"])


# --- filters


def test_filters_select_by_level_origin_and_time(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 2000))
    rows = [json.loads(r.raw) for r in server.truth("w", "p")]

    def found(text: str) -> int:
        return client.get(LOGS, params={"filter": text}).json()["total"]

    assert found("level eq 'error'") == sum(r["level"] == "error" for r in rows)
    both = [r for r in rows if r["level"] == "error" and r["origin"] == "haystack"]
    assert found("level eq 'error' and origin eq 'haystack'") == len(both)
    assert found("level ne 'info' AND logged_at ge '2026-01-31T12:00:00Z'") == sum(
        r["level"] != "info" and r["logged_at"] >= "2026-01-31T12" for r in rows
    )
    assert found("logged_at ge 2026-01-31T12:00:00Z and logged_at lt '2026-01-31T13:00:00Z'") == len(
        server.truth("w", "p", NOON, "2026-01-31T13:00:00Z")
    )
    assert found("level eq 'no''such'") == 0


def test_each_filter_may_be_refused_or_ignored(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 50))
    for text, switch in {
        "level eq 'x'": "level_filter",
        "origin eq 'x'": "origin_filter",
        "level eq 'x' or level eq 'y'": "or_filter",
        "logged_at lt '2020-01-01T00:00:00Z'": "time_filter",
    }.items():
        answers = {}
        for support in ("honoured", "ignored", "400"):
            server.behaviour = Behaviour(**{switch: support})
            answer = client.get(LOGS, params={"filter": text})
            answers[support] = answer.json().get("total", answer.status_code)
        assert answers == {"honoured": 0, "ignored": 50, "400": 400}, switch


def test_or_and_parentheses_work_when_they_are_honoured(server, client):
    kinds = [("error", "a"), ("info", "a"), ("error", "b"), ("info", "b")]
    server.add_pipeline("w", "p", [row(NOON, f"{level}-{origin}", level=level, origin=origin) for level, origin in kinds])
    server.behaviour = Behaviour(or_filter="honoured")
    assert set(ids(client, filter="origin eq 'b' and (level eq 'error' or level eq 'info')")) == {"error-b", "info-b"}
    assert set(ids(client, filter="origin eq 'b' and level eq 'error' or level eq 'info'")) == {"error-b", "info-a", "info-b"}


def test_a_time_filter_may_be_an_hour_off_or_inverted(server, client):
    server.add_pipeline("w", "p", [row(f"2026-01-31T{h:02d}:30:00.000000Z") for h in range(10, 14)])
    text = "logged_at ge '2026-01-31T11:00:00Z' and logged_at lt '2026-01-31T12:00:00Z'"
    server.behaviour = Behaviour(time_filter="wrong")
    assert [t[11:13] for t in times(client, filter=text)] == ["12"]
    server.behaviour = Behaviour(time_filter="inverted")
    assert times(client, filter=text) == []
    assert [t[11:13] for t in times(client, filter="logged_at ge '2026-01-31T11:00:00Z'")] == ["10"]


def test_levels_match_exactly_or_in_any_case(server, client):
    server.add_pipeline("w", "p", [row(NOON, "upper", level="ERROR"), row(NOON, "lower", level="error")])
    assert ids(client, filter="level eq 'error'") == ["lower"]
    server.behaviour = Behaviour(level_case="any")
    assert len(ids(client, filter="level eq 'error'")) == len(ids(client, filter="level eq 'Error'")) == 2


# --- what is not shown


def test_rows_older_than_two_days_are_hidden_and_the_clock_decides(server, client):
    server.add_pipeline("w", "p", even_day("2026-01-30T00:00:00Z", 480))
    assert client.get(LOGS).json()["total"] == len(server.truth("w", "p", "2026-01-30T03:00:00Z")) == 420
    assert len(server.truth("w", "p", shown_only=True)) == 420
    server.advance(3600)
    assert client.get(LOGS).json()["total"] == 400
    server.now = "2026-01-30T12:00:00Z"
    assert client.get(LOGS).json()["total"] == 240  # what is not logged yet is not shown either


def test_a_request_for_what_retention_hid_is_empty_or_400_or_shown(server, client):
    server.add_pipeline("w", "p", [row("2026-01-20T00:00:00Z", "old"), row(NOON, "new")])
    asked = {"after": "2026-01-25T00:00:00Z"}
    assert ids(client, **asked) == []
    server.behaviour = Behaviour(retention_answer="400")
    assert client.get(LOGS, params=asked).status_code == 400
    server.behaviour = Behaviour(retention_answer="shown")
    assert ids(client, **asked) == ["old"]


def test_late_rows_appear_when_their_time_has_come(server, client):
    server.add_pipeline("w", "p", [row(NOON, "early")])
    server.add_rows("w", "p", [row(NOON, "late")], visible_at="2026-02-01T04:00:00Z")
    assert ids(client) == ["early"]
    assert {r.log_id for r in server.truth("w", "p")} == {"early", "late"}
    assert [r.log_id for r in server.truth("w", "p", shown_only=True)] == ["early"]
    server.advance(3600)
    assert set(ids(client, filter="level eq 'info'")) == {"early", "late"}
    server.now = "2026-02-01T03:59:59Z"
    assert ids(client, filter="level eq 'info'") == ["early"]


def test_a_pipeline_without_logs_answers_404_or_an_empty_page(server, client):
    server.add_pipeline("w", "p")
    assert client.get(LOGS).status_code == 404
    server.behaviour = Behaviour(no_logs="empty")
    assert client.get(LOGS).json() == {"data": [], "has_more": False, "total": 0}
    server.behaviour = Behaviour()
    server.add_pipeline("w", "p", deployed=False)
    assert client.get(LOGS).status_code == 200
    server.add_pipeline("w", "p", [row(NOON)])
    asked = {"after": "2026-01-31T00:00:00Z"}
    assert client.get(LOGS, params=asked).json()["data"] == []
    server.behaviour = Behaviour(no_logs="404_always")
    assert client.get(LOGS, params=asked).status_code == 404


def test_a_deleted_pipeline_is_gone_but_its_logs_may_stay(server, client):
    server.add_pipeline("w", "p", [row(NOON)])
    server.remove_pipeline("w", "p")
    assert client.get(LOGS).status_code == client.get("/api/v1/workspaces/w/pipelines/p").status_code == 404
    server.behaviour = Behaviour(deleted_logs="shown")
    assert len(ids(client)) == 1


# --- CSV


def read_csv(client: httpx.Client, **params: Any) -> list[list[str]]:
    answer = client.get(LOGS, params=params, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def test_csv_holds_the_same_rows_and_survives_every_character(server, client):
    server.add_pipeline("w", "p", [r for r in nasty(NOON) if not isinstance(r, dict) or len(r["message"]) < 2**17])
    header, *records = read_csv(client, limit=100)
    assert header == ["log_id", "message", "logged_at", "level", "origin", "exceptions", "extra_fields"]
    by_id = {r["log_id"]: r for r in client.get(LOGS, params={"limit": 100}).json()["data"]}
    assert [r[0] for r in records] == list(by_id)
    for log_id, message, _, level, _, exceptions, _ in records:
        assert message == by_id[log_id]["message"].encode("utf-8", "replace").decode()
        assert level == by_id[log_id]["level"]
        assert (json.loads(exceptions) if exceptions else None) == by_id[log_id].get("exceptions")


def test_csv_may_ignore_the_limit_and_rename_or_reorder_columns(server, client):
    server.add_pipeline("w", "p", even_day(DAY, 3000))
    assert len(read_csv(client, limit=5)) == 6
    server.behaviour = Behaviour(
        csv_limit_honoured=False, csv_bom=True, csv_columns=("level", "log_id", "new"), csv_header=("Level", "Log ID", "New")
    )
    header, *records = read_csv(client, limit=5)
    assert header == ["\ufeffLevel", "Log ID", "New"]
    assert [r[1] for r in records] == [r.log_id for r in server.truth("w", "p")][::-1]


# --- rows


def test_rows_given_as_bytes_travel_byte_for_byte(server, client):
    raw = b'{ "log_id":"a",  "logged_at":"2026-01-31T12:00:00.5Z","n":1.10,"n":12345678901234567890123,"message":"\\ud800" }'
    server.add_pipeline("w", "p", [raw])
    assert raw in client.get(LOGS).content
    assert server.truth("w", "p") == [("a", "2026-01-31T12:00:00.5Z", raw)]
