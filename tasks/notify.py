"""The task that sends a message through a Prefect notification block."""

from __future__ import annotations

from inspect import iscoroutine
from typing import Any

from prefect import task
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block, UnknownBlockType
from prefect.utilities.asyncutils import run_coro_as_sync

from ..api.errors import AlertError, InvalidInputError
from .retries import RETRIED


class NotificationFailedError(AlertError):
    """A notification block could not send its message."""

    transient = True


def load_notification_block(notify: str) -> NotificationBlock:
    """The block behind a slug such as ``slack-webhook/on-call``.

    Raises:
        InvalidInputError: no such slug, no such block, a block type this process does not know, or one that cannot notify.
    """
    kind, _, name = notify.partition("/")
    if not kind or not name or "/" in name:
        raise InvalidInputError(f"`notify` is {notify!r}, which is no block's slug.",
                                "Give type and name, such as slack-webhook/on-call.")
    try:
        block: Any = Block.load(notify)
    except UnknownBlockType as error:
        raise InvalidInputError(f"Block type {kind!r} of `notify` is not known here.",
                                "Install its package where the flow runs (on the worker, or in its image).") from error
    except ValueError as error:
        raise InvalidInputError(f"There is no block {notify!r} to notify with, or it cannot be loaded.",
                                "Create it in the Prefect UI (Blocks), or correct `notify`.") from error
    if not isinstance(block, NotificationBlock):
        raise InvalidInputError(f"Block {notify!r} cannot notify.", "Name a notification block, such as slack-webhook/on-call.")
    return block


@task(task_run_name="send-alert-{notify}", **{**RETRIED, "retry_delay_seconds": [5, 20, 60]})
def send_alert(notify: str, subject: str, body: str) -> None:
    """Sends one message.

    Args:
        notify: the slug of a notification block.
        subject: one line.
        body: Markdown, or plain text.

    Raises:
        InvalidInputError: see `load_notification_block`.
        NotificationFailedError: the message was not taken; tried again. What the block said is left out: it may hold its URL.
    """
    block = load_notification_block(notify)
    try:
        # Apprise's blocks report a failure only inside this; the others raise anyway.
        with block.raise_on_failure():
            sent: Any = block.notify(body=body, subject=subject)
            if iscoroutine(sent):  # a block whose `notify` is plainly async
                run_coro_as_sync(sent)
    except Exception as error:  # noqa: BLE001 - blocks of many packages, each with exceptions of its own
        raise NotificationFailedError(f"Block {notify!r} could not send the message ({type(error).__name__}).",
                                      "Check the block's URL and token, and that the service is up.") from None
