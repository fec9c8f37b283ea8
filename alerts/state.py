"""From manifests to told alerts: claim, tell, mark; each step safe to die after.

::

    claim_transitions    what these days change, each change claimed by one worker
    pending_transitions  what other runs claimed and did not tell for 15 minutes
    deliver              one message for them all, then the marks

A run does them in this order. A crash before the claim: the next run claims, since the last archived days are judged on every
run. After the claim: the next run takes it over after 15 minutes. Between telling and the mark: it is told twice, since no
channel can be asked whether it has told.

A series is told in its order: while one of its transitions waits, later ones wait too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import uuid4

from ..api.errors import DeepsetError
from ..api.sources import LogSource
from ..api.times import SECOND
from ..archive.keys import day_folder, manifest_key
from ..archive.manifest import ExceptionCount, Manifest, Source
from ..archive.objects import ObjectStore
from .completeness import describe_overdue, faults, is_whole
from .errors import AlertStateError
from .events import Missing
from .ledger import Ledger, Series, claim_time, conflict
from .machine import Step, decide
from .messages import Message, compose, title_of
from .redact import sample
from .rules import COMPLETENESS, BaseRule, Rules, RuleSet, kind_name, newest_by_day, source_of
from .transitions import Example, Transition
from .verdicts import State, Verdict, evaluate, overdue

SampleOf = Callable[[Manifest, str], str | None]
"""Given a day's manifest and a `log_id`, the row's message, or None when it is not at hand."""

RECENT_DAYS = 3
"""Archived days of each pipeline that every run judges: one whose alerts failed has been final since, say."""

_EXAMPLES = 5
_GAPS = 10
_TRIES = 50


class Delivery(NamedTuple):
    """What became of a message."""

    sent: list[Transition]
    unsent: list[Transition]
    """Claimed and not told: a later run tells them."""
    error: str = ""
    """Why not, without secrets that the channel's own text does not hold; empty when all went well."""


def claim_transitions(
    ledger: Ledger,
    rules: Rules,
    manifests: Iterable[Manifest],
    history: Iterable[Manifest] = (),
    *,
    now: float,
    sample_of: SampleOf | None = None,
    check_age: bool = True,
) -> list[Transition]:
    """The transitions that these days call for and that nobody has claimed yet, claimed.

    Calling it again for the same days, or from two workers at once, claims nothing twice.

    Args:
        ledger: of the workspace.
        rules: what to judge by.
        manifests: the newest manifest of each day this run considered, of any number of pipelines. Days that cost nothing
            belong in here too: a run that died after its commit left its days unjudged.
        history: more newest manifests of the same pipelines: the rules' `history_days` before those days, and every newer day.
            The last `RECENT_DAYS` of each pipeline are judged again, so they and the days before them belong in here always.
        now: seconds since 1970.
        sample_of: looks up the row of an example; what it raises is ignored.
        check_age: whether a pipeline whose oldest unarchived second is older than 36 hours is INCOMPLETE.

    What goes wrong with one pipeline's alerts is put into `ledger.problems` and stops no other.
    """
    judged, background = _by_source(manifests), _by_source(history)
    claimed: list[Transition] = []
    for source in dict.fromkeys([*judged, *background]):
        days = newest_by_day(judged.get(source, ()))
        everything = newest_by_day([*background.get(source, ()), *days.values()])
        judging = list(rules.for_source(source))
        try:
            # What a run without rules (a backfill) said is missing ends, too, when a run with rules finds it mended.
            if isinstance(rules, RuleSet) and COMPLETENESS not in judging and _stands_incomplete(ledger, source):
                judging.append(COMPLETENESS)
        except DeepsetError as error:
            ledger.problems.append(error)
        for rule in judging:
            try:
                desk = _Desk(ledger, rule, ledger.series(source, rule.name), everything, now, sample_of)
                claimed += desk.judge(days)
                claimed += desk.judge_age() if check_age else []
            except DeepsetError as error:
                ledger.problems.append(error)
    return claimed


def pending_transitions(ledger: Ledger, *, now: float) -> list[Transition]:
    """The workspace's transitions that were claimed more than 15 minutes ago and not told, now this run's to tell."""
    taken: list[Transition] = []
    for series in ledger.all_series():
        for number in sorted(number for number, entry in series.entries.items() if not entry.sent):
            try:
                transition = ledger.read(series, number) if ledger.claim_again(series, number, now) else None
            except DeepsetError as error:
                ledger.problems.append(error)
                continue
            if transition is not None:
                taken.append(transition)
    return taken


def mark_sent(ledger: Ledger, transitions: Iterable[Transition], *, now: float, to: str | None = None) -> None:
    """Writes that they were told. A run without a channel marks them too: or a channel set up later would tell old news."""
    for transition in transitions:
        ledger.mark_sent(transition, now, to)


