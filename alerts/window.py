"""The last minutes as something a rule can judge: what a watch between the daily archives rests on.

A window's alerts have a rule, and so a history, of their own: twenty errors in a quarter of an hour and a hundred in a day are
different promises, and one must not resolve the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from ..api.errors import InvalidInputError
from ..api.rows import ERROR_LEVELS, Row
from ..api.sources import LogSource
from ..api.times import Span, format_instant
from ..archive.manifest import ExceptionCount, Gap, Manifest, Source, TimeSpan
from .rules import BaseRule, Measure, RuleName

_KINDS = 100


class ErrorWindow(BaseRule):
    """Fires when the last minutes have at least `threshold` error rows; resolves below half of it, lest it flap."""

    kind: Literal["error_window"] = "error_window"
    name: RuleName = "watch-errors"
    threshold: int = Field(ge=1, description="Error rows of the window at which it fires.")

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:  # noqa: ARG002 - the signature all rules share
        """Counts the window's error rows."""
        span = f"{manifest.span.start[11:16]} to {manifest.span.end[11:16]} UTC"
        return Measure(manifest.errors, self.threshold,
                       f"{manifest.errors:,} error rows from {span}; the threshold is {self.threshold:,}.",
                       fires=manifest.errors >= self.threshold, calm=manifest.errors < max(1, (self.threshold + 1) // 2))


class WatchRules(NamedTuple):
    """The one rule of a watch, for `claim_transitions`."""

    rule: ErrorWindow

    @classmethod
    def from_threshold(cls, threshold: int) -> WatchRules:
        """The rule of the flow's `error_threshold`.

        Raises:
            InvalidInputError: when it is below 1.
        """
        if isinstance(threshold, bool) or threshold < 1:
            raise InvalidInputError(f"`error_threshold` is {threshold!r}.", "Give 1 or more.")
        return cls(ErrorWindow(threshold=threshold))

    def for_source(self, source: LogSource) -> list[ErrorWindow]:
        """The rule, for any pipeline it covers."""
        return [self.rule] if self.rule.covers(source) else []


def window_manifest(source: Source, span: Span, rows: Iterable[Row], *, read_at: int, whole: bool = True) -> Manifest:
    """What was read of the window, in the form the rules judge. It is never stored: its revision is 0.

    Args:
        source: host and names.
        span: the window, in nanoseconds; it counts for the UTC day of its end.
        rows: its rows, or only those of error levels; others are counted and change nothing.
        read_at: when, in nanoseconds.
        whole: False when a part of it could not be read: then it may fire, and resolves nothing. That alone is no alert: a 504
            every few minutes would be one that people switch off. The archive's own rules tell of what is lost.
    """
    levels: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    shown: dict[tuple[str, str], str] = {}
    for row in rows:
        levels[row.level] += 1
        for kind in row.exceptions:
            kinds[kind] += 1
            shown.setdefault(kind, row.log_id)
    start, end = format_instant(span.start), format_instant(span.end)
    return Manifest(
        source=source, dt=format_instant(span.end - 1)[:10], revision=0, status="sealed" if whole else "open",
        span=TimeSpan(start=start, end=end), read_at=format_instant(read_at), rows=sum(levels.values()),
        errors=sum(count for level, count in levels.items() if level.lower() in ERROR_LEVELS), rows_by_level=dict(levels),
        gaps=[] if whole else [Gap(start=start, end=end, reason="not-over")],
        exceptions=[ExceptionCount(type=kind[0], frame=kind[1], count=count, log_id=shown[kind])
                    for kind, count in kinds.most_common(_KINDS)])
