"""The task that says which days of which pipelines are due, from manifests and the clock alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import NamedTuple

from prefect import task

from ..api.errors import DeepsetError, InvalidInputError
from ..api.parameters import check_texts
from ..api.sources import LogSource
from ..api.urls import check_name
from ..archive import chain
from ..archive.plan import archived_sources, days_due
from ..blocks import LogArchive
from .retries import RETRIED

_PARALLEL = 8


class PlannedDay(NamedTuple):
    """One day to consider."""

    source: LogSource
    day: date


def label(source: LogSource) -> str:
    """What a source is called where pipelines are the rule."""
    return source.name if source.kind == "pipeline" else f"index {source.name}"


def named_sources(workspace: str, pipelines: Sequence[str] | None,
                  indexes: Sequence[str] | None) -> Sequence[str | LogSource] | None:
    """What is named, an index as a source; None where nothing is: then all that is archived is meant.

    Raises:
        InvalidInputError: what is neither a name nor a list of names, or an empty list.
    """
    named, listed = check_texts(pipelines, "pipelines"), check_texts(indexes, "indexes")
    for name, value in (("pipelines", named), ("indexes", listed)):
        if value is not None and not value:
            raise InvalidInputError(f"`{name}` is empty.", "Name some, or leave it out.")
    if listed is None:
        return named
    return [*(named or ()), *(LogSource(workspace, check_name(name, "index"), "index") for name in listed)]


class Failure(NamedTuple):
    """What went wrong with one pipeline, or one day of it."""

    pipeline: str
    day: date | None
    problem: str
    """One or two sentences: what is wrong and what to do."""


class Plan(NamedTuple):
    """What a run will do; oldest days first, since they are the first to vanish."""

    days: list[PlannedDay]
    failures: list[Failure]


@task(task_run_name="find-archived-{workspace}", **RETRIED)
def find_archived(archive: LogArchive, workspace: str, listed: Sequence[str] = (), closed: bool = False) -> list[str]:
    """The names of the workspace's pipelines that were ever archived and have no closing manifest yet.

    Args:
        archive: where manifests are.
        workspace: its name.
        listed: pipelines that are known already: they are left out, and their manifests are not asked for.
        closed: those that are closed as well.

    Raises:
        ArchiveError: the store cannot be read.
    """
    store = archive.get_store()
    found = chain.archived_sources(store, workspace) if closed else archived_sources(store, workspace, set(listed))
    return [source.name for source in found if source.kind == "pipeline" and source.name not in listed]


@task(task_run_name="plan-days", **RETRIED)
def plan_days(archive: LogArchive, sources: list[LogSource], day: date | None = None) -> Plan:
    """The days to consider.

    Args:
        archive: where manifests are.
        sources: pipelines and indexes.
        day: this day alone; None for every closed UTC day that is still shown and not settled, judged by the time now.

    Raises:
        ArchiveError: the store cannot be read for now (transient). What is wrong with one pipeline's archive is a failure in
            the plan.
    """
    store, now = archive.get_store(), time.time()

    def plan_one(source: LogSource) -> tuple[list[PlannedDay], list[Failure]]:
        try:
            return [PlannedDay(source, due) for due in ([day] if day else days_due(store, source, now))], []
        except DeepsetError as error:
            if error.transient:
                raise
            return [], [Failure(label(source), day, str(error))]

    with ThreadPoolExecutor(_PARALLEL) as pool:
        planned = list(pool.map(plan_one, sources))
    days = sorted((entry for entries, _ in planned for entry in entries), key=lambda due: (due.day, due.source))
    return Plan(days, [failure for _, failures in planned for failure in failures])
