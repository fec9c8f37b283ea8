"""Reads the last minutes of many pipelines, in a time that ends before the next watch: rows of the levels wanted, no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..api.client import DeepsetClient
from ..api.errors import DeepsetError
from ..api.levels import LevelFilter, level_rows
from ..api.rows import Page
from ..api.sources import LogSource
from ..api.steps import Request
from ..api.stream import Asking
from ..api.times import SECOND, Span
from ..archive.manifest import Manifest, Source
from ..archive.redaction import RedactionPolicy
from .window import WindowRows

REQUEST_SECONDS = 60.0
"""What a watch's client should wait for one answer: the server gives up at 180 only, and fewer rows may come in time."""
SECONDS = 120.0
"""After so long no request is begun: with the last answer it is three minutes at most."""


class WindowRead(NamedTuple):
    """What the last minutes of one pipeline held."""

    pipeline: str
    manifest: Manifest | None
    """Never stored; None where nothing could be read. Read in part, it may fire, and resolves nothing."""
    samples: dict[str, str]
    """`log_id` → message, redacted: what alerts may show."""
    problem: str = ""
    """Why it was not read whole: one or two sentences."""


def read_windows(client: DeepsetClient, workspace: str, pipelines: Iterable[str], minutes: int, levels: Iterable[str], *,
                 max_concurrency: int = 8, gate: Callable[[], AbstractContextManager[object]] | None = None,
                 redaction: RedactionPolicy | None = None, now: Callable[[], float] = time.time,
                 sleep: Callable[[float], None] = time.sleep) -> list[WindowRead]:
    """The rows of some levels of the last `minutes` of each pipeline, counted; in the order of `pipelines`.

    A pipeline that cannot be read stops no other.

    Args:
        client: of the platform; it should give up after `REQUEST_SECONDS`.
        workspace, pipelines: names.
        minutes: the window's length.
        levels: what is read, in any case; see `api.levels`.
        max_concurrency: requests under way at once, at most.
        gate: entered around every request, such as a limit that others share.
        redaction: the archive's: alerts show and keep texts of rows, and may hold no more than the archive does.
        now: seconds since 1970.
        sleep: pauses between tries.
    """
    began = now()
    end = int(began) * SECOND
    span = Span(end - minutes * 60 * SECOND, end)
    wanted = LevelFilter(levels)

    def read_one(pipeline: str) -> WindowRead:
        source = LogSource(workspace, pipeline)

        def fetch(request: Request) -> Page:
            return client.logs_page(source, after=request.after, limit=request.limit, filter=request.filter)

        rows, problem = WindowRows(span), ""
        try:
            for row in level_rows(span, wanted, Asking(fetch, str(source), now, sleep, gate, began + SECONDS)):
                rows.add(redaction.redact(row) if redaction else row)
        except DeepsetError as error:
            problem = str(error)
        manifest = rows.manifest(Source(host=client.host, workspace=workspace, pipeline=pipeline), read_at=end,
                                 whole=not problem)
        return WindowRead(pipeline, manifest if manifest.rows or not problem else None, rows.samples(), problem)

    with ThreadPoolExecutor(max_concurrency) as pool:
        return list(pool.map(read_one, pipelines))
