"""CSV answers as rows: the header recognised by name, records put together across line breaks."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .errors import CsvHeaderError, ReadError, ResponseError
from .rows import Row, loose_fields
from .statuses import shown_instead
from .times import SECOND, parse_instant

REQUIRED = ("log_id", "message", "logged_at", "level", "origin")
"""What the contract requires of each row; more columns are kept."""

_FIELD_LIMIT = 2**31 - 1
_NULLS = frozenset({"", "null", "None", "NaN", "nan"})
_FRACTION = re.compile(r"[.,](\d+)")
_LOOKED_AT = 2000
"""Characters of a name that are searched for the key: cut at thirty before, a piece of it might not be known any more."""
_CR = "\ud800"
"""Stands for a carriage return inside a record, which Python's reader takes for a line end. No text from bytes holds it."""


class Header(NamedTuple):
    """The columns of one answer."""

    names: tuple[str, ...]
    """As they came, without a byte order mark."""
    log_id: int
    logged_at: int
    level: int
    origin: int


class Record(NamedTuple):
    """One record after the header."""

    row: Row
    """Its `raw` is the record as CSV, line end included."""
    terminated: bool
    """Whether a line end came behind it: without one, it may be cut short."""


class Records:
    """The records of one answer; iterate once. `header` is there from the first record on (None while nothing came).

    Lines end as the header's does. Where that is a bare LF, as pandas writes it, fields with a CR come unquoted.

    Args:
        lines: text with line ends, as `DeepsetClient.logs_csv` gives it.
        where: the place that errors name.
        redact: hides the key in a text that an error shows.
    """

    def __init__(self, lines: Iterator[str], where: str, redact: Callable[[str], str] = str) -> None:
        if csv.field_size_limit() < _FIELD_LIMIT:
            csv.field_size_limit(_FIELD_LIMIT)  # messages of a mebibyte are real; Python stops at 128 kB
        self.header: Header | None = None
        self._lines = lines
        self._where = where
        self._redact = redact
        self._terminated = True
        self._line_end = ""
        self._mixed = False
        """Whether a line ends in CRLF though the header's does not."""

    def __iter__(self) -> Iterator[Record]:
        """The records.

        Raises:
            CsvHeaderError: a header without the columns that are needed.
            ResponseError: a record that is cut short or is none, or a page of something in between in place of the CSV.
            ReadError: a record whose end cannot be told.
        """
        try:
            for cells in csv.reader(self._watched(), strict=True):
                if not cells:
                    continue
                if self.header is None:
                    self.header = read_header(cells, self._where, self._redact)
                    continue
                if self._mixed:
                    raise ReadError("A CSV record ends in CRLF where the header ends in LF, so whether the CR is part of it "
                                    "cannot be told.", "Read the logs as JSON: fetch_logs or archive_day.", self._where)
                yield Record(self._row(cells, self.header), self._terminated)
        except csv.Error as error:
            raise ResponseError(f"The CSV breaks off or is none: {error}.", "It is worth asking again.", self._where) from error

    def _watched(self) -> Iterator[str]:
        for came in self._lines:
            line = came if self._line_end else came.removeprefix("\ufeff")  # before a quoted name, it would hide the quotes
            self._terminated = line.endswith("\n")
            self._line_end = self._line_end or ("\r\n" if line.endswith("\r\n") else "\n")
            self._mixed = self._line_end == "\n" and line.endswith("\r\n")
            body = line.removesuffix(self._line_end)
            yield line if "\r" not in body else body.replace("\r", _CR) + line[len(body):]

    def _row(self, cells: Sequence[str], header: Header) -> Row:
        if len(cells) != len(header.names):
            raise ResponseError(f"A CSV record has {len(cells)} fields, not {len(header.names)}.", "It is worth asking again.",
                                self._where)
        try:
            instant = parse_instant(cells[header.logged_at])
        except ValueError:
            raise ResponseError("A CSV record's `logged_at` is not a time.", "It is worth asking again.",
                                self._where) from None  # its text holds what came
        if not cells[header.log_id]:
            raise ResponseError("A CSV record has no `log_id`.", "It is worth asking again.", self._where)
        cells = [cell.replace(_CR, "\r") for cell in cells]
        return Row(instant, cells[header.log_id], cells[header.level], cells[header.origin], encode_record(cells))


