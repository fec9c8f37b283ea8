"""The automations fire on a real server: a threshold that is crossed starts a flow, so does silence, and a failure is told."""

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


def test_crossed_thresholds_start_a_look_at_the_last_hour_of_each_pipeline(live: LiveArchive):
    names = ["chat-default", "docs-default", "faq-default"]
    for name in names[1:]:
        live.deepset.add_pipeline("default", name, [])
    place = {"host": "127.0.0.1", "workspace": "default", "dt": "2026-01-01", "rule": "error-threshold",
             "rule_kind": "error_count", "state": "FIRING", "previous_state": "OK", "value": 120.0, "threshold": 100.0,
             "transition": 1}
    for number, name in enumerate([*names, "chat-default"]):
        source = Source(host="127.0.0.1", workspace="default", pipeline=name)
        rule = "error-threshold" if number < len(names) else "watch"
        payload = ThresholdPayload(**{**place, "pipeline": name, "rule": rule}, transition_key=f"t0000{number}.json")
        live.server.emit(threshold_event(CROSSED, source, payload))
    live.server.wait_for(lambda: len(live.server.runs_of("watch-last-hour")) == len(names))
    for run in live.server.runs_of("watch-last-hour"):
        assert run.parameters["workspace"] == "default"
        finished = live.server.finished(run.id)
        assert finished.state
        assert finished.state.is_completed(), finished.state
    looked_at = sorted(name for run in live.server.runs_of("watch-last-hour") for name in run.parameters["pipelines"])
    assert looked_at == names
    assert live.server.runs_of("watch-errors") == []


def told_of(on_call: Receiver, text: str) -> list[str]:
    """The messages that hold the text."""
    return [message["body"] for message in on_call.received if text in message["body"]]


def test_silence_starts_the_archive_and_tells_whoever_is_on_call(live: LiveArchive, on_call: Receiver):
    """Two days, one after the other, wind the switch up; then nothing comes."""
    with live.server.client() as client:
        (switch,) = [one for one in client.read_automations() if "26 hours" in one.name]
        (archive,) = [action.deployment_id for action in switch.actions if action.type == "run-deployment"]
    before = {run.id for run in live.server.runs_of("archive-daily-logs")}
    live.server.emit(archived_event(archived(1, workspace="silent", status="open"), "r00001.json"))
    live.server.emit(archived_event(archived(2, workspace="silent", status="open"), "r00001.json"))
    live.server.wait_for(lambda: told_of(on_call, "deepset.pipeline.silent.chat"))

    def started() -> list[FlowRun]:
        return [run for run in live.server.runs_of("archive-daily-logs") if run.id not in before]

    (run,) = live.server.wait_for(started)
    assert run.deployment_id == archive
    with live.server.client() as client:
        client.set_flow_run_state(run.id, Cancelled(), force=True)  # that it archives is other tests' business
    assert len(told_of(on_call, "26 hours")) == 1


def test_a_failed_run_of_the_archive_is_told_with_what_it_says(live: LiveArchive, on_call: Receiver):
    run = live.run("archive-daily-logs/archive-daily-logs", workspace="nowhere")
    assert run.state
    assert run.state.is_failed()
    (message,) = live.server.wait_for(lambda: told_of(on_call, run.name))
    assert "There is no such workspace" in message
