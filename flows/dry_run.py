"""The flow for whoever sets up alerts: what would these rules have told of the last month?"""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from ..alerts.history import DryRun
from ..alerts.report import dry_run_report
from ..api.errors import InvalidInputError
from ..blocks import AlertRules, LogArchive
from ..tasks.dry_run import try_rules
from ..tasks.plan import label
from ..tasks.report import artifact_key
from .day_runs import run_name
from .inputs import check_names


@flow(name="try-alert-rules", flow_run_name=run_name)
def try_alert_rules(archive: LogArchive, rules: AlertRules, workspace: str, pipelines: list[str] | None = None,
                    days: int = 30) -> list[DryRun]:
    """Tries alert rules on the days that are archived: on which would they have fired, and how many messages is that?

    Reads manifests and nothing else, tells nobody and changes nothing.

    Args:
        archive: Where the days are.
        rules: What to try.
        workspace: The workspace's name.
        pipelines: Names; without any, every pipeline and index that was ever archived.
        days: How many of a pipeline's last archived days to judge.

    Raises:
        InvalidInputError: a parameter is wrong, or nothing is archived of the workspace.
        ArchiveError: the manifests cannot be read.
    """
    names = check_names(workspace, pipelines)
    if days < 1:
        raise InvalidInputError(f"`days` is {days}.", "Give at least 1.")
    tried = try_rules(archive, rules, workspace, names, days)
    for one in tried:
        get_run_logger().info("%s: %s", label(one.source), one.sentence)
    create_markdown_artifact(dry_run_report(tried), key=artifact_key(workspace, "rules-tried"),
                             description=f"What alert rules would have told of workspace {workspace}.")
    return tried
