"""The spool: what has been read of a day, on local disk, until it is committed.

Rows come newest first, in stretches that are proven complete. A slice is a run of such stretches, turned around and
compressed into its final encoding, so that a part is made by joining slices. Each slice is one append to ``rows.bin`` and
one line in ``index.jsonl`` that names its place, its SHA-256 and the stretch it covers. After a kill, lines that are whole
and slices whose hash holds are believed; the rest is read again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
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
from .errors import DiskFullError, SpoolError
from .part_stream import inflate, split_lines
from .redaction import RedactionPolicy

_SMALLEST = 64 * 1024
_LARGEST = 1024 * 1024


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


class Purpose(msgspec.Struct, frozen=True):
    """What the read is for. A spool with another purpose is stale: its rows answer another question."""

    revision: int
    """The revision that the read will become."""
    compression: str
    redaction: str | None
    format: int = 1


class Slice(msgspec.Struct):
    """A run of rows in its final encoding."""

    offset: int
    length: int
    sha256: str
    lo: int
    hi: int
    whole_from: int
    """From here up to `hi` every row is there; below, the platform may have stopped showing some."""
    loose: bool
    """Rows of a stretch that is not proven complete, or that turned up late: they cover nothing and may repeat others."""
    counts: Counts


class _Header(msgspec.Struct):
    purpose: Purpose
    started_at: float


class _Open:
    """A slice being filled, newest rows first."""

    def __init__(self, hi: int) -> None:
        self.hi = hi
        self.lo = hi
        self.rows: list[Row] = []
        self.bytes = 0
        self.whole_from: int | None = None


def default_root() -> Path:
    """Where spools are kept: ``$PREFECT_DEEPSET_SPOOL``, else the user's cache folder."""
    if named := os.environ.get("PREFECT_DEEPSET_SPOOL"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "prefect-deepset" / "spool"
    except RuntimeError:  # no home
        return Path(tempfile.gettempdir()) / f"prefect-deepset-{os.getuid()}"


class Spool:
    """One day's spool; a context manager that holds its lock.

    Args:
        root: the folder of all spools; made with mode 0700.
        key: what it belongs to. When another process holds it, a private, temporary one is used instead.
        purpose: what the read is for.
        started_at: seconds since 1970, for a new spool.
        not_before: an older spool than this is stale.
        day: the day, as a span.

    Raises:
        SpoolError: the folder belongs to someone else, or cannot be made.
    """

    def __init__(self, root: Path, key: SpoolKey, purpose: Purpose, day: Span, started_at: float, not_before: float = 0.0,
                 redaction: RedactionPolicy | None = None) -> None:
        self.day = day
        self.slices: list[Slice] = []
        self.started_at = started_at
        self.resumed = False
        self._purpose = purpose
        self._compression: Compression = "zstd" if purpose.compression == "zstd" else "gzip"
        self._redaction = redaction
        self._open: dict[int, _Open] = {}
        self._written = 0
        self._private = False
        self.folder = _own_folder(root / key.folder)
        self._lock = filelock.FileLock(str(self.folder) + ".lock", timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            self._private = True  # another run reads the same day: both may, the archive sorts it out
            self.folder = Path(tempfile.mkdtemp(prefix="private-", dir=root))
        try:
            self._load(not_before)
            self._data = (self.folder / "rows.bin").open("ab")
            self._index = (self.folder / "index.jsonl").open("ab")
            if not self.resumed:
                self._index.write(msgspec.json.encode(_Header(purpose, started_at)) + b"\n")
                self._index.flush()
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
        if self._private:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def _load(self, not_before: float) -> None:
        """Believes what an earlier read left, as far as it is whole, or starts anew."""
        index, data = self.folder / "index.jsonl", self.folder / "rows.bin"
        lines = index.read_bytes().split(b"\n")[:-1] if index.exists() else []
        try:
            header = msgspec.json.decode(lines[0], type=_Header) if lines else None
        except msgspec.DecodeError:
            header = None
        if header is None or header.purpose != self._purpose or header.started_at < not_before or not data.exists():
            index.unlink(missing_ok=True)
            data.unlink(missing_ok=True)
            return
        with data.open("rb") as file:
            for line in lines[1:]:
                try:
                    found = msgspec.json.decode(line, type=Slice)
                except msgspec.DecodeError:
                    break
                file.seek(found.offset)
                if not found.loose and hashlib.sha256(file.read(found.length)).hexdigest() == found.sha256:
                    self.slices.append(found)
        self._drop_overlaps()
        self._written = sum(found.length for found in self.slices)
        self.started_at = header.started_at
        self.resumed = True

    def _drop_overlaps(self) -> None:
        kept: list[Slice] = []
        for found in sorted(self.slices, key=lambda one: one.lo):
            if not kept or kept[-1].hi <= found.lo:
                kept.append(found)
        self.slices = kept

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
        rows = increment.rows
        if self._redaction is not None:
            for row in rows:
                row.raw = self._redaction.apply(row.raw)
        held.rows.extend(rows)
        held.bytes += sum([len(row.raw) for row in rows])
        # Small at first, so that a kill costs little; larger as the day grows, so that slices stay few.
        if held.bytes >= max(_SMALLEST, min(_LARGEST, self._written // 16)):
            self._write(held)
        else:
            self._open[held.lo] = held

    def add_loose(self, rows: list[Row]) -> None:
        """Takes rows that prove nothing: of stretches that could not be read whole, or that turned up late."""
        if not rows:
            return
        if self._redaction is not None:
            for row in rows:
                row.raw = self._redaction.apply(row.raw)
        held = _Open(max(row.logged_at for row in rows) + 1)
        held.lo = min(row.logged_at for row in rows)
        held.rows = sorted(rows, reverse=True)
        self._write(held, loose=True)

    def flush(self) -> None:
        """Closes every slice."""
        for held in list(self._open.values()):
            self._write(held)
        self._open.clear()

    def _write(self, held: _Open, *, loose: bool = False) -> None:
        held.rows.reverse()
        body = b"\n".join([row.raw for row in held.rows]) + b"\n" if held.rows else b""
        packed = compress(body, self._compression) if body else b""
        try:
            offset = self._data.seek(0, os.SEEK_END)
            self._data.write(packed)
            self._data.flush()
            found = Slice(offset, len(packed), hashlib.sha256(packed).hexdigest(), held.lo, held.hi,
                          held.lo if held.whole_from is None else held.whole_from, loose, Counts.of(held.rows, self.day.start))
            self._index.write(msgspec.json.encode(found) + b"\n")
            self._index.flush()
        except OSError as error:
            raise disk_error(error, self.folder) from error
        self._written += len(packed)
        self.slices.append(found)

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def covered(self) -> list[Span]:
        """The stretches that are proven complete, oldest first."""
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
        for name in ("rows.bin", "index.jsonl"):
            (self.folder / name).unlink(missing_ok=True)
        for leftover in self.folder.glob("part-*"):
            leftover.unlink(missing_ok=True)
        self.slices.clear()


def join_spans(spans: Iterable[Span]) -> list[Span]:
    """The union, oldest first, spans that touch made one; empty ones left out."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def subtract_spans(wanted: Iterable[Span], covered: Iterable[Span]) -> list[Span]:
    """What of `wanted` is not in `covered`, oldest first."""
    holes: list[Span] = []
    taken = join_spans(covered)
    for span in join_spans(wanted):
        start = span.start
        for other in taken:
            if other.end <= start or other.start >= span.end:
                continue
            if other.start > start:
                holes.append(Span(start, other.start))
            start = max(start, other.end)
        if start < span.end:
            holes.append(Span(start, span.end))
    return holes


def _own_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise SpoolError(f"The spool folder {folder.parent} holds something that belongs to another user.",
                             "Set PREFECT_DEEPSET_SPOOL to a folder of your own.")
        folder.chmod(0o700)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


def disk_error(error: OSError, folder: Path) -> SpoolError:
    """What an operating system's error in the spool's folder is called."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DiskFullError(f"No space is left for the spool in {folder.parent}.",
                             "What was read is kept: free space and run again, or set PREFECT_DEEPSET_SPOOL to another disk.")
    return SpoolError(f"The spool in {folder.parent} cannot be used: {error.strerror}.",
                      "Set PREFECT_DEEPSET_SPOOL to a folder that this user can write to.")
