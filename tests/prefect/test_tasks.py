"""The tasks: one call each, retried by Prefect for transient errors and for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, ClassVar

import pytest
from prefect import flow
from prefect.blocks.notifications import NotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import State
from prefect_deepset.api.errors import AuthenticationError, InvalidInputError, ServerError, WorkspaceNotFoundError
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.tasks import archive_day, count_logs, list_pipelines, read_archived_logs, send_alert, verify_day
from prefect_deepset.tasks import notify as notifications
from prefect_deepset.tasks.notify import NotificationFailedError, load_notification_block
from prefect_deepset.testing import FakeDeepset, Fault, Faults, row
from pydantic import SecretStr

from .conftest import WEBHOOK_TOKEN, Receiver

pytestmark = pytest.mark.usefixtures("prefect_server")


def run_counts(state: State[Any]) -> list[int]:
    """How often each task of the flow run was run, as the server knows it."""
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id])))
    return [run.run_count for run in runs]


def attempts(server: FakeDeepset) -> int:
    return len(server.requests)


def listing(credentials: DeepsetCredentials, workspace: str = "w") -> Any:
    """Runs `list_pipelines` without waiting between retries."""
    return list_pipelines.with_options(retry_delay_seconds=0)(credentials, workspace)


def test_list_pipelines_names_all_but_deleted_ones(deepset: FakeDeepset, credentials: DeepsetCredentials):
    for name in ["a", "b", "c/d"]:
        deepset.add_pipeline("w", name, [])
    deepset.remove_pipeline("w", "b")
    assert listing(credentials) == ["a", "c/d"]


def test_a_transient_error_is_retried(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "a", [])
    deepset.faults = Faults(at={1: Fault(status=503), 2: Fault.bad_gateway()}, everywhere=True)
    assert listing(credentials) == ["a"]
    assert attempts(deepset) == 3


def test_a_transient_error_that_stays_fails_after_three_retries(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.on_request = lambda _request: Fault(status=503)
    with pytest.raises(ServerError):
        listing(credentials)
    assert attempts(deepset) == 4


def test_a_wrong_key_fails_at_once_with_its_own_message(deepset: FakeDeepset):
    wrong = DeepsetCredentials(api_key=SecretStr("api_canary-wrong"), base_url=deepset.url)
    with pytest.raises(AuthenticationError) as caught:
        listing(wrong)
    assert "canary" not in str(caught.value)
    assert attempts(deepset) == 1


def test_an_unknown_workspace_fails_at_once(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "a", [])
    with pytest.raises(WorkspaceNotFoundError, match="nowhere"):
        listing(credentials, "nowhere")


def test_an_alert_arrives(receiver: Receiver, notify: str):
    send_alert(notify, "Subject", "Body with \"quotes\" and\nlines")
    assert receiver.received == [{"subject": "Subject", "body": "Body with \"quotes\" and\nlines"}]


def test_an_alert_that_is_not_taken_is_tried_again_and_its_url_is_not_shown(receiver: Receiver, notify: str):
    receiver.status = 500
    with pytest.raises(NotificationFailedError) as caught:
        send_alert.with_options(retry_delay_seconds=0)(notify, "s", "b")
    assert len(receiver.received) == 4
    assert WEBHOOK_TOKEN not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(("notify", "said"), [
    ("on-call", "no block's slug"), ("slack-webhook/", "no block's slug"),
    ("custom-webhook/none", "no block 'custom-webhook/none'"),
    ("not-installed/on-call", "not-installed"), ("secret/on-call", "no block 'secret/on-call'"),
])
def test_a_notification_block_that_cannot_be_had_is_named(notify: str, said: str):
    with pytest.raises(InvalidInputError, match=said):
        load_notification_block(notify)


def test_a_block_that_cannot_notify_is_named(credentials: DeepsetCredentials):
    credentials.save("not-a-notifier", overwrite=True)
    with pytest.raises(InvalidInputError, match="cannot notify"):
        load_notification_block("deepset-credentials/not-a-notifier")


def test_retries_show_in_the_run(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "a", [])
    deepset.faults = Faults(at={1: Fault(status=503)}, everywhere=True)

    @flow
    def listing_flow() -> list[str]:
        return listing(credentials)

    state = listing_flow(return_state=True)
    assert state.is_completed()
    assert run_counts(state) == [2]


class WaitsForEver(NotificationBlock):
    """Its service takes the message and never answers."""

    _block_type_slug = "waits-for-ever"
    answer: ClassVar[Event] = Event()

    def notify(self, body: str, subject: str | None = None) -> None:
        self.answer.wait(60)


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A block that waits until the test is over."""
    monkeypatch.setattr(notifications, "PATIENCE", 0.2)
    WaitsForEver().save("forever", overwrite=True)
    yield "waits-for-ever/forever"
    WaitsForEver.answer.set()


def test_a_message_that_is_never_answered_does_not_hold_up_the_run(unanswered: str):
    with pytest.raises(NotificationFailedError, match="has not sent the message"):
        send_alert.with_options(retries=0)(unanswered, "subject", "body")


YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.mark.parametrize(("changes", "said"), [
    ({"credentials": "default"}, "`credentials` is no DeepsetCredentials block but str"),
    ({"archive": None}, "`archive` is no LogArchive block but NoneType"), ({"workspace": None}, "The workspace's name"),
    ({"pipeline": 7}, "The pipeline's name"), ({"pipeline": ""}, "The pipeline's name"), ({"kind": "foo"}, "`kind` is 'foo'"),
    ({"max_concurrency": "4"}, "`max_concurrency` is '4'"), ({"max_concurrency": 1.5}, r"`max_concurrency` is 1\.5"),
    ({"reread": "no"}, "`reread` is 'no'")])
def test_archive_day_refuses_what_cannot_be_before_anything_is_asked(
        deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive, changes: dict[str, Any], said: str):
    given = {"credentials": credentials, "archive": archive, "workspace": "w", "pipeline": "a", "day": YESTERDAY}
    with pytest.raises(InvalidInputError, match=said):
        archive_day.with_options(retries=0)(**given | changes)
    assert attempts(deepset) == 0


@pytest.mark.parametrize("call", [
    lambda: verify_day("default", "w", "a", YESTERDAY), lambda: read_archived_logs("default", "w", YESTERDAY, YESTERDAY),
    lambda: count_logs("default", "w", "a", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)),
    lambda: list_pipelines(None, "w"), lambda: send_alert(None, "subject", "body")])
def test_what_is_no_block_is_refused_by_name(call: Callable[[], Any]):
    with pytest.raises(InvalidInputError, match=r"`(credentials|archive|notify)` is "):
        call()


def test_levels_may_come_from_a_generator(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive):
    deepset.add_pipeline("w", "a", [row(f"{YESTERDAY}T12:00:0{n}Z", level=level) for n, level in enumerate(("info", "error"))])
    archive_day(credentials, archive, "w", "a", YESTERDAY)
    levels: Any = (level for level in ["error"])
    assert [found.level for found in read_archived_logs(archive, "w", YESTERDAY, YESTERDAY, levels=levels)] == ["error"]
