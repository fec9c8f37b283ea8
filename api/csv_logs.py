"""A span of logs as the platform's own CSV in a file.

CSV carries no `has_more`, and whether `limit` applies to it is unknown. So the same walk as for JSON judges what comes: a
short answer is held against one JSON request for the same place, and an answer that ignores `limit` is read as a stream of
pages, without asking again and without keeping more than a page of it. Where it ignores `after` as well, it begins with the
newest rows: those that were not asked for are passed over.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import dropwhile
from pathlib import Path
from typing import Self

from .client import DeepsetClient
from .csv_records import Header, Record, Records, encode_record, same_row, shown_names
from .errors import CsvHeaderError, CursorError, InvalidInputError, NoLogsError, ResponseError
from .learned import Learned
from .page_signs import TOLERANCE
from .rows import Page, Row
from .sources import LogSource
from .stream import stream_rows
from .times import Span, format_instant
from .walk import Request, Walk

_STREAM_PAGE = 1000
"""Rows of a page that is cut from an answer without end."""
_COLUMNS = ("log_id", "message", "logged_at", "level", "origin", "exceptions", "extra_fields")
"""The contract's fields: the header of a file without rows, where the platform sent none."""


def download_csv(client: DeepsetClient, source: LogSource, span: Span, path: str | Path, *,
                 now: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> Path:
    """The rows of a span as CSV (RFC 4180, UTF-8, the platform's own columns), newest first; returns `path`.

    The rows are written to a file of their own beside it, ``.<name>.<8 random characters>.part``, which becomes `path` once all
    of them are there. On an error nothing is left, and a file that was at `path` before stays as it was. Of several downloads
    to one `path` at once, each that succeeds puts a whole file there; the last one's stays.

    Args:
        client: asks.
        source: the pipeline or index.
        span: half-open.
        path: the file; its folder must exist.
        now: seconds since 1970.
        sleep: pauses between tries.

    Raises:
        CsvHeaderError: the columns are not the ones known, or change between two answers.
        CursorError: the CSV ignores `after` (and not `limit`), so it never shows what is older.
        IncompleteReadError: rows may be missing; see `stream_rows`.
        InvalidInputError: the span can hold no rows, or the file cannot be written: found before anything is asked, as far as
            that can be.
        ApiError, ReadError: what stopped the read.
    """
    path = _checked(path, str(source))
    client.check_span(source, span)
    target = path.resolve()  # a link stays one
    part = target.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    walk = Walk(span, Learned())
    with ExitStack() as stack:
        pages = stack.enter_context(_CsvPages(client, source, walk))
        try:
            with part.open("xb") as file:
                stack.callback(part.unlink, missing_ok=True)
                rows = stream_rows(walk, pages.fetch, str(source), now=now, sleep=sleep)
                first = next(rows, None)  # the header is known from here on
                file.write(encode_record(pages.header.names if pages.header else _COLUMNS))
                if first is not None:
                    file.write(first.raw)
                file.writelines(row.raw for row in rows)
            part.replace(target)
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be written: {error.strerror}.",
                                    "Check the folder, its permissions and the space left.", str(source)) from error
    return path


def _checked(path: str | Path, where: str) -> Path:
    """The path, when it can be a file's. Whether it can be written, the file beside it shows."""
    if not isinstance(path, str | Path) or "\0" in str(path):  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError("`path` is no path of a file.", "Give the file's path.", where)
    path = Path(path)
    if not path.name:
        raise InvalidInputError(f"`path` is {str(path)!r}, which names no file.", "Give the file's path.", where)
    if path.is_dir():
        raise InvalidInputError(f"`path` is {str(path)!r}, which is a folder.", "Give the path of a file in it.", where)
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"`path` is {str(path)!r}, which is no file that can be replaced.", "Give another path.", where)
    return path


class _Answer:
    """One CSV answer, open as long as rows are taken from it."""

    close: Callable[[], None]

    def __init__(self, lines: Iterator[str], where: str, redact: Callable[[str], str]) -> None:
        self.reader = Records(lines, where, redact)
        self._records = iter(self.reader)
        self._next = next(self._records, None)
        self.last: Record | None = None

    @property
    def ended(self) -> bool:
        """Whether every record was taken."""
        return self._next is None

    def take(self, count: int) -> Iterator[Row]:
        """So many rows more, or what there is."""
        while self._next is not None and count:
            self.last, self._next = self._next, next(self._records, None)
            count -= 1
            yield self.last.row

    def down_to(self, newest: int, rows: list[Row]) -> list[Row]:
        """What was taken last, or the first rows after it, without those in front that are newer than `newest`."""
        while not (kept := list(dropwhile(lambda row: row.logged_at > newest, rows))) and not self.ended:
            rows = list(self.take(_STREAM_PAGE))
        return kept


