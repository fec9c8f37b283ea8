"""No secret leaves its block: not in logs, states, parameters, artifacts, events, errors, messages or the bucket."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.events.filters import EventFilter
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
from prefect_deepset.tasks.archive import archive_day
from prefect_deepset.tasks.notify import send_alert
from prefect_deepset.testing import FakeDeepset, Fault, Faults, Request, even_day
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .conftest import WEBHOOK_TOKEN, Receiver, all_events, make_archive

KEY = "api_eyJhbGciOiJIUzI1NiJ9.canary-key-3b7c9d20.c2lnbmF0dXJl"
TOKEN = "canary-session-token-51c2"
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def deepset() -> Iterator[FakeDeepset]:
    with FakeDeepset(api_key=KEY) as server:
        yield server


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_day, "retry_delay_seconds", [0, 0, 0])
    monkeypatch.setattr(send_alert, "retry_delay_seconds", [0, 0, 0])


def echo_the_key(request: Request) -> Fault | None:
    """A proxy that quotes the request, its key included, in its error page."""
    shown = f"<html><b>Bad gateway</b> for {request.path} with {request.headers.get('authorization')}</html>"
    return Fault(status=403, body=shown.encode(), content_type="text/html") if request.name == "forbidden" else None


def everything_prefect_keeps() -> str:
    """Logs, runs, states, artifacts, blocks and events, as the server's API shows them to anybody."""
    shown: list[str] = []
    with get_client(sync_client=True) as client:
        for path in ["logs", "flow_runs", "task_runs", "artifacts", "block_documents"]:
            for offset in range(0, 2000, 200):
                page = client._client.post(f"/{path}/filter", json={"limit": 200, "offset": offset}).raise_for_status().text
                shown.append(page)
                if page == "[]":
                    break
    return "\n".join(shown) + str(all_events(EventFilter()))


def texts_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.args)


@pytest.mark.usefixtures("prefect_server", "no_waiting")
def test_no_secret_is_shown_anywhere(s3: S3Handle, deepset: FakeDeepset, notify: str, receiver: Receiver,
                                     caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    caplog.set_level(logging.DEBUG, "prefect")  # what runs log; HTTP libraries print headers and URLs when asked to debug
    for name in ["good", "forbidden", "broken"]:
        deepset.add_pipeline("w", name, even_day(f"{YESTERDAY}T00:00:00Z", 300))
    credentials = DeepsetCredentials(api_key=SecretStr(KEY), base_url=deepset.url)
    archive = make_archive(s3, s3.bucket())
    saved = DeepsetCredentials(api_key=SecretStr(KEY), base_url=deepset.url)
    saved.save("canary", overwrite=True)
    expired = LogArchive(bucket=archive.bucket, addressing_style="path", credentials=AwsCredentials(
        aws_access_key_id=s3.access_key, aws_secret_access_key=SecretStr(s3.secret_key), aws_session_token=TOKEN,
        region_name="us-east-1", aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint_url)))
    wrong_key = DeepsetCredentials(api_key=SecretStr(f"{KEY}-wrong"), base_url=deepset.url)
    wrong_secret = make_archive(s3, archive.bucket, key=(s3.access_key, f"{s3.secret_key}-wrong"))
    deepset.faults = Faults(when=echo_the_key)

    found: list[Any] = [credentials, archive, expired, wrong_key, str(archive), credentials.get_client(), archive.get_store()]
    for parameters in [
        {"credentials": saved, "archive": archive, "error_threshold": 1, "notify": notify},
        {"credentials": wrong_key, "archive": archive},
        {"credentials": credentials, "archive": wrong_secret},
        {"credentials": credentials, "archive": expired},
        {"credentials": credentials, "archive": archive, "error_threshold": 0},
        {"credentials": credentials, "archive": archive, "max_concurrency": "many"},
    ]:
        receiver.status = 500  # the webhook's URL has a token, too
        try:
            state = archive_daily_logs(workspace="w", day=YESTERDAY, return_state=True, **parameters)
            found.append(state)
            found.append(state.result())
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not show a secret
            found.append(texts_of(error))
    bucket = "".join(s3.read(archive.bucket, key).decode("latin-1") for key in s3.keys(archive.bucket))
    printed = capfd.readouterr()
    results = Path(str(PREFECT_LOCAL_STORAGE_PATH.value()))
    told = {"results": "".join(path.read_text("latin-1") for path in results.rglob("*") if path.is_file()),
            "server": everything_prefect_keeps(), "log": caplog.text, "printed": printed.out + printed.err,
            "bucket": bucket, "objects and errors": "\n".join(map(repr, found)), "messages": str(receiver.received)}
    assert "forbidden" in told["server"]
    for secret in [KEY, KEY.split(".")[1], s3.secret_key, TOKEN, WEBHOOK_TOKEN]:
        assert [place for place, text in told.items() if secret in text] == [], secret


@pytest.mark.usefixtures("prefect_server")
def test_a_notification_block_that_no_longer_fits_its_type_is_named_and_its_fields_are_not_shown(
        s3: S3Handle, deepset: FakeDeepset, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "prefect")
    saved = CustomWebhookNotificationBlock(name="drifted", url="https://h").save("drifted", overwrite=True)
    with get_client(sync_client=True) as client:  # as a version of the type that had no name saved it
        drifted = BlockDocumentUpdate(data={"secrets": {"t": "canary-hook"}}, merge_existing_data=False)
        client._client.patch(f"/block_documents/{saved}", json=drifted.model_dump(mode="json", exclude_unset=True)
                             ).raise_for_status()
    credentials = DeepsetCredentials(api_key=SecretStr(KEY), base_url=deepset.url)
    state = archive_daily_logs(credentials, make_archive(s3, s3.bucket()), "w", notify="custom-webhook/drifted",
                               return_state=True)
    with pytest.raises(InvalidInputError, match=r"drifted' of `notify` cannot be loaded.*Save it again") as caught:
        state.result()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "cannot be loaded" in caplog.text
    told = {"log": caplog.text, "server": everything_prefect_keeps(), "error": texts_of(caught.value)}
    assert [place for place, text in told.items() if "canary-hook" in text] == []
    assert deepset.requests == []