def deliver(
    ledger: Ledger,
    transitions: Sequence[Transition],
    send: Callable[[Message], object],
    *,
    now: Callable[[], float],
    archive: str = "",
    run_url: str | None = None,
    to: str | None = None,
    cap: int = 10,
) -> Delivery:
    """Tells the transitions in one message and marks them. Never raises: a notification that fails fails nothing else.

    What another run claimed and has not told yet comes first: later transitions of its series are left unsent.

    Args:
        ledger: that claimed them.
        transitions: of `claim_transitions` and `pending_transitions`.
        send: sends the message, and raises when it could not.
        now: the clock, seconds since 1970.
        archive: the bucket's URL, such as ``s3://bucket``.
        run_url: the run's page, where there is one.
        to: the channel's name, for the mark.
        cap: of pipelines described in full.
    """
    try:
        live = _in_order(ledger, transitions, now())
    except DeepsetError as error:
        return Delivery([], list(transitions), str(error))
    late = [transition for transition in transitions if transition not in live]
    why = f"{len(late)} of {len(transitions)} changes are told by another run, or wait for one that is." if late else ""
    if not live:
        return Delivery([], late, why)
    try:
        send(compose([_as_told(ledger, one) for one in live], cap=cap, archive=archive, run_url=run_url))
    except Exception as error:  # noqa: BLE001 - a channel may raise anything, and none of it may fail the archive
        return Delivery([], [*live, *late], f"{type(error).__name__}: {sample(str(error))}")
    try:
        mark_sent(ledger, live, now=now(), to=to)
    except DeepsetError as error:
        return Delivery(live, late, f"The message was sent, and could not be marked as sent: {error}")
    return Delivery(live, late, why)


def evaluate_day(
    store: ObjectStore,
    rules: Rules,
    manifest: Manifest,
    history: Iterable[Manifest],
    send: Callable[[Message], object],
    now: float,
) -> list[Transition]:
    """Claim, tell and mark for one day of one pipeline: the whole of it where there is only one. Returns what it claimed."""
    ledger = Ledger(store, manifest.source.workspace)
    claimed = claim_transitions(ledger, rules, [manifest], history, now=now)
    deliver(ledger, claimed, send, now=lambda: now)
    return claimed


def _in_order(ledger: Ledger, transitions: Sequence[Transition], now: float) -> list[Transition]:
    """Those that are this run's to tell now, oldest first: held, and all before them in their series are told too."""
    ready: dict[str, Transition] = {}
    for transition in sorted(transitions, key=lambda one: one.number):
        if ledger.holds(transition, now) and all(key in ready for key in ledger.untold_before(transition)):
            ready[ledger.key_of(transition)] = transition
    return list(ready.values())


def _as_told(ledger: Ledger, transition: Transition) -> Transition:
    """What another run should have told says when it was noticed, and what came after it."""
    if not ledger.took_over(transition):
        return transition
    note = f"Told late: this was noticed at {_minute(transition.at)} UTC."
    try:
        later = ledger.changed_since(transition)
    except DeepsetError:
        later = None  # unreadable: what is known is told all the same
    if later is not None:
        news = "It is over" if later.state is State.OK else f"It is {title_of(later)}"
        note += f" {news} since {later.dt} (noticed at {_minute(later.at)} UTC)."
    return transition.model_copy(update={"detail": f"{note} {transition.detail}"})


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


