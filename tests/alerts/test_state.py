"""Alerts as transitions in a real bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect_deepset.alerts.errors import AlertError
from prefect_deepset.alerts.ledger import LEASE, Ledger
from prefect_deepset.alerts.messages import Message
from prefect_deepset.alerts.rules import ErrorCount, ErrorRatio, NewException, RuleSet, ZeroRows
from prefect_deepset.alerts.state import (
    claim_transitions,
    deliver,
    evaluate_day,
    mark_sent,
    pending_transitions,
)
from prefect_deepset.alerts.transitions import Transition
from prefect_deepset.archive.errors import StoreUnavailableError
from prefect_deepset.archive.manifest import Manifest, sha256_hex
from prefect_deepset.archive.objects import ObjectInfo
from prefect_deepset.archive.store import S3Store

from ..servers.ministack import S3Handle
from .days import MemoryStore, archived, clock, gap

RULES = RuleSet.from_threshold(100)
SERIES = "logs/alerts/workspace=default/pipeline=chat/rule=error-threshold/"


@pytest.fixture
def store(s3: S3Handle) -> S3Store:
    return s3.store(prefix="logs")


def told(store: S3Store, days: Sequence[Manifest], history: Sequence[Manifest] = (), *, rules: RuleSet = RULES,
         now: float | None = None) -> list[str]:
    """One run's transitions, sent and marked, as ``day state``."""
    at = now if now is not None else clock(1)
    ledger = Ledger(store, "default")
    claimed = claim_transitions(ledger, rules, days, history, now=at, check_age=now is not None)
    assert ledger.problems == []
    mark_sent(ledger, claimed, now=at)
    return [f"{one.dt[-2:]} {one.state}{' late' if one.late else ''}" for one in claimed]


def keys(store: S3Store) -> list[str]:
    return [info.key for info in store.list("logs/alerts/")]


def test_an_alert_fires_once_and_resolves_once(store: S3Store):
    assert told(store, [archived(1, errors=5)]) == []
    assert told(store, [archived(2, errors=500)]) == ["02 FIRING"]
    assert told(store, [archived(3, errors=700)]) == []
    assert told(store, [archived(4, errors=5)]) == ["04 OK"]
    assert told(store, [archived(5, errors=5)]) == []
    assert keys(store) == [f"{SERIES}t0000{n}{mark}.json" for n in (1, 2) for mark in ("", ".sent")]


def test_a_run_repeated_over_the_same_days_is_silent_and_writes_nothing(store: S3Store):
    days = [archived(1, errors=5), archived(2, errors=500), archived(3, errors=5)]
    assert told(store, days) == ["02 FIRING", "03 OK"]
    before = keys(store)
    for again in (days, days[1:], days[:2], [days[1]], [days[2]]):
        assert told(store, again, days) == []
    assert keys(store) == before


def test_a_day_known_in_part_fires_and_does_not_resolve(store: S3Store):
    holes = [gap(2, "gateway-timeout")]
    assert told(store, [archived(1, errors=100, status="open")]) == ["01 FIRING"]
    assert told(store, [archived(2, errors=0, status="open")]) == []
    assert told(store, [archived(2, errors=0, status="open", gaps=holes, revision=2)]) == ["02 FIRING"]  # says: incomplete
    assert told(store, [archived(2, errors=0, status="open", gaps=holes, revision=2)]) == []
    assert told(store, [archived(2, errors=0, revision=3)]) == ["02 OK"]


def test_between_the_two_thresholds_an_alert_goes_on(store: S3Store):
    rules = RuleSet(rules=(ErrorCount(threshold=100, resolve_below=20),))
    days = [archived(1, errors=100), archived(2, errors=50), archived(3, errors=20), archived(4, errors=19)]
    assert [told(store, [day], rules=rules) for day in days] == [["01 FIRING"], [], [], ["04 OK"]]


def test_an_empty_day_does_not_say_that_errors_are_over(store: S3Store):
    assert told(store, [archived(1, errors=100)]) == ["01 FIRING"]
    assert told(store, [archived(2, rows=0)]) == ["02 NO_DATA"]
    assert told(store, [archived(3, rows=0)]) == []
    assert told(store, [archived(4)]) == ["04 OK"]
    assert told(store, [archived(5, rows=0)]) == []


def test_silence_is_told_by_the_rule_for_it_and_stays_silent_while_it_lasts(store: S3Store):
    rules = RuleSet(rules=(ZeroRows(lookback_days=2),))
    days = [archived(1), archived(2), *[archived(day, rows=0) for day in (3, 4, 5, 6, 7)], archived(8)]
    assert [told(store, [day], days[:index], rules=rules) for index, day in enumerate(days)] == [
        [], [], ["03 NO_DATA"], [], [], [], [], ["08 OK"]]


