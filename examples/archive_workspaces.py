"""One run for each workspace, on as many workers as there are, and something that waits for all of them."""

import asyncio

from prefect import flow
from prefect.deployments import run_deployment
from prefect_deepset.blocks import DeepsetCredentials

ARCHIVE = "archive-daily-logs/archive-daily-logs"


@flow(name="archive-workspaces")
async def archive_workspaces(credentials: DeepsetCredentials, workspaces: list[str] | None = None):
    """Runs the archive's deployment once for each workspace, side by side, and fails when one of the runs did."""
    if workspaces is None:
        with credentials.get_client() as client:
            workspaces = [workspace.name for workspace in client.workspaces()]

    async def archive(workspace: str):
        # Parameters that are not given here are the deployment's own.
        return await run_deployment(ARCHIVE, parameters={"workspace": workspace}, flow_run_name=f"archive {workspace}")

    runs = await asyncio.gather(*map(archive, workspaces))
    failed = [run.name for run in runs if not run.state or not run.state.is_completed()]
    if failed:
        raise RuntimeError(f"{', '.join(failed)} did not complete")
