"""`prefect-deepset setup`: from an empty Prefect server to one that archives. What is there already is brought up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def setup(
    *,
    bucket: Annotated[str | None, Parameter(help="The archive's bucket. [env: DEEPSET_ARCHIVE_BUCKET]")] = None,
    prefix: Annotated[str | None, Parameter(help="The folder inside the bucket. [env: DEEPSET_ARCHIVE_PREFIX]")] = None,
    workspace: Annotated[str | None, Parameter(
        help="The deepset workspace to archive. [env: DEEPSET_WORKSPACE, DEFAULT_WORKSPACE_NAME]")] = None,
    notify: Annotated[str | None, Parameter(help="A notification block for the alerts, such as slack-webhook/on-call.")] = None,
    block: Annotated[str, Parameter(help="The name the blocks are saved under.")] = "default",
    file: Annotated[Path | None, Parameter(help="The deployments' file; automations.yaml is looked for beside it.")] = None,
    pool_type: Annotated[str, Parameter(help="The type of a work pool that has to be created.")] = "process",
) -> int:
    """Set up the Prefect server: work pool, blocks, deployments, automations.

    The key comes from DEEPSET_API_KEY (or API_KEY, DEEPSET_CLOUD_API_KEY), the API's URL from DEEPSET_API_URL, and the bucket's
    credentials from the names that AWS's tools read (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ...) or from
    MINIO_ROOT_USER and MINIO_ROOT_PASSWORD; without any, the flows take those of the machine they run on. Run it again after a
    change: nothing is made twice, and parameters, schedules and switches that were set in the UI stay.
    """
    # Here, so that `prefect-deepset --help` need not wait for Prefect.
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from . import setup_automations, setup_blocks, setup_deployments, setup_server  # noqa: PLC0415

    setup_blocks.check_block_name(block)
    wishes = setup_deployments.Wishes(block, workspace or setup_blocks.workspace_of(os.environ), notify)
    path = setup_deployments.find_file(file)
    document = setup_deployments.read_file(path, "deployments")
    beside = path.with_name("automations.yaml")
    automations = setup_deployments.read_file(beside, "automations") if beside.is_file() else {"automations": []}
    pools = setup_deployments.pools_of(document)
    setup_server.check_server()
    with get_client(sync_client=True) as client:
        if notify:
            setup_automations.find_block(client, notify)
        for slug in setup_blocks.register_blocks():
            _tell("registered", slug)
        saved = [setup_blocks.save_credentials(block, os.environ), setup_blocks.save_archive(block, os.environ, bucket, prefix)]
        for one in saved:
            _tell(one.what, one.slug, one.note)
        for pool in pools:
            _tell("created" if setup_deployments.ensure_pool(client, pool, pool_type) else "kept", f"work pool {pool}")
        for name, new in setup_deployments.deploy(client, document, wishes):
            _tell("created" if new else "updated", f"deployment {name}")
        for made in setup_automations.ensure_automations(client, automations, notify):
            _tell(made.what, f"automation {made.name}", made.note)
    missing = [one.slug for one in saved if one.what == "missing"]
    _say(f"Not ready yet: {' and '.join(missing)} must be saved before a run can start." if missing
         else f"Ready. Start a worker: prefect worker start --pool {next(iter(pools), 'deepset')}")
    return 2 if missing else 0


def _tell(what: str, name: str, note: str = "") -> None:
    _say(f"{what:<10} {name}{f' ({note})' if note else ''}")


def _say(line: str) -> None:
    from .terminal import output  # noqa: PLC0415 - as above

    output().print(line, markup=False)
