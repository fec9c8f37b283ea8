"""The block that says what of a day of logs is worth an alert."""

from __future__ import annotations

from typing import Literal, Self

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, model_validator

from ..alerts.rules import ErrorCount, ErrorRatio, NewException, Rule, RuleSet, ZeroRows
from ..api.rows import ERROR_LEVELS
from .form_fields import may_stay_empty

ERROR_COUNT = "error-threshold"
"""The flows' `error_threshold` has this name too: going from one to the other keeps the history of its alerts."""


class AlertRules(Block):
    """What of a day's logs is worth an alert, for all pipelines or some. A rule whose first field is empty or off is not used.

    Example:
        Load saved rules and archive by them:
        ```python
        from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive
        from prefect_deepset.flows import archive_daily_logs

        rules = AlertRules.load("BLOCK_NAME")
        archive_daily_logs(DeepsetCredentials.load("default"), LogArchive.load("default"), "my-workspace", rules=rules)
        ```
    """

    _block_type_name = "deepset Alert Rules"
    _block_type_slug = "deepset-alert-rules"
    _logo_url = HttpUrl("https://avatars.githubusercontent.com/u/51827949?s=200&v=4")
    _documentation_url = HttpUrl("https://docs.cloud.deepset.ai")

    error_count: int | None = Field(
        default=100, ge=1, title="Error Rows",
        description="Alert when a pipeline has this many error rows on a UTC day; None for no such alert.",
    )
    error_count_resolve_below: int | None = Field(
        default=None, ge=1, title="Error Rows: Resolve Below", json_schema_extra=may_stay_empty,
        description="The alert is over on a day with fewer error rows than this; empty for the number above.",
    )
    error_ratio: float | None = Field(
        default=None, gt=0, le=1, title="Error Ratio", json_schema_extra=may_stay_empty,
        description="Alert when this share of a day's rows are error rows (0.05 is 5 %); empty for no such alert.",
    )
    error_ratio_resolve_below: float | None = Field(
        default=None, gt=0, le=1, title="Error Ratio: Resolve Below", json_schema_extra=may_stay_empty,
        description="The alert is over on a day with a smaller share than this; empty for the share above.",
    )
    error_ratio_min_rows: int = Field(
        default=100, ge=1, title="Error Ratio: Fewest Rows",
        description="Days with fewer rows than this are not judged by their error ratio.",
    )
    levels: list[str] = Field(
        default=sorted(ERROR_LEVELS), min_length=1, title="Error Levels",
        description="Levels that count as errors for the two rules above, in any case.",
    )
    new_exceptions: bool = Field(
        default=False, title="New Exceptions",
        description="Alert on a kind of exception (type and innermost frame) that the days before do not have.",
    )
    new_exceptions_by: Literal["line", "module"] = Field(
        default="line", title="New Exceptions: Tell Apart By",
        description="What makes two frames different: the line, or only the module, since lines move with each release.",
    )
    zero_rows: bool = Field(
        default=False, title="No Rows",
        description="Alert on a day without any rows where one of the days before has some.",
    )
    lookback_days: int = Field(
        default=7, ge=1, le=90, title="Lookback",
        description="Archived days that the two rules above compare with.",
    )
    pipelines: list[str] = Field(
        default=["*"], min_length=1, title="Pipelines",
        description="Names, or patterns such as chat-*, of the pipelines that the rules above are for.",
    )
    more_rules: list[Rule] = Field(
        default_factory=list[Rule], title="More Rules",
        description="Further rules, for pipelines that need their own; each has a name that no other rule has.",
    )

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        self.get_rules()  # the rules know what fits together
        return self

    def get_rules(self) -> RuleSet:
        """The rules, for the alerts' core."""
        pipelines = tuple(self.pipelines)
        levels = frozenset(self.levels)
        rules: list[Rule] = []
        if self.error_count is not None:
            rules.append(ErrorCount(name=ERROR_COUNT, threshold=self.error_count, levels=levels,
                                    resolve_below=self.error_count_resolve_below, pipelines=pipelines))
        if self.error_ratio is not None:
            rules.append(ErrorRatio(ratio=self.error_ratio, min_rows=self.error_ratio_min_rows,
                                    resolve_below=self.error_ratio_resolve_below, levels=levels, pipelines=pipelines))
        if self.new_exceptions:
            rules.append(NewException(frames=self.new_exceptions_by,
                                      lookback_days=self.lookback_days, pipelines=pipelines))
        if self.zero_rows:
            rules.append(ZeroRows(lookback_days=self.lookback_days, pipelines=pipelines))
        return RuleSet(rules=(*rules, *self.more_rules))
