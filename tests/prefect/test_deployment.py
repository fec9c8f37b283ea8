"""The deployments are taken by a server as they stand, and a worker runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings
from prefect_deepset.blocks import DeepsetCredentials
from prefect_deepset.testing import FakeDeepset, even_day

from ..servers.ministack import S3Handle
from .conftest import make_archive

ROOT = Path(__file__).parents[2]
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


def prefect(*arguments: str) -> str:
    """Runs the `prefect` command against the test server, as a user would from the project's folder."""
    environment = {**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True)}
    done = subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", *arguments], cwd=ROOT, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=480, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow  # a worker that really runs
@pytest.mark.usefixtures("prefect_server")
def test_the_deployments_are_accepted_and_a_worker_archives_a_day(s3: S3Handle, deepset: FakeDeepset,
                                                                 credentials: DeepsetCredentials):
    deepset.add_pipeline("default", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 500))
    archive = make_archive(s3, s3.bucket(), prefix="deepset")
    credentials.save("default", overwrite=True)
    archive.save("default", overwrite=True)
    prefect("work-pool", "create", "deepset", "--type", "process", "--overwrite")
    prefect("deploy", "--all", "--prefect-file", "deployments/prefect.yaml")

    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("archive-daily-logs/archive-daily-logs")
        assert deployment.work_pool_name == "deepset"
        assert [schedule.schedule.cron for schedule in deployment.schedules] == ["45 0,6,12,18 * * *"]
        assert deployment.parameters["credentials"] == {"$ref": {"block_document_slug": "deepset-credentials/default"}}
        names = ["watch-errors", "verify-archive", "backfill-logs"]
        others = {name: client.read_deployment_by_name(f"{name}/{name}") for name in names}
        assert [schedule.active for schedule in others["watch-errors"].schedules] == [False]
        assert others["backfill-logs"].schedules == []
        run = client.create_flow_run_from_deployment(deployment.id, parameters={**deployment.parameters, "day": str(YESTERDAY)})
        output = prefect("worker", "start", "--pool", "deepset", "--run-once")
        finished = client.read_flow_run(run.id)
    assert finished.state is not None
    assert finished.state.is_completed(), output
    keys = s3.keys(archive.bucket, "deepset/")
    assert any(key.endswith(f"workspace=default/pipeline=chat/dt={YESTERDAY}/r00001.json") for key in keys)
