"""The daily flow, whole: a fake platform on one side, a real S3 server on the other, Prefect between them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from prefect.states import State
from prefect_deepset.api.errors import ArchiveError, DeepsetError, InvalidInputError
from prefect_deepset.archive.errors import BucketMissingError, StoreAccessError, StoreUnavailableError
from prefect_deepset.archive.manifest import Manifest
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
from prefect_deepset.tasks.archive import archive_day
from prefect_deepset.testing import FakeDeepset, Fault, Faults, Request, even_day, row
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .conftest import Receiver, all_events, make_archive

pytestmark = pytest.mark.usefixtures("prefect_server")

NOW = datetime.now(UTC)
YESTERDAY = NOW.date() - timedelta(days=1)
WHOLE = "sealed" if NOW - datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) > timedelta(minutes=31) else "open"
"""What a day read whole is: for half an hour after midnight rows may still come."""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task retries follow each other at once."""
    monkeypatch.setattr(archive_day, "retry_delay_seconds", [0, 0, 0])


def timing_out_at_ten(request: Request) -> Fault | None:
    """504 for every page that begins between ten and eleven o'clock; asking again at once is what it suggests."""
    if f"{YESTERDAY}T10:" <= request.params.get("after", "") <= f"{YESTERDAY}T11:00:00Z":
        return replace(Fault.gateway_timeout(), headers={"Retry-After": "0"})
    return None


def midnight(day: date) -> str:
    return f"{day}T00:00:00Z"


def errors(day: date, count: int) -> list[Any]:
    return [row(f"{day}T12:{n // 60:02d}:{n % 60:02d}Z", level="ERROR") for n in range(count)]


def archived_ids(s3: S3Handle, bucket: str, pipeline: str, day: date) -> list[tuple[str, str]]:
    """Every (`log_id`, `logged_at`) of the parts that the day's objects hold, in the order of keys and lines."""
    keys = s3.keys(bucket, f"jsonl/workspace=w/pipeline={pipeline}/dt={day}/")
    lines = [line for key in keys for line in gzip.decompress(s3.read(bucket, key)).splitlines()]
    return [(found["log_id"], found["logged_at"]) for found in map(json.loads, lines)]


def flow_events(state: State[Any], name: str) -> list[Any]:
    """Events of this name that the flow run, or its tasks, emitted."""
    return all_events(EventFilter(event=EventNameFilter(name=[name]),
                                  related=EventRelatedFilter(id=[f"prefect.flow-run.{state.state_details.flow_run_id}"])))


def report_of(state: State[Any]) -> str:
    run_id: UUID = state.state_details.flow_run_id  # type: ignore[assignment]
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])))
    return "\n".join(str(artifact.data) for artifact in found if artifact.type == "markdown")


def failure_of(state: State[Any]) -> BaseException:
    assert state.is_failed(), state
    with pytest.raises(DeepsetError) as caught:
        state.result()
    return caught.value


def test_every_closed_day_of_every_pipeline_is_archived_whole(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                              credentials: DeepsetCredentials):
    for number, name in enumerate(["chat", "search"]):
        deepset.add_pipeline("w", name, even_day(midnight(YESTERDAY), 2_000, seed=number))
    state = archive_daily_logs(credentials, archive, "w", return_state=True)
    manifests: list[Manifest] = state.result()
    of_yesterday = {m.source.pipeline: m for m in manifests if m.dt == str(YESTERDAY)}
    assert {name: (m.status, m.rows) for name, m in of_yesterday.items()} == {"chat": (WHOLE, 2_000), "search": (WHOLE, 2_000)}
    for name in of_yesterday:
        ids = archived_ids(s3, archive.bucket, name, YESTERDAY)
        assert len(ids) == len(set(ids))
        assert set(ids) == set(deepset.truth_ids("w", name))
    assert "| chat |" in report_of(state)
    assert {(m.dt, m.source.pipeline) for m in manifests} == {
        (event["resource"]["dt"], event["resource"]["pipeline"]) for event in flow_events(state, "deepset.logs.archived")}


def test_a_second_run_reads_nothing_and_says_nothing(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive,
                                                     notify: str, receiver: Receiver):
    deepset.add_pipeline("w", "chat", errors(YESTERDAY, 20))
    first = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=20, notify=notify, return_state=True)
    assert len(receiver.received) == 1
    deepset.reset()
    second = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=20, notify=notify, return_state=True)
    assert deepset.counters["pages"] == 0
    assert second.result() == first.result()
    assert len(receiver.received) == 1
    assert flow_events(second, "deepset.logs.archived") == []


def test_the_threshold_counts_any_error_level_in_any_case(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                          archive: LogArchive, notify: str, receiver: Receiver):
    levels = ["error", "ERROR", "Critical", "fatal", "warning", "info"]
    deepset.add_pipeline("w", "bad", [row(f"{YESTERDAY}T01:00:0{n}Z", level=level) for n, level in enumerate(levels)])
    deepset.add_pipeline("w", "good", errors(YESTERDAY, 3))
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=4, notify=notify, return_state=True)
    crossed = flow_events(state, "deepset.logs.error-threshold.crossed")
    assert [(event["resource"]["pipeline"], event["payload"]["value"]) for event in crossed] == [("bad", 4)]
    assert len(receiver.received) == 1
    assert "bad" in receiver.received[0]["body"]
    assert "good" not in receiver.received[0]["body"]


