"""The rules: few, plain, per pipeline or for all. What a rule makes of a day is decided in `verdicts`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..api.errors import InvalidInputError
from ..api.rows import ERROR_LEVELS
from ..api.sources import LogSource
from ..archive.manifest import ExceptionCount, Manifest
from .redact import redact

RuleName = Annotated[str, Field(
    min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
    description="Names the rule's history of alerts: keep it when the rule changes.")]


class Measure(NamedTuple):
    """What a rule counted on one day, before anything is known about whether the day is whole."""

    value: float
    threshold: float
    detail: str
    """One sentence: how many, against what."""
    fires: bool = False
    calm: bool = True
    """Whether a whole day like this ends an alert; False between `resolve_below` and the threshold."""
    judgeable: bool = True
    """False where there is too little to judge by: no rows, or fewer than the rule asks for."""
    silence: bool = False
    """Whether "nothing to judge by" is itself the news: zero rows where history has some."""
    kinds: frozenset[str] = frozenset()
    """What exactly fired, where one day can fire for several things."""
    present: frozenset[str] = frozenset()
    """Of such things, all that the day has, those that do not fire too: what fired before may be among them."""


class BaseRule(BaseModel):
    """What all rules share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: RuleName
    """Names the series of the rule's alerts."""
    pipelines: tuple[str, ...] = Field(default=("*",), min_length=1, description="Names or patterns (`chat-*`) of pipelines.")

    @property
    def rule_kind(self) -> str:
        """The kind, as events and transitions name it."""
        return str(type(self).model_fields["kind"].default)

    @property
    def history_days(self) -> int:
        """How many archived days before the judged one the rule looks at."""
        return 0

    @property
    def patience(self) -> float | None:
        """Seconds without a look after which an alert that fires is told anew; None where each day is judged in any case."""
        return None

    def covers(self, source: LogSource) -> bool:
        """Whether the rule is for this pipeline (or index)."""
        return any(_fits(pattern, source) for pattern in self.pipelines)

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:
        """What the day is, by this rule; `history` holds the archived days before it, oldest first."""
        raise NotImplementedError


class _LevelRule(BaseRule):
    levels: frozenset[str] = Field(default=ERROR_LEVELS, min_length=1, description="Levels that count, in any case.")

    @field_validator("levels")
    @classmethod
    def _in_lower_case(cls, levels: frozenset[str]) -> frozenset[str]:
        return frozenset(level.strip().casefold() for level in levels)

    def count(self, manifest: Manifest) -> int:
        if self.levels == ERROR_LEVELS:
            return manifest.errors
        return sum(rows for level, rows in manifest.rows_by_level.items() if level.strip().casefold() in self.levels)

    def noun(self) -> str:
        return "error rows" if self.levels == ERROR_LEVELS else f"rows of level {', '.join(sorted(self.levels))}"


class ErrorCount(_LevelRule):
    """Fires when a day has at least `threshold` error rows."""

    kind: Literal["error_count"] = "error_count"
    name: RuleName = "error-count"
    threshold: int = Field(ge=1, description="Error rows of a UTC day at which it fires.")
    resolve_below: int | None = Field(default=None, ge=1, description="Resolves below this many; empty: `threshold`.")

    @model_validator(mode="after")
    def _resolves_below_threshold(self) -> Self:
        if self.resolve_below is not None and self.resolve_below > self.threshold:
            raise ValueError("`resolve_below` is above `threshold`: the alert would resolve while it fires")
        return self

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:  # noqa: ARG002 - the signature all rules share
        """Counts the day's rows of the levels."""
        count = self.count(manifest)
        fires = count >= self.threshold
        hour = _crossing_hour(manifest.errors_by_hour, self.threshold) if fires and self.levels == ERROR_LEVELS else None
        when = f", reached in the hour from {hour:02d}:00 UTC" if hour is not None else ""
        detail = f"{count:,} {self.noun()} of {manifest.rows:,}; the threshold is {self.threshold:,}{when}."
        return Measure(count, self.threshold, detail, fires=fires, calm=count < (self.resolve_below or self.threshold),
                       judgeable=manifest.rows > 0)


