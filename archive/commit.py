"""The manifest's write: the commit, and who won it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from ..api.errors import DeepsetError
from ..api.sources import LogSource
from ..api.times import SECOND, format_instant, parse_instant
from .assemble import Assembled
from .chain import StoredManifest
from .copies import missing_copies
from .counts import Counts
from .gaps import gap_of
from .holes import Hole
from .keys import manifest_key
from .manifest import File, Manifest, Previous, Source, Status, Tie, TimeSpan, Total, sha256_hex
from .objects import ObjectStore
from .options import ArchiveOptions
from .plan import SECOND_READ_AFTER, SETTLE_LAG
from .signing import sign
from .spool_index import Doubt


class Outcome(NamedTuple):
    """What one read found out, apart from its rows."""

    source: Source
    day: date
    span: TimeSpan
    read_at: str
    """When the read began, or that behind the revision it is committed upon, if that is later."""
    whole: bool
    """Whether it proved every second of the day."""
    decided_on: int
    """The newest revision when the read was decided on, 0 for none."""
    holes: list[Hole]
    ended_at: str | None
    """When the pipeline was first found to be gone."""
    ties: list[Doubt]
    """Ties in those holes."""
    repeats: int
    requests: int
    retries: int
    total_reported: int | None
    total_agrees: bool | None
    read_error: DeepsetError | None
    """Why a stretch that is still shown was not read."""


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
        DeepsetError: the read failed in part, and there is nothing new to commit.
    """
    before = latest.manifest if latest else None
    files = [*(before.files if before else []), *assembled.files]
    status = status_of(outcome, before, assembled.counts.rows, now)
    if latest is not None and before is not None and not _says_something_new(before, status, outcome, assembled):
        if outcome.read_error is not None:
            raise outcome.read_error
        return latest, False
    files += missing_copies(store, source, outcome.day, files, options.formats, folder)
    manifest = _manifest(options, outcome, assembled.counts, before, status)
    manifest = manifest.model_copy(
        update={
            "files": files,
            "redaction": _redaction(options, files),
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
        # Only a read that was decided on what this revision says settles it: one that ran beside it is no second look. Nor is
        # one that was asked for so soon after it that late rows had no time to turn up: the second read is still due then.
        due = parse_instant(before.read_at) + int(SECOND_READ_AFTER) * SECOND
        late_enough = before.status == "settled" or parse_instant(outcome.read_at) >= due
        second = outcome.whole and outcome.decided_on == before.revision and late_enough
        return "settled" if second and not new_rows else "sealed"
    return "sealed" if parse_instant(outcome.read_at) >= parse_instant(outcome.span.end) + int(SETTLE_LAG) * SECOND else "open"


def _says_something_new(before: Manifest, status: Status, outcome: Outcome, assembled: Assembled) -> bool:
    if assembled.files or (outcome.ended_at is not None) != before.ended:
        return True
    if before.status == "settled" or (before.status == "sealed" and status == "sealed"):
        return False
    gaps = [gap_of(hole) for hole in outcome.holes]
    if before.status == "open" and status == "open" and parse_instant(outcome.read_at) > parse_instant(before.read_at):
        return True  # less of the day's end is left to be read again
    return status != before.status or gaps != before.gaps


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
        read_at=outcome.read_at,
        late_rows=added.rows if was_whole else 0,
        repeats_dropped=outcome.repeats,
        total=Total(reported=outcome.total_reported, agrees=outcome.total_agrees),
        unresolved_ties=[
            Tie(start=format_instant(tie.start), end=format_instant(tie.end), rows=tie.rows) for tie in outcome.ties
        ],
        gaps=[gap_of(hole) for hole in outcome.holes],
        requests=outcome.requests,
        retries=outcome.retries,
        ended=outcome.ended_at is not None,
        ended_at=outcome.ended_at,
        **values,
    )


def _redaction(options: ArchiveOptions, files: list[File]) -> str | None:
    """The one policy that the whole day went through: a policy may have been switched on between two revisions."""
    policies = {file.redaction for file in files} or {options.redaction.sha256 if options.redaction else None}
    return policies.pop() if len(policies) == 1 else None