def test_late_rows_of_an_older_day_are_told_once_and_resolve_nothing(store: S3Store):
    day1, day2 = archived(1, errors=99), archived(2, errors=5)
    assert told(store, [day1]) == []
    assert told(store, [day2], [day1]) == []
    late = archived(1, errors=130, revision=2, late_rows=31)
    for run in range(3):
        assert told(store, [late, day2]) == (["01 FIRING late"] if run == 0 else [])
    settled = archived(1, errors=130, revision=3, status="settled")
    assert told(store, [settled, day2]) == []
    assert told(store, [archived(3, errors=5)], [settled, day2]) == []
    assert told(store, [archived(4, errors=500)], [settled, day2]) == ["04 FIRING"]


def test_an_older_day_that_fires_while_the_alert_fires_is_no_news(store: S3Store):
    days = [archived(1, errors=200), archived(2, errors=200), archived(3, errors=200)]
    assert told(store, days) == ["01 FIRING"]
    assert told(store, [archived(2, errors=250, revision=2, late_rows=50)], days) == []


def test_a_hole_that_became_final_on_an_older_day_is_told(store: S3Store):
    half_read, next_day = archived(1, status="open"), archived(2)
    assert told(store, [half_read]) == []
    assert told(store, [next_day], [half_read]) == []
    lost = archived(1, status="gap", revision=2, gaps=[gap(1, "retention")])
    assert told(store, [lost], [next_day]) == ["01 INCOMPLETE late"]
    assert told(store, [lost], [next_day]) == []


def test_incomplete_days_are_told_once_and_whole_again_once(store: S3Store):
    lost = [archived(day, status="gap", gaps=[gap(day, "retention")]) for day in (1, 2, 3)]
    assert told(store, lost) == ["01 INCOMPLETE"]
    assert told(store, [archived(4, errors=5)]) == ["04 OK"]


def test_the_first_run_s_missing_morning_is_no_news(store: S3Store):
    assert told(store, [archived(1, status="gap", gaps=[gap(1, "before-first-run")]), archived(2)]) == []


def test_a_stale_manifest_does_not_undo_what_a_newer_revision_said(store: S3Store):
    assert told(store, [archived(1, errors=150, revision=2)]) == ["01 FIRING"]
    assert told(store, [archived(1, errors=5, revision=1)]) == []


def test_another_new_kind_of_exception_is_told_while_the_first_still_fires(store: S3Store):
    rules = RuleSet(rules=(NewException(lookback_days=7),))
    days = [archived(1), archived(2, exceptions={"KeyError@a:1": 3}), archived(3, exceptions={"OSError@b:2": 1}),
            archived(4, exceptions={"KeyError@a:1": 1}), archived(5)]
    outcome = [told(store, [day], days[:index], rules=rules) for index, day in enumerate(days)]
    assert outcome == [[], ["02 FIRING"], ["03 FIRING"], [], ["05 OK"]]


def test_a_pipeline_overdue_for_36_hours_is_incomplete_until_it_is_archived(store: S3Store):
    days = [archived(1), archived(2)]
    assert told(store, [], days, now=clock(4, 11)) == []
    assert told(store, [], days, now=clock(4, 13)) == ["03 INCOMPLETE"]
    assert told(store, [], days, now=clock(4, 19)) == []
    assert told(store, [archived(3)], days, now=clock(4, 20)) == ["03 OK"]


def test_an_overdue_day_is_told_once_though_the_next_one_is_whole(store: S3Store):
    days = [archived(1, status="open"), archived(2)]
    assert told(store, days, now=clock(3, 11)) == []
    assert told(store, days, now=clock(3, 13)) == ["01 INCOMPLETE late"]
    assert told(store, days, now=clock(3, 14)) == []


def test_an_alert_of_a_day_that_is_final_since_is_told_by_a_later_run(store: S3Store):
    days = [archived(1), archived(2, errors=500, status="settled"), archived(3, errors=5)]
    assert told(store, [], days) == ["02 FIRING", "03 OK"]
    assert told(store, [days[2]], days) == []


def test_a_gap_after_a_whole_day_is_told_while_the_alert_fires(store: S3Store):
    def holes(day: int) -> Manifest:
        return archived(day, errors=500, status="gap", gaps=[gap(day, "retention")])

    days = [holes(1), holes(2), archived(3, errors=500), holes(4),
            archived(5, errors=5, status="gap", gaps=[gap(5, "retention")]), archived(6)]
    assert [told(store, [day], days[:index]) for index, day in enumerate(days)] == [
        ["01 FIRING"], [], [], ["04 FIRING"], [], ["06 OK"]]
    assert told(store, [], days) == []


