"""Hands the events of `alerts.events` to Prefect."""

from __future__ import annotations

from prefect.events import emit_event

from ..alerts.events import Event


def emit(event: Event) -> None:
    """Sends the event. Prefect drops it silently where no server takes events."""
    emit_event(**event._asdict())
