"""Reading the archive: rows by pipeline, day and level, as rows, models, an Arrow table or a pandas frame.

Only what the newest manifest of a day names is read: a part that a run left uncommitted is not part of the archive. Parts
are held against their SHA-256 on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from importlib import import_module
from itertools import islice
from typing import Any

from ..api.errors import InvalidInputError
from ..api.models import PipelineLog
from ..api.parameters import check_texts
from ..api.rows import Row
from ..api.sources import LogSource, sources_of
from ..api.times import day_span, parse_instant, to_day
from ..api.urls import check_name
from .chain import StoredManifest, archived_sources, latest, list_days
from .errors import ManifestError
from .formats import to_record
from .formats.parquet import arrow_schema, load_pyarrow, record_batch
from .objects import ObjectStore
from .part_merge import OrderedPart, merge_parts
from .part_stream import read_part_rows

_ADVICE = "Check the names, and the archive's bucket and prefix."
_BATCH_ROWS = 8192


AS = ("models", "arrow", "pandas")
"""What rows can be handed over as."""


def check_as(as_: object) -> None:
    """Says before anything is read whether rows can be handed over so.

    Raises:
        InvalidInputError: another word than the three, or a package that is missing; says what to install.
    """
    if as_ not in AS:
        raise InvalidInputError(f"`as_` is {as_!r}.", f"Give one of {', '.join(map(repr, AS))}.")
    if as_ != "models":
        load_pyarrow()
    if as_ == "pandas":
        _require_pandas()


def read_rows(store: ObjectStore, workspace: str, start: date, end: date,
              pipelines: str | Sequence[str | LogSource] | None = None, levels: Iterable[str] | None = None) -> Iterator[Row]:
    """The archived rows of a range of days: pipeline after pipeline, each in order of time. Memory stays flat.

    Days that are not archived give no rows; `verify_archive` says which they are.

    Args:
        start, end: UTC days, both included.
        pipelines: names of pipelines, or sources (an index is one); None for every pipeline that was ever archived.
        levels: such as ``["error"]``, any case; None for all.

    One pipeline or level may come as plain text.

    Raises:
        InvalidInputError: `start` is after `end`, or nothing is archived of the workspace or of a pipeline asked for.
        ManifestError, PartError: while reading, when the archive is not what it should be.
        StoreError: when the store cannot be read.
    """
    start, end = to_day(start, "start"), to_day(end, "end")
    if start > end:
        raise InvalidInputError(f"`start` ({start}) is after `end` ({end}).", "Give the earlier day as `start`.")
    wanted = check_texts(levels, "levels")
    archived = archived_sources(store, check_name(workspace, "workspace"))
    if pipelines is None:
        asked = [source for source in archived if source.kind == "pipeline"]
        if not asked:
            raise InvalidInputError("No pipeline of this workspace is archived here.", _ADVICE, f"workspace {workspace!r}")
    else:
        asked = sources_of(workspace, pipelines)
        for source in asked:
            if source not in archived:
                raise InvalidInputError("Nothing of it is archived.", _ADVICE, str(source))
    return _read(store, asked, start, end, None if wanted is None else frozenset(level.lower() for level in wanted))


def _read(store: ObjectStore, sources: Iterable[LogSource], start: date, end: date,
          levels: frozenset[str] | None) -> Iterator[Row]:
    for source in sources:
        for day in list_days(store, source):
            if start <= day <= end and (newest := latest(store, source, day)) is not None:
                for row in _day_rows(store, day, newest, levels):
                    if levels is None or row.level.lower() in levels:
                        yield row


def _day_rows(store: ObjectStore, day: date, newest: StoredManifest, levels: frozenset[str] | None) -> Iterator[Row]:
    manifest = newest.manifest
    if twice := [key for key, times in Counter(file.key for file in manifest.files).items() if times > 1]:
        raise ManifestError(f"{newest.key} names {', '.join(twice)} more than once, so its rows would be read more than once.",
                            "Restore the object from a version or backup, then verify the archive.")
    if levels is not None and not any(level.lower() in levels for level in manifest.rows_by_level):
        return  # the manifest says that no row of the day has such a level
    parts = [OrderedPart(file.key, parse_instant(file.first) if file.first else day_span(day).start,
                         lambda file=file: read_part_rows(store, file.key, file.sha256))
             for file in manifest.files if file.format == "jsonl"]
    for _, row in merge_parts(parts):
        yield row


def as_models(rows: Iterable[Row]) -> Iterator[PipelineLog]:
    """The rows as models, one by one."""
    return map(PipelineLog.from_row, rows)


def as_arrow(rows: Iterable[Row]) -> Any:
    """The rows as a `pyarrow.Table` with the columns of the archive's tables; all of them in memory.

    Raises:
        InvalidInputError: without pyarrow; says what to install.
    """
    arrow = load_pyarrow()
    records = map(to_record, rows)
    batches: list[Any] = []
    while batch := list(islice(records, _BATCH_ROWS)):
        batches.append(record_batch(batch))
    return arrow.Table.from_batches(batches, schema=arrow_schema())


def as_pandas(rows: Iterable[Row]) -> Any:
    """The rows as a `pandas.DataFrame` with the columns of the archive's tables; all of them in memory.

    Raises:
        InvalidInputError: without pyarrow or pandas; says what to install.
    """
    _require_pandas()
    return as_arrow(rows).to_pandas()


def _require_pandas() -> None:
    try:
        import_module("pandas")
    except ImportError as error:
        raise InvalidInputError("A pandas frame needs pandas, which is not installed.",
                                "Install it: pip install pandas.") from error