class BreaksOnce(MemoryStore):
    """Its first listing breaks off after one object."""

    broken = False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As the protocol says, but once."""
        for info in super().list(prefix):
            yield info
            if not self.broken:
                self.broken = True
                raise StoreUnavailableError("The listing broke off.")


def test_half_a_listing_does_not_pass_for_the_whole():
    store = BreaksOnce()
    store.broken = True
    for day in (archived(1, errors=500), archived(2)):
        claim_transitions(Ledger(store, "default"), RULES, [day], now=clock(3))
    store.broken = False
    ledger = Ledger(store, "default")
    claimed = claim_transitions(ledger, RULES, [archived(3, pipeline="a"), archived(3, errors=500)], now=clock(4))
    assert [(one.number, one.state, one.previous) for one in claimed] == [(3, "FIRING", "OK")]
    assert len(ledger.problems) == 1


def test_rules_and_pipelines_have_states_of_their_own(store: S3Store):
    rules = RuleSet(rules=(ErrorCount(threshold=100), ErrorRatio(ratio=0.5, min_rows=10)))
    days = [archived(1, errors=100, pipeline="a/b c"), archived(1, errors=600, pipeline="search"),
            archived(1, errors=600, kind="index")]
    assert sorted(told(store, days, rules=rules)) == ["01 FIRING"] * 5
    assert "logs/alerts/workspace=default/pipeline=a%2Fb%20c/rule=error-count/t00001.json" in keys(store)
    assert "logs/alerts/workspace=default/index=chat/rule=error-ratio/t00001.json" in keys(store)
    assert told(store, days, rules=rules) == []


def test_a_changed_threshold_keeps_the_history_of_the_alert(store: S3Store):
    assert told(store, [archived(1, errors=150)]) == ["01 FIRING"]
    assert told(store, [archived(2, errors=150)], rules=RuleSet.from_threshold(200)) == ["02 OK"]


def test_a_message_that_could_not_be_sent_is_sent_by_a_later_run(store: S3Store):
    now = clock(2)
    ledger = Ledger(store, "default")
    claimed = claim_transitions(ledger, RULES, [archived(1, errors=500)], now=now)

    def broken(_message: Message) -> None:
        raise AlertError("The channel answered 500 for token=abc123secret.")

    failed = deliver(ledger, claimed, broken, now=lambda: now)
    assert (failed.sent, failed.unsent) == ([], claimed)
    assert "AlertError" in failed.error
    assert "abc123secret" not in failed.error

    later = Ledger(store, "default")
    assert pending_transitions(later, now=now + LEASE - 1) == []
    taken = pending_transitions(later, now=now + LEASE)
    assert taken == claimed
    messages: list[Message] = []
    assert deliver(later, taken, messages.append, now=lambda: now + LEASE).unsent == []
    assert len(messages) == 1
    assert pending_transitions(Ledger(store, "default"), now=now + 10 * LEASE) == []


def test_a_run_that_dawdled_past_its_lease_leaves_the_telling_to_another(store: S3Store):
    now = clock(2)
    slow = Ledger(store, "default")
    claimed = claim_transitions(slow, RULES, [archived(1, errors=500)], now=now)
    fast = Ledger(store, "default")
    taken = pending_transitions(fast, now=now + LEASE)
    messages: list[Message] = []
    assert deliver(slow, claimed, messages.append, now=lambda: now + LEASE + 1).unsent == claimed
    assert deliver(fast, taken, messages.append, now=lambda: now + LEASE + 1).sent == claimed
    assert len(messages) == 1


def test_a_later_change_waits_for_the_one_before_it_and_is_told_with_it(store: S3Store):
    now = clock(2)
    claim_transitions(Ledger(store, "default"), RULES, [archived(1, errors=500)], now=now)  # and dies

    soon = Ledger(store, "default")
    resolved = claim_transitions(soon, RULES, [archived(2)], [archived(1, errors=500)], now=now + 60)
    messages: list[Message] = []
    assert deliver(soon, resolved, messages.append, now=lambda: now + 60).unsent == resolved
    assert messages == []

    later = Ledger(store, "default")
    taken = pending_transitions(later, now=now + 60 + LEASE)
    delivery = deliver(later, taken, messages.append, now=lambda: now + 60 + LEASE)
    assert [one.state for one in delivery.sent] == ["FIRING", "OK"]
    [message] = messages
    assert ("Told late: this was noticed at 2026-01-02 00:45 UTC. It is over since 2026-01-02 "
            "(noticed at 2026-01-02 00:46 UTC). 500 error rows") in message.body


def test_a_change_told_late_says_that_it_is_over_though_another_run_tells_that(store: S3Store):
    now = clock(2)
    claim_transitions(Ledger(store, "default"), RULES, [archived(1, errors=500)], now=now)  # and dies
    claim_transitions(Ledger(store, "default"), RULES, [archived(2)], now=now + LEASE)
    ledger, messages = Ledger(store, "default"), list[Message]()
    taken = pending_transitions(ledger, now=now + LEASE + 1)
    assert [one.state for one in deliver(ledger, taken, messages.append, now=lambda: now + LEASE + 1).sent] == ["FIRING"]
    assert "It is over since 2026-01-02" in messages[0].body


def test_a_change_that_cannot_be_read_holds_no_other_back(store: S3Store):
    now = clock(2)
    claimed = claim_transitions(Ledger(store, "default"), RULES, [archived(1, errors=500), archived(2)], now=now)
    damaged = MemoryStore()
    damaged.objects = {f"{SERIES}t0000{one.number}.json": one.to_bytes() if one.number > 1 else b"not json" for one in claimed}
    ledger, messages = Ledger(damaged, "default"), list[Message]()
    taken = pending_transitions(ledger, now=now + LEASE)
    assert [one.state for one in deliver(ledger, taken, messages.append, now=lambda: now + LEASE).sent] == ["OK"]
    assert len(ledger.problems) == 1


def test_events_are_missing_only_where_a_run_died_before_it_said_otherwise(store: S3Store):
    now, days = clock(2), [archived(1, errors=500, pipeline=name) for name in ("died", "failed", "told")]
    run = Ledger(store, "default")
    claimed = claim_transitions(run, RULES, days, now=now)
    run.mark_emitted(claimed[1], now)
    run.mark_sent(claimed[2], now, None)
    assert Ledger(store, "default").unemitted(now + LEASE - 1) == []
    later = Ledger(store, "default")
    assert later.unemitted(now + LEASE) == claimed[:1]
    later.mark_emitted(claimed[0], now + LEASE)
    assert Ledger(store, "default").unemitted(now + 2 * LEASE) == []
    assert len(pending_transitions(later, now=now + LEASE)) == 2


def test_two_workers_at_once_claim_each_transition_once(store: S3Store):
    days = [archived(day, errors=500 if day % 2 else 0, pipeline=name) for day in (1, 2, 3) for name in ("a", "b", "c")]

    def run(_worker: int) -> list[Transition]:
        ledger = Ledger(store, "default")
        claimed = claim_transitions(ledger, RULES, days, now=clock(4))
        assert ledger.problems == []
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for result in pool.map(run, range(4)) for one in result]
    assert sorted((one.source.pipeline, one.number, one.dt) for one in claimed) == [
        (name, number, f"2026-01-0{number}") for name in "abc" for number in (1, 2, 3)]


def test_two_workers_at_once_take_over_an_unsent_claim_once(store: S3Store):
    claim_transitions(Ledger(store, "default"), RULES, [archived(1, errors=500)], now=clock(2))
    ledgers = [Ledger(store, "default") for _ in range(4)]
    for ledger in ledgers:
        ledger.all_series()  # each has listed before any takes over

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda ledger: pending_transitions(ledger, now=clock(2) + LEASE), ledgers))
    assert sum(len(one) for one in taken) == 1


def test_a_damaged_transition_stops_its_own_alert_only(store: S3Store):
    body = b"not json"
    store.create(f"{SERIES}t00001.json", body, sha256=sha256_hex(body), size=len(body), content_type="text/plain")
    ledger = Ledger(store, "default")
    days = [archived(1, errors=500), archived(1, errors=500, pipeline="other")]
    claimed = claim_transitions(ledger, RULES, days, now=clock(2))
    assert [one.source.pipeline for one in claimed] == ["other"]
    [problem] = ledger.problems
    assert f"{SERIES}t00001.json" in str(problem)
    assert "Restore it" in str(problem)


def test_one_day_is_judged_told_and_marked_in_one_call(store: S3Store):
    messages: list[Message] = []
    for _ in range(2):
        evaluate_day(store, RULES, archived(1, errors=500), [], messages.append, clock(2))
    [message] = messages
    assert message.subject == "[deepset] FIRING: default / chat, 2026-01-01"
    assert [key[len(SERIES):] for key in keys(store)] == ["t00001.json", "t00001.sent.json"]


def test_an_example_is_redacted_before_it_is_kept(store: S3Store):
    manifest = archived(1, errors=500, exceptions={"ValueError@app:3": 400})
    ledger = Ledger(store, "default")
    [one] = claim_transitions(ledger, RULES, [manifest], now=clock(2),
                              sample_of=lambda _manifest, log_id: f"{log_id}: password=hunter2 for bob@example.com")
    assert one.examples[0].text == "row-of-0: [redacted] for [e-mail]"
    assert b"hunter2" not in (store.get(f"{SERIES}t00001.json") or b"")
