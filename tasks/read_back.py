"""The task that reads archived logs back."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from prefect import task

from ..api.errors import InvalidInputError, TooManyRowsError
from ..api.parameters import check_count, check_texts
from ..archive.read_back import as_arrow, as_models, as_pandas, check_as, read_rows
from ..blocks import LogArchive
from .given import check_block
from .logs import MAX_ROWS, up_to_one_more
from .plan import named_sources
from .retries import RETRIED


@task(task_run_name="read-archived-logs-{workspace}-{start}", **RETRIED)
def read_archived_logs(archive: LogArchive, workspace: str, start: date, end: date, pipelines: list[str] | None = None,
                       levels: list[str] | None = None, as_: Literal["models", "arrow", "pandas"] = "models",
                       max_rows: int = MAX_ROWS, indexes: list[str] | None = None) -> Any:
    """Archived rows of a range of days, pipeline after pipeline, each in order of time. deepset is not asked.

    Args:
        archive: where they are.
        workspace: its name.
        start, end: UTC days, both included.
        pipelines: names; None for every pipeline ever archived, or with `indexes` for none.
        levels: such as ``["error"]``, any case; None for all.
        as_: ``models`` for a list of `PipelineLog`; ``arrow`` (needs pyarrow) or ``pandas`` (needs both) for a table with the
            archive's columns.
        max_rows: more rows than this are an error, since they would all be in memory.
        indexes: names of indexes.

    Raises:
        TooManyRowsError: there are more rows than `max_rows`; nothing is cut off silently.
        InvalidInputError: `start` is after `end`, a workspace or pipeline that was never archived; an `as_` that is none of the
            three, or a missing package for it, before anything is read.
        ArchiveError: the archive cannot be read, or is not what it should be.
    """
    check_count(max_rows, "max_rows")
    check_as(as_)
    check_block(archive, LogArchive, "archive")
    levels = check_texts(levels, "levels")
    if levels is not None and not levels:
        raise InvalidInputError("`levels` is empty.", "Name levels, or leave it out for all of them.")
    sources = named_sources(workspace, pipelines, indexes)
    rows = up_to_one_more(read_rows(archive.get_store(), workspace, start, end, sources, levels), max_rows)
    if len(rows) > max_rows:
        raise TooManyRowsError(f"There are more than {max_rows} archived rows.",
                               "Give fewer days, pipelines or levels, or a higher `max_rows`; or read the bucket with DuckDB.",
                               f"workspace {workspace!r}, {start} to {end}")
    if as_ == "models":
        return list(as_models(rows))
    return as_arrow(rows) if as_ == "arrow" else as_pandas(rows)
