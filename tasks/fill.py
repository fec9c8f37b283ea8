"""The task that gives an archived day the formats it lacks. It reads the bucket and asks deepset nothing."""

from __future__ import annotations

from datetime import date

from prefect import task

from ..alerts.announced import Revision
from ..api.sources import LogSource
from ..archive.chain import archived_sources, latest, list_days
from ..archive.fill import fill_format
from ..archive.manifest import Manifest
from ..blocks import LogArchive
from .events import announce
from .retries import RETRIED


@task(task_run_name="find-archived-days-{workspace}", **RETRIED)
def find_archived_days(archive: LogArchive, workspace: str, start: date | None,
                       end: date | None) -> list[tuple[LogSource, date]]:
    """Every archived day of the workspace's pipelines and indexes, both ends included; None for no end.

    Raises:
        ArchiveError: the store cannot be read.
    """
    store = archive.get_store()
    return [(source, day) for source in archived_sources(store, workspace) for day in list_days(store, source)
            if (start is None or start <= day) and (end is None or day <= end)]


@task(task_run_name="fill-{source.name}-{day}", **RETRIED)
def fill_day(archive: LogArchive, source: LogSource, day: date) -> Manifest | None:
    """Makes the copies that the archive's formats ask for and the day lacks; returns the day's newest manifest.

    Emits `deepset.logs.archived`, and that the pipeline's asset was materialized, for each revision it committed.

    Raises:
        ArchiveError: a part cannot be read, or a copy's key is taken by something else.
    """
    store, options = archive.get_store(), archive.get_options()
    newest = latest(store, source, day)
    for name in options.formats:
        if name == "jsonl" or newest is None:
            continue
        filled = fill_format(store, source, day, name, options.signing_key)
        if filled and filled.manifest.revision > newest.manifest.revision:
            announce(archive, store, Revision(filled.manifest, filled.key))
        newest = filled or newest
    return newest.manifest if newest else None
