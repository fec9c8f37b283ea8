"""Archived days as the tests need them, and a store without a server for the tests that run hundreds of histories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO

from prefect_deepset.archive.manifest import ExceptionCount, Gap, Manifest, PlainErrors, Source, Tie, TimeSpan
from prefect_deepset.archive.objects import ObjectInfo

FIRST = date(2026, 1, 1)


def name_of(day: int) -> str:
    """The date of day number `day`, from 1."""
    return (FIRST + timedelta(days=day - 1)).isoformat()


def clock(day: int, hour: float = 0.75) -> float:
    """Seconds since 1970 of an hour in day number `day`; by default when the scheduled run looks."""
    start = FIRST + timedelta(days=day - 1)
    return datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp() + hour * 3600


def gap(day: int, reason: str, start: str = "03:00:00", end: str = "04:00:00") -> Gap:
    """A gap in the day."""
    return Gap(start=f"{name_of(day)}T{start}Z", end=f"{name_of(day)}T{end}Z", reason=reason)


def archived(
    day: int,
    errors: int = 0,
    rows: int = 1000,
    *,
    status: str = "sealed",
    revision: int = 1,
    pipeline: str = "chat",
    workspace: str = "default",
    kind: str = "pipeline",
    gaps: list[Gap] | None = None,
    ties: int = 0,
    exceptions: dict[str, int] | None = None,
    levels: dict[str, int] | None = None,
    late_rows: int = 0,
    ended: bool = False,
    other_exceptions: int = 0,
    plain_errors: dict[str, int] | None = None,
) -> Manifest:
    """One archived day. `exceptions` maps ``Type@module:line`` to counts, `plain_errors` levels."""
    dt = name_of(day)
    by_hour, errors_by_hour = [rows // 24] * 24, [0] * 24
    errors_by_hour[9], errors_by_hour[13] = errors // 2, errors - errors // 2
    span = TimeSpan(start=f"{dt}T00:00:00Z", end=f"{name_of(day + 1)}T00:00:00Z")
    kinds = [ExceptionCount(type=name.partition("@")[0], frame=name.partition("@")[2], count=count, log_id=f"row-of-{index}")
             for index, (name, count) in enumerate((exceptions or {}).items())]
    plain = [PlainErrors(level=level, count=count, log_id=f"{level}-row") for level, count in (plain_errors or {}).items()]
    source = Source.model_validate({"host": "127.0.0.1:1", "workspace": workspace, "pipeline": pipeline, "kind": kind})
    return Manifest(
        source=source, dt=dt,
        revision=revision, status=status, span=span, read_at=f"{name_of(day + 1)}T00:45:00Z", rows=rows,  # pyright: ignore[reportArgumentType]
        errors=errors, rows_by_level=levels or {"info": max(rows - errors, 0), "error": errors}, rows_by_hour=by_hour,
        errors_by_hour=errors_by_hour, gaps=gaps or [], late_rows=late_rows, exceptions=kinds, ended=ended,
        other_exceptions=other_exceptions, plain_errors=plain,
        unresolved_ties=[Tie(start=span.start, end=span.start, rows=100)] * ties)


class MemoryStore:
    """Objects created once, in a dictionary: what `ObjectStore` promises, without a server."""

    def __init__(self, prefix: str = "logs") -> None:
        self.prefix = prefix
        self.objects: dict[str, bytes] = {}
        self.fail_on: str | None = None
        """A crash: the next write to a key that ends with it stops the worker."""

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        """As the protocol says."""
        if self.fail_on is not None and key.endswith(self.fail_on):
            raise Crash
        if key in self.objects:
            return False
        self.objects[key] = body if isinstance(body, bytes) else body.read()
        return True

    def get(self, key: str) -> bytes | None:
        """As the protocol says."""
        return self.objects.get(key)

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        """Not needed by alerts."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As the protocol says."""
        yield from [ObjectInfo(key, len(body)) for key, body in sorted(self.objects.items()) if key.startswith(prefix)]

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Not needed by alerts."""
        raise NotImplementedError


class Crash(BaseException):
    """The worker's process is gone: nothing catches it."""
