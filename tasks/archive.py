"""The task that archives one day of one pipeline."""

from __future__ import annotations

from datetime import date

from prefect import task
from prefect.logging import get_run_logger

from ..alerts.announced import Revision
from ..api.errors import InvalidInputError
from ..api.parameters import check_count
from ..api.sources import Kind
from ..archive import day as core
from ..archive.manifest import Manifest
from ..archive.plan import SECOND_READ_AFTER
from ..blocks import DeepsetCredentials, LogArchive
from .budgets import run_budget
from .events import announce
from .given import check_block, source_of
from .progress import LongRead
from .retries import RETRIED, is_last_attempt


@task(task_run_name="archive-{pipeline}-{day}", **RETRIED)
def archive_day(credentials: DeepsetCredentials, archive: LogArchive, workspace: str, pipeline: str, day: date,
                reread: bool = False, max_concurrency: int = 16, kind: Kind = "pipeline") -> Manifest:
    """Reads what is due of one UTC day and commits it. Returns the day's newest manifest, which may be an older run's.

    Emits `deepset.logs.archived`, and that the pipeline's asset was materialized, when it committed a revision. A transient
    error is retried by Prefect, and the retry goes on from what was read; the last attempt commits what there is as ``open``,
    with its gaps.

    Args:
        credentials: the key to deepset.
        archive: where the day goes.
        workspace, pipeline: names.
        day: the UTC day.
        reread: read the whole day again, even if nothing is due.
        max_concurrency: requests under way at once, at most; shared by all tasks of the flow run in this process.
        kind: ``index`` when `pipeline` names an index.

    Raises:
        InvalidInputError: a day in the future, a bad name, `max_concurrency` below 1.
        IdentityError: the archive belongs to another host or workspace.
        ApiError, ReadError, ArchiveError: other reasons; the message says what to do.
    """
    check_block(credentials, DeepsetCredentials, "credentials")
    check_block(archive, LogArchive, "archive")
    check_count(max_concurrency, "max_concurrency")
    if not isinstance(reread, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - "no" would be taken for yes
        raise InvalidInputError(f"`reread` is {reread!r:.40}.", "Give True or False.")
    source = source_of(workspace, pipeline, kind)
    logger = get_run_logger()
    budget = run_budget(max_concurrency, credentials.concurrency_limit)
    store = archive.get_store()
    progress = LongRead(f"{pipeline} {day}", logger)
    with credentials.get_client() as client:
        result = core.archive_day(client, store, source, day, options=archive.get_options(),
                                  reread=reread, max_concurrency=max_concurrency, budget=budget,
                                  commit_partial=is_last_attempt(), progress=progress)
    progress.done()
    manifest = result.manifest
    if result.committed:
        logger.info("Archived %s %s: revision %d, %s, %d rows, %d errors, %d requests.", pipeline, day, manifest.revision,
                    manifest.status, manifest.rows, manifest.errors, manifest.requests)
        announce(archive, store, Revision(manifest, result.key))
        if manifest.total.agrees is False:
            logger.warning("The server's own total for %s %s is another number of rows; a second read, %d hours after the "
                           "first, shows whether rows came late.", pipeline, day, SECOND_READ_AFTER // 3600)
    else:
        logger.info("Nothing to do for %s %s: revision %d is %s.", pipeline, day, manifest.revision, manifest.status)
    return manifest
