"""A dry run of rules over archived days: what would have been told, had they stood then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..api.sources import LogSource
from ..archive.manifest import Manifest
from .completeness import is_whole
from .machine import decide
from .rules import BaseRule, RuleSet, newest_by_day, source_of
from .transitions import Transition
from .verdicts import State, evaluate


class DryRun(NamedTuple):
    """One rule over the archived days of one pipeline."""

    source: LogSource
    rule: str
    days: int
    """Archived days judged."""
    fired: list[str]
    """The days (YYYY-MM-DD) on which it fires, or is silent for a rule that watches for silence."""
    incomplete: list[str]
    """Days with something missing, which it could not judge wholly."""
    messages: int
    """How many messages would have been sent: one per change, not one per day."""

    @property
    def sentence(self) -> str:
        """Such as ``error-threshold would have fired on 3 of the last 30 days (5 messages): 2026-01-03, ...``."""
        days = "1 day" if self.days == 1 else f"{self.days} days"
        text = f"{self.rule} would have fired on {len(self.fired)} of the last {days}"
        if not self.fired and not self.messages:
            return f"{text}."
        messages = "1 message" if self.messages == 1 else f"{self.messages} messages"
        names = self.fired_days()
        return f"{text} ({messages}){': ' + names if names else ''}."

    def fired_days(self) -> str:
        """The days on which it fires, the first ten by name."""
        return ", ".join(self.fired[:10]) + (f" and {len(self.fired) - 10} more" if len(self.fired) > 10 else "")


def dry_run(rules: RuleSet, manifests: Sequence[Manifest], last: int = 30) -> list[DryRun]:
    """Each rule over each pipeline's last archived days.

    Args:
        rules: what to try.
        manifests: of any number of pipelines, any order; the newest revision of each day counts. Days before the `last` ones
            serve the rules as history.
        last: how many archived days to judge.
    """
    by_source: dict[LogSource, list[Manifest]] = {}
    for manifest in manifests:
        by_source.setdefault(source_of(manifest), []).append(manifest)
    return [_run(rule, source, list(newest_by_day(found).values()), last)
            for source, found in sorted(by_source.items()) for rule in rules.for_source(source)]


def _run(rule: BaseRule, source: LogSource, manifests: list[Manifest], last: int) -> DryRun:
    fired: list[str] = []
    incomplete: list[str] = []
    past: list[Transition] = []
    judged = manifests[-last:]
    whole = max((manifest.dt for manifest in manifests[:-last] if is_whole(manifest)), default="")
    for manifest in judged:
        verdict = evaluate(rule, manifest, manifests)
        if verdict.state is State.FIRING or (verdict.state is State.NO_DATA and verdict.opens):
            fired.append(manifest.dt)
        if verdict.incomplete:
            incomplete.append(manifest.dt)
        step = decide(reversed(past), verdict, manifest.dt, manifest.revision, whole=whole)
        whole = manifest.dt if is_whole(manifest) else whole
        if step is not None:
            past.append(Transition(
                claim_id="", number=len(past) + 1, at="", source=manifest.source, rule=rule.name, rule_kind=rule.rule_kind,
                dt=manifest.dt, revision=manifest.revision, kinds=sorted(verdict.kinds), **step._asdict()))
    return DryRun(source, rule.name, len(judged), fired, incomplete, len(past))
