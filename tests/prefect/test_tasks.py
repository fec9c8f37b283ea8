"""The tasks: one call each, retried by Prefect for transient errors and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import State
from prefect_deepset.api.errors import AuthenticationError, InvalidInputError, ServerError, WorkspaceNotFoundError
from prefect_deepset.blocks import DeepsetCredentials
from prefect_deepset.tasks import list_pipelines, send_alert
from prefect_deepset.tasks.notify import NotificationFailedError, load_notification_block
from prefect_deepset.testing import FakeDeepset, Fault, Faults
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
