"""The formats a day's parts are kept in. ``jsonl`` is always there and is the truth; the others are made from it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ...api.errors import InvalidInputError
from ...api.rows import Row
from .columns import Record, to_record
from .csv import CsvFormat
from .jsonl import JsonlFormat
from .parquet import ParquetFormat, load_pyarrow

__all__ = ["FORMATS", "Format", "Record", "compression_of", "find_format", "read_format", "require_formats", "to_record",
           "write_format"]

_CHUNK = 1 << 20


class Format(Protocol):
    """One format: a writer and a reader."""

    name: str
    content_type: str

    def write(self, rows: Iterable[Row], path: Path) -> None:
        """Writes the rows, which come in order, streaming; the path's suffix says how they are compressed."""
        ...

    def read(self, key: str, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The lines in an object's bytes; the key's suffix says how they are compressed, and names it in errors."""
        ...


FORMATS: dict[str, Format] = {one.name: one for one in (JsonlFormat(), CsvFormat(), ParquetFormat())}


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        InvalidInputError: when there is none.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise InvalidInputError(f"There is no format {name!r}.", f"Choose from {', '.join(FORMATS)}.") from None


def require_formats(names: Iterable[str]) -> None:
    """Says before anything is read whether all of these formats can be written here.

    Raises:
        InvalidInputError: for an unknown format, or a missing extra.
    """
    for name in names:
        if find_format(name).name == "parquet":
            load_pyarrow()


def compression_of(format: str, compression: str | None) -> str | None:  # noqa: A002 - the manifest's word
    """How parts of the format are compressed in an archive compressed with `compression`: what `keys.part_key` takes.

    csv is gzip even where jsonl is zstd, since spreadsheets' users can unpack it; Parquet compresses inside the file.
    """
    return {"csv": "gzip", "parquet": None}.get(format, compression)


def write_format(format: str, rows: Iterable[Row], path: Path) -> None:  # noqa: A002 - the manifest's word
    """Writes rows, which come in order of (`logged_at`, `log_id`), to a new file, streaming.

    Args:
        path: ends as a part's key does: ``.gz`` and ``.zst`` are compressed so.

    Raises:
        InvalidInputError: for an unknown format, or a missing extra.
    """
    find_format(format).write(rows, path)


def read_format(format: str, source: Path | BinaryIO, name: str = "") -> Iterator[Record]:  # noqa: A002 - the manifest's word
    """The lines in a file or stream, in their order.

    Args:
        name: what a stream is called; its suffix says how it is compressed. A path is called what it is called.

    Raises:
        InvalidInputError: for an unknown format, or a missing extra.
        PartError: when it does not hold that format.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield from find_format(format).read(str(source), _chunks(file))
    else:
        yield from find_format(format).read(name or "the stream", _chunks(source))


def _chunks(file: BinaryIO | io.BufferedReader) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
