"""How far a long read has come: log lines, and a progress artifact in the Prefect UI. Short reads show nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from ..archive.day import Progress

LONG = 60.0
"""Seconds after which a read counts as long."""
EVERY = 30.0
"""Seconds between two lines."""


class LongRead:
    """Tells of a read once it takes long; called with each `Progress`.

    Args:
        what: pipeline and day, for people.
        logger: where the lines go.
        clock: seconds, monotonic.
    """

    def __init__(self, what: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._logger = logger
        self._clock = clock
        self._began = clock()
        self._next = self._began + LONG
        self._artifact: UUID | None = None

    def __call__(self, progress: Progress) -> None:
        """Says how far it is, at most every half minute."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        rate = progress.rows / (now - self._began)
        self._logger.info("%s: %d rows, %.0f a second, %.0f %% of the span; %d requests, %d of them repeated.", self._what,
                          progress.rows, rate, progress.covered * 100, progress.requests, progress.retries)
        self._show(progress.covered * 100)

    def done(self) -> None:
        """Closes the artifact, if there is one."""
        if self._artifact is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        try:
            if self._artifact is None:
                created = create_progress_artifact(percent, description=f"Reading {self._what}")
                self._artifact = created if isinstance(created, UUID) else None
            else:
                update_progress_artifact(self._artifact, percent)
        except Exception as error:  # noqa: BLE001 - whatever the server says: showing progress never stops a read
            self._logger.warning("The progress of %s could not be shown: %s", self._what, type(error).__name__)
