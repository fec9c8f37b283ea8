"""Archives built by hand for the tests, by the specification, without the code that archives."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from prefect_deepset.api.rows import ERROR_LEVELS, Row
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import SECOND, day_span, format_instant
from prefect_deepset.archive.compression import compress
from prefect_deepset.archive.formats import compression_of, write_table
from prefect_deepset.archive.keys import manifest_key, part_key
from prefect_deepset.archive.manifest import File, Manifest, Previous, Source, TimeSpan, sha256_hex
from prefect_deepset.archive.objects import ObjectStore
from prefect_deepset.archive.signing import sign

PIPELINE = LogSource("my space", "rag/prod")


def put(store: ObjectStore, key: str, body: bytes) -> bool:
    """Creates an object."""
    return store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type="application/octet-stream")


def put_part(store: ObjectStore, source: LogSource, day: date, number: int, rows: Sequence[Row], format: str = "jsonl",  # noqa: A002
             compression: str = "gzip") -> File:
    """Writes one part; the entry a manifest has for it."""
    key = part_key(store.prefix, format, source, day, number, compression_of(format, compression))
    if format == "jsonl":
        body = compress(b"".join(row.raw + b"\n" for row in rows), compression)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(key).name
            write_table(format, rows, path)
            body = path.read_bytes()
    assert put(store, key, body)
    first, last = _ends(rows)
    return File(key=key, format=format, bytes=len(body), rows=len(rows), sha256=sha256_hex(body), first=first, last=last)


def _ends(rows: Sequence[Row]) -> tuple[str | None, str | None]:
    instants = [row.logged_at for row in rows]
    return (format_instant(min(instants)), format_instant(max(instants))) if rows else (None, None)


def manifest_of(source: LogSource, day: date, revision: int, files: list[File], rows: Sequence[Row], **fields: Any) -> Manifest:
    """The manifest that counts these rows."""
    span = day_span(day)
    hours, error_hours = [0] * 24, [0] * 24
    for row in rows:
        hours[(row.logged_at - span.start) // (3600 * SECOND)] += 1
        error_hours[(row.logged_at - span.start) // (3600 * SECOND)] += row.level.lower() in ERROR_LEVELS
    first, last = _ends(rows)
    counted = {
        "source": Source(host="api.example.org", workspace=source.workspace, workspace_id="id", pipeline=source.name,
                         kind=source.kind),
        "dt": day.isoformat(), "revision": revision, "status": "sealed" if revision == 1 else "settled",
        "span": TimeSpan(start=format_instant(span.start), end=format_instant(span.end)),
        "read_at": format_instant(span.end + 1800 * SECOND),
        "rows": len(rows), "errors": sum(error_hours), "rows_by_level": dict(Counter(row.level for row in rows)),
        "rows_by_origin": dict(Counter(row.origin for row in rows)), "rows_by_hour": hours, "errors_by_hour": error_hours,
        "first": first, "last": last, "files": files,
    }
    return Manifest(**(counted | fields))


def put_day(store: ObjectStore, source: LogSource, day: date, revisions: Sequence[Sequence[Sequence[Row]]],
            formats: Sequence[str] = ("jsonl",), compression: str = "gzip", key: str | None = None, **fields: Any) -> list[str]:
    """Writes a day; `revisions` holds, for each revision, the rows of the parts it adds. The keys of the manifests.

    Args:
        key: signs the manifests.
        fields: what the newest manifest says otherwise.
    """
    files: list[File] = []
    rows: list[Row] = []
    keys: list[str] = []
    previous: Previous | None = None
    number = 0
    for revision, parts in enumerate(revisions, 1):
        for part in parts:
            number += 1
            files += [put_part(store, source, day, number, part, name, compression) for name in formats]
            rows += part
        more = fields if revision == len(revisions) else {}
        late = sum(map(len, parts)) if revision > 1 else 0
        manifest = manifest_of(source, day, revision, list(files), rows, previous=previous, **{"late_rows": late, **more})
        body = (sign(manifest, key) if key else manifest).to_bytes()
        keys.append(manifest_key(store.prefix, source, day, revision))
        assert put(store, keys[-1], body)
        previous = Previous(key=keys[-1], sha256=sha256_hex(body))
    return keys
