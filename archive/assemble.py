"""From what was read to parts in the store: only what the archive lacks, each row once.

A part number that is taken belongs to a run that crashed before its manifest, or to one under way. If its rows are all in
what was read now, it is adopted; where this read could not look, its rows cannot be contradicted and are adopted too, since
they may be gone from the platform by now. A few rows that this read lacks may have become visible after it: the platform is
asked for them once more. Anything else is foreign and stays where it is, and so is a part with something in it that the
redaction policy takes out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ..api.rows import Row
from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_span, format_instant, parse_instant
from .compression import CONTENT_TYPES, Compression, compress
from .counts import Counts, total
from .errors import ArchiveError, PartError, RedactionError
from .keys import part_key
from .leftovers import next_number
from .manifest import File, Manifest
from .objects import ObjectStore
from .part_merge import OrderedPart, merge_parts
from .part_stream import read_part_rows
from .redaction import RedactionPolicy
from .spans import join_spans, subtract_spans
from .spool import Spool
from .spool_folder import disk_error

LARGEST_PART = 256 * 1024 * 1024
_BATCH = 1024 * 1024
_MOST_LACKING = 20_000
"""Rows of a part that a read may lack and that are asked for once more, so that memory stays bounded."""
_FEW = 100
"""So many rows are asked for one by one; more of them by the quarter of an hour."""


class Assembled(NamedTuple):
    """What was added to the day's parts."""

    files: list[File]
    """New and adopted parts of this day, in order of their number."""
    counts: Counts
    """Of their rows."""
    foreign: list[str]
    """Keys that are taken by something that is not ours."""


