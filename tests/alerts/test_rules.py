"""What the rules make of a day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.alerts.rules import ErrorCount, ErrorRatio, NewException, RuleSet, ZeroRows
from prefect_deepset.alerts.verdicts import State, evaluate
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.sources import LogSource
from pydantic import ValidationError

from .days import archived, gap


def test_an_error_count_fires_at_the_threshold_and_not_below():
    rule = ErrorCount(threshold=100)
    assert evaluate(rule, archived(1, errors=99), []).state is State.OK
    verdict = evaluate(rule, archived(1, errors=100), [])
    assert (verdict.state, verdict.value, verdict.threshold) == (State.FIRING, 100, 100)
    assert verdict.detail == "100 error rows of 1,000; the threshold is 100, reached in the hour from 13:00 UTC."


def test_levels_are_compared_in_any_case():
    rule = ErrorCount(threshold=10, levels=frozenset({"WARNING", "Error"}))
    levels = {"warning": 3, "Warning": 3, "ERROR": 4, "info": 500}
    verdict = evaluate(rule, archived(1, rows=510, levels=levels), [])
    assert (verdict.state, verdict.value) == (State.FIRING, 10)
    assert "rows of level error, warning" in verdict.detail


def test_a_ratio_is_judged_only_where_there_are_rows_enough():
    rule = ErrorRatio(ratio=0.05, min_rows=200)
    assert evaluate(rule, archived(1, errors=50, rows=199), []).state is State.NO_DATA
    assert evaluate(rule, archived(1, errors=10, rows=200), []).state is State.FIRING
    assert evaluate(rule, archived(1, errors=9, rows=200), []).state is State.OK


def test_a_new_kind_of_exception_is_one_that_the_lookback_does_not_have():
    rule = NewException(lookback_days=2)
    known = {"ValueError@app:10": 5}
    old = [archived(day, exceptions=known) for day in (1, 2, 3)]
    assert evaluate(rule, archived(4, exceptions=known), old).state is State.OK
    verdict = evaluate(rule, archived(4, exceptions={**known, "KeyError@app:7": 1}), old)
    assert (verdict.state, verdict.kinds) == (State.FIRING, frozenset({"KeyError at app:7"}))
    seen_long_ago = [archived(1, exceptions={"KeyError@app:7": 1}), *old[1:]]
    assert evaluate(rule, archived(4, exceptions={"KeyError@app:7": 1}), seen_long_ago).state is State.FIRING


def test_a_frame_that_only_moved_is_the_same_kind_where_the_module_is_what_counts():
    history = [archived(1, exceptions={"ValueError@app:10": 5})]
    moved = archived(2, exceptions={"ValueError@app:11": 5})
    assert evaluate(NewException(), moved, history).state is State.FIRING
    assert evaluate(NewException(frames="module"), moved, history).state is State.OK


def test_a_kind_is_not_called_new_against_a_day_that_had_more_kinds_than_a_manifest_names():
    today = archived(3, exceptions={"KeyError@app:7": 4})
    full = {f"E{number}@app:1": 9 for number in range(100)}
    for cut in (archived(1, exceptions=full), archived(1, exceptions={"E@app:1": 9}, other_exceptions=5)):
        verdict = evaluate(NewException(), today, [cut, archived(2)])
        assert (verdict.state, verdict.kinds) == (State.OK, frozenset())
        assert verdict.detail == ("New or not cannot be told of 1 kind of exception: 1 of 2 days archived before had more "
                                  "kinds than a manifest names.")
    assert evaluate(NewException(), today, [archived(1, exceptions=dict(list(full.items())[:99]))]).state is State.FIRING


def test_a_cut_list_proves_no_kind_gone():
    rule, before = NewException(), [archived(1)]
    assert evaluate(rule, archived(2), before).resolves
    cut = archived(3, exceptions={"E@app:1": 9}, other_exceptions=5)
    assert not evaluate(rule, cut, [archived(2, exceptions={"E@app:1": 1})]).resolves


def test_error_rows_without_an_exception_are_no_new_kind():
    assert evaluate(NewException(), archived(2, plain_errors={"error": 50}), [archived(1)]).state is State.OK


def test_secrets_in_an_exception_s_type_reach_neither_kinds_nor_detail():
    verdict = evaluate(NewException(), archived(2, exceptions={"No ann at password=hunter2hunter2@a:1": 1}), [archived(1)])
    assert verdict.state is State.FIRING
    assert "hunter2" not in f"{verdict.detail} {verdict.kinds}"


def test_on_the_first_day_no_exception_is_called_new():
    assert evaluate(NewException(), archived(1, exceptions={"ValueError@app:10": 5}), []).state is State.OK


def test_zero_rows_are_news_where_history_has_some():
    rule = ZeroRows(lookback_days=3)
    busy, empty = [archived(1), archived(2)], archived(3, rows=0)
    verdict = evaluate(rule, empty, busy)
    assert (verdict.state, verdict.opens) == (State.NO_DATA, True)
    always_empty = [archived(day, rows=0) for day in (1, 2)]
    assert evaluate(rule, empty, always_empty).opens is False
    assert evaluate(rule, archived(3, rows=1), busy).state is State.OK


@pytest.mark.parametrize("reason", ["gateway-timeout", "retention", "cursor", "pipeline-gone", "error"])
def test_a_gap_makes_a_day_incomplete(reason: str):
    verdict = evaluate(ErrorCount(threshold=100), archived(1, errors=5, status="gap", gaps=[gap(1, reason)]), [])
    assert (verdict.state, verdict.resolves) == (State.INCOMPLETE, False)
    assert f"2026-01-01 03:00 to 04:00 UTC ({reason})" in verdict.detail


@pytest.mark.parametrize(("reason", "status"), [("before-first-run", "gap"), ("not-over", "open")])
def test_some_gaps_are_no_fault_and_yet_prove_nothing(reason: str, status: str):
    verdict = evaluate(ErrorCount(threshold=100), archived(1, errors=5, status=status, gaps=[gap(1, reason)]), [])
    assert (verdict.state, verdict.opens, verdict.resolves, verdict.incomplete) == (State.OK, False, False, False)


def test_a_tie_that_was_not_resolved_makes_a_day_incomplete():
    verdict = evaluate(ErrorCount(threshold=100), archived(1, ties=1), [])
    assert verdict.state is State.INCOMPLETE
    assert "Not proven complete" in verdict.detail


def test_firing_comes_before_incomplete_before_no_data():
    rule, holes = ErrorCount(threshold=100), [gap(1, "gateway-timeout")]
    assert evaluate(rule, archived(1, errors=100, status="open", gaps=holes), []).state is State.FIRING
    assert evaluate(rule, archived(1, rows=0, status="open", gaps=holes), []).state is State.INCOMPLETE
    assert evaluate(rule, archived(1, rows=0), []).state is State.NO_DATA


@given(errors=st.integers(0, 300), status=st.sampled_from(["open", "sealed", "settled", "gap"]),
       reason=st.sampled_from([None, "before-first-run", "not-over", "retention", "gateway-timeout"]), ties=st.integers(0, 2))
def test_only_a_whole_day_resolves(errors: int, status: str, reason: str | None, ties: int):
    manifest = archived(1, errors=errors, status=status, gaps=[gap(1, reason)] if reason else [], ties=ties)
    verdict = evaluate(ErrorCount(threshold=100, resolve_below=50), manifest, [])
    assert (verdict.state is State.FIRING) == (errors >= 100)
    if verdict.resolves:
        assert status in {"sealed", "settled"}
        assert reason is None
        assert ties == 0
        assert errors < 50


def test_the_thresholds_of_a_rule_must_make_sense():
    for threshold in (0, -1):
        with pytest.raises(InvalidInputError, match="Give 1 or more"):
            RuleSet.from_threshold(threshold)
    with pytest.raises(ValidationError, match="resolve_below"):
        ErrorCount(threshold=10, resolve_below=11)
    with pytest.raises(ValidationError, match="resolve_below"):
        ErrorRatio(ratio=0.1, resolve_below=0.2)
    with pytest.raises(ValidationError, match="two rules are named 'error-count'"):
        RuleSet(rules=(ErrorCount(threshold=1), ErrorCount(threshold=2)))
    with pytest.raises(ValidationError):
        ErrorCount(threshold=1, name="  ")


def test_a_rule_is_for_the_pipelines_its_patterns_name():
    rules = RuleSet(rules=(ErrorCount(threshold=1, pipelines=("chat-*", "odd[name]")),))
    for name, kinds in {"chat-eu": ["error_count"], "odd[name]": ["error_count"], "search": ["completeness"]}.items():
        assert [rule.kind for rule in rules.for_source(LogSource("w", name))] == kinds


def test_a_pipeline_without_a_rule_is_still_watched_for_what_is_missing():
    [rule] = RuleSet.from_threshold(None).for_source(LogSource("w", "p"))
    assert evaluate(rule, archived(1, errors=999), []).state is State.OK
    assert evaluate(rule, archived(1, status="gap", gaps=[gap(1, "retention")]), []).state is State.INCOMPLETE


def test_a_rule_set_survives_json():
    rules = RuleSet(rules=(ErrorCount(threshold=5), ErrorRatio(ratio=0.1), NewException(), ZeroRows(lookback_days=30)))
    assert RuleSet.model_validate_json(rules.model_dump_json()) == rules
    assert rules.history_days == 30
