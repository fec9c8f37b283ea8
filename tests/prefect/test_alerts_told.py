"""What is told over several runs: when a channel, the bucket, a manifest or deepset itself failed in one of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.events.filters import EventFilter, EventNameFilter
from prefect_deepset.api.errors import AlertError, ArchiveError, AuthenticationError
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.day import archive_day as core_archive_day
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs, backfill_logs, fill_formats, verify_archive, watch_errors
from prefect_deepset.tasks.archive import archive_day
from prefect_deepset.tasks.notify import send_alert
from prefect_deepset.testing import Behaviour, FakeDeepset, even_day, row, ties
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .conftest import Receiver, all_events, make_archive
from .test_archive_daily import report_of
from .test_archive_flows import recent

pytestmark = pytest.mark.usefixtures("prefect_server")

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
BEFORE = YESTERDAY - timedelta(days=1)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task retries follow each other at once."""
    monkeypatch.setattr(send_alert, "retry_delay_seconds", [0, 0, 0])


def errors(count: int) -> list[Any]:
    return [row(f"{YESTERDAY}T12:00:{n % 60:02d}.{n:06d}Z", level="ERROR") for n in range(count)]


def outlive_the_leases(s3: S3Handle, bucket: str) -> None:
    """As if twenty minutes had gone by since all that was claimed."""
    earlier = (datetime.now(UTC) - timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for key in s3.keys(bucket, "alerts/workspace="):
        claim = {**json.loads(s3.read(bucket, key)), "at": earlier}
        s3.client().put_object(Bucket=bucket, Key=key, Body=json.dumps(claim).encode())


def subjects(receiver: Receiver) -> list[str]:
    told, receiver.received = receiver.received, []
    return [message["subject"].removeprefix("[deepset] ") for message in told]


def test_a_message_not_sent_waits_for_a_run_with_a_channel(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                          archive: LogArchive, notify: str, receiver: Receiver):
    deepset.add_pipeline("w", "bad", errors(5))
    receiver.status = 503
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=5, notify=notify)
    assert len(subjects(receiver)) == 4
    receiver.status = 200
    outlive_the_leases(s3, archive.bucket)
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=5, notify=None)
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=5, notify=notify)
    assert "Told late" in receiver.received[0]["body"]
    assert subjects(receiver) == [f"FIRING: w / bad, {YESTERDAY}"]


