"""The task that gives an archived day the formats it lacks. It reads the bucket and asks deepset nothing."""

from __future__ import annotations

from datetime import date

from prefect import task

from ..alerts.announced import Revision
from ..api.errors import InvalidInputError
from ..api.sources import LogSource
from ..archive.chain import latest, list_days, sources_to_work_on
from ..archive.fill import fill_format
from ..archive.manifest import Manifest
from ..blocks import LogArchive
from .events import announce
from .plan import label, named_sources
from .retries import RETRIED


@task(task_run_name="find-archived-days-{workspace}", **RETRIED)
def find_archived_days(archive: LogArchive, workspace: str, start: date | None, end: date | None,
                       pipelines: list[str] | None = None, indexes: list[str] | None = None) -> list[tuple[LogSource, date]]:
    """Every archived day of the pipelines and indexes that are named, or of all, both ends included; None for no end.

    Raises:
        InvalidInputError: nothing is archived of the workspace, or of one of them; lists what is known.
        ArchiveError: the store cannot be read.
    """
    store = archive.get_store()
    known = sources_to_work_on(store, workspace)
    named = named_sources(workspace, pipelines, indexes)
    sources = known if named is None else [LogSource(workspace, one) if isinstance(one, str) else one for one in named]
    if unknown := [source for source in sources if source not in known]:
        raise InvalidInputError(f"Nothing is archived of {', '.join(map(label, unknown))}.",
                                f"Known here: {', '.join(map(label, known))}.", f"workspace {workspace!r}")
    return [(source, day) for source in sources for day in list_days(store, source)
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
