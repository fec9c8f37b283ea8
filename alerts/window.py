"""The last minutes as something a rule can judge: what a watch between the daily archives rests on.

A window's alerts have rules, and so histories, of their own, for each length of window: twenty errors in a quarter of an hour,
in an hour and in a day are different promises, and none may resolve another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from ..api.errors import InvalidInputError
from ..api.models import PipelineLog
from ..api.rows import Row
from ..api.sources import LogSource
from ..api.times import Span, day_of, day_span, format_instant
from ..archive.counts import Counts
from ..archive.manifest import Gap, Manifest, Source, TimeSpan
from .redact import sample
from .rules import BaseRule, ErrorCount, Measure, RuleSet

_SHORTHAND = "error-threshold"
_MOST_SHOWN = 100
_COUNTED_AT_ONCE = 1000


class ErrorWindow(BaseRule):
    """Fires when the last minutes have as many rows as a rule on error counts asks for.

    It resolves below the rule's `resolve_below`, or below half of the threshold where there is none, lest it flap.
    """

    kind: Literal["error_window"] = "error_window"
    name: str = Field(min_length=1)
    counted: ErrorCount
    """Levels, threshold and `resolve_below`."""
    minutes: int = Field(ge=1)

    @property
    def patience(self) -> float:
        """What nobody looked at for long may have ended and begun again. Six hours at least: some watch once an hour."""
        return max(3 * self.minutes * 60.0, 6 * 3600.0)

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:  # noqa: ARG002 - the signature all rules share
        """Counts the window's rows of the levels."""
        count, threshold = self.counted.count(manifest), self.counted.threshold
        span = f"{manifest.span.start[11:16]} to {manifest.span.end[11:16]} UTC"
        return Measure(count, threshold, f"{count:,} {self.counted.noun()} from {span}; the threshold is {threshold:,}.",
                       fires=count >= threshold, calm=count < (self.counted.resolve_below or (threshold + 1) // 2))


class WatchRules(NamedTuple):
    """The rules of a watch, for `claim_transitions`."""

    rules: tuple[ErrorWindow, ...]

    @classmethod
    def of(cls, rules: RuleSet, minutes: int) -> WatchRules:
        """Those of the rules that a window of so many minutes can be judged by: error counts, against the window's rows.

        Ratios and missing rows need all rows of a day. A new kind of exception would be over with the next window.

        Raises:
            InvalidInputError: there are none.
        """
        windows = [ErrorWindow(name=window_rule_name(rule.name, minutes), counted=rule, minutes=minutes,
                               pipelines=rule.pipelines)
                   for rule in rules.rules if isinstance(rule, ErrorCount)]
        if not windows:
            raise InvalidInputError("None of the rules is an error count, and no other can be judged of the last minutes.",
                                    "Give `rules` one, or leave it out and set `error_threshold`.")
        return cls(tuple(windows))

    def for_source(self, source: LogSource) -> list[ErrorWindow]:
        """The rules that cover the pipeline, perhaps none."""
        return [rule for rule in self.rules if rule.covers(source)]

    @property
    def levels(self) -> list[str]:
        """Every level that a rule counts, in lower case."""
        return sorted({level for rule in self.rules for level in rule.counted.levels})


def window_rule_name(rule: str, minutes: int) -> str:
    """``watch-errors-15m``, and the rule's name where it is not the flows' shorthand. No `RuleSet` takes such a name."""
    return f"watch-errors-{minutes}m" + ("" if rule == _SHORTHAND else f"-{rule}")


class WindowRows:
    """The rows of a window, counted as they come; the first of each kind is kept to be shown.

    Args:
        span: the window, in nanoseconds; it counts for the UTC day of its end.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._day = day_span(day_of(span.end - 1))
        self._counts = Counts()
        self._waiting: list[Row] = []
        self._shown: dict[tuple[str, str], Row] = {}

    def add(self, row: Row) -> None:
        """Takes one more."""
        self._waiting.append(row)
        for kind in row.exceptions or ((row.level.casefold(), ""),):
            if len(self._shown) < _MOST_SHOWN:
                self._shown.setdefault(kind, row)
        if len(self._waiting) == _COUNTED_AT_ONCE:
            self._count()

    def manifest(self, source: Source, *, read_at: int, whole: bool) -> Manifest:
        """What was read, in the form the rules judge. It is never stored: its revision is 0.

        Args:
            source: host and names.
            read_at: when, in nanoseconds.
            whole: False when a part of the window could not be read: then it may fire, and resolves nothing. That alone is
                no alert: a 504 every few minutes would be one that people switch off. The archive's rules tell of what is lost.
        """
        self._count()
        start, end = format_instant(self._span.start), format_instant(self._span.end)
        # Hours are those of a day; a window may reach into the day before.
        counted = {name: value for name, value in self._counts.fields().items() if not name.endswith("_by_hour")}
        return Manifest.model_validate({
            "source": source, "dt": format_instant(self._span.end - 1)[:10], "revision": 0,
            "status": "sealed" if whole else "open", "span": TimeSpan(start=start, end=end), "read_at": format_instant(read_at),
            "gaps": [] if whole else [Gap(start=start, end=end, reason="not-over")], **counted})

    def samples(self) -> dict[str, str]:
        """`log_id` → message, redacted and shortened, of the rows that were kept."""
        return {row.log_id: sample(PipelineLog.from_row(row).message) for row in self._shown.values()}

    def _count(self) -> None:
        self._counts.add(Counts.of(self._waiting, self._day.start))
        self._waiting = []
