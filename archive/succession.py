"""A pipeline that was deleted and made again under its name: what the one before wrote, and nobody read, is a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_span, parse_instant
from . import chain
from .errors import ManifestError
from .manifest import Manifest, Source
from .objects import ObjectStore

REPLACED = "pipeline-replaced"
"""The reason of such a gap."""


def began_by(
    store: ObjectStore,
    latest: Manifest | None,
    mine: Source,
    day: date,
    now: float,
    still_shown: Callable[[Span, int], bool],
) -> int | None:
    """By when the pipeline that is read now was there at the latest; before, another of its name may have written.

    Nothing tells when a pipeline was made. Its first row shows that it was there, and so does the first run that found it.

    Args:
        latest: the day's newest manifest.
        mine: the pipeline that is read now.
        day: the day that is read.
        now: seconds since 1970.
        still_shown: whether a row of exactly this instant, in this whole second, is shown now.

    Returns:
        Nanoseconds since 1970; None where no other one may have written in this day, as far as anyone knows.
    """
    bounds, theirs, first = [int(now) * SECOND], None, None
    for known in _history(store, latest, mine, day) if mine.pipeline_id else ():
        if known.source.pipeline_id is None:
            continue
        if known.source.pipeline_id != mine.pipeline_id:
            theirs = known
            bounds += [parse_instant(known.ended_at)] if known.ended_at else []
            break
        first = known
        bounds.append(parse_instant(known.read_at))
        if known.dt == day.isoformat():
            bounds += [gap for gap in [_replaced_until(known)] if gap is not None]
    if theirs is None and (first is None or _replaced_until(first) != parse_instant(first.span.end)):
        return None  # it was there before this day
    if theirs is not None and theirs.last is not None:
        at = parse_instant(theirs.last)
        second = at // SECOND * SECOND
        if still_shown(Span(second, second + SECOND), at):
            return None  # logs are kept by name: whatever the one before wrote is shown
    if latest is not None and latest.first is not None and (theirs is None or theirs.dt != latest.dt):
        bounds.append(parse_instant(latest.first))
    return min(bounds) if min(bounds) > day_span(day).start else None


def _history(store: ObjectStore, latest: Manifest | None, mine: Source, day: date) -> Iterator[Manifest]:
    """What the archive says of this day and of the last one before it, newest first."""
    source = LogSource(mine.workspace, mine.pipeline, mine.kind)
    if latest is not None and latest.status in {"sealed", "settled"}:
        yield latest  # all of it was read: what came before does not matter
        return
    if latest is not None:
        yield from _revisions(store, source, latest)
    if before := chain.newest_readable(store, source, before=day):
        yield from _revisions(store, source, before.manifest)


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
