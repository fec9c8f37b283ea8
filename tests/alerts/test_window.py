"""The watch between the archives."""

from __future__ import annotations

import pytest
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.messages import compose
from prefect_deepset.alerts.rules import RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.alerts.window import WatchRules, window_manifest
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.rows import Row
from prefect_deepset.api.times import SECOND, Span
from prefect_deepset.archive.manifest import Manifest, Source

from .days import MemoryStore, archived, clock

SOURCE = Source(host="127.0.0.1:1", workspace="default", pipeline="chat")
WATCH = WatchRules.from_threshold(20)


def window(hour: float, errors: int, *, whole: bool = True) -> Manifest:
    end = int(clock(2, hour)) * SECOND
    rows = [Row(end - 1, f"id-{index}", "ERROR", "querypipeline", b"{}", (("ValueError", "app:1"),)) for index in range(errors)]
    return window_manifest(SOURCE, Span(end - 900 * SECOND, end), rows, read_at=end, whole=whole)


def watch(store: MemoryStore, manifest: Manifest, hour: float) -> list[str]:
    claimed = claim_transitions(Ledger(store, "default"), WATCH, [manifest], now=clock(2, hour), check_age=False)
    return [str(one.state) for one in claimed]


def test_a_watch_fires_once_does_not_flap_and_resolves_on_a_calm_window():
    store = MemoryStore()
    seen = [watch(store, window(hour, errors), hour) for hour, errors in
            [(8, 0), (8.25, 19), (8.5, 20), (8.75, 30), (9, 19), (9.25, 21), (9.5, 10), (9.75, 9), (10, 0), (10.25, 25)]]
    assert seen == [[], [], ["FIRING"], [], [], [], [], ["OK"], [], ["FIRING"]]


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


def test_a_threshold_below_one_is_refused():
    with pytest.raises(InvalidInputError):
        WatchRules.from_threshold(0)
