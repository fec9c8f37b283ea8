"""The block of alert rules: a plain form, and the flow that is judged by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import get_client
from prefect.blocks.core import Block
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect_deepset.alerts.rules import ErrorCount, RuleSet
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs, try_alert_rules, watch_errors
from prefect_deepset.testing import FakeDeepset, even_day, row
from pydantic import ValidationError

from ..servers.ministack import S3Handle
from .conftest import all_events
from .test_archive_daily import report_of

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


class TestBlockStandards(BlockStandardTestSuite):
    """Prefect's own suite."""

    @pytest.fixture
    def block(self) -> type[Block]:
        return AlertRules

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """The suite would fetch the picture; whether the network is there is not for this test to tell."""
        assert str(block._logo_url).startswith("https://")


def test_a_form_left_as_it_is_means_the_flows_default_threshold():
    assert AlertRules().get_rules() == RuleSet.from_threshold(100)


def test_an_empty_form_watches_only_for_what_is_missing():
    assert AlertRules(error_count=None).get_rules() == RuleSet()


def test_each_rule_takes_its_own_fields():
    rules = AlertRules(error_count=5, error_count_resolve_below=2, error_ratio=0.1, error_ratio_min_rows=10, levels=["Warning"],
                       new_exceptions=True, new_exceptions_by="module", zero_rows=True, lookback_days=3, pipelines=["chat-*"])
    found = [rule.model_dump(exclude={"pipelines"}) for rule in rules.get_rules().rules]
    assert found == [
        {"kind": "error_count", "name": "error-threshold", "threshold": 5, "resolve_below": 2, "levels": {"warning"}},
        {"kind": "error_ratio", "name": "error-ratio", "ratio": 0.1, "min_rows": 10, "resolve_below": None,
         "levels": {"warning"}},
        {"kind": "new_exception", "name": "new-exception", "lookback_days": 3, "frames": "module"},
        {"kind": "zero_rows", "name": "zero-rows", "lookback_days": 3},
    ]
    assert {rule.pipelines for rule in rules.get_rules().rules} == {("chat-*",)}


@pytest.mark.parametrize(("wrong", "said"), [
    ({"error_count": 0}, "greater than or equal to 1"),
    ({"error_ratio": 1.5}, "less than or equal to 1"),
    ({"error_count": 5, "error_count_resolve_below": 6}, "resolve_below"),
    ({"more_rules": [{"kind": "error_count", "name": "error-threshold", "threshold": 1}]}, "name of its own"),
    ({"pipelines": []}, "at least 1 item"),
])
def test_what_does_not_fit_is_refused_in_the_form(wrong: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        AlertRules(**wrong)


@pytest.mark.usefixtures("prefect_server")
def test_saved_rules_come_back_as_they_were():
    rules = AlertRules(error_ratio=0.2, more_rules=[ErrorCount(name="vip", threshold=1, pipelines=("vip",))])
    rules.save("all-of-it", overwrite=True)
    assert AlertRules.load("all-of-it").get_rules() == rules.get_rules()


@pytest.mark.usefixtures("prefect_server")
def test_the_flow_judges_by_the_rules_instead_of_the_threshold(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                               archive: LogArchive):
    for name in ("vip", "chat"):
        deepset.add_pipeline("rules", name, [row(f"{YESTERDAY}T12:00:0{second}Z", level="ERROR") for second in range(3)])
    rules = AlertRules(error_count=None, more_rules=[ErrorCount(name="vip", threshold=2, pipelines=("vip",))])
    archive_daily_logs(credentials, archive, "rules", day=YESTERDAY, error_threshold=1, rules=rules)
    crossed = all_events(EventFilter(event=EventNameFilter(name=["deepset.logs.error-threshold.crossed"])))
    assert [(event["resource"]["pipeline"], event["resource"]["rule"]) for event in crossed
            if event["resource"]["workspace"] == "rules"] == [("vip", "vip")]


@pytest.mark.usefixtures("prefect_server")
def test_rules_are_tried_on_archived_days_and_tell_nobody(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                          archive: LogArchive, s3: S3Handle, caplog: pytest.LogCaptureFixture):
    start = f"{YESTERDAY}T00:00:00Z"
    deepset.add_pipeline("w", "bad", even_day(start, 30, kinds=[("error", "o")]))
    deepset.add_pipeline("w", "calm", even_day(start, 30, kinds=[("info", "o")]))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=None)
    before, _ = s3.keys(archive.bucket), deepset.reset()
    tried = try_alert_rules(archive, AlertRules(error_count=20), "w", days=7)
    assert [(one.source.name, one.rule, one.fired, one.days) for one in tried] == [
        ("bad", "error-threshold", [str(YESTERDAY)], 1), ("calm", "error-threshold", [], 1)]
    assert f"bad: error-threshold would have fired on 1 of the last 1 day (1 message): {YESTERDAY}." in caplog.text
    assert s3.keys(archive.bucket) == before
    assert deepset.counters["requests"] == 0
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["deepset-rules-tried-w"]))
        [artifact] = client.read_artifacts(artifact_filter=wanted)
    assert f"| bad | error-threshold | 1 | 1 | 0 | 1 | {YESTERDAY} |" in str(artifact.data)


@pytest.mark.usefixtures("prefect_server")
def test_what_cannot_be_tried_is_said(archive: LogArchive):
    with pytest.raises(InvalidInputError, match="No day of 'ghost' is archived"):
        try_alert_rules(archive, AlertRules(), "w", ["ghost"])
    with pytest.raises(InvalidInputError, match="at least 1"):
        try_alert_rules(archive, AlertRules(), "w", days=0)
    with pytest.raises(InvalidInputError, match=r"Nothing is archived of `workspace` 'w'\. .*empty"):
        try_alert_rules(archive, AlertRules(), "w")


@pytest.mark.usefixtures("prefect_server")
def test_a_pattern_that_fits_no_pipeline_is_named_in_log_and_report(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                   archive: LogArchive, caplog: pytest.LogCaptureFixture):
    deepset.add_pipeline("w", "chat", [])
    rules = AlertRules(pipelines=["chta", "ch*"], more_rules=[ErrorCount(name="vip", threshold=1, pipelines=("chat",))])
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, rules=rules, return_state=True)
    said = "Pattern 'chta' of rule 'error-threshold' fits no pipeline of this run, and nothing is judged by it"
    assert [record.levelname for record in caplog.records if said in record.message] == ["WARNING"]
    assert said in report_of(state)
    assert ("'ch*'" in caplog.text, "vip" in caplog.text) == (False, False)


@pytest.mark.usefixtures("prefect_server")
def test_a_watch_by_rules_that_fit_no_pipeline_fails_and_names_them(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                   archive: LogArchive):
    rules = AlertRules(error_count=1, pipelines=["chta", "docs-*"])
    deepset.add_workspace("empty")
    assert watch_errors(credentials, archive, "empty", rules=rules) == {}
    deepset.add_pipeline("w", "chat", [])
    for names in (None, ["chat"]):
        with pytest.raises(InvalidInputError, match=r"of `rules` is for any of the pipelines: 'chta', 'docs-\*' fit none"):
            watch_errors(credentials, archive, "w", names, rules=rules)