def read_header(cells: Sequence[str], where: str, redact: Callable[[str], str] = str) -> Header:
    """The header in a first record: names in any order and case, with blanks or hyphens for underscores, others beside them.

    Args:
        cells: the record.
        where: the place that errors name.
        redact: hides the key in a text that an error shows.

    Raises:
        CsvHeaderError: a required column is missing or there twice; lists what came.
        ResponseError: it is no header at all, but the beginning of a web page, of JSON, or of some message.
    """
    names = tuple(cells)
    plain = _plain(names)
    missing = [name for name in REQUIRED if plain.count(name) != 1]
    if missing:
        if any(map(_is_instant, names)):  # a row, whose content belongs into no error
            raise CsvHeaderError("The CSV begins with a record, not with the columns' names.",
                                 "Please report this; until then read the logs as JSON.", where)
        if _begins_a_page(plain):
            said = shown_instead(",".join(names).encode("utf-8", "replace"), redact)
            raise ResponseError(f"Asked for CSV, the API sent something else. {said}".rstrip(), "It is worth asking again.",
                                where)
        came = shown_names(names, redact)
        raise CsvHeaderError(f"The CSV's columns are not the ones known: no single {', '.join(missing)} among {came}.",
                             "Please report this header; until then read the logs as JSON.", where)
    return Header(names, *(plain.index(name) for name in ("log_id", "logged_at", "level", "origin")))


def _begins_a_page(plain: Sequence[str]) -> bool:
    """Whether a first record without the columns is no CSV header. One cell that holds two columns' names is one, of another
    dialect."""
    if any(name in REQUIRED for name in plain):
        return False
    if plain[0].startswith(("<", "{")):
        return True
    return len(plain) == 1 and not all(name in plain[0] for name in ("log_id", "logged_at"))


def shown_names(names: Sequence[str], redact: Callable[[str], str]) -> str:
    """The first dozen names as an error shows them, which may be any text: short, and without the key."""
    return ", ".join(repr(redact(name[:_LOOKED_AT])[:30]) for name in names[:12]) + (", ..." if len(names) > 12 else "")


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def same_row(header: Header, record: Row, row: Row) -> bool | None:
    """Whether a CSV record without a line end is whole, by the JSON row of the same id; None where that cannot be told.

    A comma follows every cell but the last, so that one alone can be cut short. It is compared, and what every row must have.
    """
    cells = next(csv.reader(io.StringIO(record.raw.decode("utf-8", "surrogateescape"), newline="")))
    fields = loose_fields(row.raw)
    said: set[bool | None] = set()
    for place, (name, cell) in enumerate(zip(_plain(header.names), cells, strict=True), 1):
        last = place == len(cells)
        if name == "logged_at":
            said.add(_same_time(cell, fields[name], last=last))
        elif last or name in REQUIRED:
            said.add(_same_value(cell, fields[name]) if name in fields else None)
    return False if False in said else None if None in said else True


def _same_time(cell: str, text: str, *, last: bool) -> bool | None:
    """Whether two times are the same instant, as finely as both show it. The last cell may have lost its fraction or offset."""
    if cell == text:
        return True
    if abs(parse_instant(cell) - parse_instant(text)) >= max(_unit(cell), _unit(text)):
        return False
    return None if last else True


def _unit(text: str) -> int:
    """How finely a time is shown, in nanoseconds."""
    found = _FRACTION.search(text)
    return 10 ** max(9 - len(found[1]), 0) if found else SECOND


def _same_value(cell: str, value: object) -> bool | None:
    if isinstance(value, str):
        return cell == value.encode("utf-8", "replace").decode()  # CSV has no escape for a lone surrogate
    if value is None:
        return True if cell in _NULLS else None
    if cell == repr(value):
        return True
    try:
        return json.loads(cell) == value
    except (ValueError, RecursionError):
        return None if cell else False


def _plain(names: Sequence[str]) -> list[str]:
    return [name.strip().lower().replace(" ", "_").replace("-", "_") for name in names]


def encode_record(cells: Sequence[str]) -> bytes:
    """One record as RFC 4180 has it, CRLF included. Bytes that were no UTF-8 come out as they came in."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", "surrogateescape")
