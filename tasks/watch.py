"""The task that reads the errors of the last minutes."""

from __future__ import annotations

from typing import NamedTuple

from prefect import task

from ..alerts.window_read import REQUEST_SECONDS, read_windows
from ..api.rows import ERROR_LEVELS
from ..archive.manifest import Manifest
from ..archive.redaction import RedactionPolicy
from ..blocks import DeepsetCredentials
from .global_limit import limit_gate
from .plan import Failure
from .retries import RETRIED


class Window(NamedTuple):
    """What the last minutes held."""

    manifests: list[Manifest]
    """One for each pipeline of which anything was read; never stored."""
    failures: list[Failure]
    """Pipelines that were not read, or only in part."""
    samples: dict[str, str]
    """`log_id` → message, redacted: what alerts may show."""


@task(task_run_name="read-errors-{workspace}", **RETRIED)
def read_errors(credentials: DeepsetCredentials, workspace: str, pipelines: list[str], minutes: int,
                max_concurrency: int = 8, levels: list[str] | None = None,
                redaction: RedactionPolicy | None = None) -> Window:
    """Reads the error-level rows of the last `minutes` of each pipeline, by the server's own filter where that saves requests.

    Args:
        credentials: the key.
        workspace, pipelines: names.
        minutes: the window's length.
        max_concurrency: requests under way at once, at most; each takes a slot of the credentials' limit as well.
        levels: what is read, in any case; None for error, critical and fatal.
        redaction: the archive's, so that no alert shows what the archive must not hold.

    It ends within about three minutes. A pipeline that cannot be read whole by then is a failure and stops no other.
    """
    limit = credentials.concurrency_limit
    with credentials.get_client(read_timeout=REQUEST_SECONDS) as client:
        read = read_windows(client, workspace, pipelines, minutes, levels or sorted(ERROR_LEVELS),
                            max_concurrency=max_concurrency, gate=limit_gate(limit) if limit else None,
                            redaction=redaction)
    return Window([one.manifest for one in read if one.manifest],
                  [Failure(one.pipeline, None, one.problem) for one in read if one.problem],
                  {log_id: text for one in read for log_id, text in one.samples.items()})
