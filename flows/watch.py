"""The flow between the daily archives: errors of the last minutes."""

from __future__ import annotations

from prefect import flow
from prefect.logging import get_run_logger

from ..alerts.rules import RuleSet
from ..alerts.window import WatchRules
from ..api.errors import AlertError, ApiError, InvalidInputError
from ..api.sources import LogSource
from ..blocks import AlertRules, DeepsetCredentials, LogArchive
from ..tasks.alerts import tell_alerts
from ..tasks.pipelines import list_pipelines
from ..tasks.watch import read_errors
from .day_runs import run_name, run_url, tell
from .inputs import Number, check_names, check_notify, check_numbers

LONGEST = 24 * 60
"""Minutes of a window at most: longer ones are the archive's."""


@flow(name="watch-errors", flow_run_name=run_name)
def watch_errors(
    credentials: DeepsetCredentials,
    archive: LogArchive,
    workspace: str,
    pipelines: list[str] | None = None,
    minutes: Number = 15,
    error_threshold: Number = 20,
    notify: str | None = None,
    max_concurrency: Number = 8,
    rules: AlertRules | None = None,
) -> dict[str, int]:
    """Alerts when a pipeline logs many errors in the last minutes; returns the errors of each pipeline.

    To be run every few minutes; it ends within about three of reading. It archives nothing; the archive only remembers what
    was told, so that each change is told once. Each length of window has alerts of its own.

    Args:
        credentials: The key to deepset.
        archive: Where the state of alerts is kept.
        workspace: The workspace's name.
        pipelines: Names; without any, every pipeline that is listed.
        minutes: The length of the window.
        error_threshold: Alert when a pipeline's errors of the window reach this number.
        notify: The slug of a notification block that gets the alerts, such as slack-webhook/on-call.
        max_concurrency: Requests under way at once, at most.
        rules: Used instead of error_threshold. Its error counts (levels, resolve below, pipelines) are held against the
            window's rows; ratios, new exceptions and missing rows need the whole day and are not judged. Pipelines that no
            error count is for are not read.

    Raises:
        InvalidInputError: a parameter is wrong, or no error count of `rules` is for any of the pipelines.
        ApiError: pipelines that could not be read, or only in part; each is named. What was read is judged and told.
        AlertError: what was found could not be kept or told.
    """
    names = check_names(workspace, pipelines)
    if not 1 <= minutes <= LONGEST:
        raise InvalidInputError(f"`minutes` is {minutes}.", f"Give 1 to {LONGEST}.")
    check_numbers(error_threshold, max_concurrency)
    check_notify(notify)
    watched = WatchRules.of(rules.get_rules() if rules else RuleSet.from_threshold(error_threshold), minutes)
    try:
        listed = list_pipelines(credentials, workspace) if names is None else names
    except ApiError:
        tell(archive, workspace, [], [], watched, notify)  # what waits to be told needs nothing of deepset
        raise
    chosen = [name for name in listed if watched.for_source(LogSource(workspace, name))]
    if listed and not chosen:
        tell(archive, workspace, [], [], watched, notify)
        patterns = ", ".join(dict.fromkeys(repr(pattern) for rule in watched.rules for pattern in rule.pipelines))
        raise InvalidInputError(f"No error count of `rules` is for any of the pipelines: {patterns} fit none.",
                                "Correct the patterns in `rules`, or `pipelines`.", f"workspace {workspace!r}")
    window = read_errors(credentials, workspace, chosen, minutes, max_concurrency, watched.levels, archive.redaction)
    for failure in window.failures:
        get_run_logger().error("Not read whole: %s: %s", failure.pipeline, failure.problem)
    told = tell_alerts(archive, workspace, [], window.manifests, watched, notify, run_url(), window.samples)
    unread = " ".join(f"[{failure.pipeline}] {failure.problem}" for failure in window.failures)
    if unread:
        unread = f"{len(window.failures)} of {len(chosen)} pipelines could not be read whole. {unread}"
    if told.problems:  # there is no archive here that goes before: a watch that cannot alert must not look well
        raise AlertError(f"Alerts could not be kept or told: {' '.join(told.problems)} {unread}".strip(),
                         "The next run tries again.", f"workspace {workspace!r}")
    if unread:
        raise ApiError(unread, "The next run reads them again.", f"workspace {workspace!r}")
    return {manifest.source.pipeline: manifest.rows for manifest in window.manifests}
