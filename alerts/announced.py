"""Which revisions Prefect was told of: a mark beside the alerts for each, written after its events went out.

::

    <prefix>/alerts/archived/workspace=<w>/dt=<day>/pipeline=<p>/r00001.json

A run that dies between a commit and its events leaves no mark, and so does one that never learns that its commit was taken. A
later run then emits them: at least once, with the ids they would have had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from ..api.sources import LogSource
from ..api.times import SECOND, parse_instant
from ..archive.chain import read_revision
from ..archive.keys import manifest_key, source_folder, workspace_folder
from ..archive.manifest import Manifest, sha256_hex
from ..archive.objects import ObjectStore
from .assets import materialized_event
from .events import Event, archived_event
from .ledger import LEASE, claim_time
from .rules import source_of
from .state import RECENT_DAYS

_TABLE = "alerts/archived"


class Revision(NamedTuple):
    """A committed revision and its manifest's key."""

    manifest: Manifest
    key: str


def revision_events(revision: Revision, bucket: str, prefix: str) -> list[Event]:
    """That it was archived, and that the pipeline's asset was materialized."""
    return [archived_event(*revision, bucket), materialized_event(*revision, bucket, prefix)]


def mark_announced(store: ObjectStore, manifest: Manifest, now: float) -> None:
    """Writes that the revision's events went out."""
    body = (json.dumps({"at": claim_time(now)}) + "\n").encode()
    key = _mark_key(store.prefix, source_of(manifest), manifest.dt, manifest.revision)
    store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type="application/json")


def unannounced(store: ObjectStore, manifests: Iterable[Manifest], now: float) -> list[Revision]:
    """The revisions without a mark of each source's last archived days, oldest first.

    Those read less than 15 minutes ago are left out: their run is still at it, most likely. Costs one listing a day,
    however many pipelines there are.

    Args:
        store: where they are.
        manifests: the newest manifest of each day, of any number of sources of one workspace.
        now: seconds since 1970.
    """
    by_source: dict[LogSource, dict[str, Manifest]] = {}
    for manifest in manifests:
        by_source.setdefault(source_of(manifest), {})[manifest.dt] = manifest
    recent = [days[day] for days in by_source.values() for day in sorted(days)[-RECENT_DAYS:]]
    marks = {info.key for workspace, day in sorted({(one.source.workspace, one.dt) for one in recent})
             for info in store.list(_day_folder(store.prefix, workspace, day))}
    found: list[Revision] = []
    for newest in recent:
        source, day = source_of(newest), date.fromisoformat(newest.dt)
        for number in range(1, newest.revision + 1):
            if _mark_key(store.prefix, source, newest.dt, number) in marks:
                continue
            stored = read_revision(store, source, day, number) if number < newest.revision else None
            manifest = stored.manifest if stored else newest
            if manifest.revision == number and now - parse_instant(manifest.read_at) / SECOND >= LEASE:
                found.append(Revision(manifest, manifest_key(store.prefix, source, day, number)))
    return found


def _day_folder(prefix: str, workspace: str, day: str) -> str:
    return f"{workspace_folder(prefix, _TABLE, workspace)}dt={day}/"


def _mark_key(prefix: str, source: LogSource, day: str, revision: int) -> str:
    name = source_folder(prefix, _TABLE, source).removeprefix(workspace_folder(prefix, _TABLE, source.workspace))
    return f"{_day_folder(prefix, source.workspace, day)}{name}r{revision:05d}.json"
