"""What every flow that archives days does with them: run, collect, alert, report, and fail at the end if need be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from ..alerts.completeness import describe_faults
from ..alerts.rules import RuleSet
from ..alerts.window import WatchRules
from ..api.errors import ApiError, ArchiveError, DeepsetError
from ..api.sources import LogSource
from ..archive.manifest import Manifest
from ..blocks import DeepsetCredentials, LogArchive
from ..tasks.alerts import Told, tell_alerts
from ..tasks.archive import archive_day
from ..tasks.budgets import run_budget
from ..tasks.plan import Failure, PlannedDay, label
from ..tasks.report import publish_report
from .inputs import archived_sources

CONCURRENT_DAYS = 8
"""Days under way at once; their requests share `max_concurrency`."""

# Any: by its types, Prefect's own runner cannot be a flow's runner.
day_runner: Any = ThreadPoolTaskRunner(max_workers=CONCURRENT_DAYS)


def run_name() -> str:
    """The run's name. The scheduled start names the run and nothing else: what is due is judged by the time now."""
    return f"{flow_run.parameters.get('workspace')}-{flow_run.scheduled_start_time:%Y-%m-%dT%H:%M}"


def run_days(credentials: DeepsetCredentials, archive: LogArchive, workspace: str, sources: list[LogSource],
             days: Sequence[PlannedDay], failures: Sequence[Failure], *, rules: RuleSet, notify: str | None,
             reread: bool, max_concurrency: int, notes: Sequence[str] = ()) -> list[Manifest]:
    """Archives the days side by side in their order, and returns the newest manifest of each.

    Args:
        credentials, archive, workspace: from where, to where.
        sources: all of this run, those without a day too: one that was not archived for long is told of.
        days: what to archive.
        failures: what has gone wrong already.
        rules: what is worth an alert.
        notify, reread, max_concurrency: see the flows.
        notes: more that the report says.

    Raises:
        ArchiveError: names every day that failed or could not be read whole, after all others are archived, told and reported.
    """
    budget = run_budget(max_concurrency, credentials.concurrency_limit)  # held until all days are done, for all of their tasks
    submitted = [(due, archive_day.submit(credentials, archive, workspace, due.source.name, due.day, reread, max_concurrency,
                                          due.source.kind)) for due in days]
    manifests, failed = _collect(submitted)
    unread = _unread(manifests)
    failed = [*failures, *failed, *unread]
    get_run_logger().info("At most %d requests were under way at once.", budget.most_in_use)
    told = tell(archive, workspace, sources, manifests, rules, notify)
    _report(archive, workspace, manifests, told._replace(problems=[*notes, *told.problems]), failed)
    if failed:
        raise _run_failed(workspace, failed, others=len(manifests) > len(unread))
    return manifests


@contextmanager
def told_when_unreachable(archive: LogArchive, workspace: str, names: list[str] | None, indexes: Sequence[str] | None,
                          rules: RuleSet, notify: str | None) -> Iterator[None]:
    """Around the first questions to deepset: when it cannot be asked, alerts and report go out all the same, then the error.

    An expired key is the likeliest outage there is. Without this, nobody would be told that days are about to be lost.
    """
    try:
        yield
    except ApiError as error:
        try:
            sources = archived_sources(archive, workspace, names, indexes)
        except DeepsetError as unreadable:
            get_run_logger().error("Alerts could not be judged or told: %s", unreadable)
        else:
            told = tell(archive, workspace, sources, [], rules, notify)
            _report(archive, workspace, [], told, [Failure(f"workspace {workspace}", None, str(error))])
        raise


def _collect(submitted: list[tuple[PlannedDay, PrefectFuture[Manifest]]]) -> tuple[list[Manifest], list[Failure]]:
    manifests: list[Manifest] = []
    failures: list[Failure] = []
    for planned, future in submitted:
        try:
            manifests.append(future.result())
        except DeepsetError as error:
            failures.append(Failure(label(planned.source), planned.day, str(error)))
        except Exception as error:  # noqa: BLE001 - a worker that died, say: the others' days still count
            problem = f"{type(error).__name__}: the task run's own log says more."
            failures.append(Failure(label(planned.source), planned.day, problem))
    return manifests, failures


def _unread(manifests: list[Manifest]) -> list[Failure]:
    """Days that could not be read whole though they are over and still shown: the next run mends them, but this one failed."""
    return [Failure(manifest.source.pipeline, date.fromisoformat(manifest.dt), missing)
            for manifest in manifests if manifest.status == "open" and (missing := describe_faults(manifest))]


def tell(archive: LogArchive, workspace: str, sources: list[LogSource], manifests: list[Manifest],
         rules: RuleSet | WatchRules, notify: str | None) -> Told:
    """Alerts that go wrong never fail the archive: what they are about is in the bucket, and the next run tells it."""
    try:
        return tell_alerts(archive, workspace, sources, manifests, rules, notify, run_url())
    except DeepsetError as error:
        get_run_logger().error("Alerts could not be judged or told: %s", error)
        return Told([], [str(error)])


def _report(archive: LogArchive, workspace: str, manifests: list[Manifest], told: Told, failures: list[Failure]) -> None:
    links = {"Flow run": url} if (url := run_url()) else {}
    try:
        publish_report(archive, workspace, manifests, told, failures, links)
    except DeepsetError as error:
        get_run_logger().error("The report could not be made: %s", error)


def run_url() -> str | None:
    """The run's page, or None without one."""
    # Without a UI (the ephemeral server has none) Prefect's own link begins with the word None.
    url = flow_run.ui_url
    return url if url and url.startswith("http") else None


def _run_failed(workspace: str, failures: list[Failure], *, others: bool) -> ArchiveError:
    """One error that names every pipeline and day; those that failed for the same reason together."""
    by_problem: dict[str, list[str]] = {}
    for failure in failures:
        by_problem.setdefault(failure.problem, []).append(f"{failure.pipeline} {failure.day or ''}".strip())
    listed = " ".join(f"[{', '.join(places)}] {problem}" for problem, places in by_problem.items())
    count = f"{len(failures)} day{'s' if len(failures) > 1 else ''}"
    return ArchiveError(f"{count} could not be archived whole{'; all others were' if others else ''}. {listed}",
                        "Mend what is named and run again: only what is missing is read.", f"workspace {workspace!r}")
