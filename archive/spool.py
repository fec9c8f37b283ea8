"""The spool: what has been read of a day, on local disk, until it is committed.

Rows come newest first, in stretches that are proven complete. A slice is a run of such stretches, turned around and
compressed into its final encoding, so that a part is made by joining slices. Each slice is one append to ``rows.bin`` and
one line in ``index`` that names its place, its SHA-256 and the stretch it covers. After a kill, lines that are whole and
slices whose hash holds are believed; the rest is read again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import msgspec

from ..api.learned import shown_since
from ..api.rows import Row, decode_row
from ..api.times import Span
from ..api.walk import Increment
from .compression import Compression, compress
from .counts import Counts
from .errors import SpoolError
from .memory import give_back
from .part_stream import inflate, split_lines
from .redaction import RedactionPolicy
from .spans import join_spans
from .spool_folder import disk_error, own_folder, sweep
from .spool_index import Doubt, Entry, Header, Purpose, Slice, entries, line_of

_SMALLEST = 32 * 1024
_LARGEST = 512 * 1024
_GIVE_BACK_AFTER = 16 * 1024 * 1024
"""Bytes of rows after which free memory is given back."""


class SpoolKey(msgspec.Struct, frozen=True):
    """What a spool belongs to. `api_key_hash` keeps one user's rows out of another's archive."""

    host: str
    api_key_hash: str
    bucket: str
    prefix: str
    source: str
    day: str

    @property
    def folder(self) -> str:
        """A name without secrets in it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]


class _Open:
    """A slice being filled, newest rows first. Rows become text at once: many small objects that live long would leave the
    memory in pieces too small to use again."""

    def __init__(self, hi: int) -> None:
        self.hi = hi
        self.lo = hi
        self.bytes = 0
        self.counts = Counts()
        self.whole_from: int | None = None
        self._texts: list[bytes] = []

    def add(self, rows: list[Row], day_start: int) -> None:
        """Takes rows that are older than those before, newest first."""
        if not rows:
            return
        ordered = rows[::-1]
        counts = Counts.of(ordered, day_start)
        counts.add(self.counts)
        self.counts = counts
        self._texts.append(b"\n".join([row.raw for row in ordered]))
        self.bytes += len(self._texts[-1])

    def body(self) -> bytes:
        """All rows, oldest first, a line each."""
        return b"\n".join(self._texts[::-1]) + b"\n" if self._texts else b""