def test_no_threshold_means_no_alert(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive, notify: str,
                                     receiver: Receiver):
    deepset.add_pipeline("w", "bad", errors(YESTERDAY, 150))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=None, notify=notify)
    assert receiver.received == []


def test_a_message_that_is_not_taken_does_not_fail_the_run_and_shows(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                     archive: LogArchive, notify: str, receiver: Receiver,
                                                                     monkeypatch: pytest.MonkeyPatch):
    from prefect_deepset.tasks.notify import send_alert

    monkeypatch.setattr(send_alert, "retry_delay_seconds", [0, 0, 0])
    receiver.status = 503
    deepset.add_pipeline("w", "bad", errors(YESTERDAY, 5))
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=5, notify=notify, return_state=True)
    assert state.is_completed()
    assert len(receiver.received) == 4
    assert "not sent" in report_of(state)


def test_one_pipeline_that_fails_does_not_stop_the_others_and_is_named(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                       archive: LogArchive):
    for name in ["a", "b", "c"]:
        deepset.add_pipeline("w", name, even_day(midnight(YESTERDAY), 300))
    deepset.faults = Faults(when=lambda request: Fault(status=403) if request.name == "b" else None)
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, return_state=True)
    error = failure_of(state)
    assert isinstance(error, ArchiveError)
    assert "[b " in str(error)
    assert "all others were" in str(error)
    assert "[a " not in str(error)
    report = report_of(state)
    assert "| a |" in report
    assert "| c |" in report
    assert f"b {YESTERDAY} failed" in report


def test_a_stretch_that_answers_504_is_named_and_the_next_run_mends_it(s3: S3Handle, deepset: FakeDeepset, notify: str,
                                                                      credentials: DeepsetCredentials, archive: LogArchive,
                                                                      receiver: Receiver):
    deepset.add_pipeline("w", "chat", even_day(midnight(YESTERDAY), 5_000))
    deepset.faults = Faults(when=timing_out_at_ten)
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=None, notify=notify, return_state=True)
    assert "chat" in str(failure_of(state))
    incomplete = flow_events(state, "deepset.logs.incomplete")
    assert [event["resource"]["status"] for event in incomplete] == ["open"]
    assert "INCOMPLETE" in receiver.received[0]["subject"]
    deepset.faults = Faults()
    [manifest] = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, error_threshold=None, notify=notify)
    assert (manifest.status, manifest.rows, manifest.gaps) == (WHOLE, 5_000, []) or WHOLE == "open"
    assert sorted(archived_ids(s3, archive.bucket, "chat", YESTERDAY)) == sorted(deepset.truth_ids("w", "chat"))


def test_a_deleted_pipeline_is_still_considered(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive):
    deepset.add_pipeline("w", "going", even_day(midnight(YESTERDAY), 50))
    deepset.add_pipeline("w", "staying", even_day(midnight(YESTERDAY), 50))
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    deepset.remove_pipeline("w", "going")
    manifests = archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    assert {m.source.pipeline for m in manifests} == {"going", "staying"}
    assert [m.source.pipeline for m in archive_daily_logs(credentials, archive, "w", ["going"], YESTERDAY)] == ["going"]


def test_a_damaged_manifest_stops_neither_other_pipelines_nor_other_days(s3: S3Handle, deepset: FakeDeepset,
                                                                         credentials: DeepsetCredentials, archive: LogArchive):
    for name in ("bad", "good"):
        deepset.add_pipeline("w", name, even_day(midnight(YESTERDAY), 50))
    archive_daily_logs(credentials, archive, "w", ["bad"], YESTERDAY)
    day = YESTERDAY.isoformat()
    s3.client().put_object(Bucket=archive.bucket, Key=f"manifests/workspace=w/pipeline=bad/dt={day}/r00002.json", Body=b"{}")
    deepset.remove_pipeline("w", "bad")
    assert {m.dt for m in archive_daily_logs(credentials, archive, "w", ["good"])} >= {day}
    with pytest.raises(ArchiveError, match=f"bad {day}") as failed:
        archive_daily_logs(credentials, archive, "w")
    assert "good" not in str(failed.value)


