"""The probe against the fake platform: every switch of its behaviour is told from the others, and nothing is given away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.errors import AuthenticationError, PipelineNotFoundError
from prefect_deepset.api.probe import MAX_REQUESTS, QUESTIONS, ProbeReport, probe
from prefect_deepset.api.sources import LogSource
from prefect_deepset.testing import Behaviour, FakeDeepset, Fault, Faults, Request, bursts, dense, even_day, row, ties

NOW = "2026-02-01T03:00:00Z"
SOURCE = LogSource("secret-workspace", "secret-pipeline")
CSV_REQUIRED = ("log_id", "message", "logged_at", "level", "origin")
CSV_RENAMED = ("Log ID", "Message", "Logged At", "Level", "Origin", "Exceptions", "Extra Fields")


def probed(server: FakeDeepset, source: LogSource = SOURCE, api_key: str | None = None) -> ProbeReport:
    """A probe that waits no time."""
    with DeepsetClient(api_key or server.api_key, server.url) as client:
        return probe(client, source, now=server.now, sleep=lambda _: None)


@pytest.fixture(scope="module")
def platform():
    """3,000 rows of a day, five more of one instant, and 150 that share a second."""
    with FakeDeepset(now=NOW) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 3_000))
        server.add_rows(*SOURCE[:2], ties("2026-02-01T01:00:00.5Z", 5, kinds=[("info", "haystack"), ("error", "haystack")]))
        yield server


@pytest.fixture
def answers(platform: FakeDeepset):
    """The answers under a behaviour."""
    def ask(**switches: Any) -> dict[str, str]:
        platform.behaviour = Behaviour(**switches)
        platform.faults = Faults()
        report = probed(platform)
        assert report.requests <= MAX_REQUESTS
        return {answer.name: answer.answer for answer in report.answers}

    return ask


USUAL = {
    "direction": "to older rows", "order": "honoured", "asc-after": "to newer rows", "after-equal": "no (exclusive)",
    "after-precision": "microseconds", "row-order": "in order", "ties": "same order", "page-size": "yes",
    "has-more": "exactly when there is more", "total": "rows from the cursor on", "level-filter": "honoured",
    "level-case": "yes", "origin-filter": "honoured", "or-filter": "refused", "time-filter": "honoured",
    "nothing-found": "an empty page", "retention": "an empty page", "late-rows": "none seen", "csv-limit": "honoured",
    "csv-columns": "the contract's",
}


def test_every_question_is_answered_where_everything_is_usual(answers):
    assert answers() == USUAL


def test_the_usual_answers_are_graded_so(platform: FakeDeepset):
    platform.behaviour = Behaviour()
    report = probed(platform)
    assert {answer.grade for answer in report.answers} == {"usual"}
    assert report.ok
    assert list(USUAL) == list(QUESTIONS)


@pytest.mark.parametrize(("switches", "name", "expected"), [
    ({"after_honoured": False}, "direction", "nowhere: it is ignored"),
    ({"order": "reversed"}, "direction", "to newer rows"),
    ({"order": "reversed"}, "order", "reversed"),
    ({"order": "ignored"}, "order", "ignored (always newest first)"),
    ({"asc_after": "older"}, "asc-after", "to older rows"),
    ({"after_honoured": False}, "asc-after", "nowhere: it is ignored"),
    ({"after_inclusive": True}, "after-equal", "yes (inclusive)"),
    ({"after_inclusive": True, "after_precision": "ms"}, "after-equal", "yes (inclusive)"),
    ({"after_inclusive": True, "after_precision": "ms"}, "after-precision", "milliseconds"),
    ({"after_inclusive": True, "after_precision": "s"}, "after-precision", "seconds"),
    ({"after_precision": "ms"}, "after-precision", "milliseconds"),
    ({"after_precision": "s"}, "after-precision", "seconds"),
    ({"after_precision": "s"}, "after-equal", "no (exclusive)"),
    ({"tie_order": "random"}, "ties", "another order each time"),
    ({"tie_order": "by_id"}, "ties", "same order"),
    ({"limit_cap": 30}, "page-size", "at most 30"),
    ({"has_more": "full_page"}, "has-more", "when the page is full"),
    ({"has_more": "until_empty"}, "has-more", "on every page with rows"),
    ({"has_more": "false"}, "has-more", "never"),
    ({"total": "all"}, "total", "all rows, wherever the cursor is"),
    ({"total": "zero"}, "total", "it is always 0"),
    ({"total": "null"}, "total", "it is absent"),
    ({"level_filter": "ignored"}, "level-filter", "ignored"),
    ({"level_filter": "400"}, "level-filter", "refused"),
    ({"origin_filter": "ignored"}, "origin-filter", "ignored"),
    ({"origin_filter": "400"}, "origin-filter", "refused"),
    ({"level_case": "any"}, "level-case", "no"),
    ({"or_filter": "honoured"}, "or-filter", "honoured"),
    ({"or_filter": "ignored"}, "or-filter", "ignored"),
    ({"time_filter": "ignored"}, "time-filter", "ignored"),
    ({"time_filter": "400"}, "time-filter", "refused"),
    ({"time_filter": "wrong"}, "time-filter", "wrong: other rows come"),
    ({"time_filter": "inverted"}, "time-filter", "the wrong way round"),
    ({"no_logs": "404_always"}, "nothing-found", "404"),
    ({"no_logs": "404_always"}, "retention", "404"),
    ({"retention_answer": "400"}, "retention", "refused (400)"),
    ({"csv_limit_honoured": False}, "csv-limit", "ignored"),
    ({"csv_columns": (*CSV_REQUIRED, "pod")}, "csv-columns", "5 of the contract's, 1 others"),
    ({"csv_header": CSV_RENAMED}, "csv-columns", "the contract's"),
    ({"csv_columns": ("message", "level")}, "csv-columns", "not the ones known"),
    ({"csv_bom": True}, "csv-columns", "the contract's"),
])
def test_each_switch_is_told_apart(answers, switches: dict[str, Any], name: str, expected: str):
    assert answers(**switches)[name] == expected


def test_what_rests_on_the_cursor_stays_open_where_the_cursor_is_ignored(platform: FakeDeepset):
    platform.behaviour = Behaviour(after_honoured=False)
    report = probed(platform)
    assert not report.ok
    assert report.answer("direction").grade == "stops"
    assert report.answer("after-precision").grade == "open"
    assert "rests on" in report.answer("after-precision").evidence


def test_rows_out_of_order_are_measured():
    with FakeDeepset(now=NOW, behaviour=Behaviour(disorder="stable")) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 500))
        server.add_rows(*SOURCE[:2], dense("2026-02-01T02:00:00Z", 3, 20))
        found = probed(server).answer("row-order")
    assert found.answer.startswith("out of order by up to 0.")
    assert found.grade == "handled"


def test_a_total_that_stops_at_ten_thousand_is_seen():
    with FakeDeepset(now=NOW, behaviour=Behaviour(total="capped")) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 12_000))
        assert probed(server).answer("total").answer == "all rows, at most 10,000"


def test_rows_shown_beyond_two_days_are_seen():
    with FakeDeepset(now=NOW, behaviour=Behaviour(retention_answer="shown")) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-29T00:00:00Z", 2_000))
        server.add_rows(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 2_000))
        assert probed(server).answer("retention").answer == "rows: they are still shown"


def test_a_row_that_appears_behind_the_newest_one_is_seen():
    """Each request takes a second of the server's clock; the row becomes visible while the probe asks other things."""
    def tick(_request: Request) -> None:
        server.advance(1)

    with FakeDeepset(now=NOW, on_request=tick) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 300))
        server.add_rows(*SOURCE[:2], [row("2026-02-01T02:59:00Z", "newest"), row("2026-02-01T02:58:00Z", "older")])
        server.add_rows(*SOURCE[:2], [row("2026-02-01T02:58:30Z", "late")], visible_at="2026-02-01T03:00:06Z")
        assert probed(server).answer("late-rows").answer == "yes: 1 of them"


