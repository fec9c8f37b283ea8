"""The spool's index: what was read for which purpose, one checked line each, so that a torn or damaged line is not believed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from ..api.times import Span
from .counts import Counts


class Purpose(msgspec.Struct, frozen=True):
    """What the read is for. Read for another revision, rows answer another question: they count, their stretches do not."""

    revision: int
    """The revision that the read will become."""
    compression: str
    redaction: str | None
    """`RedactionPolicy.keyed_sha256`: hashes made with another salt are other values."""
    pipeline_id: str | None = None
    """Of the pipeline that is read. One made again under its name proves nothing about the time before it; None is any."""
    format: int = 2

    def shares_rows_with(self, other: Purpose) -> bool:
        """Whether the rows of one are rows for the other, though they may prove nothing there."""
        return (self.compression, self.redaction, self.format) == (other.compression, other.redaction, other.format)

    def goes_on(self, earlier: Purpose) -> bool:
        """Whether what was read for the earlier one proves as much for this one."""
        ids = (self.pipeline_id, earlier.pipeline_id)
        return msgspec.structs.replace(earlier, pipeline_id=self.pipeline_id) == self and (None in ids or ids[0] == ids[1])


class Header(msgspec.Struct, tag="header"):
    """Where a read begins: what stands above it in the index is loose."""

    purpose: Purpose
    started_at: float


class Slice(msgspec.Struct, tag="slice"):
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


class Doubt(msgspec.Struct, tag="doubt", frozen=True):
    """A tie that was passed without proof that all of it was read: slices over it cover it no more."""

    start: int
    end: int
    rows: int

    @property
    def span(self) -> Span:
        """Where it is."""
        return Span(self.start, self.end)

    def overlaps(self, span: Span) -> bool:
        """Whether some of it is in the span."""
        return self.start < span.end and span.start < self.end


Entry = Header | Slice | Doubt
_decode = msgspec.json.Decoder(Entry).decode


def line_of(entry: Entry) -> bytes:
    """The entry's line, its check in front."""
    body = msgspec.json.encode(entry)
    return b"%s %s\n" % (_check(body), body)


def entries(index: bytes) -> Iterator[Entry]:
    """The entries of all lines that are as they were written."""
    for line in index.split(b"\n"):
        check, _, body = line.partition(b" ")
        if body and check == _check(body):
            try:
                yield _decode(body)
            except msgspec.DecodeError:  # written by another version
                continue


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
