"""``prefect-deepset cat``: the archived rows, byte for byte as the platform sent them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import date
from typing import BinaryIO

from ..api.errors import InvalidInputError
from ..api.rows import Row
from ..archive.read_back import read_rows
from .days import read_days
from .places import OpenArchive, choose_sources, choose_workspace
from .progress import watched
from .terminal import warn

_BUFFER = 1 << 16


def write_rows(archive: OpenArchive, workspace: str | None, names: Sequence[str] | None, levels: Sequence[str] | None,
               first: date, last: date, now: float) -> int:
    """Writes one row a line to stdout, pipeline after pipeline in order of time; 1 when some are lacking, otherwise 0."""
    if first > last:
        raise InvalidInputError(f"The first day ({first}) is after the last ({last}).", "Give the earlier day first.")
    chosen = choose_workspace(archive.store, workspace)
    sources = [source for source in choose_sources(archive.store, chosen, names) if names or source.kind == "pipeline"]
    if not sources:
        raise InvalidInputError("No pipeline is archived of this workspace, only indexes.", "Name one with --pipeline.",
                                f"workspace {chosen!r}")
    lacking = False
    for source in read_days(archive.store, sources, first, last, now):
        if not any(day.manifest or day.wrong for day in source.days):
            lacking = True
            warn(f"warning: {source.source.name}: nothing is archived from {first} to {last}.")
        for day in source.days:
            if day.wrong:
                lacking = True
                warn(f"warning: {day.state} {source.source.name} {day.day}: {day.note}")
            elif day.state in {"open", "not yet"}:
                warn(f"warning: {source.source.name} {day.day}: {day.state}, so more rows may come.")
    # Rows on the terminal show by themselves that work is under way.
    with nullcontext(archive.store) if sys.stdout.isatty() else watched(archive.store, f"Reading {archive.name}:") as store:
        _write(read_rows(store, chosen, first, last, sources, levels or None), sys.stdout.buffer)
    return 1 if lacking else 0


def _write(rows: Iterable[Row], stdout: BinaryIO) -> None:
    pending = bytearray()
    for row in rows:
        pending += row.raw
        pending += b"\n"
        if len(pending) >= _BUFFER:
            stdout.write(pending)
            pending.clear()
    stdout.write(pending)
    stdout.flush()