@pytest.mark.parametrize(("count", "open_at_least"), [(0, 20), (1, 10), (7, 3)])
def test_few_rows_leave_questions_open_and_say_why(count: int, open_at_least: int):
    with FakeDeepset(now=NOW) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", count))
        report = probed(server)
    unanswered = [answer for answer in report.answers if answer.grade == "open"]
    assert len(unanswered) >= open_at_least
    assert all(answer.evidence for answer in unanswered)


@pytest.mark.parametrize(("behaviour", "direction"), [
    (Behaviour(), "to older rows"), (Behaviour(after_inclusive=True, after_precision="ms"), "to older rows"),
    (Behaviour(order="reversed"), "to newer rows"), (Behaviour(after_honoured=False), "not answered")])
def test_rows_of_bursts_are_enough_to_tell_where_the_cursor_leads(behaviour: Behaviour, direction: str):
    with FakeDeepset(now=NOW, behaviour=behaviour) as server:
        server.add_pipeline(*SOURCE[:2], bursts("2026-01-31T00:00:00Z", 20_000, seconds=1.5))
        report = probed(server)
    assert report.answer("direction").answer == direction
    if direction == "to older rows":
        assert report.answer("has-more").answer == "exactly when there is more"
        assert report.answer("total").answer == "rows from the cursor on"


