"""The task that chooses the days of a backfill."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Literal, NamedTuple

from prefect import task

from ..api.errors import DeepsetError
from ..api.learned import shown_since
from ..api.sources import LogSource
from ..api.times import day_span, to_day
from ..archive.chain import latest
from ..archive.manifest import Manifest
from ..blocks import LogArchive
from .plan import Failure, PlannedDay, label
from .retries import RETRIED

Select = Literal["missing", "incomplete", "all"]
_PARALLEL = 8


class BackfillPlan(NamedTuple):
    """The days a backfill takes up, in their order."""

    days: list[PlannedDay]
    failures: list[Failure]
    """Pipelines whose archive cannot be read."""
    beyond: list[date]
    """Days of the range that are no longer shown, in whole or in part."""


@task(task_run_name="plan-backfill-{start}-{end}", **RETRIED)
def plan_backfill(archive: LogArchive, sources: list[LogSource], start: date, end: date, select: Select = "missing",
                  newest_first: bool = False) -> BackfillPlan:
    """Chooses days by their manifests.

    Args:
        archive: where manifests are.
        sources: pipelines and indexes.
        start, end: UTC days, both included.
        select: ``missing``: days without a manifest; ``incomplete``: those, and days that are open or have gaps or unresolved
            ties; ``all``: every day.
        newest_first: the order.

    Raises:
        InvalidInputError: a time instead of a day.
        ArchiveError: the store cannot be read for now (transient).
    """
    start, end = to_day(start, "start"), to_day(end, "end")
    store = archive.get_store()
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]

    def plan_one(source: LogSource) -> tuple[list[PlannedDay], list[Failure]]:
        wanted: list[PlannedDay] = []
        failures: list[Failure] = []
        for day in days:
            try:
                stored = None if select == "all" else latest(store, source, day)
                if stored is None or (select == "incomplete" and _is_incomplete(stored.manifest)):
                    wanted.append(PlannedDay(source, day))
            except DeepsetError as error:
                if error.transient:
                    raise
                failures.append(Failure(label(source), day, str(error)))
        return wanted, failures

    with ThreadPoolExecutor(_PARALLEL) as pool:
        planned = list(pool.map(plan_one, sources))
    chosen = sorted((due for wanted, _ in planned for due in wanted), key=lambda due: (due.day, due.source))
    oldest_shown = shown_since(time.time())
    return BackfillPlan(chosen[::-1] if newest_first else chosen, [failure for _, failures in planned for failure in failures],
                        [day for day in days if day_span(day).start < oldest_shown])


def _is_incomplete(manifest: Manifest) -> bool:
    return manifest.status == "open" or bool(manifest.gaps) or bool(manifest.unresolved_ties)
