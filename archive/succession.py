"""A pipeline that was deleted and made again under its name: what the one before wrote, and nobody read, is a gap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from ..api.errors import DeepsetError
from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_span, parse_instant
from . import chain
from .chain import StoredManifest
from .errors import ManifestError
from .holes import REPLACED, Hole
from .manifest import Manifest, Source
from .objects import ObjectStore
from .shown import Shown

_LOOK_BACK = 10
"""Archived days."""


class Newcomer(NamedTuple):
    """A pipeline before which another of its name may have written, in the day that is read."""

    by: int
    """By when it was there at the latest, nanoseconds since 1970."""
    first_row_tells: bool
    """Whether its first row shows that it was there. Not of one that was there under another name all along."""
    certain: bool = True
    """False where the platform did not answer what would tell: a later run must ask again."""

    def hole(self, day: Span, first: list[int]) -> Hole:
        """Where the other one may have written. `first`: rows of this one, its first among them."""
        until = min([self.by, *first]) if self.first_row_tells else self.by
        return Hole(Span(day.start, max(day.start, until)), REPLACED if self.certain else "error")


def newcomer(
    store: ObjectStore,
    latest: Manifest | None,
    newest: StoredManifest | None,
    mine: Source,
    day: date,
    now: float,
    shown: Shown,
) -> Newcomer | None:
    """Whether the pipeline that is read now took the place of another that may have written in this day.

    Nothing tells when a pipeline was made. Its first row shows that it was there, and so does the first run that found it.

    Args:
        latest: the day's newest manifest.
        newest: the source's newest one, of any day.
        mine: the pipeline that is read now.
        day: the day that is read.
        now: seconds since 1970.
        shown: what of it is shown now.

    Returns:
        None where no other one may have written, as far as anyone knows.
    """
    start, found = day_span(day).start, _other(_history(store, latest, newest, mine, day), mine, day)
    by = min(found.bounds, default=int(now) * SECOND)
    theirs = found.theirs
    if theirs is None or by <= start:
        return None
    since = parse_instant(theirs.read_at)
    try:
        if theirs.last is not None and shown.has(parse_instant(theirs.last)):
            return None  # logs are kept by name: whatever the one before wrote is shown
        before = shown.newest_below(max(since, start))
    except DeepsetError:
        return Newcomer(by, first_row_tells=True, certain=False)
    if before is not None and since <= before < start:
        return None  # it wrote before this day, after the other was seen last
    if before is None and found.only_mine and latest is not None and latest.first is not None:
        by = min(by, parse_instant(latest.first))
    return Newcomer(by, first_row_tells=before is None) if by > start else None


class _Other(NamedTuple):
    """What the archive says of a pipeline of the name before the one that is read now."""

    theirs: Manifest | None
    """The last that names it; None where there was none, or only before days that are wholly the present one's."""
    bounds: list[int]
    """When the present one was there."""
    only_mine: bool
    """Whether all revisions of the day name the present one."""


def _other(history: Iterator[Manifest], mine: Source, day: date) -> _Other:
    bounds: list[int] = []
    only_mine = True
    for known in history if mine.pipeline_id else ():
        if known.source.pipeline_id != mine.pipeline_id:
            only_mine = only_mine and known.dt != day.isoformat()
            if known.source.pipeline_id is not None:
                bounds += [parse_instant(known.ended_at)] if known.ended_at else []
                return _Other(known, bounds, only_mine)
            continue
        bounds.append(parse_instant(known.read_at))
        replaced, end = _replaced_until(known), parse_instant(known.span.end)
        if replaced is not None and replaced != end:
            bounds.append(replaced)
        if known.dt != day.isoformat() and known.revision == 1 and replaced != end:
            break  # it was there before this day
    return _Other(None, bounds, only_mine)


def _history(store: ObjectStore, latest: Manifest | None, newest: StoredManifest | None, mine: Source,
             day: date) -> Iterator[Manifest]:
    """What the archive says of this day and of those before it, newest first."""
    source = LogSource(mine.workspace, mine.pipeline, mine.kind)
    if latest is not None and latest.status in {"sealed", "settled"}:
        yield latest  # all of it was read: what came before does not matter
        return
    if latest is not None:
        yield from _revisions(store, source, latest)
    for _ in range(_LOOK_BACK):
        if newest is not None and newest.manifest.dt >= day.isoformat():
            newest = chain.newest_readable(store, source, before=day)
        if newest is None:
            return
        yield from _revisions(store, source, newest.manifest)
        day = date.fromisoformat(newest.manifest.dt)


def _revisions(store: ObjectStore, source: LogSource, newest: Manifest) -> Iterator[Manifest]:
    yield newest
    for revision in range(newest.revision - 1, 0, -1):
        if found := _readable(store, source, date.fromisoformat(newest.dt), revision):
            yield found


def _readable(store: ObjectStore, source: LogSource, day: date, revision: int) -> Manifest | None:
    try:
        stored = chain.read_revision(store, source, day, revision)
    except ManifestError as error:
        if error.transient:
            raise
        return None  # verification says what is wrong with it
    return stored.manifest if stored else None


def _replaced_until(manifest: Manifest) -> int | None:
    return max((parse_instant(gap.end) for gap in manifest.gaps if gap.reason == REPLACED), default=None)
