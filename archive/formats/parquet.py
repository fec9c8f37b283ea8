"""parquet: typed columns, zstd, statistics and sorted row groups, so that a query reads only what it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ...api.errors import InvalidInputError
from ...api.rows import Row
from ...api.times import MICROSECOND
from ..errors import PartError
from .columns import RESTORE, Record, to_record

_GROUP_ROWS = 32_768
_GROUP_BYTES = 16 << 20
"""A row group ends at either bound: it is what has to be in memory at once, when writing and when reading."""
_BATCH_ROWS = 512
_IN_MEMORY = 8 << 20


def load_pyarrow() -> Any:
    """pyarrow, which is an extra.

    Raises:
        InvalidInputError: says what to install.
    """
    try:
        arrow = import_module("pyarrow")  # an extra, and slow to import
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidInputError("Parquet and Arrow need pyarrow, which is not installed.",
                                "Install it: pip install pyarrow.") from error
    return arrow


def arrow_schema() -> Any:
    """The Arrow schema of the tables: the same for every file."""
    pa = load_pyarrow()
    text = pa.string()
    return pa.schema([
        pa.field("log_id", text, nullable=False),
        pa.field("logged_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("level", text, nullable=False),
        pa.field("origin", text, nullable=False),
        pa.field("message", text, nullable=False),
        pa.field("exceptions", text),
        pa.field("extra_fields", text),
        pa.field("unknown_fields", text),
    ])


def record_batch(records: Iterable[Record]) -> Any:
    """The records as one Arrow record batch."""
    pa = load_pyarrow()
    schema = arrow_schema()
    columns = list(zip(*records, strict=True)) or [()] * len(schema)
    columns[1] = tuple(instant // MICROSECOND for instant in columns[1])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class ParquetTable:
    """``part-00001.parquet``."""

    name = "parquet"
    content_type = "application/vnd.apache.parquet"

    def write(self, rows: Iterable[Row], path: Path) -> None:
        """Writes the rows, which come in order of time, one row group at a time.

        Raises:
            InvalidInputError: without pyarrow.
        """
        pa = load_pyarrow()
        schema = arrow_schema()
        # Only the time is declared as sorted: below a microsecond, which the column cannot hold, ids need not be in order.
        order = [pa.parquet.SortingColumn(Record._fields.index("logged_at"))]
        with pa.parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=["level", "origin"],
                                      write_statistics=True, sorting_columns=order) as writer:
            for group in _groups(rows):
                writer.write_batch(record_batch(group), row_group_size=_GROUP_ROWS)

    def read(self, key: str, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The table's lines. Parquet is read from its end, so the object is put into a temporary file first.

        Raises:
            PartError: when the object is no such table.
            InvalidInputError: without pyarrow.
        """
        pa = load_pyarrow()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            for chunk in chunks:
                file.write(chunk)
            file.seek(0)
            try:
                with pa.parquet.ParquetFile(file) as table:
                    if not table.schema_arrow.equals(arrow_schema()):
                        raise PartError(f"{key} is Parquet, but not with the columns of a table of logs.", RESTORE)
                    for batch in table.iter_batches(_BATCH_ROWS):
                        yield from _records(pa, batch)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise PartError(f"{key} is not readable as Parquet: {error}.", RESTORE) from error


def _groups(rows: Iterable[Row]) -> Iterator[list[Record]]:
    group: list[Record] = []
    size = 0
    for row in rows:
        group.append(to_record(row))
        size += len(row.raw)
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _records(pa: Any, batch: Any) -> Iterator[Record]:
    columns = list(batch.columns)
    columns[1] = columns[1].cast(pa.int64())
    for values in zip(*(column.to_pylist() for column in columns), strict=True):
        yield Record(values[0], values[1] * MICROSECOND, *values[2:])