class ErrorRatio(_LevelRule):
    """Fires when at least `ratio` of a day's rows are error rows, on days with at least `min_rows` rows."""

    kind: Literal["error_ratio"] = "error_ratio"
    name: RuleName = "error-ratio"
    ratio: float = Field(gt=0, le=1, description="Share of error rows at which it fires: 0.05 is 5 %.")
    min_rows: int = Field(default=100, ge=1, description="Days with fewer rows are not judged.")
    resolve_below: float | None = Field(default=None, gt=0, le=1, description="Resolves below this share; empty: `ratio`.")

    @model_validator(mode="after")
    def _resolves_below_ratio(self) -> Self:
        if self.resolve_below is not None and self.resolve_below > self.ratio:
            raise ValueError("`resolve_below` is above `ratio`: the alert would resolve while it fires")
        return self

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:  # noqa: ARG002
        """The share of the day's rows that have one of the levels."""
        count = self.count(manifest)
        share = count / manifest.rows if manifest.rows else 0.0
        if manifest.rows < self.min_rows:
            detail = f"{manifest.rows:,} rows are too few to judge a share by; it takes {self.min_rows:,}."
            return Measure(share, self.ratio, detail, judgeable=False)
        detail = f"{share:.2%} {self.noun()} ({count:,} of {manifest.rows:,}); the threshold is {self.ratio:.2%}."
        return Measure(share, self.ratio, detail, fires=share >= self.ratio, calm=share < (self.resolve_below or self.ratio))


class NewException(BaseRule):
    """Fires when a day has a kind of exception (type and innermost frame) that the last archived days do not have.

    Resolves on a day that has none of the kinds which fired. A manifest names a hundred kinds: beyond them nothing is known, so
    a kind is new only against days that name all of theirs, and gone only from such a day.
    """

    kind: Literal["new_exception"] = "new_exception"
    name: RuleName = "new-exception"
    lookback_days: int = Field(default=7, ge=1, le=90, description="Archived days to look back.")
    frames: Literal["line", "module"] = Field(
        default="line", description="What tells frames apart: the line, or only the module (lines move with each release).")

    @property
    def history_days(self) -> int:
        """The days to look back."""
        return self.lookback_days

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:
        """The kinds that no manifest of the lookback names. Without any history nothing can be called new."""
        past = history[-self.lookback_days:]
        seen = {self._kind(exception) for day in past for exception in day.exceptions}
        today = dict.fromkeys(self._kind(exception) for exception in manifest.exceptions)
        unseen = [kind for kind in today if kind not in seen]
        cut = sum(1 for day in past if not day.knows_all_kinds)
        kinds = unseen if past and not cut else []
        if not past:
            detail = "There is no archived day before to compare with."
        elif kinds:
            more = f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
            detail = f"Not seen in {_days(len(past))} archived before: {', '.join(kinds[:3])}{more}."
        elif unseen:
            detail = (f"New or not cannot be told of {_count(len(unseen), 'kind')} of exception: {cut} of "
                      f"{_days(len(past))} archived before had more kinds than a manifest names.")
        else:
            detail = f"No new kind of exception against {_days(len(past))} archived before."
        # A cut list of its own proves nothing gone.
        return Measure(len(kinds), 1, detail, fires=bool(kinds), calm=manifest.knows_all_kinds, judgeable=manifest.rows > 0,
                       kinds=frozenset(kinds), present=frozenset(today))

    def _kind(self, exception: ExceptionCount) -> str:
        frame = exception.frame if self.frames == "line" else exception.frame.rpartition(":")[0] or exception.frame
        return kind_name(exception.type, frame)


class ZeroRows(BaseRule):
    """Goes to NO_DATA when a whole day has no rows where one of the last archived days has some."""

    kind: Literal["zero_rows"] = "zero_rows"
    name: RuleName = "zero-rows"
    lookback_days: int = Field(default=7, ge=1, le=90, description="Archived days to look back.")

    @property
    def history_days(self) -> int:
        """The days to look back."""
        return self.lookback_days

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:
        """Whether the day is empty, and whether that is news."""
        past = history[-self.lookback_days:]
        busy = sum(1 for day in past if day.rows)
        if manifest.rows:
            return Measure(manifest.rows, 1, f"{manifest.rows:,} rows.")
        detail = f"No rows; {busy} of {_days(len(past))} archived before had some."
        return Measure(0, 1, detail, judgeable=False, silence=busy > 0)


