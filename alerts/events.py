"""The events that tell Prefect what happened to a day of logs, as plain data: whoever has Prefect emits them.

::

    deepset.logs.archived                   a revision of a day was committed
    deepset.logs.error-threshold.crossed    a rule began to fire
    deepset.logs.error-threshold.resolved   a rule that fired is over, seen on a whole day
    deepset.logs.incomplete                 a day, or a stretch of it, is missing

An event's id follows from what happened: one that goes out twice can be known by it. What a trigger may want to choose by is a
resource label, because a trigger's ``match`` sees labels and not the payload. ``emit_event(**event._asdict())`` emits one.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from ..archive.manifest import Manifest, Source, sha256_hex

ARCHIVED = "deepset.logs.archived"
CROSSED = "deepset.logs.error-threshold.crossed"
RESOLVED = "deepset.logs.error-threshold.resolved"
INCOMPLETE = "deepset.logs.incomplete"

_IDS = UUID("6a0f3c0e-5b0b-5d0a-9a57-0c4de7b1a5d1")
_MAX_FILES = 100
_MAX_GAPS = 50


class Event(NamedTuple):
    """One event, its fields named as `prefect.events.emit_event` names its parameters."""

    event: str
    resource: dict[str, str]
    """Labels; ``prefect.resource.id`` is ``deepset.pipeline.<workspace>.<pipeline>``."""
    payload: dict[str, Any]
    """JSON values only, a few kilobytes at most."""
    id: UUID
    """The same happening always has the same id."""


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    host: str
    workspace: str
    pipeline: str
    """The pipeline's (or the index's) name."""
    kind: str = "pipeline"
    dt: str
    """The UTC day, YYYY-MM-DD."""
    status: str = ""
    """The manifest's: open, sealed, settled or gap; empty where the day has no manifest yet; `window` of the last minutes."""
    revision: int = 0
    """0 where the day has no manifest yet."""
    bucket: str = ""
    manifest_key: str = ""


class Missing(BaseModel):
    """A stretch that is not archived. RFC 3339, UTC."""

    model_config = ConfigDict(frozen=True)

    start: str
    end: str
    reason: str


class ArchivedPayload(_Payload):
    """Of `deepset.logs.archived`: what a job that reads the day's logs needs in order to start."""

    manifest_sha256: str
    rows: int
    errors: int
    late_rows: int
    rows_by_level: dict[str, int]
    first: str | None
    last: str | None
    gaps: list[Missing] = Field(default_factory=list[Missing], description="At most 50; the manifest has them all.")
    unresolved_ties: int
    files: list[str] = Field(default_factory=list[str], description="Object keys, at most 100; the manifest has them all.")
    file_count: int
    ended: bool


class ThresholdPayload(_Payload):
    """Of `deepset.logs.error-threshold.crossed` and `.resolved`."""

    rule: str
    """The rule's name."""
    rule_kind: str
    state: str
    previous_state: str
    value: float
    """What was counted: rows, or a share between 0 and 1."""
    threshold: float
    detail: str = ""
    """One sentence."""
    since: str = ""
    """The UTC day on which the rule began to fire."""
    rows: int = 0
    errors: int = 0
    transition: int
    """The number of the transition in the series of this pipeline and rule."""
    transition_key: str
    exceptions: list[str] = Field(default_factory=list[str], description="The commonest kinds, as `type at frame`.")


class IncompletePayload(_Payload):
    """Of `deepset.logs.incomplete`."""

    detail: str
    gaps: list[Missing] = Field(default_factory=list[Missing], description="At most 50; the manifest has them all.")
    unresolved_ties: int = 0
    transition: int = 0
    """The number of the transition; 0 where a manifest alone, and no rule, says that the day is incomplete."""
    transition_key: str = ""


def resource_id(source: Source) -> str:
    """``deepset.pipeline.<workspace>.<pipeline>``, percent-encoded; a dot in the workspace too, so that no two are the same."""
    workspace = quote(source.workspace, safe="").replace(".", "%2E")
    return f"deepset.{source.kind}.{workspace}.{quote(source.pipeline, safe='')}"


def missing_of(manifest: Manifest) -> list[Missing]:
    """The manifest's gaps, at most 50."""
    return [Missing(start=gap.start, end=gap.end, reason=gap.reason) for gap in manifest.gaps[:_MAX_GAPS]]


def archived_event(manifest: Manifest, key: str, bucket: str = "") -> Event:
    """`deepset.logs.archived` for a committed revision; `key` is its manifest's."""
    digest = sha256_hex(manifest.to_bytes())
    payload = ArchivedPayload(
        **_place(manifest), bucket=bucket, manifest_key=key, manifest_sha256=digest, rows=manifest.rows, errors=manifest.errors,
        late_rows=manifest.late_rows, rows_by_level=manifest.rows_by_level, first=manifest.first, last=manifest.last,
        gaps=missing_of(manifest), unresolved_ties=len(manifest.unresolved_ties),
        files=[file.key for file in manifest.files[:_MAX_FILES]], file_count=len(manifest.files), ended=manifest.ended)
    return _event(ARCHIVED, manifest.source, payload, bucket, key, digest)


def incomplete_event(manifest: Manifest, key: str, detail: str, bucket: str = "") -> Event:
    """`deepset.logs.incomplete` for a committed revision, where no rule watches the pipeline; `detail` is one sentence."""
    payload = IncompletePayload(**_place(manifest), bucket=bucket, manifest_key=key, detail=detail, gaps=missing_of(manifest),
                                unresolved_ties=len(manifest.unresolved_ties))
    return _event(INCOMPLETE, manifest.source, payload, bucket, key, sha256_hex(manifest.to_bytes()))


def threshold_event(name: str, source: Source, payload: ThresholdPayload) -> Event:
    """`CROSSED` or `RESOLVED`, as `name` says, for one transition of one rule."""
    identity = (payload.bucket, payload.transition_key, payload.dt)
    return _event(name, source, payload, *identity, rule=payload.rule, state=payload.state)


def incomplete_transition_event(source: Source, payload: IncompletePayload, rule: str, state: str) -> Event:
    """`deepset.logs.incomplete` for one transition of one rule."""
    return _event(INCOMPLETE, source, payload, payload.bucket, payload.transition_key, payload.dt, rule=rule, state=state)


def _place(manifest: Manifest) -> dict[str, Any]:
    source = manifest.source
    return {"host": source.host, "workspace": source.workspace, "pipeline": source.pipeline, "kind": source.kind,
            "dt": manifest.dt, "status": manifest.status, "revision": manifest.revision}


def _event(name: str, source: Source, payload: _Payload, *identity: str, **labels: str) -> Event:
    resource = {
        "prefect.resource.id": resource_id(source), "prefect.resource.name": f"{source.workspace}/{source.pipeline}",
        "workspace": source.workspace, "pipeline": source.pipeline, "kind": source.kind, "dt": payload.dt,
        "status": payload.status, "revision": str(payload.revision), **labels,
    }
    return Event(name, resource, payload.model_dump(mode="json"), uuid5(_IDS, "\n".join([name, source.host, *identity])))
