"""Tasks about what a workspace holds."""

from __future__ import annotations

from prefect import task

from ..blocks import DeepsetCredentials
from .global_limit import limited_client
from .retries import RETRIED


@task(task_run_name="list-pipelines-{workspace}", **RETRIED)
def list_pipelines(credentials: DeepsetCredentials, workspace: str) -> list[str]:
    """The names of the workspace's pipelines, deleted ones left out.

    Raises:
        WorkspaceNotFoundError: no such workspace, or the key does not see it.
        ApiError: any other trouble with the API.
    """
    with limited_client(credentials) as client:
        return [pipeline.name for pipeline in client.pipelines(workspace)]
