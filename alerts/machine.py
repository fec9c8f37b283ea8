"""What follows from a verdict: the next transition, or silence. Pure: no store, no clock.

The state that stands is that of the newest transition that is not late. From there:

- worse: a transition, when the verdict is worth a message (an empty day is not, except to a rule that watches for it);
- the same: silence, unless a rule that looks for kinds found another kind;
- better: a transition only when the day is whole; between `resolve_below` and the threshold the alert goes on, and so it
  does while any kind that fired is still there, though it is new no more;
- FIRING again where nobody looked for long: told anew, since it may have ended in between;
- FIRING and then a day with something missing: still FIRING, told once until a whole day comes in between;
- a day older than the newest judged: told once when it fires or something is missing; it resolves nothing, and what stands
  stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .transitions import Transition
from .verdicts import State, Verdict


class Step(NamedTuple):
    """What a transition changes."""

    state: State
    previous: State
    late: bool = False
    incomplete: bool = False
    since: str = ""
    alerted: tuple[str, ...] = ()
    """All kinds that fired since then."""


def decide(past: Iterable[Transition], verdict: Verdict, day: str, revision: int, newest: str = "",
           whole: str = "", forgotten: bool = False) -> Step | None:
    """The step that `verdict` on `day` calls for, or None.

    Args:
        past: the series so far, newest first; read only as far as needed.
        verdict: of the rule on the day.
        day: the UTC day, YYYY-MM-DD.
        revision: the manifest's; a verdict on an older revision than one already judged is stale.
        newest: the newest day known to have been judged already, where that is newer than the last transition.
        whole: the newest whole day before `day`: what was missing earlier is no longer what stands.
        forgotten: nobody looked for so long that what fired then is not what fires now.
    """
    standing: Transition | None = None
    as_of: Transition | None = None
    told: list[Transition] = []
    for transition in past:
        if transition.dt == day:
            told.append(transition)
        if transition.late:
            continue
        standing = standing or transition
        if transition.dt <= day:
            as_of = as_of or transition
        if transition.dt < day:
            break  # whatever is numbered lower is about this day no more
    if any(transition.revision > revision for transition in told):
        return None
    if day < max(newest, standing.dt if standing else "") or any(transition.late for transition in told):
        return _late_step(as_of, told, verdict, day)
    if forgotten and standing and standing.state is verdict.state is State.FIRING:
        return Step(State.FIRING, State.FIRING, incomplete=verdict.incomplete, since=day, alerted=tuple(sorted(verdict.kinds)))
    return _next_step(standing, told, verdict, day, whole)


def _next_step(standing: Transition | None, told: list[Transition], verdict: Verdict, day: str, whole: str) -> Step | None:
    now = standing.state if standing else State.OK
    since = standing.since if standing and now is not State.OK else ""
    fired = {*standing.alerted, *standing.kinds} if standing and since else set[str]()
    alerted = tuple(sorted(fired | verdict.kinds))
    if verdict.state.severity > now.severity:
        since = since or (day if verdict.state is State.FIRING else "")
        return Step(verdict.state, now, incomplete=verdict.incomplete, since=since, alerted=alerted) if verdict.opens else None
    if verdict.state is now or verdict.state is State.INCOMPLETE:  # the latter below FIRING: it fires on
        known = standing is not None and standing.incomplete and whole < standing.dt
        fires_incomplete = now is State.FIRING and verdict.incomplete and not known
        news = fires_incomplete or _other_kinds(told, verdict)
        return Step(now, now, incomplete=verdict.incomplete, since=since, alerted=alerted) if news else None
    # An alert that fired ends below `resolve_below`; one that never fired ends as soon as a day is whole.
    if not (verdict.resolves if since else verdict.whole) or fired & verdict.present:
        return None
    empty = verdict.state is State.NO_DATA and (since or verdict.opens)
    return Step(State.NO_DATA if empty else State.OK, now, since=since, alerted=alerted)


def _late_step(as_of: Transition | None, told: list[Transition], verdict: Verdict, day: str) -> Step | None:
    if verdict.state not in {State.FIRING, State.INCOMPLETE}:
        return None
    then = as_of.state if as_of else State.OK
    known = max([then, *(transition.state for transition in told)], key=lambda state: state.severity)
    if verdict.state.severity > known.severity or (verdict.state is known and _other_kinds(told, verdict)):
        since = day if verdict.state is State.FIRING else ""
        return Step(verdict.state, then, late=True, incomplete=verdict.incomplete, since=since)
    return None


def _other_kinds(told: list[Transition], verdict: Verdict) -> bool:
    return not verdict.kinds <= {kind for transition in told for kind in transition.kinds}
