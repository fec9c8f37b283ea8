"""Unions and differences of stretches of time."""

from __future__ import annotations

from collections.abc import Iterable

from ..api.times import Span


def join_spans(spans: Iterable[Span]) -> list[Span]:
    """The union, oldest first, spans that touch made one; empty ones left out."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def subtract_spans(wanted: Iterable[Span], covered: Iterable[Span]) -> list[Span]:
    """What of `wanted` is not in `covered`, oldest first."""
    holes: list[Span] = []
    taken = join_spans(covered)
    for span in join_spans(wanted):
        start = span.start
        for other in taken:
            if other.end <= start or other.start >= span.end:
                continue
            if other.start > start:
                holes.append(Span(start, other.start))
            start = max(start, other.end)
        if start < span.end:
            holes.append(Span(start, span.end))
    return holes