def test_an_alert_that_could_not_be_claimed_is_told_by_a_run_that_considers_other_days(
        s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive, notify: str,
        receiver: Receiver):
    deepset.add_pipeline("w", "bad", errors(5))
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/alerts/*"}
    mute = make_archive(s3, archive.bucket, key=s3.user({"Version": "2012-10-17", "Statement": [allowed, denied]}))
    archive_daily_logs(credentials, mute, "w", day=YESTERDAY, error_threshold=5, notify=notify)
    assert subjects(receiver) == []
    archive_daily_logs(credentials, archive, "w", day=BEFORE, error_threshold=5, notify=notify)
    assert subjects(receiver) == [f"FIRING: w / bad, {YESTERDAY}"]


def test_a_manifest_that_cannot_be_read_stops_no_other_pipeline(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                               credentials: DeepsetCredentials, notify: str,
                                                               receiver: Receiver):
    deepset.add_pipeline("w", "broken", even_day(f"{YESTERDAY}T00:00:00Z", 10))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    [manifest] = s3.keys(archive.bucket, "manifests/workspace=w/pipeline=broken/")
    s3.client().put_object(Bucket=archive.bucket, Key=manifest, Body=b"{not json")
    deepset.add_pipeline("w", "good", errors(5))
    for names in (None, ["good"]):
        state = archive_daily_logs(credentials, archive, "w", names, error_threshold=5, notify=notify, return_state=True)
        if names is None:
            with pytest.raises(ArchiveError, match=r"\[broken"):
                state.result()
            assert "broken" in report_of(state)
        else:
            assert {found.source.pipeline for found in state.result()} == {"good"}
    assert subjects(receiver) == [f"FIRING: w / good, {YESTERDAY}"]


def test_a_key_that_is_no_longer_taken_is_told_before_logs_are_lost(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                    archive: LogArchive, notify: str, receiver: Receiver):
    deepset.behaviour = Behaviour(retention_answer="shown")
    long_ago = BEFORE - timedelta(days=1)
    deepset.add_pipeline("w", "chat", [row(f"{long_ago}T12:00:00Z")])
    archive_day(credentials, archive, "w", "chat", long_ago)
    expired = DeepsetCredentials(api_key=SecretStr("api_canary-expired"), base_url=deepset.url)
    state = archive_daily_logs(expired, archive, "w", notify=notify, return_state=True)
    with pytest.raises(AuthenticationError):
        state.result()
    assert subjects(receiver) == [f"INCOMPLETE: w / chat, {BEFORE}"]
    assert "workspace w failed" in report_of(state)
    assert "canary" not in report_of(state)


def test_a_watch_whose_key_is_no_longer_taken_tells_what_waits(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                               credentials: DeepsetCredentials, notify: str,
                                                               receiver: Receiver):
    deepset.add_pipeline("w", "bad", recent(25, "error"))
    receiver.status = 503
    with pytest.raises(AlertError, match="not sent"):
        watch_errors(credentials, archive, "w", notify=notify)
    receiver.status, receiver.received = 200, []
    outlive_the_leases(s3, archive.bucket)
    expired = DeepsetCredentials(api_key=SecretStr("api_canary-expired"), base_url=deepset.url)
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            watch_errors(expired, archive, "w", notify=notify)
    assert [subject.rpartition(",")[0] for subject in subjects(receiver)] == ["FIRING: w / bad"]


def test_a_watch_tells_and_keeps_no_more_than_the_archive_may_hold(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                                   credentials: DeepsetCredentials, notify: str,
                                                                   receiver: Receiver):
    deepset.add_pipeline("w", "bad", recent(25, "error", message="no rights for customer 4711"))
    private = archive.model_copy(update={"redaction": RedactionPolicy(patterns=[r"customer \d+"])})
    watch_errors(credentials, private, "w", notify=notify)
    told = [receiver.received[0]["body"], *(s3.read(archive.bucket, key).decode() for key in s3.keys(archive.bucket))]
    assert "no rights for [redacted]" in told[0]
    assert not [text for text in told if "4711" in text]


def archived_events(kind: str, archive: LogArchive) -> list[tuple[str, str]]:
    """(day, revision) of the events about this archive."""
    events = all_events(EventFilter(event=EventNameFilter(name=[kind])))
    return sorted((event["payload"]["dt"], event["resource"]["revision"]) for event in events
                  if archive.bucket in json.dumps(event))


def test_events_of_a_commit_whose_run_died_go_out_later_and_once(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                                 credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", errors(5))
    with credentials.get_client() as client:
        core_archive_day(client, archive.get_store(), LogSource("w", "chat"), YESTERDAY)
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    assert archived_events("deepset.logs.archived", archive) == []  # as young as this it may be another run's

    [key] = s3.keys(archive.bucket, "manifests/")
    manifest = {**json.loads(s3.read(archive.bucket, key)), "read_at": f"{YESTERDAY + timedelta(days=1)}T00:00:00Z"}
    s3.client().put_object(Bucket=archive.bucket, Key=key, Body=json.dumps(manifest).encode())
    keys = s3.keys(archive.bucket)
    for _ in range(2):
        archive_daily_logs(credentials, archive, "w", pipelines=["chat"], day=BEFORE)
    assert (str(YESTERDAY), "1") in archived_events("deepset.logs.archived", archive)
    assert (str(YESTERDAY), "1") in archived_events("prefect.asset.materialization.succeeded", archive)
    mark = f"alerts/archived/workspace=w/dt={YESTERDAY}/pipeline=chat/r00001.json"
    assert mark in set(s3.keys(archive.bucket)) - set(keys)


def test_a_format_added_later_is_told_as_a_revision_and_marks_are_nothing_foreign(deepset: FakeDeepset, archive: LogArchive,
                                                                                 credentials: DeepsetCredentials,
                                                                                 s3: S3Handle):
    deepset.add_pipeline("w", "chat", errors(5))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    wider = archive.model_copy(update={"formats": ["jsonl", "csv"]})
    fill_formats(wider, "w")
    assert archived_events("deepset.logs.archived", archive) == [(str(YESTERDAY), "1"), (str(YESTERDAY), "2")]
    before = s3.keys(archive.bucket)
    fill_formats(wider, "w")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    assert s3.keys(archive.bucket) == before
    assert verify_archive(archive, "w").ok


def test_a_backfill_without_rules_does_not_judge_by_a_threshold_of_its_own(deepset: FakeDeepset, archive: LogArchive,
                                                                          credentials: DeepsetCredentials, notify: str,
                                                                          receiver: Receiver):
    deepset.add_pipeline("w", "chat", errors(150))
    rules = AlertRules(error_count=500)
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, notify=notify, rules=rules)
    backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, select="all", notify=notify)
    backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, select="all", notify=notify, rules=rules)
    assert subjects(receiver) == []
    backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, select="all", notify=notify,
                  rules=AlertRules(error_count=100))
    assert subjects(receiver) == [f"FIRING: w / chat, {YESTERDAY}"]


def test_a_day_that_cannot_be_read_whole_is_told_once_by_daily_flow_and_backfill_and_resolved_when_mended(
        deepset: FakeDeepset, archive: LogArchive, credentials: DeepsetCredentials, notify: str, receiver: Receiver):
    deepset.behaviour = Behaviour(level_filter="400", origin_filter="400", or_filter="400", time_filter="400")
    deepset.add_pipeline("w", "chat", ties(f"{YESTERDAY}T10:00:00Z", 150))
    with pytest.raises(ArchiveError, match="chat"):
        archive_daily_logs(credentials, archive, "w", day=YESTERDAY, notify=notify)
    for select in ("incomplete", "all"):
        with pytest.raises(ArchiveError, match="chat"):
            backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, select=select, notify=notify)
    assert subjects(receiver) == [f"INCOMPLETE: w / chat, {YESTERDAY}"]
    deepset.behaviour = Behaviour()
    backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, select="incomplete", notify=notify)
    for _ in range(2):
        archive_daily_logs(credentials, archive, "w", day=YESTERDAY, notify=notify)
    assert subjects(receiver) == [f"RESOLVED: w / chat, {YESTERDAY}"]
