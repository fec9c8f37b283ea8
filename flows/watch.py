"""The flow between the daily archives: errors of the last minutes."""

from __future__ import annotations

from prefect import flow

from ..alerts.window import WatchRules
from ..api.errors import ApiError, InvalidInputError
from ..blocks import DeepsetCredentials, LogArchive
from ..tasks.alerts import tell_alerts
from ..tasks.pipelines import list_pipelines
from ..tasks.watch import read_errors
from .day_runs import run_name, run_url
from .inputs import check_names, check_notify, check_numbers

LONGEST = 24 * 60
"""Minutes of a window at most: longer ones are the archive's."""


@flow(name="watch-errors", flow_run_name=run_name)
def watch_errors(
    credentials: DeepsetCredentials,
    archive: LogArchive,
    workspace: str,
    pipelines: list[str] | None = None,
    minutes: int = 15,
    error_threshold: int = 20,
    notify: str | None = None,
    max_concurrency: int = 8,
) -> dict[str, int]:
    """Alerts when a pipeline logs many errors in the last minutes; returns the errors of each pipeline.

    To be run every few minutes. It archives nothing; the archive only remembers what was told, so that each change is told
    once.

    Args:
        credentials: The key to deepset.
        archive: Where the state of alerts is kept.
        workspace: The workspace's name.
        pipelines: Names; without any, every pipeline that is listed.
        minutes: The length of the window.
        error_threshold: Alert when a pipeline's errors of the window reach this number.
        notify: The slug of a notification block that gets the alerts, such as slack-webhook/on-call.
        max_concurrency: Pipelines read at once, at most.

    Raises:
        InvalidInputError: a parameter is wrong.
        ApiError: pipelines that could not be read; each is named.
    """
    names = check_names(workspace, pipelines)
    if not 1 <= minutes <= LONGEST:
        raise InvalidInputError(f"`minutes` is {minutes}.", f"Give 1 to {LONGEST}.")
    check_numbers(error_threshold, max_concurrency)
    check_notify(notify)
    chosen = list_pipelines(credentials, workspace) if names is None else names
    window = read_errors(credentials, workspace, chosen, minutes, max_concurrency)
    tell_alerts(archive, workspace, [], window.manifests, WatchRules.from_threshold(error_threshold), notify, run_url())
    if window.failures:
        listed = " ".join(f"[{failure.pipeline}] {failure.problem}" for failure in window.failures)
        raise ApiError(f"{len(window.failures)} of {len(chosen)} pipelines could not be read. {listed}",
                       "The next run reads them again.", f"workspace {workspace!r}")
    return {manifest.source.pipeline: manifest.errors for manifest in window.manifests}