class Assembler:
    """Brings one read of one day into the store.

    Args:
        store: where to.
        source, day: of what.
        spool: what was read.
        compression: of new parts.
        largest: bytes of a part, compressed, at most.
        ask: gives the rows of some stretches as the platform shows them now; None where it cannot be asked.
        redaction: the policy that the spool's rows went through.
        seen: where a row that was not read must be shown by now to be believed; None for what the spool proves.
    """

    def __init__(
        self,
        store: ObjectStore,
        source: LogSource,
        day: date,
        spool: Spool,
        compression: Compression,
        largest: int = LARGEST_PART,
        ask: Callable[[list[Span]], Iterable[Row]] | None = None,
        redaction: RedactionPolicy | None = None,
        seen: list[Span] | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._day = day
        self._span: Span = day_span(day)
        self._spool = spool
        self._compression: Compression = compression
        self._largest = largest
        self._ask = ask
        self._redaction = redaction
        self._seen = subtract_spans(spool.covered, [doubt.span for doubt in spool.doubts]) if seen is None else seen

    def run(self, latest: Manifest | None) -> Assembled:
        """Writes what is missing after `latest`; parts written by an earlier call are found again and adopted."""
        committed = [file for file in latest.files if file.format == "jsonl"] if latest else []
        number = next_number(latest)
        adopted: list[File] = []
        adopted_counts: list[Counts] = []
        foreign: list[str] = []
        for _ in range(1000):
            while (taken := self._taken_key(number)) is not None:
                found = self._adopt(taken, committed + adopted)
                if found is None:
                    foreign.append(taken)
                else:
                    adopted.append(found[0])
                    adopted_counts.append(found[1])
                number += 1
            written = self._write(number, committed + adopted)
            if written is None:
                return Assembled(adopted, total(adopted_counts), foreign)
            file, counts, is_ours, is_last = written
            if not is_ours:
                continue  # the number was taken meanwhile: look at what is there
            adopted.append(file)
            adopted_counts.append(counts)
            number += 1
            if is_last:
                return Assembled(adopted, total(adopted_counts), foreign)
        raise ArchiveError(
            "A thousand part numbers in a row are taken.", "Something else writes into this archive.", str(self._source)
        )

    # -- what is there already ---------------------------------------------------------------------------------------

    def _taken_key(self, number: int) -> str | None:
        for compression in ("gzip", "zstd"):
            key = part_key(self._store.prefix, "jsonl", self._source, self._day, number, compression)
            stream = self._store.open(key)
            if stream is not None:
                with stream:
                    return key
        return None

    def _adopt(self, key: str, known: list[File]) -> tuple[File, Counts] | None:
        """The part as a file of this day, when nothing that was read contradicts it; None when it is foreign."""
        counts = Counts()
        batch: list[Row] = []
        mine, others = _Cursor(self._rows()), _Cursor(self._archived(known))
        before: tuple[int, str] | None = None
        lacking: set[tuple[int, str]] = set()
        try:
            for row in read_part_rows(self._store, key):
                at = (row.logged_at, row.log_id)
                if not self._span.start <= row.logged_at < self._span.end or (before is not None and at <= before):
                    return None
                before = at
                was_read = mine.has(at)
                if others.has(at) or not self._went_through(row, mine.row):
                    return None
                if not was_read and any(span.start <= row.logged_at < span.end for span in self._seen):
                    lacking.add(at)
                    if len(lacking) > _MOST_LACKING:
                        return None
                batch.append(row)
                if len(batch) >= 1000:
                    counts.add(Counts.of(batch, self._span.start))
                    batch.clear()
        except (PartError, RedactionError):
            return None
        if before is None or not self._are_shown(lacking):
            return None
        counts.add(Counts.of(batch, self._span.start))
        size, sha256 = self._hash(key)
        return self._file(key, size, sha256, counts), counts

    def _went_through(self, row: Row, read: Row | None) -> bool:
        """Whether the policy has nothing to take out of the row: it is the very one that was read, or stays as it is."""
        return self._redaction is None or row == read or self._redaction.redact(row) is row

    def _are_shown(self, lacking: set[tuple[int, str]]) -> bool:
        """Whether the platform shows all of these rows by now."""
        if not lacking:
            return True
        if self._ask is None:
            return False
        step = SECOND if len(lacking) <= _FEW else 900 * SECOND
        stretches = join_spans(Span(at // step * step, at // step * step + step) for at, _ in lacking)
        missing = set(lacking)
        for row in self._ask(stretches):
            missing.discard((row.logged_at, row.log_id))
        return not missing

    def _hash(self, key: str) -> tuple[int, str]:
        stream = self._store.open(key)
        if stream is None:
            raise ArchiveError(f"{key} was there a moment ago and is gone.", "Something deletes from this archive.")
        digest, size = hashlib.sha256(), 0
        with stream as chunks:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()

    def _archived(self, files: list[File]) -> Iterator[Row]:
        parts = [
            OrderedPart(
                file.key,
                self._span.start if file.first is None else parse_instant(file.first),
                lambda key=file.key: read_part_rows(self._store, key),
            )
            for file in files
        ]
        for _, row in merge_parts(parts):
            yield row

    # -- what was read -----------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Row]:
        """Every row that was read, in order, each once."""
        if not self._spool.has_loose_rows:
            for found in self._spool.ordered:
                yield from self._spool.rows_of(found)
            return
        parts = [
            OrderedPart(n, found.lo, lambda found=found: self._spool.rows_of(found))
            for n, found in enumerate(self._spool.slices)
        ]
        before: tuple[int, str] | None = None
        for _, row in merge_parts(parts):
            if (row.logged_at, row.log_id) != before:
                before = (row.logged_at, row.log_id)
                yield row

    def _new_rows(self, known: list[File]) -> Iterator[Row]:
        others = _Cursor(self._archived(known))
        for row in self._rows():
            if not others.has((row.logged_at, row.log_id)):
                yield row

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, number: int, known: list[File]) -> tuple[File, Counts, bool, bool] | None:
        """Writes the next part; None when nothing is left to write. Flags: the number was free; all that was left is in it."""
        path = self._spool.folder / f"part-{number:05d}"
        try:
            size, sha256, counts, is_last = self._build(path, known)
            if counts.rows == 0:
                return None
            key = part_key(self._store.prefix, "jsonl", self._source, self._day, number, self._compression)
            with path.open("rb") as body:
                ours = self._store.create(key, body, sha256=sha256, size=size, content_type=CONTENT_TYPES[self._compression])
            return self._file(key, size, sha256, counts), counts, ours, is_last
        finally:
            path.unlink(missing_ok=True)

    def _build(self, path: Path, known: list[File]) -> tuple[int, str, Counts, bool]:
        pieces = self._joined() if not known and not self._spool.has_loose_rows else self._merged(known)
        digest, size, counts, is_last = hashlib.sha256(), 0, Counts(), True
        try:
            with path.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                for packed, piece_counts in pieces:
                    if size and size + len(packed) > self._largest:
                        is_last = False
                        break
                    file.write(packed)
                    digest.update(packed)
                    size += len(packed)
                    counts.add(piece_counts)
        except OSError as error:
            raise disk_error(error, path.parent) from error
        return size, digest.hexdigest(), counts, is_last

    def _joined(self) -> Iterator[tuple[bytes, Counts]]:
        """The slices as they are: nothing is compressed again."""
        for found in self._spool.ordered:
            if found.counts.rows:
                yield self._spool.bytes_of(found), found.counts

    def _merged(self, known: list[File]) -> Iterator[tuple[bytes, Counts]]:
        """Only the rows that the archive does not hold."""
        batch: list[Row] = []
        size = 0
        for row in self._new_rows(known):
            batch.append(row)
            size += len(row.raw)
            if size >= _BATCH:
                yield self._pack(batch)
                batch, size = [], 0
        if batch:
            yield self._pack(batch)

    def _pack(self, rows: list[Row]) -> tuple[bytes, Counts]:
        body = b"\n".join([row.raw for row in rows]) + b"\n"
        return compress(body, self._compression), Counts.of(rows, self._span.start)

    def _file(self, key: str, size: int, sha256: str, counts: Counts) -> File:
        return File(
            key=key,
            format="jsonl",
            bytes=size,
            rows=counts.rows,
            sha256=sha256,
            first=None if counts.first is None else format_instant(counts.first),
            last=None if counts.last is None else format_instant(counts.last),
            redaction=self._redaction.sha256 if self._redaction else None,
        )


class _Cursor:
    """Answers, for keys that only grow, whether a series of rows in order holds them."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.row = next(rows, None)
        """The oldest row that is not older than the keys so far."""

    def has(self, key: tuple[int, str]) -> bool:
        while self.row is not None and (self.row.logged_at, self.row.log_id) < key:
            self.row = next(self._rows, None)
        return self.row is not None and (self.row.logged_at, self.row.log_id) == key
