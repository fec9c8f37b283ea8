"""The endpoints, against the fake platform."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from prefect_deepset.api import errors as e
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import parse_instant
from prefect_deepset.testing import Behaviour, FakeDeepset, Fault, Faults, even_day, row, tied_day, ties

from .conftest import KEY
from .scripted import ScriptedServer, reply

DAY = "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"
NAME = "chat / ü?#%2F"
SOURCE = LogSource("support", NAME)


@pytest.fixture
def platform() -> Iterator[FakeDeepset]:
    """A platform with one day of one pipeline."""
    with FakeDeepset(now="2026-02-01T03:00:00Z") as fake:
        fake.add_pipeline("support", NAME, tied_day(DAY[0], 430))
        fake.add_rows("support", NAME, even_day(DAY[0], 300, seed=1))
        yield fake


@pytest.fixture
def deepset(platform: FakeDeepset) -> Iterator[DeepsetClient]:
    """Its client, waiting on the platform's clock."""
    with DeepsetClient(platform.api_key, platform.url, clock=platform.now, sleep=platform.advance) as client:
        yield client


def test_a_page_has_all_parameters_and_comes_by_one_request(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    after = parse_instant("2026-01-31T12:00:00.123456Z")
    page = deepset.logs_page(SOURCE, after=after, limit=3, filter="level eq 'info'", order="ASC")
    assert len(page.rows) == 3
    assert all(found.level == "info" and found.logged_at > after for found in page.rows)
    request, = platform.requests
    assert request.params == {"after": "2026-01-31T12:00:00.123456Z", "limit": "3", "filter": "level eq 'info'", "order": "ASC"}
    assert request.pipeline == NAME


def test_defaults_are_the_newest_hundred(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    page = deepset.logs_page(SOURCE)
    assert [r.logged_at for r in page.rows] == sorted((r.logged_at for r in page.rows), reverse=True)
    assert (len(page.rows), page.total) == (100, 730)
    assert platform.requests[0].params == {"limit": "100", "order": "DESC"}


@pytest.mark.parametrize("wrong", [
    {"limit": 0}, {"limit": 101}, {"limit": True}, {"limit": "10"}, {"limit": 1.5}, {"order": "desc"}, {"filter": "\ud800"},
    {"source": LogSource("support", "..")}, {"source": LogSource("", "p")}, {"source": LogSource("w", "", "index")},
    {"filter": "x" * 70_000},
])
def test_what_cannot_be_asked_for_is_refused_before_asking(
    platform: FakeDeepset, deepset: DeepsetClient, wrong: dict[str, Any]
) -> None:
    with pytest.raises(e.InvalidInputError):
        deepset.logs_page(**{"source": SOURCE, **wrong})
    with pytest.raises(e.InvalidInputError), deepset.logs_csv(**{"source": SOURCE, **wrong}):
        pass
    assert not platform.requests


def test_index_logs_are_read_the_same_way(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    platform.add_index("support", "docs", even_day(DAY[0], 5))
    assert len(deepset.logs_page(LogSource("support", "docs", "index")).rows) == 5
    with pytest.raises(e.PipelineNotFoundError, match="no index"):
        deepset.logs_page(LogSource("support", "nothing", "index"))


def test_404_is_told_apart(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    platform.add_pipeline("support", "quiet")
    platform.add_pipeline("support", "gone", even_day(DAY[0], 5))
    platform.remove_pipeline("support", "gone")
    for workspace, name, kind in [
        ("support", "quiet", e.NoLogsError), ("support", "nothing", e.PipelineNotFoundError),
        ("support", "gone", e.PipelineNotFoundError),
        ("elsewhere", "chat", e.WorkspaceNotFoundError),
    ]:
        with pytest.raises(kind) as caught:
            deepset.logs_page(LogSource(workspace, name))
        assert type(caught.value) is kind
        assert not caught.value.transient
        with pytest.raises(kind), deepset.logs_csv(LogSource(workspace, name)):
            pass
    with pytest.raises(e.WorkspaceNotFoundError, match="'support'"):
        deepset.pipelines("elsewhere")
    with pytest.raises(e.PipelineNotFoundError):
        deepset.pipeline("support", "gone")
    assert deepset.pipeline("support", "quiet").name == "quiet"


WEB_PAGE = b" <html><h1>404 Not Found</h1></html>"


@pytest.mark.parametrize(("answers", "kind"), [
    ([reply(b"", 404), reply(b"", 403)], e.NotFoundError),
    ([reply(b"", 404), reply(b"", 503)], e.ServerError),
    ([reply(b"", 404), reply(b"<html>")], e.ResponseError),
    ([reply(b"", 404), reply(b"", 404), reply(b"", 403)], e.PipelineNotFoundError),
    ([reply(b"", 404), reply(b"", 404), reply(b"", 504)], e.GatewayTimeoutError),
    ([reply(b"", 404), reply(b"", 404), reply([{"name": "w"}])], e.PipelineNotFoundError),
    ([reply(b"", 404), reply(b"", 404), reply([])], e.WorkspaceNotFoundError),
    ([reply(b"", 404), reply({"name": "p", "pipeline_id": None, "status": None, "deleted": None})], e.NoLogsError),
    ([reply(WEB_PAGE, 404), reply({"name": "p"})], e.ResponseError),
    ([reply(WEB_PAGE, 404), reply(WEB_PAGE, 404), reply(WEB_PAGE, 404)], e.NotFoundError),
])
def test_when_the_second_look_fails_the_error_claims_no_more_than_is_known(
    server: ScriptedServer, client: DeepsetClient, answers: list[bytes], kind: type[e.DeepsetError]
) -> None:
    server.answers(*answers)
    with pytest.raises(e.DeepsetError) as caught:
        client.logs_page(LogSource("w", "p"))
    assert type(caught.value) is kind
    assert len(server.asked) == len(answers)


def test_pipelines_come_from_all_pages_without_deleted_ones(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    names = [f"p{number:03}" for number in range(230)]
    for name in names:
        platform.add_pipeline("support", name)
    platform.remove_pipeline("support", "p007")
    found = [pipeline.name for pipeline in deepset.pipelines("support")]
    assert sorted(found) == sorted([NAME, *names[:7], *names[8:]])
    assert [workspace.name for workspace in deepset.workspaces()] == ["support"]
    assert all(pipeline.pipeline_id for pipeline in deepset.pipelines("support"))


def test_a_list_that_says_it_is_over_is_asked_for_what_its_total_counts(server: ScriptedServer, client: DeepsetClient) -> None:
    pages = [{"data": [{"name": name, "pipeline_id": name} for name in names], "has_more": False, "total": 5}
             for names in ("ab", "cd", "e")]
    server.answers(*map(reply, pages))
    assert [pipeline.name for pipeline in client.pipelines("w")] == list("abcde")
    server.answers(*map(reply, [*pages[:2], {"data": [], "has_more": False, "total": 5}]))
    with pytest.raises(e.ResponseError, match="after 4 of 5"):
        client.pipelines("w")


def test_a_list_that_never_ends_is_an_error(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply({"data": [{"name": "a", "pipeline_id": "1"}], "has_more": True, "total": 9}))
    with pytest.raises(e.ResponseError, match="nothing new") as caught:
        client.pipelines("w")
    assert "page 2" in caught.value.where
    server.answers(reply({"data": [], "has_more": True, "total": 9}))
    with pytest.raises(e.ResponseError):
        client.pipelines("w")


@pytest.mark.parametrize("fault", [
    Fault(truncate=0.9), Fault(200, b'[{"message": "hunter2"}]'), Fault(200, b'"message": "hunter2", "log_id": "a"}]}'),
    Fault(206, b'{"data": [{"message": "hunter2"}]}'), Fault(200, b'{"message": "hunter2", "log_id": "a"}')])
def test_no_error_quotes_what_may_be_rows(platform: FakeDeepset, deepset: DeepsetClient, fault: Fault) -> None:
    platform.add_rows("support", NAME, [row("2026-01-31T23:59:59.9Z", message="hunter2")])
    platform.on_request = lambda _: fault
    with pytest.raises(e.ResponseError, match="bytes may hold rows") as caught:
        deepset.logs_page(SOURCE)
    assert "hunter2" not in str(caught.value)
    platform.on_request = lambda _: Fault(200, b'{"data": [{"message": "hunter2"}]}', "application/json")
    with pytest.raises(e.ResponseError, match="bytes may hold rows"), deepset.logs_csv(SOURCE) as lines:
        list(lines)


def test_a_wrong_key_is_said_to_be_wrong(platform: FakeDeepset) -> None:
    with DeepsetClient("api_wrong-key", platform.url) as client:
        for ask in (client.workspaces, lambda: client.pipelines("support"), lambda: client.logs_page(SOURCE)):
            with pytest.raises(e.AuthenticationError) as caught:
                ask()
            assert "wrong-key" not in str(caught.value)


def test_nothing_shows_the_key(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    assert repr(deepset) == f"DeepsetClient({deepset.host!r})"
    assert deepset.host == platform.url.removeprefix("http://")
    shown = repr([vars(deepset), vars(deepset._connection)])
    assert platform.api_key not in shown
    with pytest.raises(e.InvalidInputError, match="max_connections"):
        DeepsetClient(KEY, max_connections=0)


def test_a_key_in_the_place_of_a_name_is_refused_and_not_shown(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    key = platform.api_key
    for ask in (lambda: deepset.pipelines(key), lambda: deepset.pipeline("support", key),
                lambda: deepset.logs_page(LogSource(key, NAME)), lambda: deepset.rows("support", f"my-{key}", *DAY)):
        with pytest.raises(e.InvalidInputError, match="holds the API key") as caught:
            ask()
        assert key not in str(caught.value)
    assert platform.requests == []


# -- logs() ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [
    Behaviour(), Behaviour(after_inclusive=True), Behaviour(after_precision="s"), Behaviour(tie_order="random"),
    Behaviour(limit_cap=30),
    Behaviour(level_case="any"), Behaviour(level_filter="ignored", origin_filter="ignored"), Behaviour(disorder="random"),
    Behaviour(origin_filter="400"), Behaviour(level_filter="400", origin_filter="400"),
])
def test_logs_are_complete_newest_first_and_each_once(
    platform: FakeDeepset, deepset: DeepsetClient, behaviour: Behaviour
) -> None:
    platform.behaviour = behaviour
    trouble = Fault.gateway_timeout(), Fault.bad_gateway(), Fault.html(), Fault.rate_limited("3")
    platform.faults = Faults(probability=0.1, kinds=trouble, seed=1)
    logs = list(deepset.logs("support", NAME, *DAY))
    assert [log.logged_at for log in logs] == sorted((log.logged_at for log in logs), reverse=True)
    truth = [json.loads(found.raw) for found in platform.truth("support", NAME)]
    assert sorted(log.log_id for log in logs) == sorted(found["log_id"] for found in truth)
    some = [log.log_id for log in deepset.logs("support", NAME, *DAY, ["error", "warning", "error"], ["haystack", "unknown"])]
    assert sorted(some) == sorted(found["log_id"] for found in truth
                                  if found["level"] in {"error", "warning"} and found["origin"] in {"haystack", "unknown"})


@pytest.mark.parametrize("or_filter", ["honoured", "400"])
def test_a_raw_filter_goes_with_the_others(platform: FakeDeepset, deepset: DeepsetClient,
                                           or_filter: Literal["honoured", "400"]) -> None:
    platform.behaviour = Behaviour(or_filter=or_filter)
    platform.add_rows("support", NAME, even_day(DAY[0], 8_000, seed=2))
    raw = "origin eq 'haystack' or origin eq 'unknown'" if or_filter == "honoured" else "origin eq 'haystack'"
    found = list(deepset.rows("support", NAME, *DAY, levels="error", filter=raw))
    truth = [json.loads(row.raw) for row in platform.truth("support", NAME)]
    assert sorted(row.log_id for row in found) == sorted(
        row["log_id"] for row in truth if row["level"] == "error" and f"'{row['origin']}'" in raw)
    *asked, looked, _ = [request.params.get("filter", "") for request in platform.requests]
    assert looked == ""  # whether the server filters before it cuts a page
    assert all("origin eq 'haystack'" in filter_ for filter_ in asked)
    assert any("level eq 'Error'" in filter_ for filter_ in asked)


@pytest.mark.parametrize("level_case", ["exact", "any"])
@pytest.mark.parametrize("asked", ["error", "ERROR"])
def test_a_level_is_found_however_it_is_spelt_and_whether_or_not_the_server_minds(
    platform: FakeDeepset, deepset: DeepsetClient, level_case: Literal["exact", "any"], asked: str
) -> None:
    platform.behaviour = Behaviour(level_case=level_case)
    rows = [row(parse_instant(DAY[0]) + n * 10**9, level=level)
            for n, level in enumerate(["error", "ERROR", "Error", "info"] * 5)]
    platform.add_pipeline("support", "spellings", rows)
    found = list(deepset.rows("support", "spellings", *DAY, levels=[asked]))
    assert Counter(row.level for row in found) == {"error": 5, "ERROR": 5, "Error": 5}


def test_a_span_that_is_no_longer_shown_whole_is_an_error_not_an_empty_answer(
    platform: FakeDeepset, deepset: DeepsetClient
) -> None:
    platform.now = "2026-02-02T12:00:00Z"  # half of the day has left retention
    logs = deepset.logs("support", NAME, *DAY)
    with pytest.raises(e.IncompleteReadError, match="48 hours") as caught:
        list(logs)
    assert "2026-01-31T00:00:00Z" in caught.value.where
    assert [*deepset.logs("support", NAME, "2026-01-31T18:00:00Z", DAY[1])]
    platform.behaviour = Behaviour(retention_answer="shown")
    platform.add_rows("support", NAME, [row("2026-01-30T12:00:00Z")])  # what is older than the span proves that it is all there
    assert len(list(deepset.logs("support", NAME, *DAY))) == 730


def test_a_tie_that_cannot_be_passed_is_an_error(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    platform.behaviour = Behaviour(level_filter="400", origin_filter="400")
    platform.add_pipeline("support", "tied", ties("2026-01-31T12:00:00Z", 150))
    platform.add_rows("support", "tied", [row("2026-01-31T11:00:00Z")])
    with pytest.raises(e.IncompleteReadError, match="2026-01-31T1"):
        list(deepset.logs("support", "tied", *DAY))


def test_an_outage_ends_in_its_own_error(platform: FakeDeepset, deepset: DeepsetClient) -> None:
    platform.faults = Faults(probability=1.0, kinds=(Fault.bad_gateway(),))
    with pytest.raises(e.ServerError, match="502"):
        list(deepset.logs("support", NAME, *DAY))
    platform.behaviour = Behaviour(after_honoured=False)
    platform.faults = Faults()
    with pytest.raises(e.ReadError) as caught:
        list(deepset.logs("support", NAME, *DAY))
    assert "pipeline" in caught.value.where


@pytest.mark.parametrize(("start", "end"), [
    ("yesterday", DAY[1]), (DAY[1], DAY[0]), (DAY[0], DAY[0]), (DAY[0], "2026-02-30T00:00:00Z"),
    (DAY[0], "9999-12-31T23:59:59.5Z"), ("0001-01-01T00:00:00Z", DAY[1]), (DAY[0], "2026-02-01T00:00:00+99:99"), (None, DAY[1]),
    (DAY[0], datetime.max.replace(tzinfo=UTC)), ("2026-01-31T00:00:00+24:00", DAY[1]),
])
def test_bad_times_are_refused_at_once(platform: FakeDeepset, deepset: DeepsetClient, start: str, end: str) -> None:
    with pytest.raises(e.InvalidInputError):
        deepset.logs("support", NAME, start, end)
    assert not platform.requests


@pytest.mark.parametrize(("name", "wrong"), [
    ("levels", [None]), ("levels", [5]), ("levels", 5), ("origins", ["a", None]), ("origins", b"a"), ("filter", 5),
])
def test_filters_that_are_no_text_are_refused_by_their_name(
    platform: FakeDeepset, deepset: DeepsetClient, name: str, wrong: Any
) -> None:
    with pytest.raises(e.InvalidInputError, match=f"`{name}`"):
        deepset.logs("support", NAME, *DAY, **{name: wrong})
    assert not platform.requests