class Spool:
    """One day's spool; a context manager that holds its lock.

    Args:
        root: the folder of all spools; made with mode 0700.
        key: what it belongs to. When another process holds it, a private, temporary one is used instead.
        purpose: what the read is for.
        started_at: seconds since 1970, for a new spool.
        not_before: an older spool than this is set aside.
        day: the day, as a span.

    Raises:
        SpoolError: the folder belongs to someone else, or cannot be made.
    """

    def __init__(self, root: Path, key: SpoolKey, purpose: Purpose, day: Span, started_at: float, not_before: float = 0.0,
                 redaction: RedactionPolicy | None = None) -> None:
        self.day = day
        self.slices: list[Slice] = []
        self.doubts: list[Doubt] = []
        self.started_at = started_at
        self.resumed = False
        self._purpose = purpose
        self._compression: Compression = "zstd" if purpose.compression == "zstd" else "gzip"
        self._redaction = redaction
        self._open: dict[int, _Open] = {}
        self._written = 0
        self._taken = 0
        self._private = False
        self._discarded = False
        self.folder = root / key.folder
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweep(root)
            self._lock = filelock.FileLock(f"{self.folder}.lock", timeout=0, mode=0o600)
            self._lock.acquire()
        except filelock.Timeout:
            self._private = True  # another run reads the same day: both may, the archive sorts it out
            self.folder = Path(tempfile.mkdtemp(prefix="private-", dir=root))
        except OSError as error:
            raise disk_error(error, self.folder) from error
        try:
            own_folder(self.folder)  # under the lock: its last owner may just have removed it
            fits = self._load(not_before)
            self._data = (self.folder / "rows.bin").open("ab")
            self._index = (self.folder / "index").open("ab")
            # After a kill the last line may lack its end: what follows it must not be lost with it.
            self._index.write(b"\n" if self.resumed else line_of(Header(purpose, started_at)))
            self._index.flush()
            if not fits:
                self.set_aside(started_at)
        except SpoolError:
            self._lock.release()
            raise
        except OSError as error:
            self._lock.release()
            raise disk_error(error, self.folder) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in (self._data, self._index):
            try:
                file.close()
            except OSError:  # a full disk, said already
                continue
        if self._private or self._discarded:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def _load(self, not_before: float) -> bool:
        """Believes what an earlier read left, as far as it is whole, or starts anew. Whether it was read for the same purpose,
        and recently enough to go on from it."""
        index, data = self.folder / "index", self.folder / "rows.bin"
        header: Header | None = None
        slices: list[Slice] = []
        doubts: list[Doubt] = []
        for entry in entries(index.read_bytes()) if index.exists() and data.exists() else ():
            if isinstance(entry, Header):
                header, slices, doubts = entry, _loosened(slices), []
            elif isinstance(entry, Slice):
                slices.append(entry)
            else:
                doubts.append(entry)
        if header is None or not header.purpose.shares_rows_with(self._purpose):
            self._forget()
            return True
        with data.open("rb") as file:
            for found in slices:
                file.seek(found.offset)
                if hashlib.sha256(file.read(found.length)).hexdigest() == found.sha256:
                    self.slices.append(found)
        self._drop_overlaps()
        # Where nothing is left of a stretch, it is read again, and so is its tie.
        self.doubts = [doubt for doubt in doubts if any(doubt.overlaps(Span(one.lo, one.hi)) for one in self.ordered)]
        self._written = sum(found.length for found in self.slices)
        self.started_at = header.started_at
        self.resumed = True
        return self._purpose.goes_on(header.purpose) and header.started_at >= not_before

    def _forget(self) -> None:
        for path in (self.folder / "index", self.folder / "rows.bin", *self.folder.glob("part-*")):
            path.unlink(missing_ok=True)

    def _drop_overlaps(self) -> None:
        kept: list[Slice] = []
        for found in self.ordered:
            if not kept or kept[-1].hi <= found.lo:
                kept.append(found)
        self.slices = [*kept, *(found for found in self.slices if found.loose)]

    # -- writing -----------------------------------------------------------------------------------------------------

    def add(self, increment: Increment) -> None:
        """Takes a stretch that is proven complete. Stretches of several walks may come in any order.

        Raises:
            DiskFullError: what is on disk stays.
        """
        held = self._open.pop(increment.hi, None) or _Open(increment.hi)
        if held.whole_from is None:
            shown = shown_since(increment.answered_at)
            if shown > increment.lo:
                held.whole_from = min(shown, increment.hi)
        held.lo = increment.lo
        held.add(self._redacted(increment.rows), self.day.start)
        # Small at first, so that a kill costs little; larger as the day grows, so that slices stay few. All open ones together
        # are a small part of what is on disk, however many walks there are.
        if held.bytes >= max(_SMALLEST, min(_LARGEST, self._written // (2 * len(self._open) + 2))):
            self._write(held)
        else:
            self._open[held.lo] = held

    def add_loose(self, rows: list[Row]) -> None:
        """Takes rows that prove nothing: of stretches that could not be read whole, or that turned up late."""
        if not rows:
            return
        held = _Open(max(row.logged_at for row in rows) + 1)
        held.lo = min(row.logged_at for row in rows)
        held.add(sorted(self._redacted(rows), reverse=True), self.day.start)
        self._write(held, loose=True)

    def set_aside(self, started_at: float) -> None:
        """Begins the read anew: the rows that are there stay, and are proof of nothing.

        Raises:
            DiskFullError: what is on disk stays.
        """
        self.slices, self.doubts, self.started_at = _loosened(self.slices), [], started_at
        self._note(Header(self._purpose, started_at))

    def add_doubt(self, span: Span, rows: int) -> None:
        """Takes note of a tie that is not proven complete, before any stretch over it is added: a kill must not forget it.

        Raises:
            DiskFullError: what is on disk stays.
        """
        doubt = Doubt(span.start, span.end, rows)
        if doubt in self.doubts:
            return
        self._note(doubt)
        self.doubts.append(doubt)

    def _note(self, entry: Entry) -> None:
        try:
            self._index.write(line_of(entry))
            self._index.flush()
        except OSError as error:
            raise disk_error(error, self.folder) from error

    def flush(self) -> None:
        """Closes every slice."""
        for held in list(self._open.values()):
            self._write(held)
        self._open.clear()

    def _redacted(self, rows: list[Row]) -> list[Row]:
        """The rows as they may be kept: what is counted of them (types of exceptions) is redacted too."""
        return rows if self._redaction is None else [self._redaction.redact(row) for row in rows]

    def _write(self, held: _Open, *, loose: bool = False) -> None:
        body = held.body()
        packed = compress(body, self._compression) if body else b""
        try:
            offset = self._data.seek(0, os.SEEK_END)
            self._data.write(packed)
            self._data.flush()
            found = Slice(offset, len(packed), hashlib.sha256(packed).hexdigest(), held.lo, held.hi,
                          held.lo if held.whole_from is None else held.whole_from, loose, held.counts)
            self._index.write(line_of(found))
            self._index.flush()
        except OSError as error:
            raise disk_error(error, self.folder) from error
        self._written += len(packed)
        self.slices.append(found)
        self._taken += held.bytes
        if self._taken >= _GIVE_BACK_AFTER:
            self._taken = 0
            give_back()

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def covered(self) -> list[Span]:
        """The stretches that are proven complete, oldest first; `doubts` are not taken off."""
        return join_spans(Span(found.whole_from, found.hi) for found in self.slices if not found.loose)

    @property
    def read(self) -> list[Span]:
        """The stretches that were read to their end, proven or not."""
        return join_spans(Span(found.lo, found.hi) for found in self.slices if not found.loose)

    @property
    def ordered(self) -> list[Slice]:
        """The slices that are not loose, oldest first; joined in this order they are the rows in order."""
        return sorted((found for found in self.slices if not found.loose), key=lambda found: found.lo)

    @property
    def has_loose_rows(self) -> bool:
        """Whether some rows must be merged instead of joined."""
        return any(found.loose for found in self.slices)

    def bytes_of(self, found: Slice) -> bytes:
        """A slice's bytes.

        Raises:
            SpoolError: when they are not what was written.
        """
        with (self.folder / "rows.bin").open("rb") as file:
            file.seek(found.offset)
            packed = file.read(found.length)
        if hashlib.sha256(packed).hexdigest() != found.sha256:
            raise SpoolError("The spool changed on disk while it was read.", "Run again; what is damaged is read anew.")
        return packed

    def rows_of(self, found: Slice) -> Iterator[Row]:
        """A slice's rows, oldest first."""
        suffix = ".zst" if self._compression == "zstd" else ".gz"
        if found.length:
            for line in split_lines(inflate(f"spool{suffix}", [self.bytes_of(found)])):
                yield decode_row(line)

    def discard(self) -> None:
        """Forgets everything: the day is committed."""
        self._forget()
        self.slices.clear()
        self._discarded = True


def _loosened(slices: list[Slice]) -> list[Slice]:
    return [msgspec.structs.replace(found, loose=True) for found in slices]
