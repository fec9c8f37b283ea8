"""The events, as plain data."""

from __future__ import annotations

import json

from prefect_deepset.alerts.events import ArchivedPayload, archived_event, incomplete_event
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.rules import RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.alerts.transition_events import transition_events

from .days import MemoryStore, archived, clock, gap

KEY = "logs/manifests/workspace=default/pipeline=chat/dt=2026-01-01/r00001.json"


def test_an_archived_day_s_event_can_be_matched_by_its_labels():
    event = archived_event(archived(1, errors=7), KEY, "bucket")
    assert event.event == "deepset.logs.archived"
    assert event.resource == {
        "prefect.resource.id": "deepset.pipeline.default.chat", "prefect.resource.name": "default/chat", "workspace": "default",
        "pipeline": "chat", "kind": "pipeline", "dt": "2026-01-01", "status": "sealed", "revision": "1"}
    assert ArchivedPayload.model_validate(event.payload).errors == 7
    assert event.payload["manifest_key"] == KEY
    json.dumps(event.payload)


def test_the_same_revision_has_the_same_event_id_and_another_one_another():
    one = archived_event(archived(1), KEY)
    assert archived_event(archived(1), KEY).id == one.id
    assert archived_event(archived(1, revision=2), KEY).id != one.id
    assert incomplete_event(archived(1), KEY, "A gap.").id != one.id


def test_no_two_pipelines_have_the_same_resource_id():
    names = [("a.b", "c"), ("a", "b.c"), ("a b", "c"), ("a", "b c"), ("a", "*")]
    ids = {archived_event(archived(1, workspace=workspace, pipeline=name), KEY).resource["prefect.resource.id"]
           for workspace, name in names}
    assert ids == {"deepset.pipeline.a%2Eb.c", "deepset.pipeline.a.b.c", "deepset.pipeline.a%20b.c", "deepset.pipeline.a.b%20c",
                   "deepset.pipeline.a.%2A"}
    assert archived_event(archived(1, kind="index"), KEY).resource["prefect.resource.id"] == "deepset.index.default.chat"


def test_each_transition_has_its_events():
    ledger = Ledger(MemoryStore(), "default")
    days = [archived(1, errors=500, status="gap", gaps=[gap(1, "retention")]), archived(2, errors=500),
            archived(3, errors=1, status="gap", gaps=[gap(3, "retention")]), archived(4, errors=1),
            archived(5, status="gap", gaps=[gap(5, "retention")]), archived(6)]
    claimed = claim_transitions(ledger, RuleSet.from_threshold(100), days, now=clock(7))
    events = [transition_events(one, ledger.key_of(one), "bucket") for one in claimed]
    assert [[event.event.removeprefix("deepset.logs.") for event in found] for found in events] == [
        ["error-threshold.crossed", "incomplete"], ["incomplete"], ["error-threshold.resolved"], ["incomplete"], []]
    crossed, incomplete = events[0]
    assert (incomplete.resource["state"], len(incomplete.payload["gaps"])) == ("FIRING", 1)
    assert crossed.resource["rule"] == "error-threshold"
    assert crossed.resource["state"] == "FIRING"
    assert (crossed.payload["value"], crossed.payload["threshold"], crossed.payload["previous_state"]) == (500, 100, "OK")
    assert len({event.id for found in events for event in found}) == 5


def test_an_event_stays_small_however_much_a_manifest_holds():
    holes = [gap(1, "gateway-timeout") for _ in range(1000)]
    assert len(json.dumps(archived_event(archived(1, gaps=holes), KEY).payload)) < 10_000