class _Desk:
    """One rule on one pipeline, about to be judged."""

    def __init__(self, ledger: Ledger, rule: BaseRule, series: Series, everything: Mapping[str, Manifest], now: float,
                 sample_of: SampleOf | None) -> None:
        self.ledger, self.rule, self.series, self.now, self.sample_of = ledger, rule, series, now, sample_of
        self.everything = everything
        self.latest = max(everything)

    def judge(self, days: Mapping[str, Manifest]) -> list[Transition]:
        """The days in their order, and the last archived ones among them."""
        outside = max((day for day in self.everything if day not in days), default="")
        recent = sorted(self.everything)[-RECENT_DAYS:]
        claimed: list[Transition] = []
        for day in sorted({*days, *recent}):
            manifest = self.everything[day]
            # Late rows come to a day that was judged before: a newer day that is archived was judged since.
            newest = self.latest if manifest.late_rows else outside if day in days else ""
            verdict = evaluate(self.rule, manifest, list(self.everything.values()))
            claimed += self._claim(verdict, day, manifest, manifest.source, newest)
        return claimed

    def judge_age(self) -> list[Transition]:
        """Whether a stretch has waited for too long."""
        found = describe_overdue(list(self.everything.values()), int(self.now * SECOND))
        if found is None:
            return []
        day, detail = found
        source = self.everything[self.latest].source
        return self._claim(overdue(detail), day, self.everything.get(day), source, self.latest)

    def _claim(self, verdict: Verdict, day: str, manifest: Manifest | None, source: Source, newest: str) -> list[Transition]:
        revision = manifest.revision if manifest else 0
        whole = max((other for other, one in self.everything.items() if other < day and is_whole(one)), default="")
        for _ in range(_TRIES):
            step = decide(self.ledger.backwards(self.series), verdict, day, revision, newest, whole,
                          self._is_forgotten())
            if step is None:
                self._note_look()
                return []
            transition = self._transition(step, verdict, day, manifest, source)
            if transition.tells_of_gap and self._is_told_elsewhere(day):
                return []
            if self.ledger.claim(self.series, transition, self.now):
                return [transition]
        raise conflict(self.series)

    def _is_forgotten(self) -> bool:
        patience = self.rule.patience
        return patience is not None and self.now - self.ledger.last_look(self.series, self.now) > patience

    def _note_look(self) -> None:
        """Leaves a trace, now and then, that an alert that goes on is looked at: without one it would be told anew."""
        if (patience := self.rule.patience) is None:
            return
        standing = next(self.ledger.backwards(self.series), None)
        unseen_for = self.now - self.ledger.last_look(self.series, self.now)
        if standing and standing.state is State.FIRING and unseen_for > patience / 3:
            self.ledger.mark_seen(standing, self.now)

    def _is_told_elsewhere(self, day: str) -> bool:
        """Whether a run with rules has told that something of the day is missing, and this one has none; or the reverse."""
        if self.rule != COMPLETENESS:
            return _stands_incomplete(self.ledger, self.series.source)
        return any(_tells_of_gap_on(self.ledger, series, day) for series in self.ledger.all_series()
                   if series.source == self.series.source and series.rule != COMPLETENESS.name)

    def _transition(self, step: Step, verdict: Verdict, day: str, manifest: Manifest | None, source: Source) -> Transition:
        log_source, prefix, on = self.series.source, self.ledger.store.prefix, date.fromisoformat(day)
        transition = Transition(
            claim_id=uuid4().hex, number=self.series.last + 1, at=claim_time(self.now), source=source, rule=self.rule.name,
            rule_kind=self.rule.rule_kind, dt=day, state=step.state, previous=step.previous, late=step.late,
            incomplete=step.incomplete, since=step.since, value=verdict.value, threshold=verdict.threshold,
            detail=verdict.detail, alerted=step.alerted, kinds=sorted(verdict.kinds),
            folder=day_folder(prefix, "jsonl", log_source, on))
        if manifest is None:
            return transition
        return transition.model_copy(update={
            "revision": manifest.revision, "status": manifest.status, "rows": manifest.rows, "errors": manifest.errors,
            "late_rows": manifest.late_rows, "examples": self._examples(verdict, manifest),
            "gaps": [Missing(start=gap.start, end=gap.end, reason=gap.reason) for gap in faults(manifest)[:_GAPS]],
            "unresolved_ties": len(manifest.unresolved_ties),
            "manifest_key": manifest_key(prefix, log_source, on, manifest.revision) if manifest.revision else ""})

    def _examples(self, verdict: Verdict, manifest: Manifest) -> list[Example]:
        """The commonest kinds, new ones before others; with a text the first, and the first that is nothing but its text."""
        def is_known(one: ExceptionCount) -> bool:
            return not any(kind_name(one.type, one.frame).startswith(new) for new in verdict.kinds)

        plain = [ExceptionCount(type=f"{one.level} without exception", count=one.count, log_id=one.log_id)
                 for one in manifest.plain_errors]
        ordered = sorted([*manifest.exceptions, *plain], key=lambda one: (is_known(one), -one.count))[:_EXAMPLES]
        shown = [ordered[0].log_id if ordered else "", next((one.log_id for one in ordered if one in plain), "")]
        return [Example(type=sample(one.type), frame=sample(one.frame), count=one.count, log_id=one.log_id,
                        text=self._text(manifest, one.log_id) if one.log_id in shown else "") for one in ordered]

    def _text(self, manifest: Manifest, log_id: str) -> str:
        try:
            text = self.sample_of(manifest, log_id) if self.sample_of and log_id else None
        except Exception:  # noqa: BLE001 - an example is a courtesy; the alert goes out without it
            return ""
        return sample(text) if text else ""


def _stands_incomplete(ledger: Ledger, source: LogSource) -> bool:
    """Whether a run without rules has told of something missing, and of nothing better since."""
    past = _readable(ledger, ledger.series(source, COMPLETENESS.name))
    return next((one.state is State.INCOMPLETE for one in past if not one.late), False)


def _tells_of_gap_on(ledger: Ledger, series: Series, day: str) -> bool:
    """Whether the series' last word on the day is that something of it is missing."""
    for transition in _readable(ledger, series):
        if transition.dt == day:
            return transition.incomplete
        if transition.dt < day and not transition.late:
            return False
    return False


def _readable(ledger: Ledger, series: Series) -> Iterator[Transition]:
    """The series backwards, up to what cannot be read: that stops its own alerts and no others."""
    try:
        yield from ledger.backwards(series)
    except AlertStateError:
        return


def _by_source(manifests: Iterable[Manifest]) -> dict[LogSource, list[Manifest]]:
    grouped: dict[LogSource, list[Manifest]] = {}
    for manifest in manifests:
        grouped.setdefault(source_of(manifest), []).append(manifest)
    return grouped
