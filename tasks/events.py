"""Hands the events of `alerts.events` to Prefect."""

from __future__ import annotations

import time

from prefect.events import emit_event
from prefect.logging import get_run_logger

from ..alerts.announced import Revision, mark_announced, revision_events
from ..alerts.events import Event
from ..api.errors import DeepsetError
from ..archive.store import S3Store
from ..blocks import LogArchive


def emit(event: Event) -> None:
    """Sends the event. Prefect drops it silently where no server takes events."""
    emit_event(**event._asdict())


def announce(archive: LogArchive, store: S3Store, revision: Revision) -> None:
    """Sends the events of a committed revision and marks them as sent. Where the mark cannot be written, they go out again."""
    for event in revision_events(revision, archive.bucket, archive.prefix):
        emit(event)
    try:
        mark_announced(store, revision.manifest, time.time())
    except DeepsetError as error:
        get_run_logger().warning("That the events of %s were sent could not be noted, a later run sends them again: %s",
                                 revision.key, error)
