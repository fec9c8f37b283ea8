"""The automations fire on a real server: a threshold that is crossed starts a flow, and so does silence."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled
from prefect_deepset.alerts.events import CROSSED, ThresholdPayload, archived_event, threshold_event
from prefect_deepset.archive.manifest import Source

from ..alerts.days import archived
from .conftest import Receiver
from .live_archive import LiveArchive

pytestmark = pytest.mark.slow  # a server and a worker that really run

def test_a_crossed_threshold_starts_a_look_at_the_pipelines_last_hour(live: LiveArchive):
    source = Source(host="127.0.0.1", workspace="default", pipeline="chat-default")
    place = {"host": source.host, "workspace": source.workspace, "pipeline": source.pipeline, "dt": "2026-01-01",
             "rule": "error-threshold", "rule_kind": "error_count", "state": "FIRING", "previous_state": "OK", "value": 120.0,
             "threshold": 100.0, "transition": 1}
    live.server.emit(threshold_event(CROSSED, source, ThresholdPayload(**place, transition_key="t00001.json")))
    other = threshold_event(CROSSED, source, ThresholdPayload(**{**place, "rule": "watch"}, transition_key="t00002.json"))
    live.server.emit(other)
    (run,) = live.server.wait_for(lambda: live.server.runs_of("watch-errors"))
    assert (run.parameters["workspace"], run.parameters["pipelines"]) == ("default", ["chat-default"])
    finished = live.server.finished(run.id)
    assert finished.state
    assert finished.state.is_completed(), finished.state
    assert len(live.server.runs_of("watch-errors")) == 1


def test_silence_starts_the_archive_and_tells_whoever_is_on_call(live: LiveArchive, on_call: Receiver):
    """Two days, one after the other, wind the switch up; then nothing comes."""
    with live.server.client() as client:
        (switch,) = [one for one in client.read_automations() if "26 hours" in one.name]
        (archive,) = [action.deployment_id for action in switch.actions if action.type == "run-deployment"]
    before = {run.id for run in live.server.runs_of("archive-daily-logs")}
    live.server.emit(archived_event(archived(1, workspace="silent", status="open"), "r00001.json"))
    live.server.emit(archived_event(archived(2, workspace="silent", status="open"), "r00001.json"))
    live.server.wait_for(lambda: on_call.received, 60)
    message = on_call.received[0]["body"]
    assert "deepset.pipeline.silent.chat" in message

    def started() -> list[FlowRun]:
        return [run for run in live.server.runs_of("archive-daily-logs") if run.id not in before]

    (run,) = live.server.wait_for(started)
    assert run.deployment_id == archive
    with live.server.client() as client:
        client.set_flow_run_state(run.id, Cancelled(), force=True)  # that it archives is other tests' business
    assert len(on_call.received) == 1
