"""A live server on which everything is deployed, the examples too, with a platform, a bucket and a worker behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessWorker
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.cli import setup_automations, setup_deployments
from prefect_deepset.testing import FakeDeepset, even_day

from ..servers.ministack import S3Handle
from .live_server import LiveServer

ROOT = Path(__file__).parents[2]
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
WITHIN = 10
"""Seconds: the shortest that Prefect takes for the absence of something."""


class LiveArchive:
    """What the tests of automations and chains share."""

    def __init__(self, server: LiveServer, deepset: FakeDeepset, s3: S3Handle) -> None:
        self.server = server
        self.deepset = deepset
        self.s3 = s3
        self.bucket = s3.bucket()

    def run(self, deployment: str, **parameters: Any) -> FlowRun:
        """Starts a run of ``flow/deployment`` and waits for its end."""
        with self.server.client() as client:
            found = client.read_deployment_by_name(deployment)
            run = client.create_flow_run_from_deployment(found.id, parameters={**found.parameters, **parameters})
        return self.server.finished(run.id)


@contextmanager
def live_archive(folder: Path, database: Path, s3: S3Handle, receiver_url: str,
                 make_archive: Callable[..., LogArchive]) -> Iterator[LiveArchive]:
    """Starts all of it upon a copy of `database`; `receiver_url` is where the automations' messages go."""
    server = LiveServer(folder, database)
    try:
        with FakeDeepset() as deepset:
            for workspace in ("default", "second"):
                deepset.add_pipeline(workspace, f"chat-{workspace}", even_day(f"{YESTERDAY}T00:00:00Z", 300))
            live = LiveArchive(server, deepset, s3)
            with server.client() as client:
                DeepsetCredentials(api_key=deepset.api_key, base_url=deepset.url).save("default")
                make_archive(s3, live.bucket, prefix="deepset").save("default")
                CustomWebhookNotificationBlock(name="on-call", url=receiver_url, json_data={"body": "{{body}}"}).save("on-call")
                template = ProcessWorker.get_default_base_job_template()
                client.create_work_pool(WorkPoolCreate(name="deepset", type="process", base_job_template=template))
                setup_deployments.deploy(client, _deployments(), setup_deployments.Wishes(workspace="default"))
                setup_automations.ensure_automations(client, _automations(), "custom-webhook/on-call")
            server.start_worker("deepset")
            yield live
    finally:
        server.stop()


def _deployments() -> dict[str, Any]:
    """The project's and the examples', which are found by the folder that the project's file lies in."""
    ours = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    examples = yaml.safe_load((ROOT / "examples" / "prefect.yaml").read_text())
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    for entry in ours["deployments"]:
        entry["schedules"] = []  # tests start what is to run
    return {**ours, "deployments": [*ours["deployments"], *({**entry, "pull": pull} for entry in examples["deployments"])]}


def _automations() -> dict[str, Any]:
    """The project's, but impatient."""
    document = yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())
    for entry in document["automations"]:
        if entry["trigger"]["posture"] == "Proactive":
            entry["trigger"]["within"] = WITHIN
            entry["trigger"]["match"]["workspace"] = "silent"  # the other tests' archives are not to set it off
    return document
