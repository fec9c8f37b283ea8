"""The manifest: what one revision of one archived day holds, and how sure that is. Writing it is the commit."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..api.times import day_of, parse_instant
from .errors import ManifestError

FORMAT_VERSION = 1
MOST_KINDS = 100
"""Of exceptions, in one manifest."""

_OPTIONAL = ("other_exceptions", "plain_errors")
"""Fields that a manifest has only where they say something."""

Status = Literal["open", "sealed", "settled", "gap"]


def _instant(text: str) -> str:
    parse_instant(text)  # raises ValueError
    return text


Instant = Annotated[str, AfterValidator(_instant)]
"""RFC 3339, UTC: kept as the text it is."""
_Hours = Annotated[list[int], Field(min_length=24, max_length=24)]


class _Part(BaseModel):
    # Unknown fields of a newer tool survive being read by an older one.
    model_config = ConfigDict(extra="allow", frozen=True)


class Source(_Part):
    """Where the rows come from. A host or workspace_id that changes is an error; a pipeline_id may change."""

    host: str
    workspace: str
    workspace_id: str | None = None
    pipeline: str
    """The pipeline's (or the index's) name."""
    pipeline_id: str | None = None
    kind: Literal["pipeline", "index"] = "pipeline"


class TimeSpan(_Part):
    """Half-open: start <= t < end. RFC 3339, UTC."""

    start: Instant
    end: Instant


class Gap(TimeSpan):
    """A stretch that was not read, and why.

    Reasons: ``before-first-run`` (no fault), ``retention`` (no longer shown), ``not-over`` (the day was not over),
    ``pipeline-gone``, ``pipeline-replaced`` (by another of its name), ``unresolved-tie``, ``gateway-timeout``, ``time-budget``,
    ``cursor``, ``unreadable``, ``refused``, ``error``.
    """

    reason: str


class Tie(TimeSpan):
    """Rows of (nearly) one instant that could not be proven complete."""

    rows: int
    """Rows of it that were read and kept."""


class Total(_Part):
    """What the server's own `total` said; a cross-check, never the truth."""

    reported: int | None = None
    agrees: bool | None = None
    """None where what `total` counts could not be told."""


class File(_Part):
    """One object of the archive."""

    key: str
    format: str
    bytes: int
    rows: int
    sha256: str
    """Hex, of the object's bytes."""
    first: Instant | None = None
    last: Instant | None = None
    redaction: str | None = None
    """SHA-256 of the redaction policy that all rows of the object went through; None where that is of none known."""


class Previous(_Part):
    """The revision before."""

    key: str
    sha256: str


class ExceptionCount(_Part):
    """One kind of exception seen in the day's rows."""

    type: str
    frame: str = ""
    """Innermost frame, ``module:line``; empty where there was no trace."""
    count: int
    log_id: str = ""
    """One row that shows it."""


class PlainErrors(_Part):
    """Error rows that carry no exception: a logged message and nothing else."""

    level: str
    """In lower case."""
    count: int
    log_id: str = ""
    """One of them."""


class Manifest(_Part):
    """One revision of one day. Small: it grows with parts and gaps, not with rows."""

    format_version: int = FORMAT_VERSION
    tool_version: str = ""
    source: Source
    dt: str
    """The UTC day, YYYY-MM-DD."""
    revision: int
    status: Status
    span: TimeSpan
    read_at: Instant
    """When the read behind this revision began."""
    rows: int = 0
    errors: int = 0
    """Rows whose level is error, critical or fatal, any case."""
    rows_by_level: dict[str, int] = Field(default_factory=dict)
    """Keys as they came."""
    rows_by_origin: dict[str, int] = Field(default_factory=dict)
    rows_by_hour: _Hours = Field(default_factory=lambda: [0] * 24)
    errors_by_hour: _Hours = Field(default_factory=lambda: [0] * 24)
    first: Instant | None = None
    last: Instant | None = None
    late_rows: int = 0
    """Rows that this revision added to the day after it had been read whole."""
    repeats_dropped: int = 0
    total: Total = Field(default_factory=Total)
    unresolved_ties: list[Tie] = Field(default_factory=list[Tie])
    gaps: list[Gap] = Field(default_factory=list[Gap])
    requests: int = 0
    retries: int = 0
    exceptions: list[ExceptionCount] = Field(default_factory=list[ExceptionCount])
    """The commonest kinds first, at most 100."""
    other_exceptions: int = 0
    """Exceptions of kinds that the list has no room for. Where it is not 0, what a later revision says of a kind may be too
    low by at most this many."""
    plain_errors: list[PlainErrors] = Field(default_factory=list[PlainErrors])
    """Error rows without any exception, the commonest level first."""
    files: list[File] = Field(default_factory=list[File])
    """Every object of the day, earlier revisions' included."""
    previous: Previous | None = None
    ended: bool = False
    """True when the pipeline no longer existed when this was read; see `ends_on`."""
    ended_at: Instant | None = None
    """When it was first found to be gone, on the days before this one too."""
    redaction: str | None = None
    """SHA-256 of the redaction policy that every row of the day went through; None where there is no such one. What each
    object went through is said in `files`."""
    signature: str | None = None
    """HMAC-SHA256 (hex) of the manifest's bytes without this field, where manifests are signed."""

    @property
    def final(self) -> bool:
        """Whether no later run will change the day of itself."""
        return self.status in {"settled", "gap"}

    @property
    def ends_on(self) -> date | None:
        """The last day for which a manifest is expected; None while the pipeline exists.

        That is the day in which it was found to be gone: until then it may have written. A day of which all had vanished before
        anybody archived (a date typed wrong, say) begins nothing either.
        """
        day = date.fromisoformat(self.dt)
        if not self.ended:
            return day if self._vanished_before_the_first_run else None
        return day if self.ended_at is None else max(day, day_of(parse_instant(self.ended_at)))

    @property
    def _vanished_before_the_first_run(self) -> bool:
        whole = [Gap(start=self.span.start, end=self.span.end, reason="before-first-run")]
        return self.rows == 0 and self.gaps == whole

    @property
    def closes(self) -> bool:
        """Whether nothing is due of the pipeline any more, unless it is there again."""
        return self.status != "open" and self.ends_on == date.fromisoformat(self.dt)

    @property
    def knows_all_kinds(self) -> bool:
        """Whether `exceptions` names every kind of the day: of one that a cut list lacks, nothing is known."""
        return not self.other_exceptions and len(self.exceptions) < MOST_KINDS

    def to_bytes(self) -> bytes:
        """The bytes to store: the same manifest always gives the same ones, also one from before the optional fields."""
        absent = {name for name in _OPTIONAL if not getattr(self, name)}
        return (self.model_dump_json(indent=1, exclude=absent) + "\n").encode()

    @classmethod
    def from_bytes(cls, body: bytes, key: str) -> Manifest:
        """The manifest in an object.

        Raises:
            ManifestError: when it is none, or was written by a newer, incompatible tool; names `key`.
        """
        try:
            manifest = cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise ManifestError(f"{key} is not a manifest: {place}: {first['msg']}.",
                                "Restore the object from a version or backup, or move it away and run again.") from error
        if not 1 <= manifest.format_version <= FORMAT_VERSION:
            raise ManifestError(f"{key} has format version {manifest.format_version}; this tool knows up to {FORMAT_VERSION}.",
                                "Upgrade prefect-deepset.")
        return manifest


def sha256_hex(body: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(body).hexdigest()
