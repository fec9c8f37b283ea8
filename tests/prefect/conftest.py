"""One Prefect server for all tests of this room, and the blocks they share."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.settings import (
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness
from prefect.types import SecretDict
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.testing import FakeDeepset
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .live_archive import LiveArchive, live_archive

WEBHOOK_TOKEN = "webhook-canary-77aa"


@pytest.fixture(scope="session", autouse=True)
def spools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is read waits in a folder of the session's own until it is committed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_DEEPSET_SPOOL", str(tmp_path_factory.mktemp("spools")))
        yield


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server with a database of its own."""
    # A task called outside of a flow would warn that its log has nowhere to go, and warnings are errors here.
    # Events are written in batches, every five seconds unless told otherwise.
    settings = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
                                   PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL: 0.1,
                                   PREFECT_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("results")})
    with settings, ExitStack() as stack:
        _start(stack)
        yield


def _start(stack: ExitStack, tries: int = 3) -> None:
    """The harness takes a server that closes a connection while it starts, as on a busy machine, for one that failed."""
    for left in reversed(range(tries)):
        try:
            stack.enter_context(prefect_test_harness(server_startup_timeout=240))
        except httpx.TransportError:
            if not left:
                raise
        else:
            return


def all_events(wanted: EventFilter) -> list[dict[str, Any]]:
    """The events that were emitted so far.

    They travel to the server on their own. So one more is sent, which comes after them, and waited for.
    """
    marker = f"test.marker.{uuid4()}"
    emit_event(marker, resource={"prefect.resource.id": marker})
    deadline = time.monotonic() + 30
    while not _stored_events(EventFilter(event=EventNameFilter(name=[marker]))):
        assert time.monotonic() < deadline, "the server keeps no events"
        threading.Event().wait(0.05)
    return _stored_events(wanted)


def _stored_events(wanted: EventFilter) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as client:
        body = {"filter": wanted.model_dump(mode="json", exclude_unset=True), "limit": 50}
        return client._client.post("/events/filter", json=body).raise_for_status().json()["events"]


@pytest.fixture
def archive(s3: S3Handle) -> LogArchive:
    """An archive in a new bucket."""
    return make_archive(s3, s3.bucket())


def make_archive(s3: S3Handle, bucket: str, key: tuple[str, str] | None = None, **options: Any) -> LogArchive:
    """A `LogArchive` block on the test server."""
    return LogArchive(bucket=bucket, credentials=s3_credentials(s3, key), addressing_style="path", **options)


def s3_credentials(s3: S3Handle, key: tuple[str, str] | None = None, endpoint_url: str | None = None) -> AwsCredentials:
    """What a user of an S3-compatible store would fill in."""
    access_key, secret_key = key or (s3.access_key, s3.secret_key)
    return AwsCredentials(aws_access_key_id=access_key, aws_secret_access_key=SecretStr(secret_key), region_name="us-east-1",
                          aws_client_parameters=AwsClientParameters(endpoint_url=endpoint_url or s3.endpoint_url))


@pytest.fixture
def deepset() -> Iterator[FakeDeepset]:
    """A deepset platform of the test's own."""
    with FakeDeepset() as server:
        yield server


@pytest.fixture
def credentials(deepset: FakeDeepset) -> DeepsetCredentials:
    """The key to that platform."""
    return DeepsetCredentials(api_key=SecretStr(deepset.api_key), base_url=deepset.url)


class Receiver:
    """An HTTP server that keeps what is posted to it and answers with `status`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where the notifications of a test arrive."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def notify(receiver: Receiver, prefect_server: None) -> str:
    """The slug of a notification block that posts to the receiver."""
    block = CustomWebhookNotificationBlock(name="on-call", url=f"{receiver.url}?token={{{{token}}}}",
                                           secrets=SecretDict({"token": WEBHOOK_TOKEN}),
                                           json_data={"subject": "{{subject}}", "body": "{{body}}"})
    block.save("on-call", overwrite=True)
    return "custom-webhook/on-call"


@pytest.fixture(scope="module")
def on_call() -> Iterator[Receiver]:
    """Where the automations' messages arrive."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, empty_prefect: Path, s3: S3Handle,
         on_call: Receiver) -> Iterator[LiveArchive]:
    """A server that was started as a user does, with everything deployed and a worker: for tests of what happens by itself.

    One for each file: what one archives would start what another waits for.
    """
    with live_archive(tmp_path_factory.mktemp("live"), empty_prefect, s3, on_call.url, make_archive) as running:
        yield running
