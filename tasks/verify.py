"""The tasks that ask whether the archive is whole and unchanged. They read the bucket and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime

from prefect import task

from ..api.sources import Kind
from ..archive import verify as core
from ..archive.verdicts import ArchiveVerdict, DayVerdict
from ..blocks import LogArchive
from .given import check_block, source_of
from .plan import named_sources
from .retries import RETRIED


@task(task_run_name="verify-{pipeline}-{day}", **RETRIED)
def verify_day(archive: LogArchive, workspace: str, pipeline: str, day: date, kind: Kind = "pipeline") -> DayVerdict:
    """Reads and recounts one archived day: every revision, every part. What is wrong is in the verdict, not raised.

    Args:
        archive: what to verify.
        workspace, pipeline: names.
        day: the UTC day.
        kind: ``index`` when `pipeline` names an index.

    Raises:
        InvalidInputError: a name, a day or a kind that cannot be.
        ArchiveError: the store cannot be read.
    """
    check_block(archive, LogArchive, "archive")
    source = source_of(workspace, pipeline, kind)
    return core.verify_day(archive.get_store(), source, day, archive.get_trust())


@task(task_run_name="verify-{workspace}", **RETRIED)
def verify_days(archive: LogArchive, workspace: str, pipelines: list[str] | None = None, start: date | None = None,
                end: date | None = None, indexes: list[str] | None = None) -> ArchiveVerdict:
    """Verifies every day of a workspace's archive, and looks for objects that no manifest names.

    Args:
        archive: what to verify.
        workspace: its name.
        pipelines: names; None for every pipeline and index ever archived, or with `indexes` for none.
        start, end: UTC days, both included; None for the first one archived and the last one over.
        indexes: names of indexes.

    Raises:
        InvalidInputError: `start` is after `end`, or no day between them is archived or should be.
        ArchiveError: the store cannot be read.
    """
    check_block(archive, LogArchive, "archive")
    sources = named_sources(workspace, pipelines, indexes)
    return core.verify_archive(archive.get_store(), workspace, sources, start, end, datetime.now(UTC),
                               archive.get_trust())
