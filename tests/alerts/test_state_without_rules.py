"""Runs without rules (a backfill) beside runs with rules: what is missing is told once, and ends once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.rules import RuleSet
from prefect_deepset.alerts.state import claim_transitions, mark_sent
from prefect_deepset.archive.manifest import Manifest

from .days import MemoryStore, archived, clock, gap

DAILY = RuleSet.from_threshold(100)
BACKFILL = RuleSet()
HOLED = [gap(2, "timeout")]


def told(store: MemoryStore, rules: RuleSet, days: Sequence[Manifest], now: float | None = None) -> list[str]:
    """One run's transitions as ``rule day state``."""
    ledger = Ledger(store, "default")
    claimed = claim_transitions(ledger, rules, days, now=now or clock(3), check_age=now is not None)
    assert ledger.problems == []
    mark_sent(ledger, claimed, now=now or clock(3))
    return [f"{one.rule} {one.dt[-2:]} {one.state}{' late' if one.late else ''}" for one in claimed]


def test_what_the_daily_run_told_a_backfill_does_not_tell_again_and_the_daily_run_resolves_it():
    store = MemoryStore()
    before = archived(1)
    assert told(store, DAILY, [before, archived(2, gaps=HOLED, status="open")]) == ["error-threshold 02 INCOMPLETE"]
    assert told(store, BACKFILL, [before, archived(2, gaps=HOLED, status="open", revision=2)]) == []
    assert told(store, BACKFILL, [before, archived(2, revision=3)]) == []
    assert told(store, DAILY, [before, archived(2, revision=3)]) == ["error-threshold 02 OK"]
    assert told(store, BACKFILL, [before, archived(2, revision=3)]) == []


def test_what_a_backfill_told_the_daily_run_does_not_tell_again_and_resolves():
    store = MemoryStore()
    before = archived(1)
    assert told(store, BACKFILL, [before, archived(2, gaps=HOLED, status="open")]) == ["completeness 02 INCOMPLETE"]
    for day in (2, 3):
        days = [before, *(archived(number, gaps=[gap(number, "timeout")], status="open") for number in range(2, day + 1))]
        assert told(store, DAILY, days) == []
    assert told(store, DAILY, [before, archived(2, revision=2), archived(3, revision=2)]) == ["completeness 02 OK"]
    assert told(store, DAILY, [before, archived(2, gaps=HOLED, status="open", revision=3)]) == [
        "error-threshold 02 INCOMPLETE"]


def test_an_overdue_day_is_told_once_too():
    store = MemoryStore()
    assert told(store, DAILY, [archived(1)], now=clock(4)) == ["error-threshold 02 INCOMPLETE"]
    assert told(store, BACKFILL, [archived(1)], now=clock(4)) == []


def test_what_fires_is_told_whoever_told_that_something_is_missing():
    store = MemoryStore()
    holed = archived(2, errors=500, gaps=HOLED, status="open")
    assert told(store, BACKFILL, [archived(1), holed]) == ["completeness 02 INCOMPLETE"]
    assert told(store, DAILY, [archived(1), holed]) == ["error-threshold 02 FIRING"]
    assert told(store, DAILY, [archived(1), archived(2, errors=5, revision=2)]) == [
        "error-threshold 02 OK", "completeness 02 OK"]


def test_a_day_that_nobody_told_of_is_told_by_a_backfill():
    store = MemoryStore()
    assert told(store, DAILY, [archived(1, gaps=[gap(1, "timeout")], status="gap"), archived(2)]) == [
        "error-threshold 01 INCOMPLETE", "error-threshold 02 OK"]
    assert told(store, BACKFILL, [archived(2, gaps=HOLED, status="gap", revision=2)]) == ["completeness 02 INCOMPLETE"]


@pytest.mark.parametrize(("first", "then", "rule"), [(BACKFILL, DAILY, "completeness"), (DAILY, BACKFILL, "error-threshold")])
def test_a_damaged_series_silences_no_other(first: RuleSet, then: RuleSet, rule: str):
    store = MemoryStore()
    holed = archived(2, gaps=HOLED, status="open")
    assert told(store, first, [holed]) == [f"{rule} 02 INCOMPLETE"]
    store.objects[f"logs/alerts/workspace=default/pipeline=chat/rule={rule}/t00001.json"] = b"not json"
    assert [one.partition(" ")[2] for one in told(store, then, [holed])] == ["02 INCOMPLETE"]
