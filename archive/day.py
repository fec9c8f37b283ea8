"""Archiving one day of one source: decide, read, assemble, commit. The manifest's write is the commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ..api.budget import Budget
from ..api.client import DeepsetClient
from ..api.errors import DeepsetError, InvalidInputError, PipelineNotFoundError, ResponseError
from ..api.learned import Learned, shown_since
from ..api.parallel import SpansRead
from ..api.rows import Page
from ..api.sources import LogSource
from ..api.times import SECOND, Span, day_span, format_instant, parse_instant, to_day
from ..api.walk import Request
from . import chain
from .assemble import Assembler
from .chain import StoredManifest
from .commit import Outcome, commit
from .ended import ended_at, ended_before
from .errors import ArchiveError
from .first_read import reading_since
from .formats import require_formats
from .gaps import holes_of
from .holes import Hole, whole_since
from .identity import gone_since, identify, neighbour
from .leftovers import has_leftover
from .manifest import Manifest, Source, TimeSpan
from .objects import ObjectStore
from .options import ArchiveOptions
from .plan import SECOND_READ_AFTER, SETTLE_LAG, Decision, by_urgency, decide, time_text
from .shown import Shown
from .spans import subtract_spans
from .spool import Spool, SpoolKey
from .spool_folder import default_root
from .spool_index import Purpose
from .succession import Newcomer, newcomer


class DayResult(NamedTuple):
    """What became of a day."""

    manifest: Manifest
    """The newest one."""
    key: str
    committed: bool
    """Whether this call wrote it."""
    foreign: tuple[str, ...] = ()
    """Keys of parts in the day's folder that are not this archive's."""


class Progress(NamedTuple):
    """How far a read has come."""

    rows: int
    requests: int
    retries: int
    covered: float
    """Share of the span that was read, 0 to 1."""


def archive_day(
    client: DeepsetClient,
    store: ObjectStore,
    source: LogSource,
    day: date,
    *,
    options: ArchiveOptions = ArchiveOptions(),  # noqa: B008 - immutable
    reread: bool = False,
    max_concurrency: int = 16,
    budget: Budget | None = None,
    commit_partial: bool = True,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] | None = None,
    spool_root: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> DayResult:
    """Reads what is due of a UTC day and commits it.

    Args:
        client, store, source, day: from where, to where, what.
        options: how it is written.
        reread: read the whole day, even if nothing is due.
        max_concurrency: requests under way at once, at most; ignored with a `budget`.
        budget: shared with other reads.
        commit_partial: commit what was read even when a stretch could not be; otherwise the first transient error is raised,
            and the spool keeps what was read for the next call.
        now: seconds since 1970.
        sleep: pauses between tries; None for real time.
        spool_root: the folder of all spools; None for the user's own.
        progress: called after each stretch.

    Raises:
        InvalidInputError: a time instead of a day, a day in the future, an unknown format.
        IdentityError, ClockError: before anything is read.
        DeepsetError: nothing could be read, or the store refused.
    """
    day = to_day(day, "day")
    require_formats(options.formats)
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")
    started_at = now()
    latest = chain.latest(store, source, day)
    decision = decide(latest.manifest if latest else None, day, started_at, reread=reread)
    if decision.kind == "nothing" and latest is not None:
        if not has_leftover(store, source, day, latest.manifest):
            return DayResult(latest.manifest, latest.key, committed=False)
        decision = Decision("adopt", [])
    run = _Run(client, store, source, day, options, budget or Budget(max_concurrency), started_at, now, sleep, progress)
    newest = chain.newest_readable(store, source)  # of another day: an archive is one source's, not one day's
    known = latest or newest or neighbour(store, source)
    archived = known.manifest.source if known else None
    identity = identify(client, source, archived, run.is_known, run.budget, sleep)
    if decision.if_back and identity.gone and latest is not None:
        return DayResult(latest.manifest, latest.key, committed=False)
    ended = newest if latest is None and newest is not None and ended_before(newest.manifest, day) else None
    if identity.gone and ended is not None:
        return DayResult(ended.manifest, ended.key, committed=False)
    run.gone_at = started_at if identity.gone else None
    run.had_ended = ended is not None
    run.last_known = known.manifest if known and (latest or newest) else None
    if ended is None and not identity.gone:
        run.newcomer = newcomer(store, latest.manifest if latest else None, newest, identity.source, day, started_at, run.shown)
    try:
        return run.read_and_commit(latest, decision, identity.source, spool_root or default_root(), commit_partial)
    except PipelineNotFoundError:
        if ended is None:
            raise
        return DayResult(ended.manifest, ended.key, committed=False)  # an index: that it is gone still shows when it is read


class _Run:
    """One call of `archive_day`: what does not change while it runs."""

    def __init__(
        self,
        client: DeepsetClient,
        store: ObjectStore,
        source: LogSource,
        day: date,
        options: ArchiveOptions,
        budget: Budget,
        started_at: float,
        now: Callable[[], float],
        sleep: Callable[[float], None] | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.client = client
        self.store = store
        self.source = source
        self.day = day
        self.span = day_span(day)
        self.options = options
        self.budget = budget
        self.started_at = started_at
        self.now = now
        self.sleep = sleep
        self.progress = progress
        self.shown = Shown(self._fetch, budget, now, sleep, options.time_limit)
        self.gone_at: float | None = None
        """When the pipeline was found to exist no longer."""
        self.newcomer: Newcomer | None = None
        """The pipeline, where the archive knows another one of its name that may have written before."""
        self.last_known: Manifest | None = None
        """What the archive says of the source: of this day, or of the newest one."""
        self.asked: list[Span] = []
        self.came = 0
        """Where this read asked for rows, and how many it got."""
        self.had_ended = False
        """Whether the archive knows that there was nothing of this name any more before the day."""

    def is_known(self) -> bool:
        """Whether this day or an earlier one of the source was archived: then it may have ended, and is no wrong name."""
        archived = any(day <= self.day for day in chain.list_days(self.store, self.source))
        return archived or has_leftover(self.store, self.source, self.day, None)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read_and_commit(
        self,
        latest: StoredManifest | None,
        decision: Decision,
        identity: Source,
        root: Path,
        commit_partial: bool,
    ) -> DayResult:
        """Reads into the spool and brings it into the store."""
        if prove := getattr(self.store, "prove_writable", None):
            prove()  # or hours of reading show that nothing can be kept
        revision, started_at = (latest.manifest.revision if latest else 0) + 1, self.started_at
        policy = self.options.redaction
        purpose = Purpose(revision, self.options.compression, policy.keyed_sha256 if policy else None, identity.pipeline_id)
        day_over = self.span.end / SECOND + SETTLE_LAG
        not_before = day_over if started_at >= day_over else started_at - SETTLE_LAG
        if decision.due_since is not None:
            not_before = max(not_before, decision.due_since)
        key = SpoolKey(
            self.client.host,
            self.client.key_hash,
            getattr(self.store, "bucket", ""),
            self.store.prefix,
            str(self.source),
            self.day.isoformat(),
        )
        with Spool(root, key, purpose, self.span, started_at, not_before, policy) as spool:
            if self._is_stale(spool, decision):
                spool.set_aside(started_at)
            read = self._read(spool, decision, latest.manifest if latest else None)
            if self.gone_at is None and self.asked and gone_since(self.client, self.source, identity, self.budget, self.sleep):
                self.gone_at = self.now()
            if read.unread and not commit_partial and (error := next((e for _, e in read.unread if e.transient), None)):
                raise error
            failed = (e for span, e in read.unread if span.end > whole_since(self.now()))
            error = next(failed, None) if self.gone_at is None else None
            if error is not None and not spool.slices:
                raise error  # empty-handed: nothing to commit, and the next run begins where this one did
            result = self._commit(spool, read, identity, latest, error, adopts=decision.kind == "adopt")
            spool.discard()
            return result

    def _is_stale(self, spool: Spool, decision: Decision) -> bool:
        """Whether all was read, so long ago that a second read would be due, and all of it can be read anew."""
        return (spool.started_at + SECOND_READ_AFTER <= self.started_at and bool(decision.spans)
                and not subtract_spans(decision.spans, spool.read) and shown_since(self.started_at) <= decision.spans[0].start)

    def _read(self, spool: Spool, decision: Decision, latest: Manifest | None) -> SpansRead:
        self.asked = wanted = by_urgency(subtract_spans(decision.spans, spool.read), self.now())
        read = SpansRead(
            self._fetch,
            wanted,
            self.budget,
            learned=Learned(oldest_seen=self._oldest_shown(spool, latest)),
            now=self.now,
            sleep=self.sleep,
            time_limit=self.options.time_limit,
        )
        total = max(1, sum(span.end - span.start for span in decision.spans))
        covered = total - sum(span.end - span.start for span in wanted)
        rows = sum(found.counts.rows for found in spool.ordered)
        noted = 0
        stretches = iter(read)
        try:
            for increment in stretches:
                for tie in read.tally.ties[noted:]:  # before the stretches that pass over it
                    spool.add_doubt(tie.span, tie.rows)
                    noted += 1
                spool.add(increment)
                rows += len(increment.rows)
                self.came += len(increment.rows)
                covered += increment.hi - increment.lo
                if self.progress is not None:
                    self.progress(Progress(rows, read.tally.requests, read.tally.retries, covered / total))
        except PipelineNotFoundError as error:
            if self.gone_at is None and (self.source.kind == "pipeline" or self.had_ended or not self.is_known()):
                raise
            self.gone_at = self.gone_at or self.now()
            read.give_up(wanted, error)
        finally:
            stretches.close()  # or the walks go on asking when this ends early
            spool.flush()
        for tie in read.tally.ties[noted:]:
            spool.add_doubt(tie.span, tie.rows)
        spool.add_loose(read.leftovers)
        spool.add_loose(read.strays)
        return read

    def _oldest_shown(self, spool: Spool, latest: Manifest | None) -> int | None:
        """The oldest row that was shown while the day could not be read whole: it denies ends that are claimed above it."""
        if self.newcomer is not None:
            return None
        shown = [found.counts.first for found in spool.slices if found.counts.first is not None]
        if latest is not None and latest.status == "open" and latest.first is not None:
            shown.append(parse_instant(latest.first))
        return min(shown, default=None)

    def _fetch(self, request: Request) -> Page:
        page = self.client.logs_page(self.source, after=request.after, limit=request.limit, filter=request.filter)
        if len(page.rows) > request.limit * 100:
            raise ResponseError("The page holds far more rows than asked for.", "", str(self.source))
        return page

    def _replaced(self, spool: Spool, read: SpansRead) -> Hole | None:
        """Where another pipeline of the name may have written."""
        first = [found.counts.first for found in spool.ordered if found.counts.first is not None]
        first += [row.logged_at for row in read.leftovers]
        return self.newcomer.hole(self.span, first) if self.newcomer else None

    def _covered(self, spool: Spool) -> list[Span]:
        """Where every row is known. That nothing is shown of a pipeline that is gone says nothing of what it wrote, unless its
        logs are seen to be kept."""
        known = self.last_known
        if self.gone_at is None or self.came or not self.asked:
            return spool.covered
        if known and known.last and self.shown.has(parse_instant(known.last)):
            return spool.covered
        return subtract_spans(spool.covered, self.asked)

    def _seen(self, spool: Spool, *, adopts: bool) -> list[Span]:
        """Where every row that the platform showed is known, or can be asked for."""
        if self.newcomer is not None:
            return []  # rows of the pipeline before are shown no more, and that says nothing against them
        if adopts and self.gone_at is None:
            return [Span(max(self.span.start, shown_since(self.now())), self.span.end)]
        return subtract_spans(spool.covered, [doubt.span for doubt in spool.doubts])

    # -- committing --------------------------------------------------------------------------------------------------

    def _commit(
        self,
        spool: Spool,
        read: SpansRead,
        identity: Source,
        latest: StoredManifest | None,
        error: DeepsetError | None,
        *,
        adopts: bool,
    ) -> DayResult:
        compression, policy = self.options.compression, self.options.redaction
        assembler = Assembler(self.store, self.source, self.day, spool, compression, ask=self.shown.rows, redaction=policy,
                              seen=self._seen(spool, adopts=adopts))
        decided_on = latest.manifest.revision if latest else 0
        for _ in range(20):
            assembled = assembler.run(latest.manifest if latest else None)
            outcome = self._outcome(spool, read, identity, latest, decided_on, error)
            written = commit(self.store, self.source, self.options, outcome, assembled, latest, spool.folder, self.now())
            if written is not None:
                stored, committed = written
                return DayResult(stored.manifest, stored.key, committed, tuple(assembled.foreign))
            latest = chain.latest(self.store, self.source, self.day, hint=(latest.manifest.revision if latest else 0) + 1)
        raise ArchiveError(
            "Twenty others committed this day meanwhile.", "Something else writes into this archive.", str(self.source)
        )

    def _outcome(
        self,
        spool: Spool,
        read: SpansRead,
        identity: Source,
        latest: StoredManifest | None,
        decided_on: int,
        error: DeepsetError | None,
    ) -> Outcome:
        doubtful = [doubt.span for doubt in spool.doubts]
        read_at, covered = time_text(spool.started_at), self._covered(spool)
        if latest is not None and parse_instant(latest.manifest.read_at) > parse_instant(read_at):
            # Upon a later read's revision, this one speaks only for what had surely become visible when it began.
            read_at = latest.manifest.read_at
            covered = subtract_spans(covered, [Span(int(spool.started_at - SETTLE_LAG) * SECOND, self.span.end)])
        holes = holes_of(
            self.span,
            covered,
            doubtful,
            read.unread,
            latest.manifest if latest else None,
            now=self.now(),
            asked_until=int(self.started_at) * SECOND,
            gone=self.gone_at is not None,
            replaced=self._replaced(spool, read),
            began=lambda: reading_since(self.store, self.source, self.day),
        )
        ties = [hole.span for hole in holes if hole.reason == "unresolved-tie"]
        top, bottom = read.total_at.get(self.span.end), read.total_at.get(self.span.start)
        counted = read.learned.total_counts == "after" and top is not None and bottom is not None and not spool.resumed
        rows = sum(found.counts.rows for found in spool.slices)
        return Outcome(
            source=identity,
            day=self.day,
            span=TimeSpan(start=format_instant(self.span.start), end=format_instant(self.span.end)),
            read_at=read_at,
            whole=not subtract_spans([self.span], subtract_spans(covered, doubtful)),
            decided_on=decided_on,
            holes=holes,
            ended_at=ended_at(self.store, self.source, self.day, latest.manifest if latest else None, self.gone_at)
            if self.gone_at is not None else None,
            ties=[doubt for doubt in spool.doubts if any(doubt.overlaps(tie) for tie in ties)],
            repeats=read.tally.repeats,
            requests=read.tally.requests,
            retries=read.tally.retries,
            total_reported=top,
            total_agrees=(top or 0) - (bottom or 0) == rows if counted else None,
            read_error=error,
        )
