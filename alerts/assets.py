"""An archived pipeline as an asset of Prefect, and the event that tells of a new revision of one of its days.

Prefect's own `@materialize` fixes the assets when the task is made and tells of each run that ends well, also of one that found
nothing to do. So the event is made here, in Prefect's form, and once for each committed revision.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote
from uuid import UUID, uuid5

from ..api.sources import LogSource
from ..archive.keys import source_folder
from ..archive.manifest import Manifest, sha256_hex
from .events import Event

MATERIALIZED = "prefect.asset.materialization.succeeded"

_IDS = UUID("0d6d2b0e-9a53-5b7c-8d25-7f0c3f7f5a11")
_MAX_KEY = 512


def asset_key(source: LogSource, bucket: str, prefix: str = "") -> str:
    """``s3://<bucket>/<prefix>/jsonl/workspace=<w>/pipeline=<p>``: where the pipeline's rows are.

    Prefect takes no percent sign in it, so what is percent-encoded in object keys has a tilde here (and a tilde is ``~7E``).
    A key that would be too long for Prefect ends in a hash.
    """
    folder = source_folder(_plain(prefix), "jsonl", source).rstrip("/")
    key = f"s3://{bucket}/{folder}".replace("~", "%7E").replace("%", "~")
    if len(key) <= _MAX_KEY:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{key[:_MAX_KEY - len(digest) - 1]}-{digest}"


def materialized_event(manifest: Manifest, key: str, bucket: str, prefix: str = "") -> Event:
    """`prefect.asset.materialization.succeeded` for a committed revision, its numbers as the asset's metadata.

    The payload has ``workspace``, ``pipeline``, ``kind``, ``dt``, ``status``, ``revision``, ``rows``, ``errors``, ``bytes`` (of
    the jsonl parts), ``manifest_key`` and ``manifest_sha256``. What a trigger may choose by (names, ``dt``, ``status`` and
    ``revision``) is a label too.

    Args:
        manifest: the revision.
        key: its manifest's key.
        bucket, prefix: the archive's.
    """
    source = manifest.source
    asset = asset_key(LogSource(source.workspace, source.pipeline, source.kind), bucket, prefix)
    digest = sha256_hex(manifest.to_bytes())
    labels = {"workspace": source.workspace, "pipeline": source.pipeline, "kind": source.kind, "dt": manifest.dt,
              "status": manifest.status, "revision": str(manifest.revision)}
    payload = {**labels, "revision": manifest.revision, "rows": manifest.rows, "errors": manifest.errors,
               "bytes": sum(file.bytes for file in manifest.files if file.format == "jsonl"),
               "manifest_key": key, "manifest_sha256": digest}
    name = f"Logs of {source.workspace}/{source.pipeline}"
    resource = {"prefect.resource.id": asset, "prefect.resource.name": name, **labels}
    return Event(MATERIALIZED, resource, payload, uuid5(_IDS, "\n".join([asset, key, digest])))


def _plain(prefix: str) -> str:
    return quote(prefix, safe="/")