@pytest.mark.parametrize(("wrong", "said"), [
    ({"workspace": ""}, "workspace"), ({"workspace": ".."}, "workspace"), ({"pipelines": []}, "empty"),
    ({"pipelines": ["chat", "caht"]}, r"'caht'.*Did you mean 'chat'"), ({"day": date(2999, 1, 1)}, "future"),
    ({"error_threshold": 0}, "error_threshold"), ({"max_concurrency": 0}, "max_concurrency"),
    ({"notify": "custom-webhook/none"}, "custom-webhook/none"), ({"notify": "slack"}, "slug"), ({"notify": "ghost/x"}, "ghost"),
])
def test_bad_input_is_named_before_anything_is_read_or_written(s3: S3Handle, deepset: FakeDeepset, archive: LogArchive,
                                                               credentials: DeepsetCredentials, wrong: dict[str, Any],
                                                               said: str):
    deepset.add_pipeline("w", "chat", even_day(midnight(YESTERDAY), 10))
    parameters = {"workspace": "w", **wrong}
    with pytest.raises(InvalidInputError, match=said):
        archive_daily_logs(credentials, archive, **parameters)
    assert deepset.counters["pages"] == 0
    assert s3.keys(archive.bucket) == []


def test_an_unknown_workspace_is_named(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive):
    deepset.add_pipeline("w", "chat", [])
    with pytest.raises(DeepsetError, match="'nowhere'"):
        archive_daily_logs(credentials, archive, "nowhere")


def test_a_missing_bucket_is_named(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", even_day(midnight(YESTERDAY), 10))
    with pytest.raises(BucketMissingError, match="nowhere-at-all"):
        archive_daily_logs(credentials, make_archive(s3, "nowhere-at-all"), "w", day=YESTERDAY)


def test_a_read_only_bucket_is_named(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials):
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    archive = make_archive(s3, s3.bucket(), key=s3.user({"Version": "2012-10-17", "Statement": [reading]}))
    deepset.add_pipeline("w", "chat", even_day(midnight(YESTERDAY), 10))
    state = archive_daily_logs(credentials, archive, "w", day=YESTERDAY, return_state=True)
    error = str(failure_of(state))
    assert "s3:PutObject" in error
    assert "all others" not in error  # there are none
    assert not [request for request in deepset.requests if request.route == "logs"]


def test_a_workspace_without_pipelines_is_warned_of(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive,
                                                    caplog: pytest.LogCaptureFixture):
    deepset.add_pipeline("w", "chat", [])
    deepset.remove_pipeline("w", "chat")
    assert archive_daily_logs(credentials, archive, "w") == []
    assert [record.levelname for record in caplog.records if "lists no pipeline" in record.message] == ["WARNING"]


def test_a_pipeline_made_again_under_its_name_is_alerted_of(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                            archive: LogArchive, caplog: pytest.LogCaptureFixture):
    deepset.add_pipeline("w", "chat", [])
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY - timedelta(days=1))
    assert "INCOMPLETE" not in caplog.text
    deepset.remove_pipeline("w", "chat")
    deepset.add_pipeline("w", "chat", [])
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY)
    assert f"INCOMPLETE: chat, {YESTERDAY}" in caplog.text
    assert "pipeline-replaced" in caplog.text


def test_an_expiring_key_warns_at_the_start_of_each_run(deepset: FakeDeepset, archive: LogArchive,
                                                        caplog: pytest.LogCaptureFixture):
    from .test_blocks import key_expiring

    deepset.api_key = key_expiring(datetime.now(UTC) + timedelta(days=2, hours=1))
    deepset.add_pipeline("w", "chat", [])
    soon = DeepsetCredentials(api_key=SecretStr(deepset.api_key), base_url=deepset.url)
    archive_daily_logs(soon, archive, "w", day=YESTERDAY)
    assert "expires in 2 days" in caplog.text


def test_requests_of_all_pipelines_share_one_ceiling(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                     archive: LogArchive):
    for number in range(6):
        deepset.add_pipeline("w", f"p{number}", even_day(midnight(YESTERDAY), 400, seed=number))
    deepset.faults = Faults(latency=0.005)
    archive_daily_logs(credentials, archive, "w", day=YESTERDAY, max_concurrency=3)
    assert deepset.in_flight_max <= 3


def test_no_store_at_all_is_named(deepset: FakeDeepset, credentials: DeepsetCredentials, s3: S3Handle,
                                  monkeypatch: pytest.MonkeyPatch):
    from prefect_aws import AwsClientParameters, AwsCredentials
    from prefect_deepset.tasks.plan import find_archived

    monkeypatch.setattr(find_archived, "retry_delay_seconds", [0, 0, 0])
    nobody = AwsCredentials(aws_access_key_id="a", aws_secret_access_key=SecretStr("b"), region_name="us-east-1",
                            aws_client_parameters=AwsClientParameters(endpoint_url="http://127.0.0.1:9",
                                                                      config={"retries": {"total_max_attempts": 1}}))
    deepset.add_pipeline("w", "chat", [])
    with pytest.raises(StoreUnavailableError):
        archive_daily_logs(credentials, LogArchive(bucket="logs", credentials=nobody), "w", day=YESTERDAY)


def test_a_wrong_s3_secret_is_named(s3: S3Handle, deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", [])
    with pytest.raises(StoreAccessError) as caught:
        archive_daily_logs(credentials, make_archive(s3, s3.bucket(), key=(s3.access_key, "canary-wrong-secret")), "w")
    assert "canary" not in str(caught.value)
