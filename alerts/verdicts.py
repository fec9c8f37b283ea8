"""What a rule makes of one archived day, from manifests alone."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from ..archive.manifest import Manifest
from .completeness import describe_faults, is_whole
from .rules import BaseRule, newest_by_day


class State(StrEnum):
    """The state of one rule on one pipeline. The first that applies counts."""

    FIRING = "FIRING"
    INCOMPLETE = "INCOMPLETE"
    """Something is missing, and what is there does not fire."""
    NO_DATA = "NO_DATA"
    """The day is whole and holds nothing to judge by."""
    OK = "OK"

    @property
    def severity(self) -> int:
        """3 for FIRING down to 0 for OK."""
        return {"FIRING": 3, "INCOMPLETE": 2, "NO_DATA": 1, "OK": 0}[self.value]


class Verdict(NamedTuple):
    """One rule on one day."""

    state: State
    value: float
    """Rows, a share, or a number of kinds; see the rule."""
    threshold: float
    detail: str
    whole: bool
    """False where the day is known in part: then it may fire, and resolves nothing."""
    opens: bool
    """Whether this is worth a message when all was well before."""
    resolves: bool
    """Whether it may end an alert."""
    incomplete: bool = False
    """Whether something is missing that should not be, also where the state is FIRING."""
    kinds: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    """See `Measure`."""


def evaluate(rule: BaseRule, manifest: Manifest, history: Sequence[Manifest]) -> Verdict:
    """The verdict of `rule` on the day of `manifest`.

    Args:
        rule: any rule.
        manifest: the newest revision of the day.
        history: manifests of the same source; those of other days before it are looked at, in any order.
    """
    past = [other for day, other in newest_by_day(history).items() if day < manifest.dt]
    measure = rule.measure(manifest, past)
    whole = is_whole(manifest)
    missing = describe_faults(manifest)
    if measure.fires:
        state, opens = State.FIRING, True
    elif missing:
        state, opens = State.INCOMPLETE, True
    elif not measure.judgeable and whole:
        state, opens = State.NO_DATA, measure.silence
    else:
        state, opens = State.OK, False
    detail = f"{measure.detail} {missing}".strip()
    return Verdict(state, measure.value, measure.threshold, detail, whole, opens, resolves=whole and measure.calm,
                   incomplete=bool(missing), kinds=measure.kinds, present=measure.present)


def overdue(detail: str) -> Verdict:
    """The verdict on a day that should be archived and is not."""
    return Verdict(State.INCOMPLETE, 0, 0, detail, whole=False, opens=True, resolves=False, incomplete=True)
