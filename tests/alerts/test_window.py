"""The watch between the archives."""

from __future__ import annotations

import pytest
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.messages import compose
from prefect_deepset.alerts.rules import ErrorCount, ErrorRatio, RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.alerts.transition_events import transition_events
from prefect_deepset.alerts.window import WatchRules, WindowRows
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.rows import Row
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import SECOND, Span
from prefect_deepset.archive.manifest import Manifest, Source

from .days import MemoryStore, archived, clock, name_of

SOURCE = Source(host="127.0.0.1:1", workspace="default", pipeline="chat")
WATCH = WatchRules.of(RuleSet.from_threshold(20), 15)


MESSAGE = b'{"message":"No answer for jane.doe@example.com"}'


def window(hour: float, errors: int, *, whole: bool = True, minutes: int = 15, level: str = "ERROR") -> Manifest:
    end = int(clock(2, hour)) * SECOND
    rows = WindowRows(Span(end - minutes * 60 * SECOND, end))
    for index in range(errors):
        rows.add(Row(end - 1 - index, f"id-{index}", level, "querypipeline", MESSAGE, (("ValueError", "app:1"),)))
    return rows.manifest(SOURCE, read_at=end, whole=whole)


def watch(store: MemoryStore, manifest: Manifest, hour: float, rules: WatchRules = WATCH) -> list[str]:
    claimed = claim_transitions(Ledger(store, "default"), rules, [manifest], now=clock(2, hour), check_age=False)
    return [str(one.state) for one in claimed]


def test_a_watch_fires_once_does_not_flap_and_resolves_on_a_calm_window():
    store = MemoryStore()
    seen = [watch(store, window(hour, errors), hour) for hour, errors in
            [(8, 0), (8.25, 19), (8.5, 20), (8.75, 30), (9, 19), (9.25, 21), (9.5, 10), (9.75, 9), (10, 0), (10.25, 25)]]
    assert seen == [[], [], ["FIRING"], [], [], [], [], ["OK"], [], ["FIRING"]]


def test_an_alert_that_nobody_looked_at_for_long_is_told_anew_when_it_fires_again():
    """The look at the last hour, started when a day crossed its threshold: nothing looks in between."""
    hourly, store = WatchRules.of(RuleSet.from_threshold(20), 60), MemoryStore()
    assert watch(store, window(1, 40, minutes=60), 1, hourly) == ["FIRING"]
    assert watch(store, window(4, 40, minutes=60), 4, hourly) == []
    assert watch(store, window(15 * 24, 40, minutes=60), 15 * 24, hourly) == ["FIRING"]
    assert watch(store, window(15 * 24 + 1, 40, minutes=60), 15 * 24 + 1, hourly) == []
    told = claim_transitions(Ledger(store, "default"), hourly, [window(30 * 24, 0, minutes=60)], now=clock(2, 30 * 24),
                             check_age=False)
    assert [(one.number, str(one.state), one.since) for one in told] == [(3, "OK", name_of(16))]


@pytest.mark.parametrize(("minutes", "every"), [(15, 1), (15, 5), (15, 15), (15, 39), (60, 5), (60, 60), (60, 119), (1, 1),
                                               (15, 60), (5, 120), (60, 239)])
def test_a_watch_that_goes_on_tells_errors_that_go_on_once_and_writes_little(minutes: int, every: int):
    """For a day; its windows are full of errors, or only half full in between, or cannot be read whole."""
    rules, store, seen = WatchRules.of(RuleSet.from_threshold(20), minutes), MemoryStore(), list[str]()
    for number, minute in enumerate(range(0, 24 * 60, every)):
        hour = 24 + minute / 60
        seen += watch(store, window(hour, 25 if number % 3 == 0 else 15, minutes=minutes, whole=number % 5 != 0), hour, rules)
    assert seen == ["FIRING"]
    assert len(store.objects) <= 1 + 24 / 2


def test_looks_by_a_clock_that_is_wrong_neither_hide_nor_repeat_an_alert():
    store = MemoryStore()
    assert watch(store, window(20, 20), 20) == ["FIRING"]  # by a clock that is half a day ahead
    assert [watch(store, window(8 + number / 4, 20), 8 + number / 4) for number in range(3)] == [["FIRING"], [], []]


def test_a_window_read_in_part_fires_and_does_not_resolve_and_is_no_alert_itself():
    store = MemoryStore()
    assert watch(store, window(7, 3, whole=False), 7) == []
    assert watch(store, window(8, 20, whole=False), 8) == ["FIRING"]
    assert watch(store, window(8.25, 0, whole=False), 8.25) == []
    assert watch(store, window(8.5, 0), 8.5) == ["OK"]


