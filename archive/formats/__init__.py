"""The formats a day's parts are kept in: ``jsonl``, which is always there and is the truth, and tables that are made from it.

Tables are written and read here. Parts in jsonl are put together by `assemble` and read by `part_stream`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ...api.errors import InvalidInputError
from ...api.rows import Row
from .columns import Record, to_record
from .csv import CsvTable
from .parquet import ParquetTable, load_pyarrow

__all__ = ["FORMATS", "Record", "Table", "compression_of", "find_table", "read_table", "require_formats", "to_record",
           "write_table"]

_CHUNK = 1 << 20


class Table(Protocol):
    """One format beside jsonl: a writer and a reader."""

    name: str
    content_type: str

    def write(self, rows: Iterable[Row], path: Path) -> None:
        """Writes the rows, which come in order, streaming."""
        ...

    def read(self, key: str, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The lines in an object's bytes; the key names it in errors, and its suffix says how they are compressed."""
        ...


_TABLES: dict[str, Table] = {one.name: one for one in (CsvTable(), ParquetTable())}
FORMATS = ("jsonl", *_TABLES)


def find_table(name: str) -> Table:
    """The table of that name.

    Raises:
        InvalidInputError: when there is none.
    """
    try:
        return _TABLES[name]
    except KeyError:
        raise InvalidInputError(f"There is no table {name!r}.", f"Choose from {', '.join(_TABLES)}.") from None


def require_formats(names: Iterable[str]) -> None:
    """Says before anything is read whether all of these formats can be written here.

    Raises:
        InvalidInputError: for an unknown format, or a missing extra.
    """
    for name in names:
        if name not in FORMATS:
            raise InvalidInputError(f"There is no format {name!r}.", f"Choose from {', '.join(FORMATS)}.")
        if name == "parquet":
            load_pyarrow()


def compression_of(format: str, compression: str | None) -> str | None:  # noqa: A002 - the manifest's word
    """How parts of the format are compressed in an archive compressed with `compression`: what `keys.part_key` takes.

    csv is gzip even where jsonl is zstd, since spreadsheets' users can unpack it; Parquet compresses inside the file.
    """
    return {"csv": "gzip", "parquet": None}.get(format, compression)


def write_table(name: str, rows: Iterable[Row], path: Path) -> None:
    """Writes rows, which come in order of (`logged_at`, `log_id`), to a new file, streaming.

    Raises:
        InvalidInputError: for an unknown table, or a missing extra.
    """
    find_table(name).write(rows, path)


def read_table(name: str, path: Path) -> Iterator[Record]:
    """The lines in a file, in their order.

    Args:
        path: its suffix says how it is compressed.

    Raises:
        InvalidInputError: for an unknown table, or a missing extra.
        PartError: when it does not hold that table.
    """
    with path.open("rb") as file:
        yield from find_table(name).read(str(path), _chunks(file))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
