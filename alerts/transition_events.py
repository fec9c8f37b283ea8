"""The events of a transition."""

from __future__ import annotations

from .events import (
    CROSSED,
    RESOLVED,
    Event,
    IncompletePayload,
    ThresholdPayload,
    incomplete_transition_event,
    threshold_event,
)
from .transitions import Transition
from .verdicts import State


def transition_events(transition: Transition, key: str, bucket: str = "") -> list[Event]:
    """`crossed` or `resolved`, and `incomplete` where something is missing; none for no data, and for whole again.

    Args:
        transition: claimed by this run, or by one that died.
        key: its key, from `Ledger.key_of`.
        bucket: for the payload.
    """
    source, state = transition.source, transition.state
    # The last minutes are no archived day: what starts on a sealed one must not start on them.
    status = "window" if transition.rule_kind == "error_window" else transition.status
    place = {"host": source.host, "workspace": source.workspace, "pipeline": source.pipeline, "kind": source.kind,
             "dt": transition.dt, "status": status, "bucket": bucket, "manifest_key": transition.manifest_key}
    events: list[Event] = []
    if state is State.FIRING and not transition.tells_of_gap:
        name = CROSSED
    elif state is State.OK and transition.since:
        name = RESOLVED
    else:
        name = ""
    if name:
        events.append(threshold_event(name, source, ThresholdPayload(
            **place, revision=transition.revision, rule=transition.rule, rule_kind=transition.rule_kind, state=state.value,
            previous_state=transition.previous.value, value=transition.value, threshold=transition.threshold,
            detail=transition.detail, since=transition.since, rows=transition.rows, errors=transition.errors,
            transition=transition.number, transition_key=key,
            exceptions=[f"{one.type} at {one.frame}" if one.frame else one.type for one in transition.examples])))
    if transition.incomplete:
        payload = IncompletePayload(
            **place, revision=transition.revision, detail=transition.detail, gaps=transition.gaps,
            unresolved_ties=transition.unresolved_ties, transition=transition.number, transition_key=key)
        events.append(incomplete_transition_event(source, payload, transition.rule, state.value))
    return events
