"""The task that sends a message through a Prefect notification block."""

from __future__ import annotations

from contextvars import copy_context
from inspect import iscoroutine
from queue import Empty, Queue
from threading import Thread
from typing import Any

from prefect import task
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block, UnknownBlockType
from prefect.exceptions import ObjectNotFound
from prefect.utilities.asyncutils import run_coro_as_sync

from ..api.errors import AlertError, InvalidInputError
from ..api.parameters import check_text
from .retries import RETRIED

PATIENCE = 60.0
"""Seconds for one message."""


class NotificationFailedError(AlertError):
    """A notification block could not send its message."""

    transient = True


def load_notification_block(notify: str) -> NotificationBlock:
    """The block behind a slug such as ``slack-webhook/on-call``.

    Raises:
        InvalidInputError: no such slug, no such block, one that no longer fits its type, a block type this process does not
            know, or one that cannot notify.
    """
    kind, _, name = (check_text(notify, "notify") or "").partition("/")
    if not kind or not name or "/" in name:
        raise InvalidInputError(f"`notify` is {notify!r}, which is no block's slug.",
                                "Give type and name, such as slack-webhook/on-call.")
    block, problem = _load(notify, kind)
    if problem:  # raised out here: a block that does not fit quotes its fields, and no error that is told may lead back to them
        raise problem
    if not isinstance(block, NotificationBlock):
        raise InvalidInputError(f"Block {notify!r} cannot notify.", "Name a notification block, such as slack-webhook/on-call.")
    return block


def _load(notify: str, kind: str) -> tuple[Any, InvalidInputError | None]:
    try:
        return Block.load(notify), None
    except UnknownBlockType:
        return None, InvalidInputError(f"Block type {kind!r} of `notify` is not known here.",
                                       "Install its package where the flow runs (on the worker, or in its image).")
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None, InvalidInputError(f"There is no block {notify!r} to notify with.",
                                           "Create it in the Prefect UI (Blocks), or correct `notify`.")
    except (RuntimeError, TypeError, LookupError, AttributeError):
        pass  # Prefect's own where a field does not fit, or whatever the block's type raises
    return None, InvalidInputError(f"Block {notify!r} of `notify` cannot be loaded: what is saved does not fit its type.",
                                   "Save it again in the Prefect UI (Blocks), or install the version it was saved with.")


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
    answers: Queue[Exception | None] = Queue()

    def send() -> None:
        try:
            # Apprise's blocks report a failure only inside this; the others raise anyway.
            with block.raise_on_failure():
                sent: Any = block.notify(body=body, subject=subject)
                if iscoroutine(sent):  # a block whose `notify` is plainly async
                    run_coro_as_sync(sent)
        except Exception as error:  # noqa: BLE001 - blocks of many packages, each with exceptions of its own
            answers.put(error)
        else:
            answers.put(None)

    # In a thread of its own, which is left behind if it must be: nothing else ends a call that waits for ever, and the next
    # runs wait for this one.
    Thread(target=copy_context().run, args=(send,), name="send-alert", daemon=True).start()
    try:
        error = answers.get(timeout=PATIENCE)
    except Empty:
        raise NotificationFailedError(f"Block {notify!r} has not sent the message after {PATIENCE:.0f} seconds.",
                                      "Check that the service is up; it may still arrive.") from None
    if error is not None:
        raise NotificationFailedError(f"Block {notify!r} could not send the message ({type(error).__name__}).",
                                      "Check the block's URL and token, and that the service is up.")
