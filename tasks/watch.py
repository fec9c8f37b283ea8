"""The task that reads the errors of the last minutes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prefect import task

from ..alerts.window import window_manifest
from ..api.client import DeepsetClient
from ..api.errors import BadRequestError, DeepsetError, IncompleteReadError, NoLogsError, UnprocessableError
from ..api.rows import ERROR_LEVELS, Row
from ..api.times import SECOND, Span, to_datetime
from ..archive.manifest import Manifest, Source
from ..blocks import DeepsetCredentials
from .budgets import run_budget
from .plan import Failure
from .retries import RETRIED

# Whether the platform compares levels with case is unknown, so each is asked for as it is known to be written.
_LEVELS = sorted({*ERROR_LEVELS, *(level.upper() for level in ERROR_LEVELS)})


class Window(NamedTuple):
    """What the last minutes held."""

    manifests: list[Manifest]
    """One for each pipeline that was read; never stored."""
    failures: list[Failure]


@task(task_run_name="read-errors-{workspace}", **RETRIED)
def read_errors(credentials: DeepsetCredentials, workspace: str, pipelines: list[str], minutes: int,
                max_concurrency: int = 8) -> Window:
    """Reads the error-level rows of the last `minutes` of each pipeline, by the server's own filter where it has one.

    Args:
        credentials: the key.
        workspace, pipelines: names.
        minutes: the window's length.
        max_concurrency: requests under way at once, at most.

    A pipeline that cannot be read is a failure and stops no other.
    """
    end = int(time.time()) * SECOND
    span = Span(end - minutes * 60 * SECOND, end)
    budget = run_budget(max_concurrency, credentials.concurrency_limit)

    def read_one(pipeline: str) -> Manifest | Failure:
        source = Source(host=client.host, workspace=workspace, pipeline=pipeline)
        try:
            with budget.slot():
                rows, whole = _read(client, workspace, pipeline, span)
        except NoLogsError:
            rows, whole = [], True
        except DeepsetError as error:
            return Failure(pipeline, None, str(error))
        return window_manifest(source, span, rows, read_at=end, whole=whole)

    with credentials.get_client() as client, ThreadPoolExecutor(max_concurrency) as pool:
        read = list(pool.map(read_one, pipelines))
    return Window([one for one in read if isinstance(one, Manifest)], [one for one in read if isinstance(one, Failure)])


def _read(client: DeepsetClient, workspace: str, pipeline: str, span: Span) -> tuple[list[Row], bool]:
    """The window's error rows, and whether all of it was read."""
    start, end = to_datetime(span.start), to_datetime(span.end)
    rows: list[Row] = []
    try:
        rows += client.rows(workspace, pipeline, start, end, levels=_LEVELS)
    except (BadRequestError, UnprocessableError):
        # The filter is refused: read everything and choose here.
        rows = [row for row in client.rows(workspace, pipeline, start, end) if row.level.lower() in ERROR_LEVELS]
    except IncompleteReadError:
        return rows, False
    # A server that compares without case answers twice.
    return list({(row.logged_at, row.log_id): row for row in rows}.values()), True
