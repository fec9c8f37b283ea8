"""The task that shows what a run did, as an artifact in the Prefect UI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact

from ..alerts.report import report
from ..api.sources import LogSource
from ..archive.chain import latest_days
from ..archive.manifest import Manifest
from ..archive.store import S3Store
from ..blocks import LogArchive
from .alerts import Told
from .plan import Failure
from .retries import RETRIED

_TREND_DAYS = 30


class _Trends(Mapping[LogSource, Sequence[Manifest]]):
    """The last archived days of each pipeline, read when asked for: a report shows few of them, however many there are."""

    def __init__(self, store: S3Store, sources: Sequence[LogSource]) -> None:
        self._store = store
        self._sources = dict.fromkeys(sources)

    def __getitem__(self, source: LogSource) -> list[Manifest]:
        return [stored.manifest for stored in latest_days(self._store, source, _TREND_DAYS)]

    def __iter__(self) -> Iterator[LogSource]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def artifact_key(workspace: str, kind: str = "logs") -> str:
    """A key that Prefect takes (lower case letters, digits, dashes), the same for every run on the workspace."""
    return f"deepset-{kind}-{re.sub(r'[^a-z0-9]+', '-', workspace.lower()).strip('-') or 'workspace'}"


@task(task_run_name="report-{workspace}", **RETRIED)
def publish_report(archive: LogArchive, workspace: str, manifests: list[Manifest], told: Told, failures: list[Failure],
                   links: dict[str, str] | None = None) -> str:
    """Creates the report artifact and returns its markdown: some kilobytes, however large the days.

    Args:
        archive: where the days are, for their trend.
        workspace: its name.
        manifests: the newest one of each day the run considered.
        told: the alerts of the run.
        failures: what could not be archived.
        links: name to URL, shown at the end.

    Raises:
        ArchiveError: the trend cannot be read.
    """
    sources = [LogSource(workspace, manifest.source.pipeline, manifest.source.kind) for manifest in manifests]
    failed = {f"{failure.pipeline} {failure.day or ''}".strip(): failure.problem for failure in failures}
    markdown = report(manifests, _Trends(archive.get_store(), sources), told.transitions, links,
                      archive=f"s3://{archive.bucket}", prefix=archive.prefix, failed=failed, notes=told.problems)
    create_markdown_artifact(markdown, key=artifact_key(workspace), description=f"What was archived of workspace {workspace}.")
    return markdown
