"""Archiving one day of one source: decide, read, assemble, commit. The manifest's write is the commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..api.again import ask_again
from ..api.budget import Budget
from ..api.client import DeepsetClient
from ..api.errors import InvalidInputError, NotFoundError, PermissionDeniedError, PipelineNotFoundError, ResponseError
from ..api.learned import Learned, shown_since
from ..api.parallel import SpansRead
from ..api.rows import Page
from ..api.sources import LogSource
from ..api.times import SECOND, day_span, format_instant
from ..api.walk import Request
from . import chain
from .assemble import Assembler
from .chain import StoredManifest
from .commit import Outcome, commit
from .compression import Compression
from .errors import ClockError, IdentityError
from .formats import require_formats
from .gaps import holes_of
from .manifest import Manifest, Source, TimeSpan
from .objects import ObjectStore
from .plan import SETTLE_LAG, SHORT_OF_TIME, Decision, by_hours, decide, is_first_day
from .redaction import RedactionPolicy
from .spool import Purpose, Spool, SpoolKey, default_root, subtract_spans

_Answer = TypeVar("_Answer")

MOST_CLOCK_SKEW = 300.0
"""Seconds this machine's clock may differ from the API's."""
TIME_LIMIT = 3 * 3600.0
"""Seconds after which a read of one day asks nothing more."""


class ArchiveOptions(NamedTuple):
    """How a day is written."""

    compression: Compression = "gzip"
    formats: tuple[str, ...] = ("jsonl",)
    tool_version: str = ""
    redaction: RedactionPolicy | None = None
    signing_key: bytes | None = None
    time_limit: float | None = TIME_LIMIT


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
        InvalidInputError: a day in the future, an unknown format.
        IdentityError, ClockError: before anything is read.
        DeepsetError: nothing could be read, or the store refused.
    """
    require_formats(options.formats)
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")
    started_at = now()
    latest = chain.latest(store, source, day)
    decision = decide(latest.manifest if latest else None, day, started_at, reread=reread)
    if decision.kind == "nothing" and latest is not None:
        return DayResult(latest.manifest, latest.key, committed=False)
    run = _Run(client, store, source, day, options, budget or Budget(max_concurrency), now, sleep, progress)
    identity, exists = run.identify(latest.manifest if latest else None)
    return run.read_and_commit(latest, decision, identity, exists, started_at, spool_root or default_root(), commit_partial)


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
        self.now = now
        self.sleep = sleep
        self.progress = progress

    # -- who it is about ---------------------------------------------------------------------------------------------

    def identify(self, latest: Manifest | None) -> tuple[Source, bool]:
        """The source as the manifest names it, and whether it still exists. Asked before anything is read."""
        workspaces = self._workspace_ids()
        if (skew := self.client.clock_skew) is not None and abs(skew) > MOST_CLOCK_SKEW:
            raise ClockError(
                f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's.",
                "What is closed, due and still shown is judged by the clock: set it (NTP) and run again.",
                str(self.source),
            )
        pipeline_id, exists = None, True
        try:
            if self.source.kind == "pipeline":
                pipeline_id = self._ask(lambda: self.client.pipeline(self.source.workspace, self.source.name)).pipeline_id
        except PipelineNotFoundError:
            exists = self.source.name in {found.name for found in self._ask(lambda: self.client.pipelines(self.source.workspace))}
            if not exists and latest is None and is_first_day(self.store, self.source, self.day):
                raise  # never seen here: a wrong name, not a pipeline that ended
        workspace_id = workspaces.get(self.source.workspace)
        source = Source(
            host=self.client.host,
            workspace=self.source.workspace,
            workspace_id=workspace_id,
            pipeline=self.source.name,
            pipeline_id=pipeline_id,
            kind=self.source.kind,
        )
        self._check_identity(source, latest or self._neighbour())
        return source, exists

    def _workspace_ids(self) -> dict[str, str | None]:
        """The id of each workspace; empty where the key may not list them: then there is no id to compare."""
        try:
            return {found.name: found.workspace_id for found in self._ask(self.client.workspaces)}
        except (NotFoundError, PermissionDeniedError):
            return {}

    def _ask(self, ask: Callable[[], _Answer]) -> _Answer:
        return ask_again(ask, self.sleep or time.sleep)

    def _neighbour(self) -> Manifest | None:
        """The newest manifest of another day: an archive is one source's, not one day's."""
        newest = chain.latest_days(self.store, self.source, 1)
        return newest[-1].manifest if newest else None

    def _check_identity(self, mine: Source, latest: Manifest | None) -> None:
        if latest is None:
            return
        theirs = latest.source
        changed = [
            f"{name} {before!r}, now {after!r}"
            for name, before, after in [
                ("host", theirs.host, mine.host),
                ("workspace_id", theirs.workspace_id, mine.workspace_id),
            ]
            if before and after and before != after
        ]
        if changed:
            raise IdentityError(
                f"This archive belongs to another source: {'; '.join(changed)}.",
                "Give the block another prefix, or the credentials of the right platform.",
                str(self.source),
            )

    # -- reading -----------------------------------------------------------------------------------------------------

    def read_and_commit(
        self,
        latest: StoredManifest | None,
        decision: Decision,
        identity: Source,
        exists: bool,
        started_at: float,
        root: Path,
        commit_partial: bool,
    ) -> DayResult:
        """Reads into the spool and brings it into the store."""
        revision = (latest.manifest.revision if latest else 0) + 1
        policy = self.options.redaction
        purpose = Purpose(revision, self.options.compression, policy.sha256 if policy else None)
        day_over = self.span.end / SECOND + SETTLE_LAG
        not_before = min(day_over, started_at)
        key = SpoolKey(
            self.client.host,
            self.client.key_hash,
            getattr(self.store, "bucket", ""),
            self.store.prefix,
            str(self.source),
            self.day.isoformat(),
        )
        with Spool(root, key, purpose, self.span, started_at, not_before, policy) as spool:
            read = self._read(spool, decision, exists)
            if read.unread and not commit_partial and (error := next((e for _, e in read.unread if e.transient), None)):
                raise error
            if read.unread and not spool.slices and exists:
                raise read.unread[0].error  # empty-handed: nothing to commit, and the next run begins where this one did
            outcome = self._outcome(spool, read, decision, identity, exists, latest)
            result = self._commit(spool, outcome, latest)
            spool.discard()
            return result

    def _read(self, spool: Spool, decision: Decision, exists: bool) -> SpansRead:
        wanted = subtract_spans(decision.spans, spool.read)
        if shown_since(self.now() + SHORT_OF_TIME) > self.span.start:
            wanted = by_hours(wanted)
        read = SpansRead(
            self._fetch,
            wanted,
            self.budget,
            learned=Learned(),
            now=self.now,
            sleep=self.sleep,
            time_limit=self.options.time_limit,
        )
        total = max(1, sum(span.end - span.start for span in decision.spans))
        covered = total - sum(span.end - span.start for span in wanted)
        rows = sum(found.counts.rows for found in spool.slices)
        try:
            for increment in read:
                spool.add(increment)
                rows += len(increment.rows)
                covered += increment.hi - increment.lo
                if self.progress is not None:
                    self.progress(Progress(rows, read.tally.requests, read.tally.retries, covered / total))
        except PipelineNotFoundError as error:
            if exists:
                raise
            read.give_up(wanted, error)
        finally:
            spool.flush()
        spool.add_loose(read.leftovers)
        spool.add_loose(read.strays)
        return read

    def _fetch(self, request: Request) -> Page:
        page = self.client.logs_page(self.source, after=request.after, limit=request.limit, filter=request.filter)
        if len(page.rows) > request.limit * 100:
            raise ResponseError("The page holds far more rows than asked for.", "", str(self.source))
        return page

    # -- committing --------------------------------------------------------------------------------------------------

    def _outcome(
        self, spool: Spool, read: SpansRead, decision: Decision, identity: Source, exists: bool, latest: StoredManifest | None
    ) -> Outcome:
        holes = holes_of(
            self.span,
            decision,
            spool,
            read,
            latest.manifest if latest else None,
            now=self.now(),
            gone=not exists,
            first=lambda: is_first_day(self.store, self.source, self.day),
        )
        top, bottom = read.total_at.get(self.span.end), read.total_at.get(self.span.start)
        counted = read.learned.total_counts == "after" and top is not None and bottom is not None and not spool.resumed
        rows = sum(found.counts.rows for found in spool.slices)
        return Outcome(
            source=identity,
            day=self.day,
            span=TimeSpan(start=format_instant(self.span.start), end=format_instant(self.span.end)),
            started_at=spool.started_at,
            whole=decision.kind == "whole",
            holes=holes,
            ended=not exists,
            ties=[tie for tie in read.tally.ties if tie.span.end > self.span.start],
            repeats=read.tally.repeats,
            requests=read.tally.requests,
            retries=read.tally.retries,
            total_reported=top,
            total_agrees=(top or 0) - (bottom or 0) == rows if counted else None,
            read_error=read.unread[0].error if read.unread else None,
        )

    def _commit(self, spool: Spool, outcome: Outcome, latest: StoredManifest | None) -> DayResult:
        assembler = Assembler(self.store, self.source, self.day, spool, self.options.compression)
        for _ in range(20):
            assembled = assembler.run(latest.manifest if latest else None)
            written = commit(self.store, self.source, self.options, outcome, assembled, latest, spool.folder, self.now())
            if written is not None:
                stored, committed = written
                return DayResult(stored.manifest, stored.key, committed, tuple(assembled.foreign))
            latest = chain.latest(self.store, self.source, self.day, hint=(latest.manifest.revision if latest else 0) + 1)
        raise IdentityError(
            "Twenty others committed this day meanwhile.", "Something else writes into this archive.", str(self.source)
        )
