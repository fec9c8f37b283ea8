"""The flows and tasks around an archive: backfill, verification, reading back, the watch between."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import ParameterTypeError
from prefect_deepset.api.errors import AlertError, ApiError, ArchiveError, InvalidInputError, TooManyRowsError
from prefect_deepset.archive.errors import VerificationError
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive
from prefect_deepset.flows import (
    archive_daily_logs,
    backfill_logs,
    fill_formats,
    try_alert_rules,
    verify_archive,
    watch_errors,
)
from prefect_deepset.tasks import read_archived_logs, verify_day
from prefect_deepset.testing import Behaviour, FakeDeepset, even_day, row
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .conftest import Receiver, all_events, make_archive

pytestmark = pytest.mark.usefixtures("prefect_server")

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
LONG_AGO = TODAY - timedelta(days=9)


def fill(server: FakeDeepset, *names: str, rows: int = 120) -> None:
    for seed, name in enumerate(names):
        server.add_pipeline("w", name, even_day(f"{YESTERDAY}T00:00:00Z", rows, seed=seed))


def test_a_dry_run_says_what_it_would_do_and_does_nothing(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                          archive: LogArchive, caplog: pytest.LogCaptureFixture):
    fill(deepset, "chat")
    assert backfill_logs(credentials, archive, "w", LONG_AGO, YESTERDAY, dry_run=True) == []
    assert f"chat {YESTERDAY}" in caplog.text
    assert f"chat {LONG_AGO}, no longer shown" in caplog.text
    assert "9 days to archive" in caplog.text
    assert s3.keys(archive.bucket) == []
    assert deepset.counters["pages"] == 0


def test_a_backfill_takes_up_what_is_missing_and_records_what_is_gone(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                      archive: LogArchive):
    fill(deepset, "chat")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    deepset.reset()
    gone = YESTERDAY - timedelta(days=3)
    manifests = backfill_logs(credentials, archive, "w", gone, YESTERDAY)
    assert [date.fromisoformat(m.dt) for m in manifests] == [gone + timedelta(days=n) for n in range(3)]
    assert (manifests[0].rows, manifests[0].status) == (0, "gap")


def test_all_reads_archived_days_again_and_newest_first_turns_the_order(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                        archive: LogArchive):
    fill(deepset, "chat")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    deepset.reset()
    before = YESTERDAY - timedelta(days=1)
    manifests = backfill_logs(credentials, archive, "w", before, YESTERDAY, select="all", newest_first=True)
    assert [m.dt for m in manifests] == [str(YESTERDAY), str(before)]
    assert deepset.counters["rows"] >= 120


@pytest.mark.parametrize(("wrong", "said"), [
    ({"start": TODAY, "end": YESTERDAY}, "after"), ({"end": TODAY + timedelta(days=1)}, "future"), ({"notify": "x"}, "slug"),
    ({"start": YESTERDAY - timedelta(days=3660), "dry_run": True}, r"`start` \(.*to `end` \(.*3,661 days; at most 3,660"),
])
def test_a_wrong_range_is_named(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive, said: str,
                                wrong: dict[str, Any]):
    fill(deepset, "chat")
    with pytest.raises(InvalidInputError, match=said):
        backfill_logs(credentials, archive, "w", **{"start": YESTERDAY, "end": YESTERDAY, **wrong})
    assert deepset.requests == []


def test_an_index_that_cannot_be_one_is_refused_before_anything_is_asked(deepset: FakeDeepset, archive: LogArchive,
                                                                         credentials: DeepsetCredentials):
    fill(deepset, "chat")
    with pytest.raises(InvalidInputError, match="index's name is ''"):
        archive_daily_logs(credentials, archive, "w", indexes=[""])
    with pytest.raises(InvalidInputError, match="index's name is ''"):
        backfill_logs(credentials, archive, "w", YESTERDAY, YESTERDAY, indexes=["docs", ""])
    assert deepset.requests == []
    assert archive_daily_logs(credentials, archive, "w", day=YESTERDAY, indexes=[])


def test_verification_passes_on_what_was_archived_and_fails_on_what_was_damaged(s3: S3Handle, deepset: FakeDeepset,
                                                                               credentials: DeepsetCredentials,
                                                                               archive: LogArchive):
    fill(deepset, "chat", "search")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    verdict = verify_archive(archive, "w")
    assert verdict.ok
    assert verdict.rows == 240
    assert verify_day(archive, "w", "chat", YESTERDAY).ok

    [part] = s3.keys(archive.bucket, "jsonl/workspace=w/pipeline=chat/")
    s3.client().delete_object(Bucket=archive.bucket, Key=part)
    with pytest.raises(VerificationError, match=f"missing: {part}"):
        verify_archive(archive, "w")
    assert not verify_day(archive, "w", "chat", YESTERDAY).ok
    assert verify_archive(archive, "w", pipelines=["search"]).ok


def test_work_on_what_is_not_there_does_not_pass_for_work_done(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                             archive: LogArchive):
    fill(deepset, "chat")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    known = f"Archived is {YESTERDAY} to {YESTERDAY}"
    with pytest.raises(InvalidInputError, match=f"`start` {TODAY + timedelta(days=5)} leave, none is archived.*{known}"):
        verify_archive(archive, "w", start=TODAY + timedelta(days=5))
    with pytest.raises(InvalidInputError, match=f"`end` {LONG_AGO} leave, none is archived.*{known}"):
        verify_archive(archive, "w", ["chat"], end=LONG_AGO)
    assert verify_archive(archive, "w", start=LONG_AGO, end=YESTERDAY).ok
    tables = archive.model_copy(update={"formats": ["jsonl", "csv"]})
    for work in (lambda: fill_formats(tables, "typo"), lambda: try_alert_rules(archive, AlertRules(), "typo")):
        with pytest.raises(InvalidInputError, match=r"Nothing is archived of `workspace` 'typo'\. Known here: 'w'\."):
            work()


def test_archived_rows_are_read_back_by_day_pipeline_and_level(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                               archive: LogArchive):
    rows = [row(f"{YESTERDAY}T0{n}:00:00Z", level=level) for n, level in enumerate(["info", "ERROR"])]
    deepset.add_pipeline("w", "chat", rows)
    fill(deepset, "search")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    assert len(read_archived_logs(archive, "w", YESTERDAY, YESTERDAY)) == 122
    assert [log.level for log in read_archived_logs(archive, "w", YESTERDAY, TODAY, ["chat"], ["error"])] == ["ERROR"]
    assert read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, ["chat"], as_="arrow").num_rows == 2
    with pytest.raises(TooManyRowsError):
        read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, max_rows=121)


@pytest.mark.parametrize(("as_", "missing", "said"), [
    ("frame", (), r"`as_` is 'frame'\. .*'models', 'arrow', 'pandas'"), ("arrow", ("pyarrow",), "pip install pyarrow"),
    ("pandas", ("pyarrow",), "pip install pyarrow"), ("pandas", ("pandas",), "pip install pandas"),
])
def test_what_rows_cannot_be_handed_over_as_is_said_before_anything_is_read(
    archive: LogArchive, monkeypatch: pytest.MonkeyPatch, as_: Any, missing: tuple[str, ...], said: str
):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    nowhere = archive.model_copy(update={"bucket": "no-such-bucket"})
    with pytest.raises(InvalidInputError, match=said):
        read_archived_logs(nowhere, "w", YESTERDAY, YESTERDAY, as_=as_)


def test_an_index_is_named_apart_and_a_name_that_nothing_is_known_of_is_refused(
    deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive
):
    fill(deepset, "docs")
    deepset.add_index("w", "docs", even_day(f"{YESTERDAY}T00:00:00Z", 30, seed=7))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, indexes=["docs"])
    assert verify_day(archive, "w", "docs", YESTERDAY, kind="index").rows == 30
    assert verify_archive(archive, "w", indexes=["docs"]).rows == 30
    assert verify_archive(archive, "w", ["docs"], indexes=["docs"]).rows == 150
    assert len(read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, indexes=["docs"])) == 30
    assert len(read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, ["docs"])) == 120
    tables = archive.model_copy(update={"formats": ["jsonl", "csv"]})
    with pytest.raises(InvalidInputError, match=r"of typo, index dcos\. .*Known here: index docs, docs\."):
        fill_formats(tables, "w", ["typo", "docs"], indexes=["dcos"])
    [manifest] = fill_formats(tables, "w", indexes=["docs"])
    assert (manifest.source.kind, [file.format for file in manifest.files]) == ("index", ["jsonl", "csv"])


def test_redacted_and_signed_archives_verify(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials,
                                            archive: LogArchive):
    deepset.add_pipeline("w", "chat", [row(f"{YESTERDAY}T01:00:00Z", message="mail jane.doe@example.com now")])
    policy = RedactionPolicy(patterns=["email"])
    guarded = archive.model_copy(update={"redaction": policy, "signing_key": SecretStr("long and random")})
    [manifest] = archive_daily_logs(credentials, guarded, "w", day=YESTERDAY)
    assert manifest.signature
    assert [log.message for log in read_archived_logs(guarded, "w", YESTERDAY, YESTERDAY)] == ["mail [redacted:email] now"]
    assert verify_archive(guarded, "w").ok
    with pytest.raises(VerificationError, match="signature"):
        verify_archive(archive.model_copy(update={"signing_key": SecretStr("another key")}), "w")


def recent(count: int, level: str, **fields: Any) -> list[Any]:
    """Rows of the last minute."""
    now = datetime.now(UTC)
    times = [now - timedelta(seconds=30, milliseconds=n) for n in range(count)]
    return [row(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), level=level, **fields) for moment in times]


@pytest.mark.parametrize("filters", ["honoured", "ignored", "400"])
def test_the_watch_tells_once_of_errors_in_the_last_minutes(deepset: FakeDeepset, credentials: DeepsetCredentials, notify: str,
                                                            archive: LogArchive, receiver: Receiver, filters: Any):
    deepset.behaviour = Behaviour(level_filter=filters)
    deepset.add_pipeline("w", "bad", [*recent(15, "error"), *recent(10, "CRITICAL"), *recent(5, "info")])
    deepset.add_pipeline("w", "calm", recent(30, "info"))
    deepset.add_pipeline("w", "idle", [])
    for _ in range(2):
        assert watch_errors(credentials, archive, "w", error_threshold=25, notify=notify) == {"bad": 25, "calm": 0, "idle": 0}
    assert len(receiver.received) == 1
    assert "bad" in receiver.received[0]["subject"]
    assert "Rule: watch-errors-15m" in receiver.received[0]["body"]


def test_the_watch_shows_one_of_the_rows_that_it_tells_of(deepset: FakeDeepset, credentials: DeepsetCredentials, notify: str,
                                                         archive: LogArchive, receiver: Receiver):
    trace = [{"type": "ValueError", "value": "", "trace": [{"filename": "app.py", "line_number": 1, "name": "app"}]}]
    rows = recent(25, "error", message="No answer for jane.doe@example.com", exceptions=trace)
    deepset.add_pipeline("w", "bad", rows)
    watch_errors(credentials, archive, "w", notify=notify)
    (message,) = receiver.received
    assert "- 25 x ValueError at app:1 (log_id " in message["body"]
    assert ": No answer for [e-mail]" in message["body"]


def test_the_watch_judges_by_the_error_counts_of_rules(deepset: FakeDeepset, credentials: DeepsetCredentials, notify: str,
                                                      archive: LogArchive, receiver: Receiver):
    deepset.add_pipeline("w", "chat", recent(25, "Warning"))
    deepset.add_pipeline("w", "docs", recent(25, "error"))
    rules = AlertRules(error_count=25, levels=["warning"], pipelines=["chat"], zero_rows=True)
    assert watch_errors(credentials, archive, "w", notify=notify, rules=rules) == {"chat": 25}
    assert "25 rows of level warning" in receiver.received[0]["body"]
    with pytest.raises(InvalidInputError, match="error count"):
        watch_errors(credentials, archive, "w", rules=AlertRules(error_count=None, zero_rows=True))


def test_a_pipeline_that_the_watch_cannot_read_is_named_and_stops_no_other(deepset: FakeDeepset, archive: LogArchive,
                                                                          credentials: DeepsetCredentials, notify: str,
                                                                          receiver: Receiver):
    deepset.add_pipeline("w", "bad", recent(25, "error"))
    with pytest.raises(ApiError, match="gone"):
        watch_errors(credentials, archive, "w", ["bad", "gone"], notify=notify)
    assert len(receiver.received) == 1


def test_a_watch_that_cannot_alert_fails(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials, notify: str,
                                         receiver: Receiver):
    """It may read and write everything but alerts."""
    everything = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
                  {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/alerts/*"}]
    archive = make_archive(s3, s3.bucket(), key=s3.user({"Version": "2012-10-17", "Statement": everything}))
    deepset.add_pipeline("w", "bad", recent(25, "error"))
    with pytest.raises(AlertError, match=r"could not be kept or told(.|\n)*gone"):
        watch_errors(credentials, archive, "w", ["bad", "gone"], notify=notify)
    assert receiver.received == []


def test_each_request_of_a_watch_takes_a_slot_of_the_credentials_limit(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                      archive: LogArchive):
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="watched", limit=1))
    deepset.add_pipeline("w", "chat", [*recent(600, "info"), *recent(1, "error")])
    limited = credentials.model_copy(update={"concurrency_limit": "watched"})
    assert watch_errors(limited, archive, "w") == {"chat": 1}
    asked = len(deepset.requests)  # the list of pipelines, and their logs
    assert asked > 2
    taken = all_events(EventFilter(event=EventNameFilter(name=["prefect.concurrency-limit.acquired"])))
    assert len([event for event in taken if event["resource"]["prefect.resource.name"] == "watched"]) == asked


def test_a_format_that_is_added_later_is_filled_from_the_archive(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                 archive: LogArchive, s3: S3Handle):
    fill(deepset, "chat", "docs")
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    with pytest.raises(InvalidInputError, match="jsonl alone"):
        fill_formats(archive, "w")
    deepset.reset()
    wider = archive.model_copy(update={"formats": ["jsonl", "csv", "parquet"]})
    manifests = fill_formats(wider, "w", ["chat"])
    assert deepset.counters["requests"] == 0
    assert [(m.source.pipeline, m.status, sorted(f.format for f in m.files)) for m in manifests] == [
        ("chat", "sealed", ["csv", "jsonl", "parquet"])]
    assert verify_archive(wider, "w").ok
    assert [m.revision for m in fill_formats(wider, "w", ["chat"])] == [m.revision for m in manifests]


def test_an_index_is_archived_beside_a_pipeline_of_the_same_name(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                 archive: LogArchive, s3: S3Handle):
    fill(deepset, "docs")
    deepset.add_index("w", "docs", even_day(f"{YESTERDAY}T00:00:00Z", 70, seed=8))
    manifests = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, indexes=["docs"])
    assert {(m.source.kind, m.source.pipeline, m.status, m.rows) for m in manifests} == {
        ("pipeline", "docs", "sealed", 120), ("index", "docs", "sealed", 70)}
    assert any(f"/jsonl/workspace=w/index=docs/dt={YESTERDAY}/" in f"/{key}" for key in s3.keys(archive.bucket))
    assert len(read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, ["docs"])) == 120
    assert verify_archive(archive, "w").ok


def test_an_index_that_does_not_exist_is_named_and_stops_nothing(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                 archive: LogArchive):
    fill(deepset, "docs")
    with pytest.raises(ArchiveError, match="index nowhere"):
        archive_daily_logs(credentials, archive, "w", day=YESTERDAY, indexes=["nowhere"])
    assert len(read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, ["docs"])) == 120


@pytest.mark.parametrize(("wrong", "said"), [
    ({"pipelines": 5}, "`pipelines` is no list"), ({"indexes": []}, "`indexes` is empty"),
    ({"levels": []}, "`levels` is empty"),
    ({"indexes": [None]}, "`indexes` holds what is not text"), ({"indexes": "chat"}, "index 'chat'"),
])
def test_reading_back_names_the_parameter_that_is_wrong(archive: LogArchive, wrong: dict[str, Any], said: str):
    with pytest.raises(InvalidInputError, match=said):
        read_archived_logs.fn(archive, "w", YESTERDAY, YESTERDAY, **wrong)


@pytest.mark.parametrize(("wrong", "said"), [({"pipeline": ""}, "pipeline's name"), ({"pipeline": None}, "pipeline's name"),
                                             ({"kind": "foo"}, "`kind` is 'foo'")])
def test_verifying_a_day_names_the_parameter_that_is_wrong(archive: LogArchive, wrong: dict[str, Any], said: str):
    with pytest.raises(InvalidInputError, match=said):
        verify_day.fn(**{"archive": archive, "workspace": "w", "pipeline": "chat", "day": YESTERDAY, **wrong})


@pytest.mark.parametrize("day", [0, "0", True, 20260314, "2026-11-27T00:00:00+09:00"])
def test_what_is_no_utc_day_is_not_made_one(credentials: DeepsetCredentials, archive: LogArchive, day: Any):
    """1970, and the day before in UTC."""
    with pytest.raises(ParameterTypeError, match=r"`day` is "):
        archive_daily_logs(credentials, archive, "w", day=day)
    with pytest.raises(ParameterTypeError, match=r"`start` is "):
        backfill_logs(credentials, archive, "w", day, YESTERDAY)


@pytest.mark.parametrize("name", ["error_threshold", "max_concurrency"])
def test_a_number_of_true_is_not_one(credentials: DeepsetCredentials, archive: LogArchive, name: str):
    with pytest.raises(ParameterTypeError, match=f"`{name}` is True"):
        archive_daily_logs(credentials, archive, "w", **{name: True})
