"""The chain of a day's manifests: revision 1, 2, 3 ..., each naming the one before. The newest one says what the day holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple
from urllib.parse import unquote

from ..api.errors import InvalidInputError
from ..api.sources import Kind, LogSource
from .errors import ManifestError
from .keys import day_folder, manifest_key, parse_manifest_key, source_folder, table_folder, workspace_folder
from .manifest import Manifest, sha256_hex
from .objects import ObjectStore

_KINDS: tuple[Kind, ...] = ("pipeline", "index")
_LOOK_BACK = 10
_SHOWN = 10


class StoredManifest(NamedTuple):
    """One revision as it lies in the store."""

    key: str
    sha256: str
    """Hex, of the object's bytes: what the next revision's `previous` must say."""
    manifest: Manifest


def read_revision(store: ObjectStore, source: LogSource, day: date, revision: int) -> StoredManifest | None:
    """One revision, or None when it is not there.

    Raises:
        ManifestError: when the object is no manifest, or speaks of another source, day or revision than its key.
    """
    key = manifest_key(store.prefix, source, day, revision)
    body = store.get(key)
    if body is None:
        return None
    manifest = Manifest.from_bytes(body, key)
    said = (manifest.source.workspace, manifest.source.pipeline, manifest.source.kind, manifest.dt, manifest.revision)
    if said != (source.workspace, source.name, source.kind, day.isoformat(), revision):
        raise ManifestError(f"{key} speaks of {said[2]} {said[1]!r} of workspace {said[0]!r}, {said[3]}, revision {said[4]}.",
                            "It was moved or changed: restore the object from a version or backup, then verify the archive.")
    return StoredManifest(key, sha256_hex(body), manifest)


def latest(store: ObjectStore, source: LogSource, day: date, hint: int | None = None) -> StoredManifest | None:
    """The newest revision, or None when the day has none. A listing may lag, so what follows the newest listed is asked for.

    Args:
        hint: a revision the caller knows of; the listing is then spared.

    Raises:
        ManifestError: for a revision that is listed and not there, or cannot be read.
    """
    newest = read_revision(store, source, day, hint) if hint else None
    if newest is None and (listed := _newest_listed(store, source, day)):
        newest = _required(store, source, day, listed)
    for following in _after(store, source, day, newest.manifest.revision if newest else 0):
        newest = following
    return newest


def list_days(store: ObjectStore, source: LogSource) -> list[date]:
    """The days that have a folder of manifests, oldest first."""
    days: list[date] = []
    for folder in store.list_folders(source_folder(store.prefix, "manifests", source)):
        name, _, value = folder.rstrip("/").rpartition("/")[2].partition("=")
        try:
            day = date.fromisoformat(value)
        except ValueError:
            continue  # not ours; verification reports what lies in it
        if name == "dt" and value == day.isoformat():
            days.append(day)
    return sorted(days)


def archived_sources(store: ObjectStore, workspace: str) -> list[LogSource]:
    """Every pipeline and index of the workspace that has manifests, in key order."""
    sources: list[LogSource] = []
    for folder in store.list_folders(workspace_folder(store.prefix, "manifests", workspace)):
        found, _, name = folder.rstrip("/").rpartition("/")[2].partition("=")
        sources += [LogSource(workspace, unquote(name), kind) for kind in _KINDS if kind == found and name]
    return sources


def archived_workspaces(store: ObjectStore) -> list[str]:
    """Every workspace that has manifests, in key order."""
    folders = [folder.rstrip("/").rpartition("/")[2] for folder in store.list_folders(table_folder(store.prefix, "manifests"))]
    return [unquote(folder.removeprefix("workspace=")) for folder in folders if folder.startswith("workspace=")]


def sources_to_work_on(store: ObjectStore, workspace: str) -> list[LogSource]:
    """`archived_sources`, of which there must be one.

    Raises:
        InvalidInputError: nothing is archived of the workspace; names those that are known.
    """
    if sources := archived_sources(store, workspace):
        return sources
    known = archived_workspaces(store)
    listed = ", ".join(map(repr, known[:_SHOWN])) + (", ..." if len(known) > _SHOWN else "")
    raise InvalidInputError(f"Nothing is archived of `workspace` {workspace!r}.",
                            f"Known here: {listed}." if known else "The archive is empty: check its bucket and prefix.")


def latest_days(store: ObjectStore, source: LogSource, n: int) -> list[StoredManifest]:
    """The newest manifest of each of the last `n` days that have one, oldest day first."""
    days = list_days(store, source)[-n:] if n > 0 else []
    found = [latest(store, source, day) for day in days]
    return [stored for stored in found if stored is not None]


def newest_readable(store: ObjectStore, source: LogSource, before: date = date.max) -> StoredManifest | None:
    """The newest manifest of the newest day whose manifests can be read, or None when there is no day.

    Args:
        before: only of days before this one.

    Raises:
        ManifestError: of many days, none can be read.
    """
    problem: ManifestError | None = None
    for day in [day for day in list_days(store, source) if day < before][:-_LOOK_BACK - 1:-1]:
        try:
            if (stored := latest(store, source, day)) is not None:
                return stored
        except ManifestError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def _newest_listed(store: ObjectStore, source: LogSource, day: date) -> int:
    """The highest revision the listing shows, 0 for none. A key that merely looks like one (``r000001``) does not count."""
    newest = 0
    for found in store.list(day_folder(store.prefix, "manifests", source, day)):
        parsed = parse_manifest_key(store.prefix, found.key)
        if parsed and found.key == manifest_key(store.prefix, source, day, parsed.revision):
            newest = max(newest, parsed.revision)
    return newest


def _required(store: ObjectStore, source: LogSource, day: date, revision: int) -> StoredManifest:
    found = read_revision(store, source, day, revision)
    if found is None:
        raise ManifestError(f"{manifest_key(store.prefix, source, day, revision)} is listed, and is not there.",
                            "Restore the object from a version or backup; verify_archive shows what else is missing.")
    return found


def _after(store: ObjectStore, source: LogSource, day: date, revision: int) -> Iterator[StoredManifest]:
    """The revisions after this one, by asking for each until one is not there."""
    while found := read_revision(store, source, day, revision + 1):
        yield found
        revision += 1
