"""Tasks that read logs without archiving them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from prefect import task

from ..api.counts import count_rows
from ..api.csv_logs import download_csv
from ..api.errors import TooManyRowsError
from ..api.models import LogCounts, PipelineLog
from ..api.parameters import check_count
from ..api.sources import LogSource
from ..api.times import Span, to_instant
from ..blocks import DeepsetCredentials
from .global_limit import limited_client
from .retries import RETRIED

MAX_ROWS = 100_000
_Row = TypeVar("_Row")


@task(task_run_name="fetch-logs-{workspace}-{pipeline}", **RETRIED)
def fetch_logs(credentials: DeepsetCredentials, workspace: str, pipeline: str, start: datetime, end: datetime,
               levels: list[str] | None = None, origins: list[str] | None = None, filter: str | None = None,  # noqa: A002 - the API's word
               max_rows: int = MAX_ROWS) -> list[PipelineLog]:
    """The logs of a span of time, complete, newest first.

    Args:
        credentials: the key.
        workspace, pipeline: names.
        start, end: the span, half-open (`end` is not included); with a time zone.
        levels, origins: only rows with one of these values; None for all.
        filter: an OData expression for the rest, such as ``level eq 'error'``.
        max_rows: more rows than this are an error, since they would all be in memory: use `download_logs_csv` or `archive_day`.

    Raises:
        TooManyRowsError: there are more rows than `max_rows`; nothing is cut off silently.
        InvalidInputError: a parameter is wrong, such as a time without time zone or an end before the start; nothing was asked.
        ApiError, ReadError: the span could not be read completely.
    """
    check_count(max_rows, "max_rows")
    with limited_client(credentials) as client:
        found = client.logs(workspace, pipeline, start, end, levels=levels, origins=origins, filter=filter)
        rows = up_to_one_more(found, max_rows)
    if len(rows) > max_rows:
        raise TooManyRowsError(f"There are more than {max_rows} rows.",
                               "Give a shorter span or a higher `max_rows`, or use download_logs_csv or archive_day.",
                               f"{LogSource(workspace, pipeline)}, {_span(start, end)}")
    return rows


@task(task_run_name="count-logs-{workspace}-{pipeline}", **RETRIED)
def count_logs(credentials: DeepsetCredentials, workspace: str, pipeline: str, start: datetime, end: datetime) -> LogCounts:
    """How many rows a span holds, by level, origin and hour. All of them are read, none is kept in memory.

    Raises:
        InvalidInputError: a time without time zone, an end before the start.
        ApiError, ReadError: the span could not be read completely.
    """
    with limited_client(credentials) as client:
        return count_rows(client.rows(workspace, pipeline, start, end))


@task(task_run_name="download-logs-csv-{workspace}-{pipeline}", **RETRIED)
def download_logs_csv(credentials: DeepsetCredentials, workspace: str, pipeline: str, start: datetime, end: datetime,
                      path: str | Path) -> Path:
    """The logs of a span of time as the platform's own CSV in a file, complete, newest first. Returns the file's path.

    The file appears once it is whole; nothing is left behind on an error.

    Raises:
        CsvHeaderError: the platform's CSV has columns that are not known.
        InvalidInputError: a time without time zone, an end before the start, a file that cannot be written; nothing was asked.
        ApiError, ReadError: the span could not be read completely.
    """
    with limited_client(credentials) as client:
        return download_csv(client, LogSource(workspace, pipeline), _span(start, end), path)


def up_to_one_more(rows: Iterable[_Row], count: int) -> list[_Row]:
    """The first rows, and one more than `count` where there are more, so that it shows."""
    return list(islice(rows, min(count + 1, sys.maxsize)))


def _span(start: datetime, end: datetime) -> Span:
    return Span(to_instant(start, "start"), to_instant(end, "end"))