def test_a_watch_and_the_archive_have_alerts_of_their_own():
    store = MemoryStore()
    assert watch(store, window(8, 20), 8) == ["FIRING"]
    day = claim_transitions(Ledger(store, "default"), RuleSet.from_threshold(20), [archived(2, errors=5)], now=clock(3))
    assert day == []
    assert watch(store, window(8.25, 1), 8.25) == ["OK"]


def test_the_message_of_a_watch_names_the_minutes():
    [one] = claim_transitions(Ledger(MemoryStore(), "default"), WATCH, [window(8, 20)], now=clock(2, 8), check_age=False)
    body = compose([one], archive="s3://bucket").body
    assert "20 error rows from 07:45 to 08:00 UTC; the threshold is 20." in body
    assert "- 20 x ValueError at app:1 (log_id id-0)" in body
    assert "Archive:" not in body


def test_windows_of_different_length_have_alerts_of_their_own():
    """A look at the last hour beside a watch of every quarter of an hour must not make it flap."""
    store, hourly = MemoryStore(), WatchRules.of(RuleSet.from_threshold(20), 60)
    assert watch(store, window(8, 9), 8) == []
    assert watch(store, window(8, 36, minutes=60), 8, hourly) == ["FIRING"]
    assert watch(store, window(8.25, 9), 8.25) == []
    assert watch(store, window(8.25, 36, minutes=60), 8.25, hourly) == []
    assert {key.split("rule=")[1].split("/")[0] for key in store.objects if "rule=" in key} == {"watch-errors-60m"}


def test_error_counts_of_rules_are_held_against_the_window_and_other_rules_are_not():
    rules = RuleSet(rules=(
        ErrorCount(threshold=30, levels=frozenset({"Warning"}), resolve_below=29, pipelines=("cha*",), name="warnings"),
        ErrorRatio(ratio=0.1)))
    watched, store = WatchRules.of(rules, 5), MemoryStore()
    assert watched.levels == ["warning"]
    assert watched.for_source(LogSource("default", "docs")) == []
    seen = [watch(store, window(hour, errors, minutes=5, level=level), hour, watched) for hour, errors, level in
            [(8, 30, "ERROR"), (8.1, 30, "WARNING"), (8.2, 29, "warning"), (8.3, 28, "warning")]]
    assert seen == [[], ["FIRING"], [], ["OK"]]
    assert any("rule=watch-errors-5m-warnings/" in key for key in store.objects)
    with pytest.raises(InvalidInputError, match="error count"):
        WatchRules.of(RuleSet(rules=(ErrorRatio(ratio=0.1),)), 5)


@pytest.mark.parametrize("name", ["watch-errors", "watch-errors-15m", "watch-errors-60m-warnings", "completeness"])
def test_no_other_rule_takes_the_name_of_a_watch_or_of_completeness(name: str):
    with pytest.raises(ValueError, match="another name"):
        RuleSet(rules=(ErrorCount(name=name, threshold=1),))


def test_an_event_of_a_window_is_not_taken_for_one_of_a_sealed_day():
    [one] = claim_transitions(Ledger(MemoryStore(), "default"), WATCH, [window(8, 20)], now=clock(2, 8), check_age=False)
    [event] = transition_events(one, "t00001.json")
    assert (event.resource["status"], event.resource["revision"], event.payload["status"]) == ("window", "0", "window")


def test_what_was_counted_and_what_can_be_shown():
    """Also for a window that begins on the day before."""
    end = int(clock(2, 0.1)) * SECOND
    rows = WindowRows(Span(end - 900 * SECOND, end))
    for index in range(2500):
        exceptions = (("ValueError", "app:1"),) if index % 2 else ()
        rows.add(Row(end - 1 - index * SECOND // 3, f"id-{index}", "eRRoR", "querypipeline", MESSAGE, exceptions))
    manifest = rows.manifest(SOURCE, read_at=end, whole=True)
    assert (manifest.rows, manifest.errors, manifest.dt, manifest.revision) == (2500, 2500, name_of(2), 0)
    assert [(kind.type, kind.count, kind.log_id) for kind in manifest.exceptions] == [("ValueError", 1250, "id-1")]
    assert rows.samples() == {"id-0": "No answer for [e-mail]", "id-1": "No answer for [e-mail]"}
