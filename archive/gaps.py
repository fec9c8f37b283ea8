"""What is missing after a read, and why."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

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
from ..api.learned import shown_since
from ..api.parallel import SpansRead
from ..api.times import SECOND, Span
from .manifest import Gap, Manifest
from .plan import Decision, gap_span
from .spool import Spool, subtract_spans

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
NO_FAULT = frozenset({"before-first-run", "not-over"})
"""Reasons that nobody needs to be told of."""


class Hole(NamedTuple):
    """A stretch that is not known to be whole."""

    span: Span
    reason: str

    def mendable(self, now: float) -> bool:
        """Whether a later run may still read it."""
        return self.reason not in {"before-first-run", "pipeline-gone"} and self.span.end > shown_since(now)


def holes_of(
    day: Span,
    decision: Decision,
    spool: Spool,
    read: SpansRead,
    latest: Manifest | None,
    *,
    now: float,
    gone: bool,
    first: Callable[[], bool],
) -> list[Hole]:
    """The holes in the day after this read, oldest first, disjoint.

    A stretch is whole when a page that proves it was answered while the platform still had to show all of it, or when an
    earlier revision holds it.

    Args:
        day: the day.
        decision: what was to be read.
        spool: what was read.
        read: how that went.
        latest: the manifest before.
        now: seconds since 1970.
        gone: whether the pipeline no longer exists.
        first: whether no earlier day was archived; asked only where it matters.
    """
    ties = [
        Span(max(tie.span.start, day.start) // SECOND * SECOND, min(-(-tie.span.end // SECOND) * SECOND, day.end))
        for tie in read.tally.ties
    ]
    covered = subtract_spans(spool.covered, ties)
    if latest is None:
        wanted = [day]
    elif decision.kind == "mend":
        wanted = list(decision.spans)
        wanted += [
            gap_span(gap.start, gap.end) for gap in latest.gaps
        ]  # those of the first run stay, unless they came after all
    else:
        wanted = [gap_span(gap.start, gap.end) for gap in latest.gaps]
    missing = subtract_spans(wanted, covered)
    known = {gap_span(gap.start, gap.end): gap.reason for gap in latest.gaps} if latest else {}
    pieces = _cut(
        missing,
        [
            *ties,
            *(unread.span for unread in read.unread),
            *known,
            Span(shown_since(now), day.end),
            Span(int(now) * SECOND, day.end),
        ],
    )
    holes = [Hole(piece, _reason(piece, ties, read, known, now, gone, first)) for piece in pieces]
    return _joined(holes)


def _cut(spans: list[Span], borders: list[Span]) -> list[Span]:
    """The spans, cut at every border, on whole seconds outwards."""
    points = sorted({point for border in borders for point in border})
    pieces: list[Span] = []
    for span in spans:
        edges = [span.start, *(point for point in points if span.start < point < span.end), span.end]
        pieces += [Span(a, b) for a, b in pairwise(edges)]
    return pieces


def _reason(
    piece: Span, ties: list[Span], read: SpansRead, known: dict[Span, str], now: float, gone: bool, first: Callable[[], bool]
) -> str:
    before = next((reason for span, reason in known.items() if span.start <= piece.start and piece.end <= span.end), None)
    if before == "before-first-run":
        return before
    if any(tie.start <= piece.start < tie.end for tie in ties):
        return "unresolved-tie"
    if piece.start >= int(now) * SECOND:
        return "not-over"
    error = next((unread.error for unread in read.unread if unread.span.start <= piece.start < unread.span.end), None)
    if piece.end <= shown_since(now):
        if before is not None and before != "not-over":
            return before
        return "before-first-run" if not known and first() else "retention"
    if gone:
        return "pipeline-gone"
    if error is not None:
        return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "error")
    return before or "retention"


def _joined(holes: list[Hole]) -> list[Hole]:
    joined: list[Hole] = []
    for hole in holes:
        span = Span(hole.span.start // SECOND * SECOND, -(-hole.span.end // SECOND) * SECOND)
        if joined and joined[-1].reason == hole.reason and joined[-1].span.end >= span.start:
            joined[-1] = Hole(Span(joined[-1].span.start, span.end), hole.reason)
        else:
            joined.append(Hole(span, hole.reason))
    return joined


def gap_of(hole: Hole, text: Callable[[int], str]) -> Gap:
    """As the manifest says it."""
    return Gap(start=text(hole.span.start), end=text(hole.span.end), reason=hole.reason)