class _CsvPages:
    """Gives a walk its pages from CSV answers.

    A context manager: leaving it ends the answer that is still open.
    """

    def __init__(self, client: DeepsetClient, source: LogSource, walk: Walk) -> None:
        self.header: Header | None = None
        self._client = client
        self._source = source
        self._walk = walk
        self._open: _Answer | None = None
        self._oldest: Row | None = None
        """Of the page that came last from the open answer."""
        self._uncertain: set[bytes] = set()
        """Hashes of the last records that neither a line end nor JSON has shown to be whole."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def fetch(self, request: Request) -> Page:
        """The answer to one request, or the next piece of an answer that goes on and on."""
        answer = self._continued(request)
        if answer is not None and self._oldest is not None:
            return self._piece(answer, [self._oldest], request)
        self._close()
        answer = self._ask(request)
        try:
            self._check_header(answer.reader.header)
            rows = list(answer.take(request.limit))
            if not answer.ended:  # `limit` does not apply, nor perhaps does `after`
                rows = answer.down_to(request.after + TOLERANCE, rows)
            if not answer.ended:
                self._open = answer
                return self._piece(answer, rows, request)
        finally:
            if answer is not self._open:
                answer.close()
        return self._whole(answer, rows, request)

    def _ask(self, request: Request) -> _Answer:
        with ExitStack() as stack:
            lines = stack.enter_context(
                self._client.logs_csv(self._source, after=request.after, limit=request.limit, filter=request.filter))
            answer = _Answer(lines, str(self._source), self._client.redact)
            answer.close = stack.pop_all().close
        return answer

    def _check_header(self, header: Header | None) -> None:
        if header is None:
            return
        if self.header is not None and header.names != self.header.names:
            before, after = (shown_names(names, self._client.redact) for names in (self.header.names, header.names))
            raise CsvHeaderError(f"The CSV's columns changed while it was read: {before} became {after}.", "Run again.",
                                 str(self._source))
        self.header = header

    def _continued(self, request: Request) -> _Answer | None:
        """The open answer, when the walk took its last page and asks for what comes behind it."""
        oldest = self._oldest
        if self._open is None or oldest is None or request != self._walk.request() or self._walk.position != oldest.logged_at:
            return None
        return self._open

    def _piece(self, answer: _Answer, rows: list[Row], request: Request) -> Page:
        """A page of an answer without end: it begins with the walk's anchor and reaches below it, so that it is taken.

        What is refused would have to be asked for again, from the beginning of the answer.
        """
        above = self._walk.position if request == self._walk.request() else rows[0].logged_at
        try:
            rows += answer.take(_STREAM_PAGE)
            while not answer.ended and min(row.logged_at for row in rows[-_STREAM_PAGE:]) >= above:
                rows += answer.take(_STREAM_PAGE)
        except BaseException:
            self._close()
            raise
        if answer.ended:
            self._close()
            return self._whole(answer, rows, request)
        self._oldest = min(rows, key=lambda row: row.logged_at)  # of equal ones the first, as the walk chooses it
        return Page(rows, True, None)

    def _whole(self, answer: _Answer, rows: list[Row], request: Request) -> Page:
        """The page of an answer that was read to its end: where it is short, JSON says whether there is more.

        A last record without a line end may be cut short, so it counts only where JSON shows the same row, or where JSON cannot
        tell and another answer ends with the same record.
        """
        unasked = answer.last is not None and all(row.logged_at > request.after + TOLERANCE for row in rows)
        if unasked:
            rows = []
        doubtful = rows.pop() if rows and answer.last is not None and not answer.last.terminated else None
        if len(rows) + (doubtful is not None) == request.limit:
            return Page(rows, True if doubtful else None, None)
        try:
            page = self._client.logs_page(self._source, after=request.after, limit=request.limit, filter=request.filter)
        except NoLogsError:
            page = Page([], False, None)
        left_out = False
        if doubtful is not None and self.header is not None:
            twin = next((row for row in page.rows if row.log_id == doubtful.log_id), None)
            left_out = twin is None and not self._came_before(doubtful)
            if twin is not None:
                self._check_whole(self.header, doubtful, twin)
            if not left_out:
                rows.append(doubtful)
        known = {row.log_id for row in rows}
        more = page.has_more or left_out or any(row.log_id not in known for row in page.rows)
        if more and unasked:
            raise CursorError(f"The platform's CSV ignores `after`: it does not go on to what is older than "
                              f"{format_instant(request.after)}.", "Read the logs as JSON: fetch_logs or archive_day.")
        return Page(rows, more, page.total)

    def _check_whole(self, header: Header, doubtful: Row, twin: Row) -> None:
        whole = same_row(header, doubtful, twin)
        if whole or (whole is None and self._came_before(doubtful)):
            return
        raise ResponseError("The CSV's last record has no line end, and may be cut short." if whole is None else
                            "The CSV's last record is cut short.", "It is worth asking again.", str(self._source))

    def _came_before(self, doubtful: Row) -> bool:
        """Whether another answer ended with the same record; it is remembered."""
        mark = hashlib.sha256(doubtful.raw).digest()
        before = mark in self._uncertain
        self._uncertain.add(mark)
        return before

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self._oldest = None
