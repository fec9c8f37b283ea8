"""What is missing after a read, and why."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from ..api.errors import (
    BadRequestError,
    CursorError,
    DeepsetError,
    EndDisputedError,
    GatewayTimeoutError,
    NotFoundError,
    ReadTimeoutError,
    ResponseError,
    TimeBudgetError,
)
from ..api.parallel import Unread
from ..api.times import SECOND, Span, format_instant
from ..api.walk import ceil_to
from .first_read import lost_before
from .holes import REPLACED, Hole, whole_since
from .manifest import Gap, Manifest
from .plan import gap_span, to_mend
from .spans import join_spans, subtract_spans

_Stretch = TypeVar("_Stretch", Unread, Hole)

_REASONS: list[tuple[type[DeepsetError], str]] = [
    (GatewayTimeoutError, "gateway-timeout"),
    (ReadTimeoutError, "gateway-timeout"),
    (TimeBudgetError, "time-budget"),
    (CursorError, "cursor"),
    (EndDisputedError, "cursor"),
    (ResponseError, "unreadable"),
    (BadRequestError, "refused"),
    (NotFoundError, "pipeline-gone"),
]


def holes_of(
    day: Span,
    covered: list[Span],
    ties: list[Span],
    unread: list[Unread],
    latest: Manifest | None,
    *,
    now: float,
    asked_until: int,
    gone: bool,
    replaced: Hole | None,
    began: Callable[[], float | None],
) -> list[Hole]:
    """The holes in the day after a read, oldest first, disjoint.

    A stretch is whole when a page that proves it was answered while the platform still had to show all of it, or when an
    earlier revision holds it. Which revision that is, can change while the read goes on: another run may commit.

    Args:
        day: the day.
        covered: what this read proved to be whole, ties or not.
        ties: what in it was passed without proof.
        unread: what could not be read, and why.
        latest: the newest manifest.
        now: seconds since 1970.
        asked_until: the whole second in which the run began: what came later of a day that is not over, nobody asked for.
        gone: whether the pipeline no longer exists.
        replaced: where another pipeline of the name may have written what is shown no more.
        began: when the source was first read, in seconds since 1970, None for now; asked only where it matters.
    """
    ties = [tie for tie in map(_outwards, ties) if tie.start < day.end and day.start < tie.end]
    known = {gap_span(gap.start, gap.end): gap.reason for gap in latest.gaps} if latest else {}
    theirs = [Hole(span, reason) for span, reason in known.items() if reason == REPLACED]
    theirs += [Hole(_outwards(replaced.span), replaced.reason)] if replaced else []
    unread = [Unread(_outwards(stretch.span), stretch.error) for stretch in unread]
    if latest is None:
        wanted = [day]
    else:
        wanted = list(known)
        wanted += to_mend(latest, day) if latest.status == "open" else []
    proven = subtract_spans(covered, [*ties, *(hole.span for hole in theirs)])
    missing = join_spans(map(_outwards, subtract_spans(wanted, proven)))
    missed_since = 0
    if latest is None and any(span.start < whole_since(now) for span in missing):
        first = began()
        missed_since = day.end if first is None else lost_before(first)
    borders = [
        *ties,
        *(hole.span for hole in theirs),
        *(stretch.span for stretch in unread),
        *known,
        Span(whole_since(now), day.end),
        Span(asked_until, day.end),
        Span(missed_since, day.end),
    ]
    def reason(piece: Span) -> str:
        return _reason(piece, ties, theirs, unread, known, now, asked_until, gone, missed_since)

    return _joined([Hole(piece, reason(piece)) for piece in _cut(missing, borders)])


def _outwards(span: Span) -> Span:
    """The whole seconds that the span touches."""
    return Span(span.start // SECOND * SECOND, ceil_to(span.end, SECOND))


def _cut(spans: list[Span], borders: list[Span]) -> list[Span]:
    """The spans, cut at every border."""
    points = sorted({point for border in borders for point in border})
    pieces: list[Span] = []
    for span in spans:
        edges = [span.start, *(point for point in points if span.start < point < span.end), span.end]
        pieces += [Span(a, b) for a, b in pairwise(edges)]
    return pieces


def _reason(
    piece: Span,
    ties: list[Span],
    theirs: list[Hole],
    unread: list[Unread],
    known: dict[Span, str],
    now: float,
    asked_until: int,
    gone: bool,
    missed_since: int,
) -> str:
    before = next((reason for span, reason in known.items() if span.start <= piece.start and piece.end <= span.end), None)
    if before == "before-first-run":
        reason = before
    elif piece.start >= asked_until:
        reason = "not-over"
    elif piece.end <= whole_since(now):
        kept = before if before != "not-over" else None
        reason = kept or ("before-first-run" if piece.end <= missed_since else "retention")
    elif any(tie.start <= piece.start < tie.end for tie in ties):
        reason = "unresolved-tie"  # not where rows vanish: there the oldest row that is shown looks like one
    elif (failed := _around(piece, unread)) is None and (other := _around(piece, theirs)):
        reason = other.reason
    elif gone:
        reason = "pipeline-gone"
    else:
        reason = before or "error" if failed is None else _reason_of(failed.error)
    return reason


def _around(piece: Span, stretches: list[_Stretch]) -> _Stretch | None:
    """The first stretch in which the piece lies."""
    return next((stretch for stretch in stretches if stretch.span.start <= piece.start < stretch.span.end), None)


def _reason_of(error: DeepsetError) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "error")


def _joined(holes: list[Hole]) -> list[Hole]:
    joined: list[Hole] = []
    for hole in holes:
        if joined and joined[-1].reason == hole.reason and joined[-1].span.end == hole.span.start:
            joined[-1] = Hole(Span(joined[-1].span.start, hole.span.end), hole.reason)
        else:
            joined.append(hole)
    return joined


def gap_of(hole: Hole) -> Gap:
    """As the manifest says it."""
    return Gap(start=format_instant(hole.span.start), end=format_instant(hole.span.end), reason=hole.reason)
