"""The end of a source: what the archive knows of a pipeline or index that exists no longer."""

from __future__ import annotations

from datetime import date, timedelta

from ..api.sources import LogSource
from . import chain
from .errors import ManifestError
from .manifest import Manifest
from .objects import ObjectStore
from .plan import time_text


def ended_before(newest: Manifest, day: date) -> bool:
    """Whether there was nothing of the source any more before the day.

    Args:
        newest: the source's newest manifest, of any day.
    """
    return newest.ends_on is not None and newest.ends_on < day


def ended_at(store: ObjectStore, source: LogSource, day: date, latest: Manifest | None, gone_at: float) -> str:
    """When the source was first found to be gone, on this day or, unless it was back since, the day before.

    Args:
        latest: the day's newest manifest.
        gone_at: when it was found to be gone now, in seconds since 1970.
    """
    if latest is None:
        try:
            before = chain.latest(store, source, day - timedelta(days=1))
        except ManifestError:
            before = None
        latest = before.manifest if before else None
    known = latest.ended_at if latest else None
    return known or time_text(gone_at)
