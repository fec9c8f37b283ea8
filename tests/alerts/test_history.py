"""Rules tried on archived history."""

from __future__ import annotations

from prefect_deepset.alerts.history import dry_run
from prefect_deepset.alerts.rules import ErrorCount, NewException, RuleSet, ZeroRows

from .days import archived, gap


def test_a_dry_run_counts_days_and_messages():
    days = [archived(day, errors=200 if day in {5, 20, 21} else 3) for day in range(1, 41)]
    [found] = dry_run(RuleSet.from_threshold(100), days)
    assert (found.days, found.fired, found.messages) == (30, ["2026-01-20", "2026-01-21"], 2)
    assert found.sentence == "error-threshold would have fired on 2 of the last 30 days (2 messages): 2026-01-20, 2026-01-21."


def test_a_dry_run_of_a_calm_month_says_so():
    [found] = dry_run(RuleSet.from_threshold(100), [archived(day) for day in range(1, 31)])
    assert found.sentence == "error-threshold would have fired on 0 of the last 30 days."


def test_a_dry_run_judges_each_pipeline_and_rule_with_the_days_before():
    rules = RuleSet(rules=(ErrorCount(threshold=50), NewException(lookback_days=3), ZeroRows(lookback_days=3)))
    days = [archived(1), archived(2, exceptions={"KeyError@a:1": 1}), archived(3, rows=0),
            archived(4, status="gap", gaps=[gap(4, "retention")])]
    runs = dry_run(rules, [*days, archived(1, pipeline="other")], last=3)
    found = {one.rule: one for one in runs if one.source.name == "chat"}
    assert found["error-count"].fired == []
    assert found["error-count"].incomplete == ["2026-01-04"]
    assert found["new-exception"].fired == ["2026-01-02"]
    assert found["zero-rows"].fired == ["2026-01-03"]


def test_a_dry_run_counts_the_message_of_a_gap_after_a_whole_day_as_a_real_run_sends_it():
    cut = [gap(1, "retention")], [gap(3, "retention")]
    days = [archived(1, errors=200, status="gap", gaps=cut[0]), archived(2, errors=200),
            archived(3, errors=200, status="gap", gaps=cut[1])]
    [found] = dry_run(RuleSet.from_threshold(100), days)
    assert (found.fired, found.messages) == (["2026-01-01", "2026-01-02", "2026-01-03"], 2)
