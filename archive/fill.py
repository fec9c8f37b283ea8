"""Adding a format to days that are archived already: from the archive, not from the API."""

from __future__ import annotations

from datetime import date

from ..api.sources import LogSource
from .chain import StoredManifest, latest
from .copies import missing_copies
from .errors import ManifestError
from .formats import require_formats
from .keys import manifest_key
from .manifest import Previous, sha256_hex
from .objects import ObjectStore
from .signing import sign
from .spool_folder import default_root, private_folder

_ATTEMPTS = 5


def fill_format(store: ObjectStore, source: LogSource, day: date, format: str,  # noqa: A002 - the manifest's word
                signing_key: str | bytes | None = None) -> StoredManifest | None:
    """Gives every jsonl part of a day its copy in `format`, and commits a revision that names the new ones.

    Status, rows and everything else the manifest states of the day stay as they are; the revision's own requests and late rows
    are 0. Nothing is written when the day has all copies. Runs that archive the day meanwhile are not disturbed.

    Args:
        signing_key: where manifests are signed.

    Returns:
        The day's newest manifest; None when the day is not archived.

    Raises:
        InvalidInputError: for an unknown format, or a missing extra.
        PartError: when a jsonl part cannot be read, or a copy's key is taken by something else.
        DiskFullError, SpoolError: copies are made where spools are kept, and it takes no more.
        ManifestError: when the chain is broken, or others kept committing in between.
    """
    require_formats([format])
    for _ in range(_ATTEMPTS):
        newest = latest(store, source, day)
        if newest is None:
            return None
        manifest = newest.manifest
        with private_folder(default_root()) as folder:
            copies = missing_copies(store, source, day, manifest.files, [format], folder)
        if not copies:
            return newest
        filled = manifest.model_copy(update={
            "revision": manifest.revision + 1, "files": [*manifest.files, *copies], "late_rows": 0, "requests": 0, "retries": 0,
            "previous": Previous(key=newest.key, sha256=newest.sha256), "signature": None})
        body = (sign(filled, signing_key) if signing_key is not None else filled).to_bytes()
        key = manifest_key(store.prefix, source, day, filled.revision)
        created = store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type="application/json")
        if created or store.get(key) == body:
            return latest(store, source, day, hint=filled.revision)
    raise ManifestError(f"Others committed {_ATTEMPTS} revisions of the day in the meantime.", "Run again when they are done.",
                        f"{source}, {day}")
