"""The daily flow: archive what is due, report it, and tell who must know."""

from __future__ import annotations

from prefect import flow
from prefect.logging import get_run_logger

from ..alerts.rules import RuleSet
from ..archive.manifest import Manifest
from ..blocks import AlertRules, DeepsetCredentials, LogArchive
from ..tasks.plan import plan_days
from .day_runs import day_runner, run_days, run_name, told_when_unreachable
from .inputs import Number, UtcDay, check_day, check_indexes, check_names, check_notify, check_numbers, choose_sources


@flow(name="archive-daily-logs", flow_run_name=run_name, task_runner=day_runner)
def archive_daily_logs(
    credentials: DeepsetCredentials,
    archive: LogArchive,
    workspace: str,
    pipelines: list[str] | None = None,
    day: UtcDay | None = None,
    error_threshold: Number | None = 100,
    notify: str | None = None,
    reread: bool = False,
    max_concurrency: Number = 16,
    rules: AlertRules | None = None,
    indexes: list[str] | None = None,
) -> list[Manifest]:
    """Archives the logs of deepset pipelines, day by day, and says when one errs too much.

    Returns the newest manifest of each day considered. One pipeline that fails does not stop the others; the run then fails at
    its end and names it.

    Args:
        credentials: The key to deepset.
        archive: Where the logs go.
        workspace: The workspace's name.
        pipelines: Names; without any, every one that is listed, or was archived and is not closed yet.
        day: One UTC day; without it, every closed day that is still shown and not settled.
        error_threshold: Alert when a pipeline's errors of a day reach this number; None for no alert.
        notify: The slug of a notification block that gets the alerts, such as slack-webhook/on-call.
        reread: Read again now, even if nothing is due.
        max_concurrency: Requests to deepset under way at once, at most.
        rules: What else is worth an alert, and for which pipelines; used instead of the threshold.
        indexes: Names of indexes whose logs are archived as well, in a table of their own.

    Raises:
        InvalidInputError: a parameter is wrong; nothing was read or written.
        ArchiveError: some days failed or could not be read completely; each is named.
    """
    names = check_names(workspace, pipelines)
    index_names = check_indexes(indexes or None)
    check_day(day)
    check_numbers(error_threshold, max_concurrency)
    check_notify(notify)
    judged_by = rules.get_rules() if rules else RuleSet.from_threshold(error_threshold)
    with told_when_unreachable(archive, workspace, names, index_names, judged_by, notify):
        chosen = choose_sources(credentials, archive, workspace, names, index_names)
    plan = plan_days(archive, chosen, day)
    get_run_logger().info("Workspace %s: %d sources, %d days to consider.", workspace, len(chosen), len(plan.days))
    idle = judged_by.idle_patterns(chosen) if chosen else []
    for note in idle:
        get_run_logger().warning(note)
    return run_days(credentials, archive, workspace, chosen, plan.days, plan.failures, rules=judged_by, notify=notify,
                    reread=reread, max_concurrency=max_concurrency, notes=idle)