class Completeness(BaseRule):
    """Never fires by itself: watches for what is missing, where no other rule is for the pipeline."""

    kind: Literal["completeness"] = "completeness"
    name: RuleName = "completeness"

    def measure(self, manifest: Manifest, history: Sequence[Manifest]) -> Measure:  # noqa: ARG002
        """Nothing is counted."""
        return Measure(0, 0, f"{manifest.rows:,} rows archived.")


Rule = Annotated[ErrorCount | ErrorRatio | NewException | ZeroRows, Field(discriminator="kind")]


class Rules(Protocol):
    """What says which rules are for a pipeline: a `RuleSet`, or the one rule of a watch."""

    def for_source(self, source: LogSource) -> Sequence[BaseRule]:
        """The rules for one pipeline (or index)."""
        ...


COMPLETENESS = Completeness()
"""The rule of a pipeline that no other is for."""
_RESERVED = re.compile(r"completeness|watch-errors(-\d+m.*)?")
"""Two rules of one name would share a series of alerts: see `Completeness`, and `window_rule_name` in `window`."""


class RuleSet(BaseModel):
    """Rules with different names. A pipeline that none is for is still watched for what is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rule.name for rule in self.rules]
        for name in filter(_RESERVED.fullmatch, names):
            raise ValueError(f"a rule is named {name!r}, which is kept for alerts of another kind: give it another name")
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two rules are named {doubled[0]!r}: give each a name of its own")
        return self

    @classmethod
    def from_threshold(cls, threshold: int | None, name: str = "error-threshold") -> RuleSet:
        """The rule set of the flows' `error_threshold`; None watches only for what is missing.

        Raises:
            InvalidInputError: when it is below 1.
        """
        if threshold is None:
            return cls()
        if isinstance(threshold, bool) or threshold < 1:
            raise InvalidInputError(f"`error_threshold` is {threshold!r}.", "Give 1 or more, or None for no threshold.")
        return cls(rules=(ErrorCount(name=name, threshold=threshold),))

    def for_source(self, source: LogSource) -> list[BaseRule]:
        """The rules for one pipeline (or index): never none."""
        return [rule for rule in self.rules if rule.covers(source)] or [COMPLETENESS]

    def idle_patterns(self, sources: Sequence[LogSource]) -> list[str]:
        """One sentence for each pattern of a rule that fits none of the sources: a name typed wrong, most likely."""
        rules_of: dict[str, list[str]] = {}
        for rule in self.rules:
            for pattern in rule.pipelines:
                if not any(_fits(pattern, source) for source in sources):
                    rules_of.setdefault(pattern, []).append(repr(rule.name))
        return [f"Pattern {pattern!r} of rule {', '.join(names)} fits no pipeline of this run, and nothing is judged by it: "
                "correct it in `rules`." for pattern, names in rules_of.items()]

    @property
    def history_days(self) -> int:
        """How many archived days before a judged one must be given with it."""
        return max((rule.history_days for rule in self.rules), default=0)


def _fits(pattern: str, source: LogSource) -> bool:
    return source.name == pattern or fnmatchcase(source.name, pattern)


def source_of(manifest: Manifest) -> LogSource:
    """The manifest's source, as the API and the keys name it."""
    return LogSource(manifest.source.workspace, manifest.source.pipeline, manifest.source.kind)


def newest_by_day(manifests: Sequence[Manifest]) -> Mapping[str, Manifest]:
    """The highest revision of each day of one source, oldest day first."""
    newest: dict[str, Manifest] = {}
    for manifest in sorted(manifests, key=lambda one: (one.dt, one.revision)):
        newest[manifest.dt] = manifest
    return newest


def _crossing_hour(errors_by_hour: Sequence[int], threshold: int) -> int | None:
    total = 0
    for hour, errors in enumerate(errors_by_hour):
        total += errors
        if total >= threshold:
            return hour
    return None  # a manifest whose hours are not filled in


@lru_cache(4096)
def kind_name(kind: str, frame: str) -> str:
    """``Type at frame``, as alerts and events may name it: whoever makes up an exception's type may put anything into it."""
    return redact(f"{kind} at {frame}" if frame else kind)


def _days(count: int) -> str:
    return _count(count, "day")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
