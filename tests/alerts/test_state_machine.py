"""Random days, re-runs, late rows, crashes, two workers and days that are final: each change is told once, in its order, and
none is left untold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from prefect_deepset.alerts.ledger import LEASE, Ledger
from prefect_deepset.alerts.messages import Message
from prefect_deepset.alerts.rules import ErrorCount, RuleSet
from prefect_deepset.alerts.state import claim_transitions, deliver, pending_transitions
from prefect_deepset.alerts.transitions import Transition
from prefect_deepset.alerts.verdicts import State
from prefect_deepset.archive.manifest import Manifest

from .days import Crash, MemoryStore, archived, clock, gap, name_of

RULES = RuleSet(rules=(ErrorCount(threshold=100, resolve_below=50),))
ERRORS = st.sampled_from([0, 10, 49, 50, 99, 100, 400])
SHAPES = st.sampled_from(["whole", "whole", "open", "hole", "lost", "first", "empty"])
CRASHES = st.sampled_from([None, None, None, "claim", "after claim", "sending", "after sending"])


def shaped(day: int, errors: int, shape: str, revision: int, late_rows: int = 0) -> Manifest:
    """A day in one of the shapes the archive knows."""
    rows = 0 if shape == "empty" else 1000
    status = {"open": "open", "hole": "open", "lost": "gap", "first": "gap"}.get(shape, "sealed")
    reason = {"hole": "gateway-timeout", "lost": "retention", "first": "before-first-run"}.get(shape)
    gaps = [gap(day, reason)] if reason else []
    return archived(day, errors if rows else 0, rows, status=status, revision=revision, gaps=gaps, late_rows=late_rows)


class Alerts(RuleBasedStateMachine):
    """The archive's days on one side, the told messages on the other."""

    @initialize()
    def begin(self) -> None:
        self.store = MemoryStore()
        self.days: list[Manifest] = []
        self.before: list[Manifest] = []  # what a slower worker still believes
        self.now = clock(1)
        self.told: Counter[str] = Counter()
        self.lost_marks: Counter[str] = Counter()
        self.first_told: list[tuple[int, ...]] = []
        """The numbers of each message that were told for the first time."""

    @rule(errors=ERRORS, shape=SHAPES)
    def a_day_is_archived(self, errors: int, shape: str) -> None:
        self.before = list(self.days)
        self.days.append(shaped(len(self.days) + 1, errors, shape, 1))
        self.now = max(self.now, clock(len(self.days) + 1))

    @precondition(lambda self: self.days)
    @rule(back=st.integers(1, 3), more=ERRORS, shape=SHAPES, late=st.booleans())
    def a_day_is_read_again(self, back: int, more: int, shape: str, late: bool) -> None:
        self.before = list(self.days)
        old = self.days[-min(back, len(self.days))]
        day = self.days.index(old)
        was_whole = old.status == "sealed"
        shape = "whole" if was_whole or shape == "empty" else shape
        late_rows = more if was_whole and late else 0
        self.days[day] = shaped(day + 1, old.errors + more, shape, old.revision + 1, late_rows)

    @rule(hours=st.sampled_from([0.1, 0.2, 0.3, 6]))
    def time_passes(self, hours: float) -> None:
        self.now += hours * 3600

    @precondition(lambda self: self.days)
    @rule(crash=CRASHES, crash_two=CRASHES, workers=st.integers(1, 2), window=st.integers(0, 3), swap=st.booleans(),
          pause=st.sampled_from([0, 0, 0, 0.1, 0.3]))
    def a_run(self, crash: str | None, crash_two: str | None, workers: int, window: int, swap: bool, pause: float) -> None:
        """One worker, or two whose steps interleave, the second with older manifests. Days before the window are final."""
        plans = [(crash, self.days), (crash_two, self.before or self.days)][:workers]
        ledgers = [Ledger(self.store, "default") for _ in plans]
        for ledger in ledgers:
            ledger.all_series()  # both have listed before either claims
        held: list[tuple[Ledger, list[Transition], str | None]] = []
        for ledger, (step, days) in zip(ledgers, plans, strict=True):
            held.append((ledger, self.claim(ledger, days, window, step), step))
            self.now += pause * 3600
        for ledger, transitions, step in reversed(held) if swap else held:
            self.now += pause * 3600  # 0.3 hours outlast the lease
            if step not in {"claim", "after claim"}:
                self.tell(ledger, transitions, step)

    def claim(self, ledger: Ledger, days: list[Manifest], window: int, crash: str | None) -> list[Transition]:
        self.store.fail_on = ".json" if crash == "claim" else None
        claimed: list[Transition] = []
        with suppress(Crash):
            claimed = claim_transitions(ledger, RULES, days[len(days) - min(window, len(days)):], days, now=self.now)
            claimed += pending_transitions(ledger, now=self.now)
        self.store.fail_on = None
        assert ledger.problems == []
        return claimed

    def tell(self, ledger: Ledger, transitions: list[Transition], crash: str | None) -> None:
        if not transitions:
            return
        sent: list[Message] = []
        outbox: Callable[[Message], object] = sent.append
        in_time = {ledger.key_of(one) for one in transitions if ledger.holds(one, self.now)}
        marked = self.marked()
        if crash == "sending":
            outbox = self.die
        if crash == "after sending":
            self.store.fail_on = ".sent.json"
        with suppress(Crash):
            deliver(ledger, transitions, outbox, now=lambda: self.now, cap=1000)
        self.store.fail_on = None
        told = [one for one in transitions
                if sent and ledger.key_of(one) in in_time and self.is_next(one, marked | in_time)]
        self.first_told.append(tuple(sorted(one.number for one in told if not self.told[ledger.key_of(one)])))
        for transition in told:
            key = ledger.key_of(transition)
            self.told[key] += 1
            if crash == "after sending":
                self.lost_marks[key] += 1

    @staticmethod
    def die(_message: Message) -> None:
        raise Crash

    def by_key(self) -> dict[str, Transition]:
        keys = sorted(key for key in self.store.objects if key.endswith(".json") and ".sent" not in key and ".again" not in key)
        return {key: Transition.from_bytes(self.store.objects[key], key) for key in keys}

    def transitions(self) -> list[Transition]:
        return list(self.by_key().values())

    @invariant()
    def each_transition_is_told_at_most_once(self) -> None:
        """But for a worker that died between telling and writing it down: no channel can be asked."""
        for key, count in self.told.items():
            assert count <= 1 + self.lost_marks[key]

    def marked(self) -> set[str]:
        return {key.replace(".sent.json", ".json") for key in self.store.objects if key.endswith(".sent.json")}

    def is_next(self, transition: Transition, known: set[str]) -> bool:
        """Whether everything before it is told, or told with it."""
        return all(key in known for key, one in self.by_key().items() if one.number < transition.number)

    @invariant()
    def a_series_is_told_in_its_order(self) -> None:
        numbers = [number for message in self.first_told for number in message]
        assert numbers == sorted(numbers)

    @invariant()
    def numbers_have_no_holes(self) -> None:
        assert [one.number for one in self.transitions()] == list(range(1, len(self.transitions()) + 1))

    @invariant()
    def only_a_whole_day_resolves(self) -> None:
        for one in self.transitions():
            if one.state in {State.OK, State.NO_DATA}:
                assert one.status == "sealed"
                assert one.gaps == []
                assert not one.late
            if one.state is State.OK and one.since:
                assert one.errors < 50

    @invariant()
    def days_stand_in_their_order(self) -> None:
        standing = [one.dt for one in self.transitions() if not one.late]
        assert standing == sorted(standing)

    def teardown(self) -> None:
        if not self.days:
            return
        # A last run on a quiet day, when all days are final; then one after the leases have ended; then nothing is left to say.
        for _ in range(2):
            self.now += LEASE
            ledger = Ledger(self.store, "default")
            claimed = claim_transitions(ledger, RULES, [], self.days, now=self.now)
            self.tell(ledger, claimed + pending_transitions(ledger, now=self.now), None)
        self.each_transition_is_told_at_most_once()
        self.only_a_whole_day_resolves()
        self.a_series_is_told_in_its_order()
        assert set(self.by_key()) == set(self.told)
        ledger = Ledger(self.store, "default")
        for window in (0, 1, 2, 3):
            considered = self.days[len(self.days) - min(window, len(self.days)):]
            assert claim_transitions(ledger, RULES, considered, self.days, now=self.now) == []
        assert pending_transitions(ledger, now=self.now + LEASE) == []
        self.every_day_over_the_threshold_was_told()

    def every_day_over_the_threshold_was_told(self) -> None:
        history = self.transitions()
        for manifest in self.days[-3:]:
            if manifest.errors < 100:
                continue
            as_of = [one.state for one in history if not one.late and one.dt <= manifest.dt][-1:]
            own = [one.state for one in history if one.dt == manifest.dt]
            assert State.FIRING in as_of + own, name_of(self.days.index(manifest) + 1)


TestAlerts = Alerts.TestCase
TestAlerts.settings = settings(max_examples=150, stateful_step_count=30, suppress_health_check=[HealthCheck.filter_too_much])
