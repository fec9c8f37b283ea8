"""The chains of docs/chaining.md, each on a real server with a real worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun

from .live_archive import YESTERDAY, LiveArchive

pytestmark = pytest.mark.slow  # a server and a worker that really run

NOW = datetime.now(UTC)
SEALS = NOW - NOW.replace(hour=0, minute=0, second=0, microsecond=0) > timedelta(minutes=31)
"""For half an hour after midnight rows may still come, and yesterday stays open."""


def completed(live: LiveArchive, deployment: str) -> FlowRun:
    """The one run of a deployment that an event started, over."""
    (run,) = live.server.wait_for(lambda: live.server.runs_of(deployment))
    return assert_completed(live.server.finished(run.id), live)


def assert_completed(run: FlowRun, live: LiveArchive) -> FlowRun:
    assert run.state
    assert run.state.is_completed(), f"{run.state}\n{live.server.log_tail()}"
    return run


def artifact(live: LiveArchive, key: str) -> Any:
    with live.server.client() as client:
        (found,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return found.data


def archive_yesterday(live: LiveArchive) -> None:
    assert_completed(live.run("archive-daily-logs/archive-daily-logs", day=str(YESTERDAY)), live)


@pytest.mark.skipif(not SEALS, reason="in the first half hour of a UTC day yesterday is not sealed")
def test_an_archived_day_starts_a_flow_with_the_manifests_fields_and_its_asset_another(live: LiveArchive):
    archive_yesterday(live)
    loaded = completed(live, "load-day")
    given = {name: loaded.parameters[name] for name in ("workspace", "pipeline", "dt", "rows")}
    assert given == {"workspace": "default", "pipeline": "chat-default", "dt": str(YESTERDAY), "rows": 300}
    assert live.s3.read(live.bucket, loaded.parameters["manifest_key"])
    assert sum(int(line["rows"]) for line in table_rows(artifact(live, "loaded-day"))) == 300

    refreshed = completed(live, "refresh-error-share")
    assert refreshed.parameters["logs"] == f"s3://{live.bucket}/deepset/jsonl/workspace=default/pipeline=chat-default"
    assert refreshed.parameters["rows"] == 300


def table_rows(data: Any) -> list[dict[str, Any]]:
    return json.loads(data) if isinstance(data, str) else data


def test_the_tasks_work_in_a_flow_of_ones_own(live: LiveArchive):
    assert_completed(live.run("morning-look/morning-look"), live)
    assert "| chat-default | 300 | 0 |" in artifact(live, "morning-look")


def test_one_run_for_each_workspace(live: LiveArchive):
    run = assert_completed(live.run("archive-workspaces/archive-workspaces", workspaces=["default", "second"]), live)
    children = [child for child in live.server.runs_of("archive-daily-logs") if child.parent_task_run_id]
    assert {child.parameters["workspace"] for child in children} == {"default", "second"}
    assert all(child.state and child.state.is_completed() for child in children)
    assert run.name
    keys = live.s3.keys(live.bucket, "deepset/manifests/workspace=second/")
    assert any(key.endswith(f"pipeline=chat-second/dt={YESTERDAY}/r00001.json") for key in keys)
