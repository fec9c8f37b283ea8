"""The manifest's write: the commit, and who won it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.errors import DeepsetError
from ..api.reader import TieFound
from ..api.sources import LogSource
from ..api.times import format_instant, parse_instant
from .assemble import Assembled
from .chain import StoredManifest
from .copies import missing_copies
from .counts import Counts
from .gaps import Hole, gap_of
from .keys import manifest_key
from .manifest import Manifest, Previous, Source, Status, Tie, TimeSpan, Total, sha256_hex
from .objects import ObjectStore
from .plan import SETTLE_LAG, time_text
from .signing import sign

if TYPE_CHECKING:
    from .day import ArchiveOptions


class Outcome(NamedTuple):
    """What one read found out, apart from its rows."""

    source: Source
    day: date
    span: TimeSpan
    started_at: float
    whole: bool
    """Whether it set out to read the whole day."""
    holes: list[Hole]
    ended: bool
    ties: list[TieFound]
    repeats: int
    requests: int
    retries: int
    total_reported: int | None
    total_agrees: bool | None
    read_error: DeepsetError | None


def commit(
    store: ObjectStore,
    source: LogSource,
    options: ArchiveOptions,
    outcome: Outcome,
    assembled: Assembled,
    latest: StoredManifest | None,
    folder: Path,
    now: float,
) -> tuple[StoredManifest, bool] | None:
    """Writes the next revision if there is something to say.

    Returns:
        The newest manifest and whether this call wrote it; None when someone else committed first, and the caller must look
        at what they wrote.

    Raises:
        DeepsetError: the second read of a sealed day failed in part, and there is nothing new to commit.
    """
    before = latest.manifest if latest else None
    files = [*(before.files if before else []), *assembled.files]
    status = status_of(outcome, before, assembled.counts.rows, now)
    if latest is not None and before is not None and not _says_something_new(before, status, outcome, assembled):
        if outcome.read_error is not None and before.status == "sealed":
            raise outcome.read_error
        return latest, False
    files += missing_copies(store, source, outcome.day, files, options.formats, folder)
    manifest = _manifest(options, outcome, assembled.counts, before, status)
    manifest = manifest.model_copy(
        update={
            "files": files,
            "previous": Previous(key=latest.key, sha256=latest.sha256) if latest else None,
        }
    )
    if options.signing_key is not None:
        manifest = sign(manifest, options.signing_key)
    key = manifest_key(store.prefix, source, outcome.day, manifest.revision)
    body = manifest.to_bytes()
    digest = sha256_hex(body)
    if store.create(key, body, sha256=digest, size=len(body), content_type="application/json") or store.get(key) == body:
        return StoredManifest(key, digest, manifest), True
    return None


def status_of(outcome: Outcome, before: Manifest | None, new_rows: int, now: float) -> Status:
    """The status of the day after this read."""
    if any(hole.mendable(now) for hole in outcome.holes):
        return "open"
    if outcome.holes:
        return "gap"
    if before is not None and before.status in {"sealed", "settled"}:
        # Already read whole once: new rows start the wait for another read, none end it.
        return "settled" if not new_rows and outcome.whole and outcome.read_error is None else "sealed"
    day_end = parse_instant(outcome.span.end) / 1e9
    return "sealed" if outcome.started_at >= day_end + SETTLE_LAG else "open"


def _says_something_new(before: Manifest, status: Status, outcome: Outcome, assembled: Assembled) -> bool:
    if assembled.counts.rows or assembled.files:
        return True
    if before.status == "settled" or (before.status == "sealed" and status == "sealed"):
        return False
    gaps = [gap_of(hole, format_instant) for hole in outcome.holes]
    return status != before.status or gaps != before.gaps or outcome.ended != before.ended or before.status == "open"


def _manifest(options: ArchiveOptions, outcome: Outcome, added: Counts, before: Manifest | None, status: Status) -> Manifest:
    counts = Counts()
    if before is not None:
        counts = Counts.of_manifest(
            before,
            None if before.first is None else parse_instant(before.first),
            None if before.last is None else parse_instant(before.last),
        )
    counts.add(added)
    was_whole = before is not None and before.status in {"sealed", "settled"}
    values: dict[str, Any] = counts.fields()
    return Manifest(
        tool_version=options.tool_version,
        source=outcome.source,
        dt=outcome.day.isoformat(),
        revision=(before.revision if before else 0) + 1,
        status=status,
        span=outcome.span,
        read_at=time_text(outcome.started_at),
        late_rows=added.rows if was_whole else 0,
        repeats_dropped=outcome.repeats,
        total=Total(reported=outcome.total_reported, agrees=outcome.total_agrees),
        unresolved_ties=[
            Tie(start=format_instant(tie.span.start), end=format_instant(tie.span.end), rows=tie.rows) for tie in outcome.ties
        ],
        gaps=[gap_of(hole, format_instant) for hole in outcome.holes],
        requests=outcome.requests,
        retries=outcome.retries,
        ended=outcome.ended,
        redaction=options.redaction.sha256 if options.redaction else None,
        **values,
    )