def test_one_page_of_rows_suffices_for_has_more_and_total():
    said = {"after": "rows from the cursor on", "all": "all rows, wherever the cursor is"}
    for switch, total in said.items():
        with FakeDeepset(now=NOW, behaviour=replace(Behaviour(), total=switch)) as server:
            server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 60))
            report = probed(server)
        assert report.answer("has-more").answer == "exactly when there is more"
        assert report.answer("total").answer == total


def test_an_answer_that_fails_is_asked_for_again_and_told(platform: FakeDeepset):
    platform.behaviour = Behaviour()
    platform.reset()
    platform.faults = Faults(at={1: Fault.gateway_timeout(), 5: Fault.rate_limited(), 9: Fault.html()})
    report = probed(platform)
    assert report.trouble == {"504": 1, "429": 1, "ResponseError": 1}
    assert {answer.name: answer.answer for answer in report.answers} == USUAL


def test_a_platform_that_always_times_out_leaves_everything_open(platform: FakeDeepset):
    platform.behaviour = Behaviour()
    platform.faults = Faults(when=lambda _request: Fault.gateway_timeout())
    platform.reset()
    report = probed(platform)
    platform.faults = Faults()
    assert {answer.grade for answer in report.answers} == {"open"}
    assert report.requests == 3


def test_a_platform_that_takes_minutes_for_each_answer_is_left_after_ten():
    def tick(_request: Request) -> None:
        server.advance(170)

    with FakeDeepset(now=NOW, on_request=tick) as server:
        server.add_pipeline(*SOURCE[:2], even_day("2026-01-31T00:00:00Z", 3_000))
        report = probed(server)
    assert report.requests == 4
    assert report.answer("direction").grade == "usual"
    assert report.answer("csv-limit").evidence == "The probe's time was used up."


def test_a_wrong_key_or_name_is_an_error_not_an_answer(platform: FakeDeepset):
    platform.behaviour = Behaviour()
    with pytest.raises(AuthenticationError):
        probed(platform, api_key="api_wrong")
    with pytest.raises(PipelineNotFoundError):
        probed(platform, SOURCE._replace(name="nothing"))


def test_the_report_holds_no_key_no_names_no_ids_and_no_messages():
    with FakeDeepset(now=NOW, behaviour=Behaviour(csv_columns=("message", "level"))) as server:
        private = {"message": "private message", "level": "private-level", "origin": "private-origin"}
        rows = [row(f"2026-01-31T10:{n // 60:02}:{n % 60:02}Z", f"private-id-{n}", **private) for n in range(300)]
        server.add_pipeline(*SOURCE[:2], rows)
        text = probed(server).to_markdown()
        host = server.url.removeprefix("http://")
    for secret in (server.api_key, "secret-", "private", host):
        assert secret not in text


_BEHAVIOURS = st.builds(
    lambda **switches: replace(Behaviour(), **switches), after_inclusive=st.booleans(),
    after_precision=st.sampled_from(["us", "ms", "s"]), asc_after=st.sampled_from(["newer", "older"]),
    after_honoured=st.sampled_from([True, True, False]), order=st.sampled_from(["honoured", "ignored", "reversed"]),
    limit_cap=st.sampled_from([None, 1, 7]), tie_order=st.sampled_from(["stable", "random"]),
    disorder=st.sampled_from(["none", "stable", "random"]),
    has_more=st.sampled_from(["exact", "full_page", "until_empty", "false"]),
    total=st.sampled_from(["after", "all", "capped", "zero", "null"]),
    level_filter=st.sampled_from(["honoured", "ignored", "400"]),
    time_filter=st.sampled_from(["honoured", "ignored", "400", "wrong", "inverted"]),
    no_logs=st.sampled_from(["404", "empty", "404_always"]), retention_answer=st.sampled_from(["empty", "400", "shown"]))


@settings(max_examples=40)
@given(behaviour=_BEHAVIOURS, seed=st.integers(0, 9), bad=st.sets(st.integers(1, 60), max_size=20))
def test_whatever_the_answers_and_failures_a_probe_ends_within_sixty_requests(
        platform: FakeDeepset, behaviour: Behaviour, seed: int, bad: set[int]):
    platform.behaviour = behaviour
    platform.faults = Faults(at=dict.fromkeys(bad, Fault.bad_gateway() if seed % 2 else Fault.short_page(0)))
    platform.reset()
    report = probed(platform)
    platform.faults = Faults()
    assert report.requests == platform.counters["requests"] <= MAX_REQUESTS
    assert [answer.name for answer in report.answers] == list(QUESTIONS)
    assert "| --- |" in report.to_markdown()
