"""The daily flow: archive what is due, report it, and tell who must know."""

from __future__ import annotations

from datetime import date
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from ..alerts.completeness import describe_faults
from ..alerts.rules import RuleSet
from ..api.errors import ArchiveError, DeepsetError
from ..archive.manifest import Manifest
from ..blocks import DeepsetCredentials, LogArchive
from ..tasks.alerts import Told, tell_alerts
from ..tasks.archive import archive_day
from ..tasks.budgets import run_budget
from ..tasks.notify import load_notification_block
from ..tasks.pipelines import list_pipelines
from ..tasks.plan import Failure, PlannedDay, find_archived, plan_days
from ..tasks.report import publish_report
from .inputs import check_day, check_known, check_names, check_numbers

CONCURRENT_DAYS = 8
"""Days under way at once; their requests share `max_concurrency`."""


def _run_name() -> str:
    # The scheduled start names the run and nothing else: what is due is judged by the time now.
    scheduled = flow_run.scheduled_start_time
    return f"{flow_run.parameters.get('workspace')}-{scheduled:%Y-%m-%dT%H:%M}"


_runner: Any = ThreadPoolTaskRunner(max_workers=CONCURRENT_DAYS)  # Any: Prefect's own types do not let it pass as a task runner


def _run_url() -> str | None:
    # Without a UI (the ephemeral server has none) Prefect's own link begins with the word None.
    url = flow_run.ui_url
    return url if url and url.startswith("http") else None


@flow(name="archive-daily-logs", flow_run_name=_run_name, task_runner=_runner)
def archive_daily_logs(
    credentials: DeepsetCredentials,
    archive: LogArchive,
    workspace: str,
    pipelines: list[str] | None = None,
    day: date | None = None,
    error_threshold: int | None = 100,
    notify: str | None = None,
    reread: bool = False,
    max_concurrency: int = 16,
) -> list[Manifest]:
    """Archives the logs of deepset pipelines, day by day, and says when one errs too much.

    Returns the newest manifest of each day considered. One pipeline that fails does not stop the others; the run then fails at
    its end and names it.

    Args:
        credentials: The key to deepset.
        archive: Where the logs go.
        workspace: The workspace's name.
        pipelines: Names; without any, every pipeline that is listed or was archived in the last three days.
        day: One UTC day; without it, every closed day that is still shown and not settled.
        error_threshold: Alert when a pipeline's errors of a day reach this number; None for no alert.
        notify: The slug of a notification block that gets the alerts, such as slack-webhook/on-call.
        reread: Read again now, even if nothing is due.
        max_concurrency: Requests to deepset under way at once, at most.

    Raises:
        InvalidInputError: a parameter is wrong; nothing was read or written.
        ArchiveError: some days failed or could not be read completely; each is named.
    """
    logger = get_run_logger()
    names = check_names(workspace, pipelines)
    check_day(day)
    check_numbers(error_threshold, max_concurrency)
    if notify:
        load_notification_block(notify)
    if warning := credentials.expiry_warning():
        logger.warning(warning)

    budget = run_budget(max_concurrency)  # held until the run's end, for all of its tasks
    listed, archived = list_pipelines(credentials, workspace), find_archived(archive, workspace)
    known = list(dict.fromkeys([*listed, *archived]))
    check_known(workspace, names or [], known)
    chosen = known if names is None else names
    plan = plan_days(archive, workspace, chosen, day)
    logger.info("Workspace %s: %d pipelines, %d days to consider.", workspace, len(chosen), len(plan.days))

    submitted = [(due, archive_day.submit(credentials, archive, workspace, due.pipeline, due.day, reread, max_concurrency))
                 for due in plan.days]
    manifests, failures = _collect(submitted)
    failures = [*plan.failures, *failures, *_unread(manifests)]
    logger.info("At most %d requests were under way at once.", budget.most_in_use)

    told = _tell(archive, workspace, chosen, manifests, error_threshold, notify)
    _report(archive, workspace, manifests, told, failures)
    if failures:
        raise _run_failed(workspace, failures, len(plan.days))
    return manifests


def _collect(submitted: list[tuple[PlannedDay, PrefectFuture[Manifest]]]) -> tuple[list[Manifest], list[Failure]]:
    manifests: list[Manifest] = []
    failures: list[Failure] = []
    for planned, future in submitted:
        try:
            manifests.append(future.result())
        except DeepsetError as error:
            failures.append(Failure(planned.pipeline, planned.day, str(error)))
        except Exception as error:  # noqa: BLE001 - a worker that died, say: the others' days still count
            problem = f"{type(error).__name__}: the task run's own log says more."
            failures.append(Failure(planned.pipeline, planned.day, problem))
    return manifests, failures


def _tell(archive: LogArchive, workspace: str, pipelines: list[str], manifests: list[Manifest], error_threshold: int | None,
          notify: str | None) -> Told:
    """Alerts that go wrong never fail the archive: what they are about is in the bucket, and the next run tells it."""
    try:
        return tell_alerts(archive, workspace, pipelines, manifests, RuleSet.from_threshold(error_threshold), notify,
                           _run_url())
    except DeepsetError as error:
        get_run_logger().error("Alerts could not be judged or told: %s", error)
        return Told([], [str(error)])


def _report(archive: LogArchive, workspace: str, manifests: list[Manifest], told: Told, failures: list[Failure]) -> None:
    links = {"Flow run": url} if (url := _run_url()) else {}
    try:
        publish_report(archive, workspace, manifests, told, failures, links)
    except DeepsetError as error:
        get_run_logger().error("The report could not be made: %s", error)


def _unread(manifests: list[Manifest]) -> list[Failure]:
    """Days that could not be read whole though they are over and still shown: the next run mends them, but this one failed."""
    return [Failure(manifest.source.pipeline, date.fromisoformat(manifest.dt), missing)
            for manifest in manifests if manifest.status == "open" and (missing := describe_faults(manifest))]


def _run_failed(workspace: str, failures: list[Failure], days: int) -> ArchiveError:
    """One error that names every pipeline and day; those that failed for the same reason together."""
    by_problem: dict[str, list[str]] = {}
    for failure in failures:
        by_problem.setdefault(failure.problem, []).append(f"{failure.pipeline} {failure.day or ''}".strip())
    listed = " ".join(f"[{', '.join(places)}] {problem}" for problem, places in by_problem.items())
    return ArchiveError(f"{len(failures)} of {days} days could not be archived whole. {listed}",
                        "Mend what is named and run again: only what is missing is read.", f"workspace {workspace!r}")
