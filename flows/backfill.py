"""The flow that archives a range of days: after an outage, or to look at old days again."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from prefect.logging import get_run_logger

from ..alerts.rules import RuleSet
from ..archive.manifest import Manifest
from ..blocks import AlertRules, DeepsetCredentials, LogArchive
from ..tasks.backfill import BackfillPlan, plan_backfill
from ..tasks.plan import label
from .day_runs import day_runner, run_days, run_name, told_when_unreachable
from .inputs import Number, UtcDay, check_indexes, check_names, check_notify, check_numbers, check_range, choose_sources

MOST_DAYS = 3660
"""Of a range: ten years. A longer one is a year typed wrong, and planning it takes a request for each day and source."""


@flow(name="backfill-logs", flow_run_name=run_name, task_runner=day_runner)
def backfill_logs(
    credentials: DeepsetCredentials,
    archive: LogArchive,
    workspace: str,
    start: UtcDay,
    end: UtcDay,
    pipelines: list[str] | None = None,
    select: Literal["missing", "incomplete", "all"] = "missing",
    dry_run: bool = False,
    newest_first: bool = False,
    error_threshold: Number | None = None,
    notify: str | None = None,
    max_concurrency: Number = 16,
    indexes: list[str] | None = None,
    rules: AlertRules | None = None,
) -> list[Manifest]:
    """Archives a range of days. Returns the newest manifest of each day it took up; none in a dry run.

    deepset shows logs for 48 hours: days before that are asked for all the same, and what does not come is recorded as a gap.

    Args:
        credentials: The key to deepset.
        archive: Where the logs go.
        workspace: The workspace's name.
        start: The first UTC day.
        end: The last UTC day.
        pipelines: Names; without any, every one that is listed, or was archived and is not closed yet.
        select: missing: days without a manifest; incomplete: those, and days that are open or have gaps; all: every day, read
            again.
        dry_run: Show the plan in the run's log and do nothing.
        newest_first: Begin with the newest day; otherwise with the oldest, which is the first to vanish.
        error_threshold: Alert when a pipeline's errors of a day reach this number, the daily flow's, so that both judge alike.
            Without it, and without rules, days are only judged by what is missing.
        notify: The slug of a notification block that gets the alerts, such as slack-webhook/on-call.
        max_concurrency: Requests to deepset under way at once, at most.
        indexes: Names of indexes whose logs are archived as well.
        rules: The daily flow's alert rules, if it has any; used instead of the threshold.

    Raises:
        InvalidInputError: a parameter is wrong; nothing was read or written.
        ArchiveError: some days failed or could not be read completely; each is named.
    """
    names = check_names(workspace, pipelines)
    check_range(start, end, MOST_DAYS)
    index_names = check_indexes(indexes or None)
    check_numbers(error_threshold, max_concurrency)
    check_notify(notify)
    judged_by = rules.get_rules() if rules else RuleSet.from_threshold(error_threshold)
    with told_when_unreachable(archive, workspace, names, index_names, judged_by, notify):
        chosen = choose_sources(credentials, archive, workspace, names, index_names)
    plan = plan_backfill(archive, chosen, start, end, select, newest_first)
    _show(plan)
    if dry_run:
        return []
    return run_days(credentials, archive, workspace, chosen, plan.days, plan.failures, rules=judged_by, notify=notify,
                    reread=select == "all", max_concurrency=max_concurrency)


def _show(plan: BackfillPlan) -> None:
    logger = get_run_logger()
    for due in plan.days:
        beyond = ", no longer shown: expect a gap" if due.day in plan.beyond else ""
        logger.info("%s %s%s", label(due.source), due.day, beyond)
    beyond = sum(due.day in plan.beyond for due in plan.days)
    logger.info("%d days to archive, %d of them no longer shown in full.", len(plan.days), beyond)
