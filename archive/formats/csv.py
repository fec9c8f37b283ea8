"""csv: a table that a spreadsheet opens. RFC 4180, UTF-8 with a byte order mark (without it Excel takes it for Latin-1).

A cell that begins like a formula would be run by the spreadsheet that opens it, and log messages are written by strangers.
Such a cell gets an apostrophe in front, and so does one that begins with an apostrophe: taking one leading apostrophe
away gives the text back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip

from ...api.rows import Row
from ...api.times import MICROSECOND, SECOND, format_instant, parse_instant
from ..errors import PartError
from ..part_stream import decompress
from .columns import RESTORE, Record, to_record

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""What spreadsheets take for the start of a formula, full-width forms included, and the apostrophe that guards it."""

_GZIP_LEVEL = 1  # that of the jsonl parts; 2 makes a table smaller by a thousandth, at the same speed
_LONGEST_CELL = 1 << 30  # Python's own limit, 128 KiB, is shorter than a long message


class CsvTable:
    """``part-00001.csv.gz``."""

    name = "csv"
    content_type = "text/csv"

    def write(self, rows: Iterable[Row], path: Path) -> None:
        """Writes the rows in the order they come, compressed with gzip; the same rows always give the same bytes."""
        # Neither name nor time: they would make two writings of the same rows differ.
        with (path.open("wb") as plain,
              igzip.IGzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=plain, mtime=0) as packed,
              io.TextIOWrapper(cast("BinaryIO", packed), "utf-8", newline="") as text):
            text.write("\ufeff")
            writer = csv.writer(text)
            writer.writerow(Record._fields)
            writer.writerows(map(_cells, map(to_record, rows)))

    def read(self, key: str, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The table's lines, streamed.

        Raises:
            PartError: when the object is no such table.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        lines = csv.reader(_text_lines(key, chunks), strict=True)
        try:
            header = next(lines, None) or [""]
            if header != list(Record._fields):
                raise PartError(f"{key} is not a table of logs: its header is another.", RESTORE)
            yield from map(_record, lines)
        except (csv.Error, ValueError) as error:
            raise PartError(f"{key}, line {lines.line_num}, is not a line of the table: {error}.", RESTORE) from error


def _cells(record: Record) -> Iterator[str]:
    for cell in record:
        if isinstance(cell, int):
            yield _timestamp(cell)
        else:
            yield f"'{cell}" if cell and cell.startswith(_FORMULA_STARTS) else cell or ""


def _timestamp(instant: int) -> str:
    """RFC 3339 with always six digits, so that the column sorts as text too."""
    return f"{format_instant(instant - instant % SECOND)[:-1]}.{instant % SECOND // MICROSECOND:06d}Z"


def _record(cells: list[str]) -> Record:
    if len(cells) != len(Record._fields):
        raise ValueError(f"it has {len(cells)} cells")
    log_id, logged_at, level, origin, message, *texts = [cell.removeprefix("'") for cell in cells]
    exceptions, extra_fields, unknown_fields = [text or None for text in texts]
    try:
        instant = parse_instant(logged_at)
    except ValueError:
        raise ValueError("its time is none") from None
    return Record(log_id, instant, level, origin, message, exceptions, extra_fields, unknown_fields)


def _text_lines(key: str, chunks: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(decompress(key, chunks)):
        text = line.decode() + "\n"
        yield text if number else text.removeprefix("\ufeff")
